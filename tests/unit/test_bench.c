/* What measurements promise: an observer sees every op of a pass once and changes nothing, and the
 * lines of a step add up, in time and in FLOPs. No test looks at how long something took. */
#include "small_model.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "graph/view.h"
#include "jobs/jobs.h"

Suite *suite_bench(void);

/* --- observer --------------------------------------------------------------------------------- */

typedef struct Seen {
    int forward, backward, again, linear, attention;
    int64_t heads;
    bool open;
    char name[64]; /* of the op that is open */
    double flops;
} Seen;

static void see(void *user, const GraphOp *op, bool begins) {
    Seen *s = user;
    ck_assert(s->open != begins);
    ck_assert(begins || strcmp(s->name, op->name) == 0);
    s->open = begins;
    strncpy(s->name, op->name, sizeof s->name - 1);
    if (begins) return;
    s->forward += !op->backward;
    s->backward += op->backward && !op->again;
    s->again += op->again;
    s->linear += strcmp(op->kind, "linear") == 0;
    if (strcmp(op->kind, "attention") == 0) {
        s->attention++;
        s->heads = ((const AttentionAttributes *)op->attributes)->heads;
        ck_assert_int_eq(op->in.dim[2], 3 * op->out.dim[2]);
    }
    s->flops += op->flops;
}

/* A step with the observer, then one without, whose gradients must be the same. */
START_TEST(observer_sees_every_op_once) {
    Error err = {0};
    Device *d = NULL;
    Seen seen = {0};
    int64_t n;
    ModelConfig c = small_config(3, TARGET_NORM_PIX, false);
    ck_assert_int_eq(device_open("cpu", 1, NULL, &d, &err), MAE_OK);
    Vit *v = small_model(d, &c);
    AutoencoderGraph g = small_graph(v, FORWARD_TRAIN, 2);
    ck_assert_int_eq(graph_plan(g.graph, GRAPH_TRAIN, &err), MAE_OK);
    small_feed(v, &g, 3);
    graph_observe(g.graph, see, &seen);
    small_step(v, &g);
    float *watched = small_gradients(v, &n);
    Seen once = seen;
    ck_assert(!seen.open);
    ck_assert_int_eq(seen.attention, 2 * (c.depth + c.decoder_depth));
    ck_assert_int_eq(seen.heads, c.heads); /* the last attention of a step is the first */
    ck_assert_int_eq(seen.linear, 2 * (4 * (c.depth + c.decoder_depth) + 3));
    ck_assert_int_gt(seen.forward, seen.backward); /* images and targets have no gradient */
    /* Layer norms, and one of the two lists of predicted patches. */
    ck_assert_int_eq(seen.again, 2 * (c.depth + c.decoder_depth) + 2 + 1);
    ck_assert_double_eq(seen.flops, graph_flops_step(g.graph));
    graph_observe(g.graph, NULL, NULL);
    small_step(v, &g);
    ck_assert_mem_eq(&seen, &once, sizeof seen);
    float *unwatched = small_gradients(v, &n);
    ck_assert_mem_eq(watched, unwatched, (size_t)n * sizeof *watched);
    free(watched);
    free(unwatched);
    graph_free(g.graph);
    vit_free(v);
    device_close(d);
}
END_TEST

/* --- lines of a step -------------------------------------------------------------------------- */

static const char *const tasks[] = {"pretrain", "finetune", "features"};

static MaeOptions small_options(const char *task) {
    static const char *const values[][2] = {
        {"model", "vit_tiny"},  {"image-size", "16"},   {"patch", "4"},
        {"embed-dim", "24"},    {"heads", "2"},         {"depth", "2"},
        {"decoder-depth", "1"}, {"decoder-heads", "2"}, {"decoder-embed-dim", "24"},
        {"repetitions", "4"},   {"batch", "4"},         {"threads", "1"}};
    MaeOptions o;
    options_default(COMMAND_BENCH, &o);
    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        ck_assert_int_eq(mae_options_set(&o, values[i][0], values[i][1], NULL), MAE_OK);
    ck_assert_int_eq(mae_options_set(&o, "task", task, NULL), MAE_OK);
    return o;
}

/* Sums of a few dozen doubles. */
static void ck_near(double a, double b) {
    ck_assert_msg(fabs(a - b) <= 1e-12 * fabs(b), "%.17g is not %.17g", a, b);
}

static MaeResult *measure(const char *what, const char *task) {
    MaeResult *r = NULL;
    Error err = {0};
    MaeOptions o = small_options(task);
    ck_assert_int_eq(mae_options_set(&o, "what", what, NULL), MAE_OK);
    ck_assert_msg(mae_run(&o, NULL, &r, &err) == MAE_OK, "%s", err.message);
    ck_assert_str_eq(mae_result_text(r, "task"), task);
    options_clear(&o);
    return r;
}

typedef struct Sum {
    double ms, flops;
    int64_t calls, calls_with_shape, optimizers;
} Sum;

/* Of "kernels" or "shapes". */
static Sum add_lines(const MaeResult *r, const char *list, const char *task) {
    Sum sum = {0};
    const MaeResult *lines = mae_result_get(r, list);
    for (int64_t i = 0; i < mae_result_count(lines, NULL); i++) {
        const MaeResult *k = mae_result_at(lines, i);
        const char *kind = mae_result_text(k, "kind");
        double ms = mae_result_number(k, "ms"), gflops = mae_result_number(k, "gflops");
        bool is_shaped = strcmp(kind, "linear") == 0 || strcmp(kind, "attention") == 0;
        ck_assert(is_shaped || strcmp(list, "kernels") == 0);
        ck_near(mae_result_number(k, "share") * mae_result_number(r, "step_ms"), ms);
        ck_assert(strcmp(task, "features") != 0 ||
                  strcmp(mae_result_text(k, "pass"), "backward") != 0);
        sum.ms += ms;
        if (!isnan(gflops)) sum.flops += gflops * ms * 1e6;
        sum.calls += mae_result_integer(k, "calls");
        if (is_shaped) sum.calls_with_shape += mae_result_integer(k, "calls");
        sum.optimizers += strcmp(kind, "optimizer") == 0;
    }
    return sum;
}

START_TEST(lines_add_up_to_the_step) {
    MaeResult *r = measure("kernels", tasks[_i]);
    Sum kernels = add_lines(r, "kernels", tasks[_i]), shapes = add_lines(r, "shapes", tasks[_i]);
    ck_near(kernels.ms, mae_result_number(r, "step_ms"));
    ck_near(kernels.flops, mae_result_number(r, "gflop_per_image") * 4 * 1e9);
    ck_near(shapes.flops, kernels.flops);
    ck_assert_int_eq(shapes.calls, kernels.calls_with_shape);
    ck_assert_double_lt(shapes.ms, kernels.ms);
    ck_assert_int_eq(kernels.optimizers, _i < 2);
    mae_result_free(r);
}
END_TEST

START_TEST(step_counts_what_its_task_computes) {
    MaeResult *r[3];
    for (int i = 0; i < 3; i++) {
        r[i] = measure("step", tasks[i]);
        ck_assert_int_eq(mae_result_integer(r[i], "steps"), 4);
        ck_assert(mae_result_number(r[i], "images_per_s_best") >=
                  mae_result_number(r[i], "images_per_s_median"));
        ck_assert(mae_result_number(r[i], "bytes_peak_rss") >=
                  mae_result_number(r[i], "bytes_rss"));
    }
    /* Backward is twice forward but for the embedding, whose input has no gradient. */
    ck_assert(mae_result_number(r[1], "gflop_per_image") >
              2.5 * mae_result_number(r[2], "gflop_per_image"));
    ck_assert(mae_result_number(r[2], "bytes_planned") < mae_result_number(r[1], "bytes_planned"));
    for (int i = 0; i < 3; i++) mae_result_free(r[i]);
}
END_TEST

START_TEST(mixing_needs_an_even_batch) {
    MaeOptions o = small_options("finetune");
    Error err = {0};
    o.batch = 3;
    ck_assert_int_eq(mae_run(&o, NULL, NULL, &err), MAE_USAGE);
    ck_assert(strstr(err.message, "--batch 3") != NULL);
    options_clear(&o);
}
END_TEST

Suite *suite_bench(void) {
    Suite *s = suite_create("bench");
    TCase *t = tcase_create("bench");
    tcase_add_test(t, observer_sees_every_op_once);
    tcase_add_loop_test(t, lines_add_up_to_the_step, 0, 3);
    tcase_add_test(t, step_counts_what_its_task_computes);
    tcase_add_test(t, mixing_needs_an_even_batch);
    tcase_set_timeout(t, 300);
    suite_add_tcase(s, t);
    return s;
}
