/* Stops at chosen moments. Passes of a graph are given up between two ops. Whole runs are stopped
 * within an update, while measuring, or before the first update, and then go on to the bytes of a
 * run that was never stopped. What a run tells its listener triggers the stop, so nothing depends
 * on time. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "infer/knn.h"
#include "jobs/jobs.h"
#include "scratch.h"
#include "small_model.h"

Suite *suite_stop(void);

/* --- passes of a graph ------------------------------------------------------------------------ */

static Stop stop;

typedef struct Count {
    int begun, at; /* the stop comes with the op of this number */
} Count;

static void stop_at_op(void *user, const GraphOp *op, bool begins) {
    Count *c = user;
    (void)op;
    if (begins && c->begun++ == c->at) stop.asked = true;
}

START_TEST(a_pass_ends_with_the_op_under_way) {
    const float one = 1;
    Device *d;
    ModelConfig c = small_config(3, TARGET_NORM_PIX, false);
    ck_assert_int_eq(device_open("cpu", 1, NULL, &d, NULL), MAE_OK);
    Vit *v = small_model(d, &c);
    AutoencoderGraph g = small_graph(v, FORWARD_TRAIN, 5);
    Count n = {.at = 7};
    ck_assert_int_eq(graph_plan(g.graph, GRAPH_TRAIN, NULL), MAE_OK);
    small_feed(v, &g, 5);
    graph_observe(g.graph, stop_at_op, &n);
    graph_stop_at(g.graph, &stop);
    stop.asked = false;
    ck_assert(!graph_forward(g.graph));
    ck_assert_int_eq(n.begun, 8);
    ck_assert(!graph_forward(g.graph)); /* not even begun */
    ck_assert_int_eq(n.begun, 8);
    stop.asked = false;
    ck_assert(graph_forward(g.graph));
    graph_set_grad(g.graph, g.loss, &one);
    n = (Count){.at = 3};
    ck_assert(!graph_backward(g.graph, g.loss, NULL, NULL));
    ck_assert_int_eq(n.begun, 4);
    graph_stop_at(g.graph, NULL);
    ck_assert(graph_forward(g.graph));
    graph_free(g.graph);
    vit_free(v);
    device_close(d);
}
END_TEST

/* So that even one product need not be waited for. */
START_TEST(a_product_is_left_unfinished) {
    enum { N = 64 };
    Device *d;
    float x[N * N], y[N * N] = {0};
    ck_assert_int_eq(device_open("cpu", 1, NULL, &d, NULL), MAE_OK);
    size_t bytes = d->kernels.linear_scratch(d, N, N, N);
    void *scratch = device_alloc(d, bytes);
    for (int i = 0; i < N * N; i++) x[i] = 1;
    stop.asked = true;
    d->stop = &stop;
    d->kernels.linear_forward(d, y, NULL, x, x, NULL, NULL, N, N, N, scratch);
    for (int i = 0; i < N * N; i++) ck_assert_float_eq(y[i], 0);
    stop.asked = false;
    d->kernels.linear_forward(d, y, NULL, x, x, NULL, NULL, N, N, N, scratch);
    for (int i = 0; i < N * N; i++) ck_assert_float_eq(y[i], N);
    device_free(d, scratch, bytes);
    device_close(d);
}
END_TEST

START_TEST(running_statistics_go_back) {
    enum { B = 4, C = 3 };
    const float x[B * C] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 1, 2, 3};
    float before[3 * C], after[3 * C];
    Device *d;
    ck_assert_int_eq(device_open("cpu", 1, NULL, &d, NULL), MAE_OK);
    Params *p = params_new(d);
    params_add(p, "mean", SHAPE(C), false);
    params_add(p, "var", SHAPE(C), false);
    params_add(p, "count", SHAPE(1), false);
    ck_assert_int_eq(params_alloc(p, GRADIENTS_NONE, NULL), MAE_OK);
    Graph *g = graph_new(d, p);
    Value *in = graph_input(g, "x", NUMBER_REAL, SHAPE(B, C));
    Value *v[3];
    for (int i = 0; i < 3; i++) v[i] = graph_param(g, params_at(p, i));
    graph_keep(g, op_batchnorm(g, "norm", in, v[0], v[1], v[2], 1e-5, 0.1, true));
    ck_assert_int_eq(graph_plan(g, GRAPH_INFER, NULL), MAE_OK);
    graph_set_real(g, in, x);
    graph_forward(g);
    ck_assert_uint_eq(graph_statistics_bytes(g), (2 * C + 1) * sizeof(float));
    void *copy = malloc(graph_statistics_bytes(g));
    graph_keep_statistics(g, copy);
    for (int i = 0; i < 3; i++) params_get(p, params_at(p, i), before + i * C);
    graph_forward(g);
    for (int i = 0; i < 3; i++) params_get(p, params_at(p, i), after + i * C);
    ck_assert_float_ne(before[0], after[0]);
    graph_put_back_statistics(g, copy);
    for (int i = 0; i < 3; i++) params_get(p, params_at(p, i), after + i * C);
    for (int i = 0; i < 2 * C + 1; i++) ck_assert_float_eq(before[i], after[i]);
    free(copy);
    graph_free(g);
    params_free(p);
    device_close(d);
}
END_TEST

START_TEST(neighbours_are_looked_for_no_longer) {
    float features[4] = {1, 0, 0, 1};
    int64_t rows[2];
    Error err = {0};
    Device *d;
    ck_assert_int_eq(device_open("cpu", 1, NULL, &d, NULL), MAE_OK);
    for (int asked = 0; asked < 2; asked++) {
        stop.asked = asked != 0;
        ck_assert_int_eq(knn_nearest(d, features, 2, features, 2, 2, 1, &stop, rows, NULL, &err),
                         asked ? MAE_INTERRUPTED : MAE_OK);
    }
    device_close(d);
}
END_TEST

/* --- whole runs ------------------------------------------------------------------------------- */

#define COMMON                                                                                     \
    "data", "synthetic:40x8x8", "image-size", "8", "patch", "4", "embed-dim", "8", "depth", "1",   \
        "heads", "1", "threads", "1", "batch", "4", "epochs", "2", "warmup-epochs", "0",           \
        "log-every", "3"

static const char *const AUTOENCODER[] = {COMMON, "decoder-embed-dim", "8", "decoder-depth",
                                          "1",    "decoder-heads",     "1", NULL};
static const char *const CLASSIFIER[] = {COMMON, "val", "synthetic:20x8x8", "init", "none", NULL};

/* The stop comes when the run tells of this phase, from so many steps and this share on. */
typedef struct Moment {
    CommandId command;
    const char *options[7]; /* beside the common ones: name, value, ... NULL */
    const char *phase;
    int64_t step;
    double share;
    const char *says; /* the message, from its first word on or somewhere */
    bool saved;
} Moment;

static void on_progress(void *user, const MaeProgress *p) {
    const Moment *m = user;
    if (m && strcmp(p->phase, m->phase) == 0 && p->step >= m->step && p->update_share >= m->share)
        stop.asked = true;
}

static int on_stop(void *user) {
    (void)user;
    return stop.asked;
}

static void set_all(MaeOptions *o, const char *const *pairs) {
    MaeError err = {0};
    for (; pairs[0]; pairs += 2)
        ck_assert_msg(mae_options_set(o, pairs[0], pairs[1], &err) == MAE_OK, "%s", err.message);
}

/* stopped: at m's moment. */
static Status run(const Moment *m, const char *out, bool stopped, Error *err) {
    bool pretrains = m->command == COMMAND_PRETRAIN;
    MaeOptions o;
    MaeEvents events = {
        .user = stopped ? (void *)(uintptr_t)m : NULL, .progress = on_progress, .stop = on_stop};
    options_default(m->command, &o);
    set_all(&o, pretrains ? AUTOENCODER : CLASSIFIER);
    set_all(&o, (const char *const[]){"out", scratch_path("%s", out), NULL});
    set_all(&o, m->options);
    stop.asked = false;
    Status status = mae_run(&o, &events, NULL, err);
    options_clear(&o);
    return status;
}

static uint8_t *read_file(const char *run, const char *name, size_t *bytes) {
    uint8_t *data;
    Error err = {0};
    ck_assert_msg(file_read(scratch_path("%s/%s", run, name), 1 << 24, &data, bytes, &err) ==
                      MAE_OK,
                  "%s", err.message);
    return data;
}

static void expect_same(const char *name) {
    size_t n, m;
    uint8_t *a = read_file("whole", name, &n), *b = read_file("stopped", name, &m);
    ck_assert_msg(n == m && memcmp(a, b, n) == 0, "%s differs", name);
    mem_free(a);
    mem_free(b);
}

/* How fast it went differs. */
static void expect_same_log(void) {
    size_t n, m;
    char *a = (char *)read_file("whole", "log.jsonl", &n);
    char *b = (char *)read_file("stopped", "log.jsonl", &m);
    const char *s = a, *t = b;
    while (*s && *s == *t) {
        bool rate = strncmp(s, "images_per_s\":", 14) == 0;
        s += rate ? strcspn(s, ",}") : 1;
        t += rate ? strcspn(t, ",}") : 1;
    }
    ck_assert_msg(!*s && !*t, "the logs differ: %.60s, %.60s", s, t);
    mem_free(a);
    mem_free(b);
}

#define PRETRAIN .command = COMMAND_PRETRAIN
#define PROBE .command = COMMAND_PROBE
#define FINETUNE .command = COMMAND_FINETUNE
#define WITHIN(n, part) .phase = "update", .step = n, .share = part
#define WITH(...) .options = {__VA_ARGS__}
#define SAVED(n) .says = "stopped at step " #n " and saved in ", .saved = true

static const Moment MOMENTS[] = {
    /* forward, backward, the first and the last update of an epoch */
    {PRETRAIN, WITHIN(4, 0.1), SAVED(4)},
    {PRETRAIN, WITHIN(4, 0.7), SAVED(4)},
    {PRETRAIN, WITHIN(9, 0.9), SAVED(9)},
    {PRETRAIN, WITHIN(10, 0), SAVED(10)},
    {PRETRAIN, WITHIN(13, 0.4), WITH("workers", "0", "async-save", "false"), SAVED(13)},
    /* in the second micro-batch of an update; among those that make none */
    {PRETRAIN, WITHIN(2, 0.6), WITH("accumulate", "2"), SAVED(2)},
    {PRETRAIN, WITHIN(3, 0.1), WITH("accumulate", "3"), SAVED(3)},
    /* running statistics and averages */
    {PROBE, WITHIN(2, 0.6), WITH("accumulate", "2"), SAVED(2)},
    {PROBE, WITHIN(3, 0.1), WITH("accumulate", "3"), SAVED(3)},
    {PROBE, WITHIN(13, 0.3), WITH("augment", "none", "cache-features", "true"), SAVED(13)},
    {FINETUNE, WITHIN(5, 0.8), WITH("ema", "0.5", "drop-path", "0.2"), SAVED(5)},
    /* after an update: what it was before is no longer there */
    {PRETRAIN, .phase = "train", .step = 5, SAVED(5)},
    /* measuring */
    {FINETUNE, .phase = "validate", .step = 3, WITH("ema", "0.5"), .saved = true,
     .says = "stopped after 0 of 20 images, measuring epoch 1; the run is saved in "},
    /* nothing was done that would have to be done again */
    {PRETRAIN, WITHIN(0, 0.5), .says = "stopped within the first update, which was given up"},
    {PROBE, .phase = "features", .step = 3, WITH("augment", "none", "cache-features", "true"),
     .says = "stopped after 0 of 40 images; no update was begun, and nothing is saved"},
    {PRETRAIN, .phase = "components", .step = 4, WITH("target", "pca", "pca-components", "4"),
     .says = "stopped after 4 of 512 images; no update was begun, and nothing is saved"},
};

START_TEST(a_stopped_run_goes_on_to_the_same_bytes) {
    const Moment *m = &MOMENTS[_i];
    Error err = {0}, again = {0};
    ck_assert_msg(run(m, "whole", false, &err) == MAE_OK, "%s", err.message);
    ck_assert_int_eq(run(m, "stopped", true, &err), MAE_INTERRUPTED);
    ck_assert_msg(strstr(err.message, m->says) == err.message, "%s", err.message);
    ck_assert(file_exists(scratch_path("stopped/last.safetensors")) == m->saved);
    ck_assert_msg(run(m, "stopped", false, &again) == MAE_OK, "%s", again.message);
    expect_same("last.safetensors");
    expect_same("last.state.safetensors");
    expect_same_log();
}
END_TEST

/* Stopped again and again, with hardly anything done in between. */
START_TEST(many_stops_change_nothing) {
    static const Moment m = {PROBE, WITHIN(0, 0.6), WITH("accumulate", "2")};
    Moment later = m;
    Error err = {0}, last = {0};
    ck_assert_msg(run(&m, "whole", false, &err) == MAE_OK, "%s", err.message);
    for (later.step = 1; later.step < 10; later.step += 3) {
        err = (Error){0};
        ck_assert_int_eq(run(&later, "stopped", true, &err), MAE_INTERRUPTED);
        ck_assert_int_eq(run(&later, "stopped", true, &err), MAE_INTERRUPTED);
    }
    ck_assert_msg(run(&m, "stopped", false, &last) == MAE_OK, "%s", last.message);
    expect_same("last.safetensors");
    expect_same("last.state.safetensors");
}
END_TEST

/* --- looking for images ----------------------------------------------------------------------- */

START_TEST(looking_for_images_ends) {
    Dataset *d = NULL;
    Error err = {0};
    scratch_png(scratch_path("photos/a.png"), 1, 8, 8);
    scratch_text(scratch_path("photos.txt"), "photos/a.png\nphotos/a.png\n");
    stop.asked = true;
    for (int i = 0; i < 3; i++) {
        static const char *const kinds[] = {"folder", "list", "tiles"};
        char source[512];
        DatasetOptions o = {.channels = 3, .limits = {.stop = &stop}};
        err = (Error){0};
        snprintf(source, sizeof source, "%s:%s", kinds[i],
                 scratch_path(i == 1 ? "photos.txt" : "photos"));
        ck_assert_int_eq(dataset_open(source, o, &d, &err), MAE_INTERRUPTED);
        ck_assert_ptr_nonnull(strstr(err.message, "stopped while looking for images"));
    }
    stop.asked = false;
}
END_TEST

Suite *suite_stop(void) {
    Suite *suite = suite_create("stop");
    TCase *t = tcase_create("stop");
    tcase_add_checked_fixture(t, scratch_make, scratch_remove);
    tcase_add_test(t, a_pass_ends_with_the_op_under_way);
    tcase_add_test(t, a_product_is_left_unfinished);
    tcase_add_test(t, running_statistics_go_back);
    tcase_add_test(t, neighbours_are_looked_for_no_longer);
    tcase_add_loop_test(t, a_stopped_run_goes_on_to_the_same_bytes, 0,
                        sizeof MOMENTS / sizeof *MOMENTS);
    tcase_add_test(t, many_stops_change_nothing);
    tcase_add_test(t, looking_for_images_ends);
    suite_add_tcase(suite, t);
    return suite;
}
