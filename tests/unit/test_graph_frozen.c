/* Graphs of which a part is frozen: the rest gets the gradients it has in a graph trained as a
 * whole, and the frozen part takes no memory and no backward work however deep it is. Also the
 * batch norm of a probe, which has no gradient. */
#include "graph/internal.h"

#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "deferred.h"

Suite *suite_graph_frozen(void);

enum { B = 2, T = 5, C = 6, HEADS = 3, F = 12, N_LAYERS = 12 };

/* A stack of transformer blocks, the first n_frozen of them frozen, over an input. */
typedef struct Stack {
    Device *device;
    Params *params;
    Graph *graph;
    Value *x, *out;
} Stack;

static const struct Layer {
    const char *name;
    Shape shape;
} LAYERS[N_LAYERS] = {
    {"norm1.weight", {1, {C}}}, {"norm1.bias", {1, {C}}},     {"qkv.weight", {2, {3 * C, C}}},
    {"qkv.bias", {1, {3 * C}}}, {"proj.weight", {2, {C, C}}}, {"proj.bias", {1, {C}}},
    {"norm2.weight", {1, {C}}}, {"norm2.bias", {1, {C}}},     {"fc1.weight", {2, {F, C}}},
    {"fc1.bias", {1, {F}}},     {"fc2.weight", {2, {C, F}}},  {"fc2.bias", {1, {C}}},
};

static const char *name_in(int block, const char *name) {
    static char text[64];
    (void)snprintf(text, sizeof text, "blocks.%d.%s", block, name);
    return text;
}

static Value *add_block(Stack *s, int i, Value *x) {
    Graph *g = s->graph;
    Value *p[N_LAYERS];
    for (int k = 0; k < N_LAYERS; k++)
        p[k] = graph_param(g, params_at(s->params, i * N_LAYERS + k));
    Value *n = op_layernorm(g, name_in(i, "norm1"), x, p[0], p[1], 1e-6);
    Value *qkv = op_linear(g, name_in(i, "qkv"), n, p[2], p[3], (LinearOptions){0});
    Value *o = op_attention(g, name_in(i, "attn"), qkv, HEADS);
    x = op_linear(g, name_in(i, "proj"), o, p[4], p[5], (LinearOptions){.residual = x});
    n = op_layernorm(g, name_in(i, "norm2"), x, p[6], p[7], 1e-6);
    Value *h = op_linear(g, name_in(i, "fc1"), n, p[8], p[9], (LinearOptions){.gelu = true});
    return op_linear(g, name_in(i, "fc2"), h, p[10], p[11], (LinearOptions){.residual = x});
}

static Stack make(const char *device, int depth, int n_frozen) {
    Stack s;
    ck_assert_int_eq(device_open(device, 1, NULL, &s.device, NULL), MAE_OK);
    s.params = params_new(s.device);
    for (int i = 0; i < depth * N_LAYERS; i++) {
        const struct Layer *layer = &LAYERS[i % N_LAYERS];
        params_add(s.params, name_in(i / N_LAYERS, layer->name), layer->shape,
                   i / N_LAYERS >= n_frozen);
    }
    ck_assert_int_eq(params_alloc(s.params, GRADIENTS_SUMMED, NULL), MAE_OK);
    s.graph = graph_new(s.device, s.params);
    s.x = graph_input(s.graph, "x", NUMBER_REAL, SHAPE(B, T, C));
    s.out = s.x;
    for (int i = 0; i < depth; i++) s.out = add_block(&s, i, s.out);
    graph_keep(s.graph, s.out);
    return s;
}

static void destroy(Stack *s) {
    graph_free(s->graph);
    params_free(s->params);
    device_close(s->device);
}

/* The same numbers for every stack of a depth; one forward and one backward pass. */
static void run(Stack *s, GraphReady ready, void *user) {
    Rng rng = rng_make(1, RNG_SYNTHETIC, 0, 2);
    float values[B * T * C];
    for (int64_t i = 0; i < params_count(s->params); i++) {
        float *w = malloc((size_t)params_at(s->params, i)->numel * sizeof *w);
        ck_assert_ptr_nonnull(w);
        for (int64_t k = 0; k < params_at(s->params, i)->numel; k++)
            w[k] = (float)rng_range(&rng, -1, 1);
        params_set(s->params, params_at(s->params, i), w);
        free(w);
    }
    ck_assert_int_eq(graph_plan(s->graph, GRAPH_TRAIN, NULL), MAE_OK);
    for (int i = 0; i < B * T * C; i++) values[i] = (float)rng_range(&rng, -1, 1);
    graph_set_real(s->graph, s->x, values);
    params_zero_grad(s->params);
    graph_forward(s->graph);
    for (int i = 0; i < B * T * C; i++) values[i] = (float)rng_range(&rng, -1, 1);
    graph_set_grad(s->graph, s->out, values);
    graph_backward(s->graph, s->out, ready, user);
}

/* --- frozen blocks ---------------------------------------------------------------------------- */

START_TEST(gradients_are_those_of_full_training) {
    Stack all = make(test_device_words[_i], 2, 0), part = make(test_device_words[_i], 2, 1);
    run(&all, NULL, NULL);
    run(&part, NULL, NULL);
    for (int64_t i = 0; i < params_count(all.params); i++) {
        const Param *want = params_at(all.params, i), *got = params_at(part.params, i);
        if (i < N_LAYERS) {
            ck_assert_ptr_null(got->grad);
            continue;
        }
        size_t bytes = device_bytes(part.device, NUMBER_WIDE, got->numel);
        char *a = malloc(bytes), *b = malloc(bytes);
        device_download(all.device, a, want->grad, bytes);
        device_download(part.device, b, got->grad, bytes);
        ck_assert_msg(memcmp(a, b, bytes) == 0, "%s differs", got->name);
        ck_assert_msg(*b || memcmp(b, b + 1, bytes - 1) != 0, "%s is zero", got->name);
        free(a);
        free(b);
    }
    destroy(&all);
    destroy(&part);
}
END_TEST

static size_t bytes_of(int depth, int n_frozen, double *flops_backward) {
    Stack s = make("ref", depth, n_frozen);
    size_t bytes = graph_bytes(s.graph, GRAPH_TRAIN);
    *flops_backward = graph_flops_step(s.graph) - graph_flops_forward(s.graph);
    destroy(&s);
    return bytes;
}

START_TEST(frozen_blocks_cost_nothing) {
    double all, part, deep, one;
    size_t bytes_all = bytes_of(2, 0, &all), bytes_part = bytes_of(2, 1, &part);
    ck_assert_uint_lt(bytes_part, bytes_all);
    ck_assert_uint_eq(bytes_of(9, 8, &deep), bytes_part);
    (void)bytes_of(1, 0, &one);
    ck_assert_double_eq(part, one);
    ck_assert_double_eq(deep, one);
    ck_assert_double_eq(all, 2 * one);
}
END_TEST

START_TEST(frozen_ops_do_not_run_backward) {
    Stack s = make("ref", 3, 2);
    run(&s, NULL, NULL);
    for (int i = 0; i < s.graph->n_ops; i++) {
        const Op *op = s.graph->ops[i];
        bool trained = strncmp(op->name, "blocks.2.", 9) == 0;
        ck_assert_msg(op->back == trained, "%s", op->name);
        ck_assert_msg((op->out[0]->value.grad != NULL) == trained, "%s", op->name);
    }
    destroy(&s);
}
END_TEST

/* A forward pass over frozen weights only is planned like an inference. */
START_TEST(all_frozen_is_inference) {
    Stack s = make("ref", 4, 4);
    ck_assert(!s.out->needs_grad);
    ck_assert_uint_eq(graph_bytes(s.graph, GRAPH_TRAIN), graph_bytes(s.graph, GRAPH_INFER));
    destroy(&s);
}
END_TEST

static void count_ready(void *user, Param *p) {
    int *calls = user;
    ck_assert_msg(strncmp(p->name, "blocks.1.", 9) == 0, "%s is frozen", p->name);
    calls[0]++;
}

START_TEST(only_trained_gradients_are_reported) {
    int calls = 0;
    Stack s = make("cpu", 2, 1);
    run(&s, count_ready, &calls);
    ck_assert_int_eq(calls, N_LAYERS);
    destroy(&s);
}
END_TEST

/* Only a weight reads the input of its layer backward: with it frozen and the bias trained, x may
 * go as soon as it was read. */
START_TEST(frozen_weights_keep_no_inputs) {
    size_t bytes[2];
    for (int trained = 0; trained < 2; trained++) {
        Device *d;
        ck_assert_int_eq(device_open("ref", 1, NULL, &d, NULL), MAE_OK);
        Params *params = params_new(d);
        Param *w = params_add(params, "w", SHAPE(64, 64), trained);
        Param *b = params_add(params, "b", SHAPE(64), true);
        params_place(params, GRADIENTS_SUMMED);
        Graph *g = graph_new(d, params);
        Value *x = graph_input(g, "x", NUMBER_REAL, SHAPE(4, 64));
        for (int i = 0; i < 8; i++)
            x = op_linear(g, "y", x, graph_param(g, w), graph_param(g, b), (LinearOptions){0});
        graph_keep(g, x);
        bytes[trained] = graph_bytes(g, GRAPH_TRAIN);
        graph_free(g);
        params_free(params);
        device_close(d);
    }
    ck_assert_uint_le(bytes[0] + 6 * 4 * 64 * sizeof(float), bytes[1]);
}
END_TEST

/* --- batchnorm -------------------------------------------------------------------------------- */

typedef struct Probe {
    Device *device;
    Params *params;
    Param *mean, *var, *count;
} Probe;

static Probe make_probe(bool trained) {
    Probe p;
    const float zero[3] = {0}, one[3] = {1, 1, 1};
    ck_assert_int_eq(device_open("ref64", 1, NULL, &p.device, NULL), MAE_OK);
    p.params = params_new(p.device);
    p.mean = params_add(p.params, "mean", SHAPE(3), trained);
    p.var = params_add(p.params, "var", SHAPE(3), false);
    p.count = params_add(p.params, "count", SHAPE(1), false);
    ck_assert_int_eq(params_alloc(p.params, GRADIENTS_SUMMED, NULL), MAE_OK);
    params_set(p.params, p.mean, zero);
    params_set(p.params, p.var, one);
    params_set(p.params, p.count, zero);
    return p;
}

static void normalize(Probe *p, bool train, const float *x, float *y) {
    Graph *g = graph_new(p->device, p->params);
    Value *in = graph_input(g, "x", NUMBER_REAL, SHAPE(4, 3));
    Value *out = op_batchnorm(g, "y", in, graph_param(g, p->mean), graph_param(g, p->var),
                              graph_param(g, p->count), 1e-6, 0.1, train);
    ck_assert(!out->needs_grad);
    graph_keep(g, out);
    ck_assert_int_eq(graph_plan(g, train ? GRAPH_TRAIN : GRAPH_INFER, NULL), MAE_OK);
    graph_set_real(g, in, x);
    graph_forward(g);
    graph_get(g, out, y);
    graph_free(g);
}

static void check_three(const float *got, double a, double b, double c) {
    ck_assert_double_eq_tol((double)got[0], a, 1e-5);
    ck_assert_double_eq_tol((double)got[1], b, 1e-5);
    ck_assert_double_eq_tol((double)got[2], c, 1e-5);
}

/* Columns 1 3 1 3, 0 0 0 8, 5 5 5 5: means 2 2 5, biased variances 1 12 0, unbiased 4/3 16 0. */
START_TEST(batchnorm_keeps_statistics) {
    const float x[12] = {1, 0, 5, 3, 0, 5, 1, 0, 5, 3, 8, 5};
    float y[12], statistic[3];
    Probe p = make_probe(false);
    normalize(&p, true, x, y);
    check_three(y, -1, -0.57735, 0);
    check_three(y + 9, 1, 1.73205, 0);
    params_get(p.params, p.mean, statistic);
    check_three(statistic, 0.2, 0.2, 0.5);
    params_get(p.params, p.var, statistic);
    check_three(statistic, 0.9 + 0.4 / 3, 2.5, 0.9);
    normalize(&p, true, x, y);
    params_get(p.params, p.mean, statistic);
    check_three(statistic, 0.38, 0.38, 0.95);
    params_get(p.params, p.count, statistic);
    ck_assert_float_eq(statistic[0], 2);
    const float mean[3] = {1, 2, 3}, var[3] = {4, 16, 1};
    params_set(p.params, p.mean, mean);
    params_set(p.params, p.var, var);
    normalize(&p, false, x, y);
    check_three(y, 0, -0.5, 2);
    check_three(y + 9, 1, 1.5, 2);
    params_get(p.params, p.mean, statistic);
    check_three(statistic, 1, 2, 3);
    params_get(p.params, p.count, statistic);
    ck_assert_float_eq(statistic[0], 2);
    params_free(p.params);
    device_close(p.device);
}
END_TEST

START_TEST(batchnorm_of_trained_statistics_aborts) {
    const float x[12] = {0};
    float y[12];
    Probe p = make_probe(true);
    normalize(&p, true, x, y);
}
END_TEST

Suite *suite_graph_frozen(void) {
    Suite *s = suite_create("graph_frozen");
    TCase *t = tcase_create("graph_frozen");
    tcase_add_loop_test(t, gradients_are_those_of_full_training, 0, TEST_DEVICES);
    tcase_add_test(t, frozen_blocks_cost_nothing);
    tcase_add_test(t, frozen_ops_do_not_run_backward);
    tcase_add_test(t, all_frozen_is_inference);
    tcase_add_test(t, only_trained_gradients_are_reported);
    tcase_add_test(t, frozen_weights_keep_no_inputs);
    tcase_add_test(t, batchnorm_keeps_statistics);
    tcase_add_test_raise_signal(t, batchnorm_of_trained_statistics_aborts, SIGABRT);
    suite_add_tcase(s, t);
    return s;
}
