/* mae_run: what it gives, what it leaves after a failure, and that the plan and the summary of a
 * training are the same wherever they are read. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "base/memory.h"
#include "jobs/jobs.h"
#include "scratch.h"

Suite *suite_jobs(void);

static void set(MaeOptions *o, const char *name, const char *value) {
    MaeError err = {0};
    ck_assert_msg(mae_options_set(o, name, value, &err) == MAE_OK, "%s", err.message);
}

/* Of a training of seconds, or of its plan. */
static MaeOptions *small_training(const char *command) {
    static const char *const values[][2] = {{"data", "synthetic:16x8x8"},
                                            {"image-size", "8"},
                                            {"patch", "4"},
                                            {"embed-dim", "16"},
                                            {"depth", "1"},
                                            {"heads", "2"},
                                            {"batch", "8"},
                                            {"epochs", "1"},
                                            {"warmup-epochs", "0"},
                                            {"threads", "1"},
                                            {"workers", "1"}};
    MaeOptions *o;
    MaeError err = {0};
    ck_assert_msg(mae_options_new(command, &o, &err) == MAE_OK, "%s", err.message);
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) set(o, values[i][0], values[i][1]);
    if (strstr(command, "pretrain")) {
        set(o, "decoder-embed-dim", "16");
        set(o, "decoder-depth", "1");
        set(o, "decoder-heads", "2");
    } else {
        set(o, "init", "none");
        set(o, "val", "synthetic:16x8x8");
        set(o, "accept-overlap", "true");
    }
    return o;
}

static MaeResult *run(const MaeOptions *o, const MaeEvents *events) {
    MaeResult *r = NULL;
    MaeError err = {0};
    ck_assert_msg(mae_run(o, events, &r, &err) == MAE_OK, "%s", err.message);
    ck_assert_ptr_nonnull(r);
    return r;
}

/* The same members in the same order; two measurements of the machine differ. */
static void expect_same_plan(const MaeResult *a, const MaeResult *b) {
    ck_assert_int_eq(mae_result_count(a, NULL), mae_result_count(b, NULL));
    for (int64_t i = 0; i < mae_result_count(a, NULL); i++) {
        const char *key = mae_result_key(a, i);
        char *x = mae_result_json(mae_result_at(a, i)), *y = mae_result_json(mae_result_at(b, i));
        ck_assert_str_eq(key, mae_result_key(b, i));
        if (strcmp(key, "peak_gflops") != 0 && strcmp(key, "seconds") != 0) ck_assert_str_eq(x, y);
        mae_free(x);
        mae_free(y);
    }
}

static void keep_plan(void *user, const MaeResult *plan) {
    *(char **)user = mae_result_json(plan);
}

static const char *const trainings[] = {"pretrain", "finetune"};

START_TEST(plan_of_a_listener_is_that_of_the_job) {
    char command[32], *heard = NULL;
    const MaeEvents events = {.user = &heard, .plan = keep_plan};
    snprintf(command, sizeof command, "plan %s", trainings[_i]);
    MaeOptions *training = small_training(trainings[_i]), *plan = small_training(command);
    set(training, "out", scratch_path("run"));
    MaeResult *planned = run(plan, NULL), *trained = run(training, &events);
    ck_assert_ptr_nonnull(heard);
    json_t *object = json_parse(heard, strlen(heard), NULL);
    char *told = mae_result_json(planned);
    json_t *again = json_parse(told, strlen(told), NULL);
    expect_same_plan(result_view(again), result_view(object));
    json_decref(object);
    json_decref(again);
    mae_free(told);
    mae_free(heard);
    mae_result_free(planned);
    mae_result_free(trained);
    mae_options_free(training);
    mae_options_free(plan);
}
END_TEST

/* A run that is complete gives the summary that it had, and summary.json holds it. */
START_TEST(summary_stays_that_of_the_run) {
    uint8_t *data;
    size_t bytes;
    MaeOptions *o = small_training(trainings[_i]);
    set(o, "out", scratch_path("run"));
    MaeResult *first = run(o, NULL), *again = run(o, NULL);
    ck_assert_int_eq(file_read(scratch_path("run/summary.json"), 1 << 16, &data, &bytes, NULL),
                     MAE_OK);
    json_t *file = json_parse(data, bytes, NULL);
    char *a = mae_result_json(first), *b = mae_result_json(again);
    char *c = mae_result_json(result_view(file));
    ck_assert_str_eq(a, b);
    ck_assert_str_eq(a, c);
    ck_assert_int_eq(mae_result_integer(first, "steps"), 2);
    ck_assert_int_eq(mae_result_get(first, "top1") != NULL, _i == 1);
    ck_assert_int_eq(mae_result_get(first, "picture") != NULL, _i == 0);
    mae_free(a);
    mae_free(b);
    mae_free(c);
    mem_free(data);
    json_decref(file);
    mae_result_free(first);
    mae_result_free(again);
    mae_options_free(o);
}
END_TEST

/* Accuracies of a classifier that stopped before its first validation are there, without a number.
 */
START_TEST(what_was_not_measured_is_null) {
    MaeOptions *o = small_training("finetune");
    set(o, "out", scratch_path("run"));
    set(o, "steps", "1");
    MaeResult *r = run(o, NULL);
    static const char *const keys[] = {"top1", "top5", "val_loss", "ema_top1", "best_top1"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        char *text = mae_result_json(mae_result_get(r, keys[i]));
        ck_assert_str_eq(text, "null");
        mae_free(text);
    }
    mae_result_free(r);
    mae_options_free(o);
}
END_TEST

START_TEST(failure_leaves_no_result) {
    MaeOptions *o;
    MaeError err = {0};
    MaeResult *r = (MaeResult *)&err;
    ck_assert_int_eq(mae_options_new("info", &o, NULL), MAE_OK);
    set(o, "file", scratch_path("missing.safetensors"));
    ck_assert_int_eq(mae_run(o, NULL, &r, &err), MAE_IO);
    ck_assert_ptr_null(r);
    ck_assert_ptr_nonnull(strstr(err.message, "missing.safetensors"));
    mae_options_free(o);
}
END_TEST

START_TEST(words_that_are_needed_are_named) {
    static const char *const commands[] = {"info", "convert"};
    for (size_t i = 0; i < 2; i++) {
        MaeOptions *o;
        MaeError err = {0};
        ck_assert_int_eq(mae_options_new(commands[i], &o, NULL), MAE_OK);
        ck_assert_int_eq(mae_run(o, NULL, NULL, &err), MAE_USAGE);
        ck_assert_ptr_nonnull(strstr(err.message, commands[i]));
        mae_options_free(o);
    }
}
END_TEST

/* Options of an image, a model and a session are no command's. */
START_TEST(what_is_no_command_is_refused) {
    static const char *const others[] = {"image", "model", "session"};
    for (size_t i = 0; i < 3; i++) {
        MaeOptions *o;
        MaeError err = {0};
        ck_assert_int_eq(mae_options_new(others[i], &o, NULL), MAE_OK);
        ck_assert_int_eq(mae_run(o, NULL, NULL, &err), MAE_USAGE);
        ck_assert_ptr_nonnull(strstr(err.message, others[i]));
        mae_options_free(o);
    }
}
END_TEST

START_TEST(build_info_has_its_parts) {
    static const char *const keys[] = {"version", "compiler", "openmp",
                                       "mpi",     "codecs",   "libraries"};
    MaeResult *r = NULL;
    ck_assert_int_eq(mae_build_info(&r, NULL), MAE_OK);
    ck_assert_int_eq(mae_result_count(r, NULL), 6);
    for (int64_t i = 0; i < 6; i++) {
        ck_assert_str_eq(mae_result_key(r, i), keys[i]);
        ck_assert_ptr_nonnull(mae_result_text(r, keys[i]));
    }
    ck_assert_str_eq(mae_result_text(r, "version"), mae_version());
    mae_result_free(r);
}
END_TEST

Suite *suite_jobs(void) {
    Suite *s = suite_create("jobs");
    TCase *t = tcase_create("jobs");
    tcase_add_checked_fixture(t, scratch_make, scratch_remove);
    tcase_add_loop_test(t, plan_of_a_listener_is_that_of_the_job, 0, 2);
    tcase_add_loop_test(t, summary_stays_that_of_the_run, 0, 2);
    tcase_add_test(t, what_was_not_measured_is_null);
    tcase_add_test(t, failure_leaves_no_result);
    tcase_add_test(t, words_that_are_needed_are_named);
    tcase_add_test(t, what_is_no_command_is_refused);
    tcase_add_test(t, build_info_has_its_parts);
    suite_add_tcase(s, t);
    return s;
}
