/* How often an update waits for its device: a table of memory that counts, on a cpu which says that
 * it is not the host. What happens where the wait is left out: on the device "deferred". */
#include <check.h>

#include "deferred.h"
#include "small_model.h"

#include "train/step.h"

#include <stdlib.h>

Suite *suite_step(void);

static const DeviceMemory *real;
static int n_waits;

static void download(Device *d, void *host, const void *src, size_t bytes) {
    n_waits++;
    real->download(d, host, src, bytes);
}

static void download_floats(Device *d, float *host, const void *src, Number type, int64_t n) {
    n_waits++;
    real->download_floats(d, host, src, type, n);
}

static void free_memory(Device *d, void *p, size_t bytes) {
    n_waits++;
    real->free(d, p, bytes);
}

static void synchronise(Device *d) {
    n_waits++;
    real->sync(d);
}

typedef struct Updates {
    double loss[3], norm[3];
    float *weights;
    int waits[3];
} Updates;

enum { ACCUMULATE = 2 };

static void one_update(TrainStep *s, const Vit *v, AutoencoderGraph *g, Updates *u, int i) {
    Error err = {0};
    n_waits = 0;
    step_begin(s);
    for (int k = 0; k < ACCUMULATE; k++) {
        small_feed(v, g, (uint64_t)(ACCUMULATE * i + k));
        ck_assert_msg(step_micro_batch(s, &err) == MAE_OK, "%s", err.message);
    }
    ck_assert_int_eq(step_update(s, 0.01, &u->loss[i], &err), MAE_OK);
    u->waits[i] = n_waits;
    u->norm[i] = s->last_norm;
}

enum { NO_UPDATE = -1 };

/* Three; the wait of one of them may be left out. */
static Updates updates(const char *device, OptimizerKind kind, bool is_host, int left_out,
                       int64_t *n) {
    Error err = {0};
    Device *d;
    Optimizer *o;
    TrainStep *s;
    Updates u = {.weights = NULL};
    ck_assert_int_eq(device_open(device, 1, NULL, &d, &err), MAE_OK);
    real = d->memory;
    DeviceMemory counting = *real;
    counting.download = download;
    counting.download_floats = download_floats;
    counting.free = free_memory;
    counting.sync = synchronise;
    d->memory = &counting;
    d->kernels.is_host = is_host;
    ModelConfig c = small_config(3, TARGET_NORM_PIX, false);
    Vit *v = small_model(d, &c);
    AutoencoderGraph g = small_graph(v, FORWARD_TRAIN, 3);
    ck_assert_int_eq(graph_plan(g.graph, GRAPH_TRAIN, &err), MAE_OK);
    OptimizerOptions oo = {.kind = kind,
                           .beta1 = 0.9,
                           .beta2 = 0.95,
                           .eps = 1e-8,
                           .momentum = 0.9,
                           .trust = 0.001,
                           .groups = {.weight_decay = 0.05}};
    StepOptions so = {.batch = 3, .accumulate = ACCUMULATE, .clip_grad = 0.5};
    ck_assert_int_eq(optimizer_new(d, v->params, oo, &o, &err), MAE_OK);
    ck_assert_int_eq(step_new(v, g.graph, g.loss, o, so, &s, &err), MAE_OK);
    for (int i = 0; i < 3; i++) {
        if (i == left_out) deferred_leave_out_wait();
        one_update(s, v, &g, &u, i);
    }
    *n = 0;
    for (int64_t i = 0; i < params_count(v->params); i++) *n += params_at(v->params, i)->numel;
    float *next = u.weights = malloc((size_t)*n * sizeof *next);
    for (int64_t i = 0; i < params_count(v->params); i++) {
        params_get(v->params, params_at(v->params, i), next);
        next += params_at(v->params, i)->numel;
    }
    step_free(s);
    optimizer_free(o);
    graph_free(g.graph);
    vit_free(v);
    d->memory = real;
    device_close(d);
    return u;
}

/* Whatever the optimiser; and the numbers are those of a device whose losses are read at once. */
START_TEST(an_update_waits_once) {
    int64_t n;
    Updates host = updates("cpu", (OptimizerKind)_i, true, NO_UPDATE, &n);
    Updates other = updates("cpu", (OptimizerKind)_i, false, NO_UPDATE, &n);
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(other.waits[i], 1);
        ck_assert_int_eq(host.waits[i], 1 + ACCUMULATE);
        ck_assert(host.loss[i] > 0 && host.loss[i] == other.loss[i]);
        ck_assert(host.norm[i] > 0.5 && host.norm[i] == other.norm[i]);
    }
    ck_assert_mem_eq(host.weights, other.weights, (size_t)n * sizeof(float));
    free(host.weights);
    free(other.weights);
}
END_TEST

/* The results of the update before are read again, and the step is made with its norm. */
START_TEST(a_wait_left_out_is_seen) {
    int64_t n;
    Updates right = updates("deferred", OPTIMIZER_ADAMW, false, NO_UPDATE, &n);
    Updates wrong = updates("deferred", OPTIMIZER_ADAMW, false, 1, &n);
    ck_assert(wrong.loss[0] == right.loss[0] && wrong.norm[0] == right.norm[0]);
    ck_assert(wrong.loss[1] == right.loss[0] && right.loss[1] != right.loss[0]);
    ck_assert(wrong.norm[1] == right.norm[0] && right.norm[1] != right.norm[0]);
    ck_assert_mem_ne(wrong.weights, right.weights, (size_t)n * sizeof(float));
    free(right.weights);
    free(wrong.weights);
}
END_TEST

Suite *suite_step(void) {
    Suite *s = suite_create("step");
    TCase *t = tcase_create("step");
    tcase_add_loop_test(t, an_update_waits_once, 0, 3);
    tcase_add_test(t, a_wait_left_out_is_seen);
    suite_add_tcase(s, t);
    return s;
}
