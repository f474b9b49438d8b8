/* What graphs promise. Nothing is allocated after planning. Without a backward pass they take less
 * memory. Gradients add up and are reported when complete. Numbers are the same for every device
 * and any number of threads, with kept values or without. Operands that do not fit abort. */
#include "small_model.h"

#include <check.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "deferred.h"
#include "graph/view.h"
#include "model/classifier.h"

Suite *suite_graph(void);

typedef struct Setup {
    Device *device;
    Vit *model;
    AutoencoderGraph graph;
} Setup;

static Setup make(const char *device, const char *isa, int threads, ForwardKind kind) {
    Setup s;
    Error err = {0};
    ModelConfig c = small_config(3, TARGET_NORM_PIX, false);
    ck_assert_msg(device_open(device, threads, isa, &s.device, &err) == MAE_OK, "%s", err.message);
    s.model = small_model(s.device, &c);
    s.graph = small_graph(s.model, kind, 5);
    return s;
}

static void plan(Setup *s) {
    ck_assert_int_eq(graph_plan(s->graph.graph, GRAPH_TRAIN, NULL), MAE_OK);
    small_feed(s->model, &s->graph, 5);
}

static void destroy(Setup *s) {
    graph_free(s->graph.graph);
    vit_free(s->model);
    device_close(s->device);
}

/* Loss and gradients of one step; free() the gradients. */
static float *run(const char *device, const char *isa, int threads, ForwardKind kind, float *loss,
                  int64_t *n) {
    Setup s = make(device, isa, threads, kind);
    plan(&s);
    *loss = small_step(s.model, &s.graph);
    float *gradients = small_gradients(s.model, n);
    destroy(&s);
    return gradients;
}

static double distance(const float *a, const float *b, int64_t n) {
    double square = 0, reference = 0;
    for (int64_t i = 0; i < n; i++) {
        square += ((double)a[i] - (double)b[i]) * ((double)a[i] - (double)b[i]);
        reference += (double)b[i] * (double)b[i];
    }
    return sqrt(square / reference);
}

/* --- memory ----------------------------------------------------------------------------------- */

START_TEST(nothing_is_allocated_after_planning) {
    Setup s = make(test_device_words[_i], NULL, 2, FORWARD_TRAIN);
    plan(&s);
    small_step(s.model, &s.graph);
    int64_t before = mem_allocations();
    small_step(s.model, &s.graph);
    ck_assert_int_eq(mem_allocations(), before);
    destroy(&s);
}
END_TEST

static size_t planned_bytes(int64_t depth, GraphMode mode) {
    Device *d;
    ModelConfig c = small_config(3, TARGET_PIXEL, false);
    c.depth = depth;
    ck_assert_int_eq(device_open("ref", 1, NULL, &d, NULL), MAE_OK);
    Vit *a = small_model(d, &c);
    AutoencoderGraph g = small_graph(a, FORWARD_FULL, 4);
    size_t bytes = graph_bytes(g.graph, mode);
    ck_assert_int_eq(graph_plan(g.graph, mode, NULL), MAE_OK);
    ck_assert_uint_eq(graph_bytes(g.graph, mode), bytes);
    graph_free(g.graph);
    vit_free(a);
    device_close(d);
    return bytes;
}

START_TEST(inference_reuses_memory) {
    ck_assert_uint_lt(planned_bytes(2, GRAPH_INFER), planned_bytes(2, GRAPH_TRAIN));
    ck_assert_uint_eq(planned_bytes(20, GRAPH_INFER), planned_bytes(2, GRAPH_INFER));
    ck_assert_uint_lt(planned_bytes(2, GRAPH_TRAIN), planned_bytes(20, GRAPH_TRAIN));
}
END_TEST

START_TEST(inference_gives_the_loss_of_training) {
    float train, infer;
    Setup s = make("cpu", NULL, 2, FORWARD_TRAIN);
    plan(&s);
    train = small_step(s.model, &s.graph);
    destroy(&s);
    s = make("cpu", NULL, 2, FORWARD_TRAIN);
    ck_assert_int_eq(graph_plan(s.graph.graph, GRAPH_INFER, NULL), MAE_OK);
    small_feed(s.model, &s.graph, 5);
    graph_forward(s.graph.graph);
    graph_get(s.graph.graph, s.graph.loss, &infer);
    ck_assert_mem_eq(&train, &infer, sizeof train);
    destroy(&s);
}
END_TEST

/* --- numbers ---------------------------------------------------------------------------------- */

/* Predicting the removed patches only changes the order of sums, no more. */
START_TEST(training_graph_equals_full_graph) {
    float loss[2];
    int64_t n;
    float *a = run("ref64", NULL, 1, FORWARD_TRAIN, &loss[0], &n);
    float *b = run("ref64", NULL, 1, FORWARD_FULL, &loss[1], &n);
    ck_assert_double_eq_tol((double)loss[0], (double)loss[1], 1e-7);
    ck_assert_double_le(distance(a, b, n), 1e-7);
    free(a);
    free(b);
}
END_TEST

/* Float rounding of a network of three blocks: a few hundred times epsilon. */
START_TEST(devices_agree) {
    float want, got;
    int64_t n;
    const char *const *isas = device_isas();
    float *reference = run("ref64", NULL, 1, FORWARD_TRAIN, &want, &n);
    float *plain = run("ref", NULL, 1, FORWARD_TRAIN, &got, &n);
    ck_assert_double_le(distance(plain, reference, n), 1e-5);
    free(plain);
    for (int i = 0; isas[i]; i++) {
        float *g = run("cpu", isas[i], 2, FORWARD_TRAIN, &got, &n);
        ck_assert_msg(fabsf(got - want) <= 1e-5f * want, "%s: loss %g instead of %g", isas[i],
                      (double)got, (double)want);
        ck_assert_msg(distance(g, reference, n) <= 1e-5, "%s: gradients off by %g", isas[i],
                      distance(g, reference, n));
        free(g);
    }
    free(reference);
}
END_TEST

START_TEST(threads_do_not_change_a_bit) {
    float want, got;
    int64_t n;
    const char *const *isas = device_isas();
    for (int i = 0; isas[i]; i++) {
        float *one = run("cpu", isas[i], 1, FORWARD_TRAIN, &want, &n);
        for (int threads = 2; threads <= 7; threads++) {
            float *many = run("cpu", isas[i], threads, FORWARD_TRAIN, &got, &n);
            ck_assert_mem_eq(&got, &want, sizeof got);
            ck_assert_msg(memcmp(one, many, (size_t)n * sizeof *one) == 0,
                          "%s: gradients of %d threads differ by %g", isas[i], threads,
                          distance(many, one, n));
            free(many);
        }
        free(one);
    }
}
END_TEST

/* Keeping a value moves gradients to other addresses and nothing else. */
enum { SESSION_BATCH = 40, SESSION_ROUNDS = 60 };

typedef struct Session {
    AutoencoderGraph graph;
    pthread_t thread;
    float prediction[SESSION_BATCH * 6 * 48], again[SESSION_BATCH * 6 * 48];
    bool same;
} Session;

static void *repeat_session(void *session) {
    Session *s = session;
    s->same = true;
    for (int i = 0; i < SESSION_ROUNDS; i++) {
        graph_forward(s->graph.graph);
        graph_get(s->graph.graph, s->graph.pred, s->again);
        s->same = s->same && !memcmp(s->prediction, s->again, sizeof s->again);
    }
    return NULL;
}

/* What runs has its own scratch and its own stop flag; the device keeps nothing. */
START_TEST(two_graphs_of_a_model_run_at_once) {
    static Session s[2];
    Stop stop = {.asked = true};
    Setup one = make(test_device_words[_i], NULL, 2, FORWARD_FULL);
    for (int i = 0; i < 2; i++) {
        s[i].graph = small_graph(one.model, FORWARD_FULL, SESSION_BATCH);
        graph_keep(s[i].graph.graph, s[i].graph.pred);
        ck_assert_int_eq(graph_plan(s[i].graph.graph, GRAPH_INFER, NULL), MAE_OK);
        small_feed(one.model, &s[i].graph, (uint64_t)i);
        graph_forward(s[i].graph.graph);
        ck_assert_uint_eq(sizeof s->prediction, 4 * (size_t)shape_numel(s[i].graph.pred->shape));
        graph_get(s[i].graph.graph, s[i].graph.pred, s[i].prediction);
    }
    graph_stop_at(one.graph.graph, &stop); /* of a third graph: the two go on */
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(pthread_create(&s[i].thread, NULL, repeat_session, &s[i]), 0);
    for (int i = 0; i < 2; i++) pthread_join(s[i].thread, NULL);
    ck_assert_mem_ne(s[0].prediction, s[1].prediction, sizeof s->prediction);
    for (int i = 0; i < 2; i++) {
        ck_assert(s[i].same);
        graph_free(s[i].graph.graph);
    }
    destroy(&one);
}
END_TEST

START_TEST(kept_values_change_nothing) {
    static const char *const names[] = {"patch_embed",   "blocks.0",         "blocks.1",    "norm",
                                        "decoder_embed", "decoder_blocks.0", "decoder_norm"};
    float want, got;
    int64_t n;
    float *plain = run("cpu", NULL, 2, FORWARD_TRAIN, &want, &n);
    Setup s = make("cpu", NULL, 2, FORWARD_TRAIN);
    for (int i = 0; i < 7; i++) {
        Value *v = graph_find(s.graph.graph, names[i]);
        ck_assert_msg(v != NULL, "no stage %s", names[i]);
        graph_keep(s.graph.graph, v);
    }
    plan(&s);
    got = small_step(s.model, &s.graph);
    float *kept = small_gradients(s.model, &n);
    ck_assert_mem_eq(&got, &want, sizeof got);
    ck_assert_mem_eq(kept, plain, (size_t)n * sizeof *kept);
    free(kept);
    free(plain);
    destroy(&s);
}
END_TEST

START_TEST(gradients_of_parameters_add) {
    const float one = 1;
    int64_t n;
    Setup s = make("cpu", NULL, 2, FORWARD_TRAIN);
    plan(&s);
    small_step(s.model, &s.graph);
    float *once = small_gradients(s.model, &n);
    graph_forward(s.graph.graph);
    graph_set_grad(s.graph.graph, s.graph.loss, &one);
    graph_backward(s.graph.graph, s.graph.loss, NULL, NULL);
    float *twice = small_gradients(s.model, &n);
    for (int64_t i = 0; i < n; i++) once[i] *= 2;
    ck_assert_double_le(distance(twice, once, n), 1e-6);
    free(once);
    free(twice);
    destroy(&s);
}
END_TEST

/* --- the gradient-ready hook ------------------------------------------------------------------ */

typedef struct Seen {
    Setup *setup;
    int64_t calls;
    double *sums; /* of squares of each gradient when it was reported; -1 before */
} Seen;

static double sum_of(const Setup *s, const Param *p) {
    double sum, *place = device_alloc(s->device, sizeof sum);
    Segment gradient = {.g = p->grad, .n = p->numel};
    s->device->kernels.sum_squares(s->device, place, &gradient, 1);
    device_download(s->device, &sum, place, sizeof sum);
    device_free(s->device, place, sizeof sum);
    return sum;
}

static void on_ready(void *user, Param *p) {
    Seen *seen = user;
    Params *all = seen->setup->model->params;
    seen->calls++;
    for (int64_t i = 0; i < params_count(all); i++)
        if (params_at(all, i) == p) {
            ck_assert_msg(seen->sums[i] < 0, "%s was reported twice", p->name);
            seen->sums[i] = sum_of(seen->setup, p);
        }
}

START_TEST(every_gradient_is_reported_when_complete) {
    const float one = 1;
    Setup s = make("cpu", NULL, 2, FORWARD_TRAIN);
    Params *all = s.model->params;
    int64_t n = params_count(all), trained = 0;
    Seen seen = {&s, 0, malloc((size_t)n * sizeof(double))};
    for (int64_t i = 0; i < n; i++) seen.sums[i] = -1;
    plan(&s);
    params_zero_grad(all);
    graph_forward(s.graph.graph);
    graph_set_grad(s.graph.graph, s.graph.loss, &one);
    graph_backward(s.graph.graph, s.graph.loss, on_ready, &seen);
    for (int64_t i = 0; i < n; i++) {
        const Param *p = params_at(all, i);
        if (!p->grad) continue;
        ck_assert_msg(seen.sums[i] == sum_of(&s, p), "%s changed after it was reported", p->name);
        trained++;
    }
    ck_assert_int_eq(seen.calls, trained);
    free(seen.sums);
    destroy(&s);
}
END_TEST

/* --- the rest --------------------------------------------------------------------------------- */

START_TEST(nonfinite_values_are_found) {
    Setup s = make("ref", NULL, 1, FORWARD_TRAIN);
    plan(&s);
    graph_forward(s.graph.graph);
    ck_assert_ptr_null(graph_first_nonfinite(s.graph.graph));
    Param *p = params_find(s.model->params, "blocks.1.attn.proj.bias");
    float values[12] = {[3] = NAN};
    params_set(s.model->params, p, values);
    graph_forward(s.graph.graph);
    const Value *v = graph_first_nonfinite(s.graph.graph);
    ck_assert_ptr_nonnull(v);
    ck_assert_str_eq(v->name, "blocks.1.attn.proj");
    destroy(&s);
}
END_TEST

/* An autoencoder, or a classifier whose blocks may be dropped, as far as planning. */
static Status build_and_plan(Vit *v, bool classifies, Error *err) {
    AutoencoderGraph a = {0};
    ClassifierGraph c = {0};
    ClassifierOptions o = {.batch = 2, .train = true, .drop_path = 0.5};
    Status status = classifies ? classifier_graph(v, o, &c, err)
                               : autoencoder_graph(v, FORWARD_TRAIN, 2, 2, NUMBER_U8, &a, err);
    if (status == MAE_OK) status = graph_plan(classifies ? c.graph : a.graph, GRAPH_TRAIN, err);
    classifier_graph_free(&c);
    graph_free(a.graph);
    return status;
}

/* Wherever memory lacks, builders come to an end, and planning tells. */
START_TEST(a_lack_of_memory_is_told_in_the_end) {
    Device *d;
    bool classifies = _i;
    ModelConfig config = small_config(3, TARGET_NORM_PIX, !classifies);
    config.depth = 12;
    config.decoder_depth = classifies ? 0 : 2;
    config.head = classifies ? HEAD_LINEAR : HEAD_NONE;
    config.classes = 3;
    ck_assert_int_eq(device_open("cpu", 1, NULL, &d, NULL), MAE_OK);
    Vit *v = small_model(d, &config);
    Status status = MAE_MEMORY;
    int64_t n = 0;
    while (status == MAE_MEMORY) {
        mem_fail_after(++n);
        status = build_and_plan(v, classifies, NULL);
    }
    mem_fail_after(0);
    ck_assert_int_eq(status, MAE_OK);
    ck_assert_int_gt(n, 20);
    vit_free(v);
    device_close(d);
}
END_TEST

/* The room of a graph is that of its ops, whatever the number of its parameters. */
START_TEST(five_thousand_ops_over_one_parameter) {
    enum { OPS = 5000 };
    Device *d;
    float identity[4] = {1, 0, 0, 1}, x[2] = {2, 3}, up[2] = {1, -1}, got[4];
    ck_assert_int_eq(device_open("cpu", 1, NULL, &d, NULL), MAE_OK);
    Params *params = params_new(d);
    Param *w = params_add(params, "w", SHAPE(2, 2), true);
    ck_assert_int_eq(params_alloc(params, GRADIENTS_FRESH, NULL), MAE_OK);
    Graph *g = graph_new(d, params);
    Value *in = graph_input(g, "x", NUMBER_REAL, SHAPE(1, 2)), *y = in;
    for (int i = 0; i < OPS; i++)
        y = op_linear(g, "y", y, graph_param(g, w), NULL, (LinearOptions){0});
    graph_keep(g, y);
    ck_assert_int_eq(graph_plan(g, GRAPH_TRAIN, NULL), MAE_OK);
    params_set(params, w, identity);
    graph_set_real(g, in, x);
    graph_forward(g);
    graph_set_grad(g, y, up);
    graph_backward(g, y, NULL, NULL);
    device_download_floats(d, got, w->grad, NUMBER_WIDE, 4);
    for (int i = 0; i < 4; i++) ck_assert_float_eq(got[i], OPS * up[i / 2] * x[i % 2]);
    graph_free(g);
    params_free(params);
    device_close(d);
}
END_TEST

/* A linear layer of R rows: two operations a product, and in training twice as many backward. */
START_TEST(flops_are_counted) {
    Device *d;
    ck_assert_int_eq(device_open("ref", 1, NULL, &d, NULL), MAE_OK);
    Params *params = params_new(d);
    Param *x = params_add(params, "x", SHAPE(7, 5), true);
    Param *w = params_add(params, "w", SHAPE(3, 5), true);
    params_place(params, GRADIENTS_SUMMED);
    Graph *g = graph_new(d, params);
    op_linear(g, "y", graph_param(g, x), graph_param(g, w), NULL, (LinearOptions){0});
    ck_assert_double_eq(graph_flops_forward(g), 2 * 7 * 5 * 3);
    ck_assert_double_eq(graph_flops_step(g), 3 * 2 * 7 * 5 * 3);
    graph_free(g);
    params_free(params);
    device_close(d);
}
END_TEST

/* What an op reads is an input, a parameter, or the result of an op before it. */
START_TEST(ops_are_read_in_order) {
    bool there[512] = {false};
    Setup s = make("ref", NULL, 1, FORWARD_FULL);
    const Graph *g = s.graph.graph;
    ck_assert_int_lt(graph_value_count(g), 512);
    for (int i = 0; i < graph_op_count(g); i++) {
        OpView op = graph_op_at(g, i);
        for (int k = 0; k < OP_MAX_OPERANDS; k++)
            ck_assert(!op.in[k] || op.in[k]->kind != VALUE_ACTIVATION || there[op.in[k]->id]);
        for (int k = 0; k < OP_MAX_RESULTS; k++)
            if (op.out[k]) there[op.out[k]->id] = true;
        if (strcmp(op.name, "blocks.1.mlp.fc1") == 0) {
            ck_assert_str_eq(op.kind, "linear");
            ck_assert_str_eq(op.in[1]->param->name, "blocks.1.mlp.fc1.weight");
            ck_assert_ptr_null(op.in[3]);
            ck_assert(((const LinearAttributes *)op.attributes)->gelu);
        }
        if (strcmp(op.name, "blocks.1.attn") == 0)
            ck_assert_int_eq(((const AttentionAttributes *)op.attributes)->heads,
                             s.model->config.heads);
    }
    ck_assert(there[s.graph.loss->id] && there[s.graph.loss_per_patch->id]);
    destroy(&s);
}
END_TEST

START_TEST(operands_that_do_not_fit_abort) {
    Device *d;
    ck_assert_int_eq(device_open("ref", 1, NULL, &d, NULL), MAE_OK);
    Params *params = params_new(d);
    Param *x = params_add(params, "x", SHAPE(7, 5), true);
    Param *w = params_add(params, "w", SHAPE(3, 4), true);
    params_place(params, GRADIENTS_SUMMED);
    Graph *g = graph_new(d, params);
    op_linear(g, "y", graph_param(g, x), graph_param(g, w), NULL, (LinearOptions){0});
}
END_TEST

/* Of a device with two types: a weight in place of an activation. */
START_TEST(operands_of_another_type_abort) {
    Setup s = make("refbf16", NULL, 1, FORWARD_TRAIN);
    Value *w =
        graph_param(s.graph.graph, params_find(s.model->params, "blocks.0.attn.proj.weight"));
    op_linear(s.graph.graph, "y", w, w, NULL, (LinearOptions){0});
}
END_TEST

START_TEST(planning_twice_aborts) {
    Setup s = make("ref", NULL, 1, FORWARD_TRAIN);
    plan(&s);
    plan(&s);
}
END_TEST

Suite *suite_graph(void) {
    Suite *s = suite_create("graph");
    TCase *t = tcase_create("graph");
    tcase_add_loop_test(t, nothing_is_allocated_after_planning, 0, TEST_DEVICES);
    tcase_add_test(t, inference_reuses_memory);
    tcase_add_test(t, inference_gives_the_loss_of_training);
    tcase_add_test(t, training_graph_equals_full_graph);
    tcase_add_test(t, devices_agree);
    tcase_add_test(t, threads_do_not_change_a_bit);
    tcase_add_loop_test(t, two_graphs_of_a_model_run_at_once, 0, TEST_DEVICES);
    tcase_add_test(t, kept_values_change_nothing);
    tcase_add_test(t, gradients_of_parameters_add);
    tcase_add_test(t, every_gradient_is_reported_when_complete);
    tcase_add_test(t, nonfinite_values_are_found);
    tcase_add_loop_test(t, a_lack_of_memory_is_told_in_the_end, 0, 2);
    tcase_add_test(t, five_thousand_ops_over_one_parameter);
    tcase_add_test(t, flops_are_counted);
    tcase_add_test(t, ops_are_read_in_order);
    tcase_add_test_raise_signal(t, operands_that_do_not_fit_abort, SIGABRT);
    tcase_add_test_raise_signal(t, operands_of_another_type_abort, SIGABRT);
    tcase_add_test_raise_signal(t, planning_twice_aborts, SIGABRT);
    suite_add_tcase(s, t);
    return s;
}
