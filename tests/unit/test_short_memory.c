/* Whole jobs in which one allocation fails: the first, the second, and so on until a run passes
 * untouched. A failure must be reported as one of memory, leave nothing that a second call does not
 * mend, and lose nothing: what is there in the end has the bytes of an undisturbed run. Where a
 * sanitizer watches, only some of the allocations fail; MAE_EVERY_ALLOCATION=1 takes all. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "options/options.h"
#include "scratch.h"

Suite *suite_short_memory(void);

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { STRIDE = 17 };
#else
enum { STRIDE = 1 };
#endif

enum { MAX_FILES = 8, MAX_OPTIONS = 64 };

typedef MaeStatus (*Run)(const MaeOptions *o, MaeError *err);

/* A job, and the files it leaves in the folder "out", which it starts from a copy of `from`. */
typedef struct Job {
    CommandId command;
    Run run;
    const char *options[MAX_OPTIONS]; /* name, value, ... NULL; %s is the scratch folder */
    const char *from;
    const char *files[MAX_FILES];
} Job;

/* --- what is run ------------------------------------------------------------------------------ */

static MaeStatus run(const MaeOptions *o, MaeError *err) {
    return mae_run(o, NULL, NULL, err);
}

/* The job of the options; what it leaves are files. */
static MaeStatus do_job(const MaeOptions *o, MaeError *err) {
    return mae_run(o, NULL, NULL, err);
}

/* What was measured, as a file that can be compared; takes no memory of ours. */
static void write_result(const char *name, const char *text) {
    FILE *f = fopen(scratch_path("out/%s", name), "w");
    ck_assert_ptr_nonnull(f);
    ck_assert_int_gt(fprintf(f, "%s", text), 0);
    ck_assert_int_eq(fclose(f), 0);
}

static MaeStatus eval(const MaeOptions *o, MaeError *err) {
    MaeResult *r = NULL;
    MaeStatus status = mae_run(o, NULL, &r, err);
    if (status != MAE_OK) return status;
    char text[128];
    snprintf(text, sizeof text, "%lld %.17g %.17g %.17g",
             (long long)mae_result_integer(r, "images"), mae_result_number(r, "top1"),
             mae_result_number(r, "loss"), mae_result_number(r, "mean_corruption_error"));
    write_result("eval", text);
    mae_result_free(r);
    return status;
}

/* The same, with its result. */
static MaeStatus do_and_tell(const MaeOptions *o, MaeError *err) {
    MaeResult *r = NULL;
    MaeStatus status = mae_run(o, NULL, &r, err);
    if (status != MAE_OK) return status;
    char *text = mae_result_json(r);
    mae_result_free(r);
    if (!text) return error_set(err, MAE_MEMORY, "no memory for a text");
    write_result("result", text);
    mae_free(text);
    return MAE_OK;
}

/* --- options ---------------------------------------------------------------------------------- */

static void set_options(const Job *job, MaeOptions *o) {
    options_default(job->command, o);
    for (const char *const *p = job->options; p[0]; p += 2) {
        char value[256], *top = scratch_path("%s", "");
        MaeError err = {0};
        const char *mark = strstr(p[1], "%s");
        top[strlen(top) - 1] = '\0';
        if (mark)
            snprintf(value, sizeof value, "%.*s%s%s", (int)(mark - p[1]), p[1], top, mark + 2);
        else
            snprintf(value, sizeof value, "%s", p[1]);
        MaeStatus status = mae_options_set(o, p[0], value, &err);
        ck_assert_msg(status == MAE_OK, "%s", err.message);
    }
}

/* --- results ---------------------------------------------------------------------------------- */

typedef struct Content {
    uint8_t *data;
    size_t bytes;
} Content;

/* Speeds differ from run to run: they are blanked. */
static void blank_speeds(Content *c) {
    static const char key[] = "\"images_per_s\":";
    for (char *p = (char *)c->data; (p = strstr(p, key));)
        for (p += sizeof key - 1; *p && *p != ','; p++) *p = ' ';
    size_t n = 0;
    for (size_t i = 0; i < c->bytes; i++)
        if (c->data[i] != ' ') c->data[n++] = c->data[i];
    c->bytes = n;
}

static Content content_of(const char *name) {
    Content c;
    Error err = {0};
    char *path = scratch_path("out/%s", name);
    ck_assert_msg(file_read(path, 1 << 24, &c.data, &c.bytes, &err) == MAE_OK, "%s", err.message);
    if (strstr(name, ".jsonl")) blank_speeds(&c);
    return c;
}

static void check_results(const Job *job, const Content *want, int64_t n) {
    for (int i = 0; i < MAX_FILES && job->files[i]; i++) {
        Content got = content_of(job->files[i]);
        ck_assert_msg(got.bytes == want[i].bytes && memcmp(got.data, want[i].data, got.bytes) == 0,
                      "allocation %lld failed, and %s is another one", (long long)n, job->files[i]);
        mem_free(got.data);
    }
}

/* After a failure: a second call must end as if nothing had happened. Where the first one has not
 * written anything, it is the call that made the results to compare with. */
static void run_again(const Job *job, const MaeOptions *o, const Content *want, int64_t n) {
    MaeError err = {0};
    if (!job->from && scratch_is_empty("out")) return;
    MaeStatus status = job->run(o, &err);
    ck_assert_msg(status == MAE_OK, "after allocation %lld failed: %s", (long long)n, err.message);
    check_results(job, want, n);
}

static void start_over(const Job *job) {
    scratch_remove_folder("out");
    if (job->from)
        scratch_copy_folder(job->from, "out");
    else
        scratch_make_folder("out");
}

/* --- the loop --------------------------------------------------------------------------------- */

/* Runs with the n-th allocation failing; false: there were fewer. */
static bool run_short(const Job *job, const MaeOptions *o, const Content *want, int64_t n) {
    MaeError err = {0};
    start_over(job);
    int64_t before = mem_allocations();
    mem_fail_after(n);
    MaeStatus status = job->run(o, &err);
    mem_fail_after(0);
    bool reached = mem_allocations() - before >= n;
    if (status == MAE_OK) {
        check_results(job, want, n);
        return reached;
    }
    ck_assert_msg(status == MAE_MEMORY && strstr(err.message, "memory"),
                  "allocation %lld failed: status %s, %s", (long long)n, mae_status_name(status),
                  err.message);
    run_again(job, o, want, n);
    return reached;
}

static void run_every_failure(const Job *job) {
    MaeOptions o;
    MaeError err = {0};
    Content want[MAX_FILES] = {{0}};
    int64_t n = 1, stride = getenv("MAE_EVERY_ALLOCATION") ? 1 : STRIDE;
    set_options(job, &o);
    start_over(job);
    ck_assert_msg(job->run(&o, &err) == MAE_OK, "%s", err.message);
    for (int i = 0; i < MAX_FILES && job->files[i]; i++) want[i] = content_of(job->files[i]);
    while (run_short(job, &o, want, n)) n += stride;
    ck_assert_int_gt(n, 30);
    if (getenv("MAE_COUNT_ALLOCATIONS")) printf("%lld allocations\n", (long long)n - 1);
    for (int i = 0; i < MAX_FILES; i++) mem_free(want[i].data);
    options_clear(&o);
}

/* --- training --------------------------------------------------------------------------------- */

#define TINY                                                                                       \
    "model", "vit_tiny", "image-size", "8", "patch", "4", "embed-dim", "8", "depth", "1", "heads", \
        "1"
#define DECODER "decoder-embed-dim", "8", "decoder-depth", "1", "decoder-heads", "1"
#define QUICK "threads", "1", "workers", "0", "out", "%s/out"
#define TIMES "batch", "2", "warmup-epochs", "0", "save-every", "1", "log-every", "1", "steps", "0"
#define LABELLED "data", "synthetic:4x8x8", "val", "synthetic:4x8x8", "init", "%s/mae.safetensors"
#define RUN_FILES                                                                                  \
    "last.safetensors", "last.state.safetensors", "checkpoint-1.safetensors", "log.jsonl"

static const Job pretraining = {
    .command = COMMAND_PRETRAIN,
    .run = run,
    .options = {TINY, DECODER, QUICK, TIMES, "epochs", "1", "data", "synthetic:4x8x8", NULL},
    .files = {RUN_FILES, "reconstructions/1.png"}};

static const Job components = {.command = COMMAND_PRETRAIN,
                               .run = run,
                               .options = {TINY, DECODER, QUICK, TIMES, "epochs", "1", "data",
                                           "folder:%s/images", "target", "pca", "pca-components",
                                           "3", "augment", "crop-jitter", NULL},
                               .files = {RUN_FILES, "reconstructions/1.png"}};

static const Job with_workers = {.command = COMMAND_PRETRAIN,
                                 .run = run,
                                 .options = {TINY, DECODER, QUICK, TIMES, "epochs", "1", "workers",
                                             "2", "data", "folder:%s/images", NULL},
                                 .files = {RUN_FILES, "reconstructions/1.png"}};

static const Job finetuning = {
    .command = COMMAND_FINETUNE,
    .run = run,
    .options = {QUICK, TIMES, "epochs", "1", LABELLED, "ema", "0.9", "erase-prob", "0.5", NULL},
    .files = {RUN_FILES, "best.safetensors"}};

static const Job probing = {.command = COMMAND_PROBE,
                            .run = run,
                            .options = {QUICK, TIMES, "epochs", "1", LABELLED, NULL},
                            .files = {RUN_FILES, "best.safetensors"}};

static const Job probing_cached = {.command = COMMAND_PROBE,
                                   .run = run,
                                   .options = {QUICK, TIMES, "epochs", "1", LABELLED, "augment",
                                               "none", "cache-features", "true", NULL},
                                   .files = {RUN_FILES, "best.safetensors"}};

/* Leaves in "out" what the job has done after some updates. */
static void stop_early(const Job *job, const char *steps) {
    MaeOptions o;
    MaeError err = {0};
    set_options(job, &o);
    ck_assert(mae_options_set(&o, "steps", steps, &err) == MAE_OK);
    start_over(job);
    ck_assert_msg(job->run(&o, &err) == MAE_OK, "%s", err.message);
    options_clear(&o);
}

static void resume_every_failure(const Job *job) {
    Job rest = *job;
    stop_early(job, "1");
    scratch_copy_folder("out", "half");
    rest.from = "half";
    run_every_failure(&rest);
}

START_TEST(pretraining_from_the_start) {
    run_every_failure(&pretraining);
}
END_TEST

START_TEST(pretraining_resumed) {
    resume_every_failure(&pretraining);
}
END_TEST

START_TEST(pretraining_of_components) {
    run_every_failure(&components);
}
END_TEST

START_TEST(pretraining_with_workers) {
    run_every_failure(&with_workers);
}
END_TEST

START_TEST(finetuning_from_the_start) {
    run_every_failure(&finetuning);
}
END_TEST

START_TEST(finetuning_resumed) {
    resume_every_failure(&finetuning);
}
END_TEST

START_TEST(probing_from_the_start) {
    run_every_failure(&probing);
}
END_TEST

START_TEST(probing_of_cached_features) {
    run_every_failure(&probing_cached);
}
END_TEST

/* --- using models ----------------------------------------------------------------------------- */

static const Job uses[] = {
    {.command = COMMAND_FEATURES,
     .run = do_job,
     .options = {"threads", "1", "workers", "0", "model", "%s/mae.safetensors", "data",
                 "folder:%s/images", "out", "%s/out/f.npy", "attention", "%s/out/a.png", NULL},
     .files = {"f.npy", "f.txt", "a.png"}},
    {.command = COMMAND_RECONSTRUCT,
     .run = do_job,
     .options = {"threads", "1", "model", "%s/mae.safetensors", "images", "%s/images/a/0.png",
                 "out", "%s/out/r.png", NULL},
     .files = {"r.png"}},
    {.command = COMMAND_CLASSIFY,
     .run = do_and_tell,
     .options = {"threads", "1", "workers", "0", "model", "%s/classifier.safetensors", "images",
                 "%s/images", NULL},
     .files = {"result"}},
    {.command = COMMAND_KNN,
     .run = do_and_tell,
     .options = {"threads", "1", "workers", "0", "model", "%s/mae.safetensors", "data",
                 "folder:%s/images", "val", "folder:%s/images", "k", "2", "accept-overlap", "true",
                 NULL},
     .files = {"result"}},
    {.command = COMMAND_NEIGHBOURS,
     .run = do_and_tell,
     .options = {"threads", "1", "workers", "0", "model", "%s/mae.safetensors", "data",
                 "folder:%s/images", "images", "%s/images/a/0.png", "k", "2", "out", "%s/out/n.png",
                 NULL},
     .files = {"result", "n.png"}},
    {.command = COMMAND_EVAL,
     .run = eval,
     .options = {"threads", "1", "workers", "0", "model", "%s/classifier.safetensors", "val",
                 "synthetic:4x8x8", "corruptions", "contrast", "baseline", "none", NULL},
     .files = {"eval"}}};

START_TEST(use_of_a_model) {
    run_every_failure(&uses[_i]);
}
END_TEST

static const struct {
    const char *to, *out, *files[3];
} formats[] = {{"official", "%s/out/m.pth", {"m.pth"}},
               {"timm", "%s/out/m.safetensors", {"m.safetensors"}},
               {"hf", "%s/out/hf", {"hf/model.safetensors", "hf/config.json"}},
               {"onnx", "%s/out/m.onnx", {"m.onnx"}},
               {"mae", "%s/out/m.safetensors", {"m.safetensors"}}};

START_TEST(conversion) {
    Job job = {.command = COMMAND_CONVERT,
               .run = run,
               .options = {"threads", "1", "to", formats[_i].to, "in", "%s/mae.safetensors", "out",
                           formats[_i].out, NULL}};
    memcpy(job.files, formats[_i].files, sizeof formats[_i].files);
    run_every_failure(&job);
}
END_TEST

/* A model and a classifier over it, and images of two classes. */
static void make_models(void) {
    scratch_make();
    for (int i = 0; i < 4; i++)
        scratch_png(scratch_path("images/%c/%d.png", 'a' + i % 2, i), i, 9, 8);
    stop_early(&pretraining, "1");
    rename(scratch_path("out/last.safetensors"), scratch_path("mae.safetensors"));
    stop_early(&finetuning, "1");
    rename(scratch_path("out/last.safetensors"), scratch_path("classifier.safetensors"));
}

Suite *suite_short_memory(void) {
    Suite *s = suite_create("short_memory");
    TCase *t = tcase_create("short_memory");
    tcase_add_checked_fixture(t, make_models, scratch_remove);
    tcase_add_test(t, pretraining_from_the_start);
    tcase_add_test(t, pretraining_resumed);
    tcase_add_test(t, pretraining_of_components);
    tcase_add_test(t, pretraining_with_workers);
    tcase_add_test(t, finetuning_from_the_start);
    tcase_add_test(t, finetuning_resumed);
    tcase_add_test(t, probing_from_the_start);
    tcase_add_test(t, probing_of_cached_features);
    tcase_add_loop_test(t, use_of_a_model, 0, (int)(sizeof uses / sizeof *uses));
    tcase_add_loop_test(t, conversion, 0, (int)(sizeof formats / sizeof *formats));
    suite_add_tcase(s, t);
    return s;
}
