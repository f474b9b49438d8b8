/* Gradients in double (device ref64) against central differences: every op of graph.h by every
 * element of every operand, with a random upstream gradient; whole models along a random direction
 * in every parameter.
 *
 * With steps of 1e-5 a central difference is off by about 1e-10 times a third derivative and by
 * double epsilon over the step, 1e-11; 1e-7 leaves room for sums and finds any error of a formula.
 */
#include "small_model.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>

#include "base/rng.h"

Suite *suite_gradients(void);

enum { MAX_OPERANDS = 6, B = 2, M = 3, P = 5, C = 6 };
static const double STEP = 1e-5, TOLERANCE = 1e-7;

static Device *open_double(void) {
    Error err = {0};
    Device *d = NULL;
    ck_assert_msg(device_open("ref64", 1, NULL, &d, &err) == MAE_OK, "%s", err.message);
    return d;
}

static double get_double(Device *d, void *base, int64_t i) {
    double x;
    device_download(d, &x, device_at(base, (size_t)i * sizeof x), sizeof x);
    return x;
}

static void set_double(Device *d, void *base, int64_t i, double x) {
    device_upload(d, device_at(base, (size_t)i * sizeof x), &x, sizeof x);
}

/* --- ops -------------------------------------------------------------------------------------- */

/* Operands are parameters, so that they can have gradients; the last n_frozen have none. */
typedef struct OpCase {
    const char *name;
    Value *(*build)(Graph *g, Value **x);
    int n_operands, n_frozen;
    Shape shape[MAX_OPERANDS];
} OpCase;

static Value *ids_input(Graph *g, int64_t n) {
    return graph_input(g, "ids", NUMBER_I32, SHAPE(B, n));
}

static Value *linear(Graph *g, Value **x) {
    return op_linear(g, "y", x[0], x[1], x[2], (LinearOptions){0});
}

static Value *linear_no_bias(Graph *g, Value **x) {
    return op_linear(g, "y", x[0], x[1], NULL, (LinearOptions){0});
}

static Value *linear_gelu(Graph *g, Value **x) {
    return op_linear(g, "y", x[0], x[1], x[2], (LinearOptions){.gelu = true});
}

static Value *linear_residual(Graph *g, Value **x) {
    return op_linear(g, "y", x[0], x[1], x[2], (LinearOptions){.residual = x[3]});
}

static Value *layernorm(Graph *g, Value **x) {
    return op_layernorm(g, "y", x[0], x[1], x[2], 1e-6);
}

static Value *attention(Graph *g, Value **x) {
    return op_attention(g, "y", x[0], 3);
}

static Value *attention_one_head(Graph *g, Value **x) {
    return op_attention(g, "y", x[0], 1);
}

static Value *tokens_embed(Graph *g, Value **x) {
    return op_tokens_embed(g, "y", x[0], x[1], x[2], ids_input(g, M));
}

static Value *tokens_embed_no_positions(Graph *g, Value **x) {
    return op_tokens_embed(g, "y", x[0], x[1], NULL, ids_input(g, M));
}

static Value *tokens_restore(Graph *g, Value **x) {
    return op_tokens_restore(g, "y", x[0], x[1], x[2], ids_input(g, P));
}

static Value *tokens_restore_complete(Graph *g, Value **x) {
    return op_tokens_restore(g, "y", x[0], NULL, x[1], NULL);
}

static Value *tokens_gather(Graph *g, Value **x) {
    return op_tokens_gather(g, "y", x[0], ids_input(g, M));
}

static Value *tokens_mean(Graph *g, Value **x) {
    return op_tokens_mean(g, "y", x[0]);
}

static Value *masked_mse(Graph *g, Value **x) {
    Value *mask = graph_input(g, "mask", NUMBER_WIDE, SHAPE(B, P));
    return op_masked_mse(g, "y", x[0], x[1], mask, ids_input(g, M), NULL);
}

static Value *linear_of_frozen_input(Graph *g, Value **x) {
    return op_linear(g, "y", x[2], x[0], x[1], (LinearOptions){0});
}

static Value *linear_bias_only(Graph *g, Value **x) {
    return op_linear(g, "y", x[1], x[2], x[0], (LinearOptions){.gelu = true});
}

static Value *linear_residual_only(Graph *g, Value **x) {
    return op_linear(g, "y", x[1], x[2], x[3], (LinearOptions){.residual = x[0]});
}

static Value *linear_frozen_residual(Graph *g, Value **x) {
    return op_linear(g, "y", x[0], x[1], NULL, (LinearOptions){.residual = x[2]});
}

static Value *layernorm_of_frozen_input(Graph *g, Value **x) {
    return op_layernorm(g, "y", x[2], x[0], x[1], 1e-6);
}

static Value *layernorm_bias_only(Graph *g, Value **x) {
    return op_layernorm(g, "y", x[1], x[2], x[0], 1e-6);
}

static Value *tokens_embed_cls_only(Graph *g, Value **x) {
    return op_tokens_embed(g, "y", x[1], x[0], x[2], ids_input(g, M));
}

static Value *tokens_embed_positions_only(Graph *g, Value **x) {
    return op_tokens_embed(g, "y", x[1], x[2], x[0], ids_input(g, M));
}

static Value *scaled_residual(Graph *g, Value **x) {
    return op_scaled_residual(g, "y", x[0], x[1], x[2]);
}

static Value *scaled_residual_of_frozen_branch(Graph *g, Value **x) {
    return op_scaled_residual(g, "y", x[1], x[0], x[2]);
}

static Value *tokens_cls(Graph *g, Value **x) {
    return op_tokens_cls(g, "y", x[0]);
}

static Value *soft_cross_entropy(Graph *g, Value **x) {
    return op_soft_cross_entropy(g, "y", x[0], x[1]);
}

/* Two readers of h: the later op writes its gradient, the class token adds. */
static Value *cls_and_mean(Graph *g, Value **x) {
    Value *h = op_linear(g, "h", x[0], x[1], NULL, (LinearOptions){0});
    Value *c = op_tokens_cls(g, "c", h), *m = op_tokens_mean(g, "m", h);
    return op_linear(g, "y", c, x[2], NULL, (LinearOptions){.residual = m});
}

/* Two branches with stochastic depth, as in a block: gradients of residuals share memory. */
static Value *scaled_block(Graph *g, Value **x) {
    Value *h = op_linear(g, "h", x[0], x[1], x[2], (LinearOptions){0});
    Value *n = op_layernorm(g, "n", h, x[2], x[3], 1e-6);
    Value *a = op_linear(g, "a", n, x[1], NULL, (LinearOptions){0});
    Value *y = op_scaled_residual(g, "y", a, h, x[4]);
    n = op_layernorm(g, "n2", y, x[2], x[3], 1e-6);
    a = op_linear(g, "a2", n, x[1], NULL, (LinearOptions){.residual = h});
    return op_scaled_residual(g, "z", a, y, x[4]);
}

static Value *scaled_block_kept(Graph *g, Value **x) {
    Value *z = scaled_block(g, x);
    graph_keep(g, graph_find(g, "h"));
    graph_keep(g, graph_find(g, "y"));
    return z;
}

/* One activation read by three ops: its gradient is written, added to and shared. */
static Value *shared(Graph *g, Value **x) {
    Value *h = op_linear(g, "h", x[0], x[1], x[2], (LinearOptions){0});
    Value *n = op_layernorm(g, "n", h, x[2], x[3], 1e-6);
    Value *y = op_linear(g, "y", n, x[4], NULL, (LinearOptions){.residual = h});
    return op_linear(g, "z", y, x[5], NULL, (LinearOptions){.residual = h});
}

static Value *shared_kept(Graph *g, Value **x) {
    Value *z = shared(g, x);
    graph_keep(g, graph_find(g, "h"));
    graph_keep(g, graph_find(g, "y"));
    return z;
}

static const OpCase OPS[] = {
    {"linear", linear, 3, 0, {{2, {7, 5}}, {2, {3, 5}}, {1, {3}}}},
    {"linear of tokens", linear, 3, 0, {{3, {B, M, 5}}, {2, {1, 5}}, {1, {1}}}},
    {"linear of patches", linear, 3, 0, {{3, {B, M, 12}}, {4, {5, 3, 2, 2}}, {1, {5}}}},
    {"linear with a frozen weight", linear, 3, 2, {{2, {7, 5}}, {2, {3, 5}}, {1, {3}}}},
    {"linear without bias", linear_no_bias, 2, 0, {{2, {1, 5}}, {2, {3, 5}}}},
    {"linear and gelu", linear_gelu, 3, 0, {{2, {7, 5}}, {2, {3, 5}}, {1, {3}}}},
    {"linear and residual",
     linear_residual,
     4,
     0,
     {{2, {7, 5}}, {2, {3, 5}}, {1, {3}}, {2, {7, 3}}}},
    {"layernorm", layernorm, 3, 0, {{2, {5, 7}}, {1, {7}}, {1, {7}}}},
    {"attention", attention, 1, 0, {{3, {B, P, 3 * C}}}},
    {"attention of one head", attention_one_head, 1, 0, {{3, {B, 1, 3 * 5}}}},
    {"tokens_embed", tokens_embed, 3, 0, {{3, {B, M, C}}, {3, {1, 1, C}}, {3, {1, 1 + P, C}}}},
    {"tokens_embed with frozen positions",
     tokens_embed,
     3,
     1,
     {{3, {B, M, C}}, {3, {1, 1, C}}, {3, {1, 1 + P, C}}}},
    {"tokens_embed without positions",
     tokens_embed_no_positions,
     2,
     0,
     {{3, {B, M, C}}, {3, {1, 1, C}}}},
    {"tokens_restore",
     tokens_restore,
     3,
     0,
     {{3, {B, 1 + M, C}}, {3, {1, 1, C}}, {3, {1, 1 + P, C}}}},
    {"tokens_restore of complete tokens",
     tokens_restore_complete,
     2,
     0,
     {{3, {B, 1 + P, C}}, {3, {1, 1 + P, C}}}},
    {"tokens_gather", tokens_gather, 1, 0, {{3, {B, 1 + P, C}}}},
    {"tokens_mean", tokens_mean, 1, 0, {{3, {B, 1 + P, C}}}},
    {"masked_mse", masked_mse, 2, 1, {{3, {B, M, C}}, {3, {B, M, C}}}},
    {"linear of a frozen input",
     linear_of_frozen_input,
     3,
     1,
     {{2, {3, 5}}, {1, {3}}, {2, {7, 5}}}},
    {"linear and gelu, bias only", linear_bias_only, 3, 2, {{1, {3}}, {2, {7, 5}}, {2, {3, 5}}}},
    {"linear, residual only",
     linear_residual_only,
     4,
     3,
     {{2, {7, 3}}, {2, {7, 5}}, {2, {3, 5}}, {1, {3}}}},
    {"linear with a frozen residual",
     linear_frozen_residual,
     3,
     1,
     {{2, {7, 5}}, {2, {3, 5}}, {2, {7, 3}}}},
    {"layernorm of a frozen input",
     layernorm_of_frozen_input,
     3,
     1,
     {{1, {7}}, {1, {7}}, {2, {5, 7}}}},
    {"layernorm with frozen weights", layernorm, 3, 2, {{2, {5, 7}}, {1, {7}}, {1, {7}}}},
    {"layernorm, bias only", layernorm_bias_only, 3, 2, {{1, {7}}, {2, {5, 7}}, {1, {7}}}},
    {"tokens_embed, x only",
     tokens_embed,
     3,
     2,
     {{3, {B, M, C}}, {3, {1, 1, C}}, {3, {1, 1 + P, C}}}},
    {"tokens_embed, cls only",
     tokens_embed_cls_only,
     3,
     2,
     {{3, {1, 1, C}}, {3, {B, M, C}}, {3, {1, 1 + P, C}}}},
    {"tokens_embed, positions only",
     tokens_embed_positions_only,
     3,
     2,
     {{3, {1, 1 + P, C}}, {3, {B, M, C}}, {3, {1, 1, C}}}},
    {"scaled_residual", scaled_residual, 3, 1, {{3, {B, M, C}}, {3, {B, M, C}}, {1, {B}}}},
    {"scaled_residual of a frozen branch",
     scaled_residual_of_frozen_branch,
     3,
     2,
     {{3, {B, M, C}}, {3, {B, M, C}}, {1, {B}}}},
    {"scaled_residual with a frozen residual",
     scaled_residual,
     3,
     2,
     {{3, {B, M, C}}, {3, {B, M, C}}, {1, {B}}}},
    {"tokens_cls", tokens_cls, 1, 0, {{3, {B, M, C}}}},
    {"tokens_cls and tokens_mean", cls_and_mean, 3, 0, {{3, {B, M, C}}, {2, {C, C}}, {2, {C, C}}}},
    {"soft_cross_entropy", soft_cross_entropy, 2, 1, {{2, {3, C}}, {2, {3, C}}}},
    {"scaled block",
     scaled_block,
     5,
     1,
     {{3, {B, M, C}}, {2, {C, C}}, {1, {C}}, {1, {C}}, {1, {B}}}},
    {"scaled block, kept",
     scaled_block_kept,
     5,
     1,
     {{3, {B, M, C}}, {2, {C, C}}, {1, {C}}, {1, {C}}, {1, {B}}}},
    {"shared",
     shared,
     6,
     0,
     {{2, {7, 5}}, {2, {5, 5}}, {1, {5}}, {1, {5}}, {2, {5, 5}}, {2, {5, 5}}}},
    {"shared, kept",
     shared_kept,
     6,
     0,
     {{2, {7, 5}}, {2, {5, 5}}, {1, {5}}, {1, {5}}, {2, {5, 5}}, {2, {5, 5}}}},
};
enum { N_OPS = sizeof OPS / sizeof OPS[0] };

typedef struct Trial {
    Device *device;
    Params *params;
    Graph *graph;
    Value *out;
    float *upstream;
} Trial;

/* Distinct ids in each row, another order for each image. */
static void fill_inputs(Graph *g) {
    Value *ids = graph_find(g, "ids"), *mask = graph_find(g, "mask");
    int32_t id[B * P];
    float m[B * P];
    for (int64_t b = 0; ids && b < B; b++)
        for (int64_t i = 0; i < ids->shape.dim[1]; i++)
            id[b * ids->shape.dim[1] + i] = (int32_t)((3 * i + 2 * b + 1) % P);
    for (int i = 0; i < B * P; i++) m[i] = i % 3 != 0;
    if (ids) graph_set(g, ids, id);
    if (mask) graph_set_real(g, mask, m);
}

static Trial make_trial(const OpCase *c, ParamGradients gradients) {
    Trial t = {.device = open_double()};
    Rng rng = rng_make(3, RNG_SYNTHETIC, 0, 0);
    Value *x[MAX_OPERANDS];
    t.params = params_new(t.device);
    for (int i = 0; i < c->n_operands; i++) {
        const char name[] = {(char)('a' + i), 0};
        params_add(t.params, name, c->shape[i], i < c->n_operands - c->n_frozen);
    }
    ck_assert_int_eq(params_alloc(t.params, gradients, NULL), MAE_OK);
    t.graph = graph_new(t.device, t.params);
    for (int i = 0; i < c->n_operands; i++) {
        Param *p = params_at(t.params, i);
        for (int64_t k = 0; k < p->numel; k++)
            set_double(t.device, p->data, k, rng_range(&rng, -1, 1));
        x[i] = graph_param(t.graph, p);
    }
    t.out = c->build(t.graph, x);
    graph_keep(t.graph, t.out);
    ck_assert_int_eq(graph_plan(t.graph, GRAPH_TRAIN, NULL), MAE_OK);
    fill_inputs(t.graph);
    t.upstream = malloc((size_t)shape_numel(t.out->shape) * sizeof *t.upstream);
    for (int64_t i = 0; i < shape_numel(t.out->shape); i++)
        t.upstream[i] = (float)rng_range(&rng, -1, 1);
    return t;
}

static void free_trial(Trial *t) {
    graph_free(t->graph);
    params_free(t->params);
    device_close(t->device);
    free(t->upstream);
}

static double weighted_output(Trial *t) {
    double sum = 0;
    graph_forward(t->graph);
    for (int64_t i = 0; i < shape_numel(t->out->shape); i++)
        sum += (double)t->upstream[i] * get_double(t->device, t->out->data, i);
    return sum;
}

static void check_operand(Trial *t, const OpCase *c, Param *p) {
    for (int64_t i = 0; i < p->numel; i++) {
        double x = get_double(t->device, p->data, i), got = get_double(t->device, p->grad, i);
        set_double(t->device, p->data, i, x + STEP);
        double above = weighted_output(t);
        set_double(t->device, p->data, i, x - STEP);
        double want = (above - weighted_output(t)) / (2 * STEP);
        set_double(t->device, p->data, i, x);
        ck_assert_msg(fabs(got - want) <= TOLERANCE * fmax(1, fabs(want)),
                      "%s, operand %s, element %lld: gradient %.12g, central difference %.12g",
                      c->name, p->name, (long long)i, got, want);
    }
}

static void pass(Trial *t) {
    graph_forward(t->graph);
    graph_set_grad(t->graph, t->out, t->upstream);
    graph_backward(t->graph, t->out, NULL, NULL);
}

/* The second pass of gradients that start anew gives the bits of one that added to zero. */
static void check_fresh(const Trial *want, const OpCase *c) {
    Trial t = make_trial(c, GRADIENTS_FRESH);
    pass(&t);
    pass(&t);
    for (int i = 0; i < c->n_operands - c->n_frozen; i++) {
        const Param *a = params_at(want->params, i), *b = params_at(t.params, i);
        ck_assert_mem_eq(a->grad, b->grad, (size_t)a->numel * sizeof(double));
    }
    free_trial(&t);
}

START_TEST(op) {
    const OpCase *c = &OPS[_i];
    Trial t = make_trial(c, GRADIENTS_SUMMED);
    params_zero_grad(t.params);
    pass(&t);
    check_fresh(&t, c);
    for (int i = 0; i < c->n_operands - c->n_frozen; i++)
        check_operand(&t, c, params_at(t.params, i));
    free_trial(&t);
}
END_TEST

/* --- whole models ----------------------------------------------------------------------------- */

/* Moves p by step * direction; the direction is a function of (parameter, element). */
static void move(Device *d, Param *p, int64_t which, double step, double *along) {
    Rng rng = rng_make(11, RNG_SYNTHETIC, 0, (uint64_t)which);
    double length = sqrt((double)p->numel / 3);
    for (int64_t i = 0; i < p->numel; i++) {
        double v = rng_range(&rng, -1, 1) / length;
        if (along) *along += v * get_double(d, p->grad, i);
        if (step != 0) set_double(d, p->data, i, get_double(d, p->data, i) + step * v);
    }
}

static double loss_of(Device *d, AutoencoderGraph *g) {
    graph_forward(g->graph);
    return get_double(d, g->loss->data, 0);
}

static void check_parameter(Device *d, AutoencoderGraph *g, Param *p, int64_t which) {
    double got = 0;
    move(d, p, which, 0, &got);
    move(d, p, which, STEP, NULL);
    double above = loss_of(d, g);
    move(d, p, which, -2 * STEP, NULL);
    double want = (above - loss_of(d, g)) / (2 * STEP);
    move(d, p, which, STEP, NULL);
    ck_assert_msg(fabs(got - want) <= TOLERANCE * fmax(1, fabs(want)),
                  "%s: gradient along a direction %.12g, central difference %.12g", p->name, got,
                  want);
}

static void check_all_parameters(Device *d, Vit *a, AutoencoderGraph *g) {
    double got = 0;
    int64_t n = params_count(a->params);
    for (int64_t sign = 0; sign < 2; sign++)
        for (int64_t i = 0; i < n; i++) {
            Param *p = params_at(a->params, i);
            if (p->grad) move(d, p, i, sign ? -2 * STEP : STEP, sign ? NULL : &got);
            if (i == n - 1 && !sign) got = got * 2 * STEP - loss_of(d, g);
        }
    double difference = got + loss_of(d, g);
    ck_assert_msg(fabs(difference) <= 2 * STEP * TOLERANCE * (double)n,
                  "whole model: loss differs by %.12g from its gradient", difference / (2 * STEP));
}

static void check_model(ForwardKind kind, TargetKind target, bool mask_tokens, int64_t channels) {
    Device *d = open_double();
    ModelConfig c = small_config(channels, target, mask_tokens);
    Vit *a = small_model(d, &c);
    AutoencoderGraph g = small_graph(a, kind, 2);
    ck_assert_int_eq(graph_plan(g.graph, GRAPH_TRAIN, NULL), MAE_OK);
    small_feed(a, &g, 5);
    small_step(a, &g);
    for (int64_t i = 0; i < params_count(a->params); i++)
        if (params_at(a->params, i)->grad) check_parameter(d, &g, params_at(a->params, i), i);
    check_all_parameters(d, a, &g);
    graph_free(g.graph);
    vit_free(a);
    device_close(d);
}

START_TEST(model) {
    static const int64_t channels[] = {1, 3, 4};
    static const ForwardKind kinds[] = {FORWARD_TRAIN, FORWARD_FULL};
    static const TargetKind targets[] = {TARGET_PIXEL, TARGET_NORM_PIX, TARGET_PCA};
    check_model(kinds[_i % 2], targets[_i / 2 % 3], _i / 6 % 2, channels[_i / 12]);
}
END_TEST

Suite *suite_gradients(void) {
    Suite *s = suite_create("gradients");
    TCase *t = tcase_create("gradients");
    tcase_add_loop_test(t, op, 0, N_OPS);
    tcase_add_loop_test(t, model, 0, 36);
    suite_add_tcase(s, t);
    return s;
}
