/* Whole jobs on images that a program gives: the files they leave have the bytes of those on the
 * same images in files, and a run goes on with the program only. */
#include <check.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "given_images.h"
#include "mae.h"
#include "scratch.h"

Suite *suite_given_runs(void);

static GivenImages photos, others; /* the images of "photos" and "others", 12 in three classes */

static void make_images(void) {
    static const char *const sets[] = {"photos", "others"}, *const classes[] = {"ant", "bee",
                                                                                "cow"};
    scratch_make();
    for (int s = 0; s < 2; s++)
        for (int i = 0; i < 12; i++)
            scratch_png(scratch_path("%s/%s/%02d.png", sets[s], classes[i / 4], i), 20 * s + i,
                        12 + i, 20 - i);
    given_open(&photos, scratch_path("photos"), "frames");
    given_open(&others, scratch_path("others"), "more frames");
}

static void remove_images(void) {
    given_close(&photos);
    given_close(&others);
    scratch_remove();
}

/* --- options ---------------------------------------------------------------------------------- */

static void set(MaeOptions *o, const char *name, const char *text) {
    MaeError err = {0};
    ck_assert_msg(mae_options_set(o, name, text, &err) == MAE_OK, "%s", err.message);
}

static void set_source(MaeOptions *o, const char *name, const GivenImages *g) {
    MaeError err = {0};
    ck_assert_msg(mae_options_set_source(o, name, &g->source, &err) == MAE_OK, "%s", err.message);
}

static MaeOptions *options_of(const char *command, const char *out) {
    MaeOptions *o;
    MaeError err = {0};
    ck_assert_msg(mae_options_new(command, &o, &err) == MAE_OK, "%s", err.message);
    set(o, "threads", "1");
    if (out) set(o, "out", scratch_path("%s", out));
    return o;
}

/* A model of one block, and four updates. */
static MaeOptions *training(const char *command, const char *out) {
    static const char *const common[][2] = {
        {"image-size", "8"}, {"patch", "4"},         {"embed-dim", "8"},
        {"depth", "1"},      {"heads", "1"},         {"batch", "4"},
        {"epochs", "2"},     {"warmup-epochs", "0"}, {"log-every", "1"}};
    static const char *const decoder[][2] = {
        {"decoder-embed-dim", "8"}, {"decoder-depth", "1"}, {"decoder-heads", "1"}};
    MaeOptions *o = options_of(command, out);
    bool pretrains = strcmp(command, "pretrain") == 0;
    for (size_t i = 0; i < sizeof common / sizeof *common; i++) set(o, common[i][0], common[i][1]);
    for (size_t i = 0; pretrains && i < sizeof decoder / sizeof *decoder; i++)
        set(o, decoder[i][0], decoder[i][1]);
    if (!pretrains) set(o, "init", "none");
    return o;
}

static MaeStatus run(MaeOptions *o, MaeError *err) {
    return mae_run(o, NULL, NULL, err);
}

static void run_well(MaeOptions *o) {
    MaeError err = {0};
    ck_assert_msg(run(o, &err) == MAE_OK, "%s", err.message);
    mae_options_free(o);
}

static void run_badly(MaeOptions *o, MaeStatus wanted, const char *part) {
    MaeError err = {0};
    MaeStatus status = run(o, &err);
    ck_assert_msg(status == wanted, "%s: %s", mae_status_name(status), err.message);
    ck_assert_msg(strstr(err.message, part) != NULL, "'%s' lacks '%s'", err.message, part);
    mae_options_free(o);
}

/* --- files ------------------------------------------------------------------------------------ */

static char *content(const char *run, const char *name, size_t *bytes) {
    uint8_t *data;
    MaeError err = {0};
    Status status = file_read(scratch_path("%s/%s", run, name), 1 << 24, &data, bytes, &err);
    ck_assert_msg(status == MAE_OK, "%s", err.message);
    return (char *)data;
}

/* The speeds of log.jsonl differ from run to run. */
static void blank_speeds(char *text) {
    static const char key[] = "\"images_per_s\":";
    char *to = text;
    for (const char *p = text; *p; *to++ = *p++)
        if (strncmp(p, key, sizeof key - 1) == 0) p += strcspn(p, ",}");
    *to = '\0';
}

static void expect_same_file(const char *a, const char *b, const char *name) {
    size_t n, m;
    char *x = content(a, name, &n), *y = content(b, name, &m);
    if (strstr(name, ".jsonl")) {
        blank_speeds(x);
        blank_speeds(y);
        ck_assert_str_eq(x, y);
    } else {
        ck_assert_msg(n == m && memcmp(x, y, n) == 0, "%s of %s and %s", name, a, b);
    }
    mem_free(x);
    mem_free(y);
}

static void expect_same_run(const char *a, const char *b) {
    expect_same_file(a, b, "last.safetensors");
    expect_same_file(a, b, "last.state.safetensors");
    expect_same_file(a, b, "log.jsonl");
}

/* --- the same bytes --------------------------------------------------------------------------- */

START_TEST(pretraining_is_that_of_files) {
    static const char *const augment[] = {"crop", "crop-jitter", "none"};
    MaeOptions *a = training("pretrain", "a"), *b = training("pretrain", "b");
    set(a, "augment", augment[_i]);
    set(b, "augment", augment[_i]);
    set(b, "workers", "3");
    set(a, "data", scratch_path("photos"));
    photos.planar = _i == 1;
    set_source(b, "data", &photos);
    run_well(a);
    run_well(b);
    expect_same_run("a", "b");
    ck_assert_int_gt(photos.fetched, 0);
    ck_assert_int_eq(photos.fetched, photos.released);
    size_t bytes;
    char *config = content("b", "config.json", &bytes);
    ck_assert(strstr(config, "\"data\": \"memory:frames\"") != NULL);
    mem_free(config);
}
END_TEST

START_TEST(finetuning_is_that_of_files) {
    MaeOptions *a = training("finetune", "a"), *b = training("finetune", "b");
    set(a, "data", scratch_path("photos"));
    set(a, "val", scratch_path("others"));
    set_source(b, "data", &photos);
    set_source(b, "val", &others);
    run_well(a);
    run_well(b);
    expect_same_run("a", "b");
    expect_same_file("a", "b", "best.safetensors");
}
END_TEST

START_TEST(a_share_is_held_out_as_of_files) {
    MaeOptions *a = training("probe", "a"), *b = training("probe", "b");
    set(a, "val-share", "0.3");
    set(b, "val-share", "0.3");
    set(a, "data", scratch_path("photos"));
    set_source(b, "data", &photos);
    run_well(a);
    run_well(b);
    expect_same_run("a", "b");
}
END_TEST

/* --- going on --------------------------------------------------------------------------------- */

static void pretrain(const char *out, const char *steps) {
    MaeOptions *o = training("pretrain", out);
    set_source(o, "data", &photos);
    set(o, "steps", steps);
    run_well(o);
}

START_TEST(a_run_goes_on_with_the_program_only) {
    pretrain("whole", "0");
    pretrain("parts", "3");
    MaeOptions *alone = options_of("pretrain", "parts");
    set(alone, "steps", "0");
    run_badly(alone, MAE_USAGE, "memory:frames: these images came from a program");
    MaeOptions *renamed = training("pretrain", "parts");
    photos.source.name = "stills";
    set_source(renamed, "data", &photos);
    set(renamed, "steps", "0");
    run_badly(renamed, MAE_USAGE, "--data memory:frames -> memory:stills");
    photos.source.name = "frames";
    pretrain("parts", "0");
    expect_same_run("whole", "parts");
}
END_TEST

/* --- images that were trained on -------------------------------------------------------------- */

static MaeOptions *evaluation(const GivenImages *g) {
    MaeOptions *o = options_of("eval", NULL);
    set(o, "model", scratch_path("a/last.safetensors"));
    set_source(o, "val", g);
    return o;
}

START_TEST(images_that_were_trained_on_are_not_unseen) {
    MaeOptions *same = training("finetune", "b");
    set_source(same, "data", &photos);
    set_source(same, "val", &photos);
    run_badly(same, MAE_USAGE, "12 of the 12 images of --val are also in --data");
    MaeOptions *o = training("finetune", "a");
    set_source(o, "data", &photos);
    set_source(o, "val", &others);
    run_well(o);
    run_badly(evaluation(&photos), MAE_USAGE, "12 of the 12 images of --val are also in the");
    run_well(evaluation(&others));
}
END_TEST

/* --- what fails ------------------------------------------------------------------------------- */

START_TEST(what_cannot_be_given_is_counted_or_ends_the_run) {
    MaeOptions *o = training("pretrain", "a"), *strict = training("pretrain", "b"),
               *full = training("pretrain", "c");
    photos.source.image_name = NULL;
    photos.broken = 7;
    photos.status = MAE_IO;
    photos.reason = "the camera was off";
    set_source(o, "data", &photos);
    run_well(o);
    size_t bytes;
    char *summary = content("a", "summary.json", &bytes);
    ck_assert_msg(strstr(summary, "\"unreadable\": 1") != NULL, "%s", summary);
    mem_free(summary);
    set_source(strict, "data", &photos);
    set(strict, "strict", "true");
    run_badly(strict, MAE_IO, "frames/7: the camera was off");
    photos.status = MAE_MEMORY;
    set_source(full, "data", &photos);
    run_badly(full, MAE_MEMORY, "frames/7: the camera was off");
}
END_TEST

START_TEST(a_source_is_for_images_and_has_a_name) {
    MaeOptions *o = options_of("pretrain", NULL);
    MaeSource nameless = photos.source;
    nameless.name = NULL;
    ck_assert_int_eq(mae_options_set_source(o, "init", &photos.source, NULL), MAE_USAGE);
    ck_assert_int_eq(mae_options_set_source(o, "val", &photos.source, NULL), MAE_USAGE);
    ck_assert_int_eq(mae_options_set_source(o, "data", &nameless, NULL), MAE_USAGE);
    ck_assert_int_eq(mae_options_set_source(o, "data", NULL, NULL), MAE_USAGE);
    ck_assert_ptr_null(mae_options_get(o, "data"));
    set_source(o, "data", &photos);
    ck_assert_str_eq(mae_options_get(o, "data"), "memory:frames");
    set(o, "data", "memory:frames");
    set(o, "out", scratch_path("a"));
    run_badly(o, MAE_USAGE, "memory:frames: these images came from a program");
}
END_TEST

Suite *suite_given_runs(void) {
    Suite *s = suite_create("given_runs");
    TCase *t = tcase_create("given_runs");
    tcase_add_checked_fixture(t, make_images, remove_images);
    tcase_add_loop_test(t, pretraining_is_that_of_files, 0, 3);
    tcase_add_test(t, finetuning_is_that_of_files);
    tcase_add_test(t, a_share_is_held_out_as_of_files);
    tcase_add_test(t, a_run_goes_on_with_the_program_only);
    tcase_add_test(t, images_that_were_trained_on_are_not_unseen);
    tcase_add_test(t, what_cannot_be_given_is_counted_or_ends_the_run);
    tcase_add_test(t, a_source_is_for_images_and_has_a_name);
    suite_add_tcase(s, t);
    return s;
}
