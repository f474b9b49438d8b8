/* What is not kept from the forward pass to the backward pass, and where gradients lie meanwhile:
 * the same bits with less memory. */
#include "small_model.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "graph/internal.h"
#include "model/classifier.h"

Suite *suite_graph_memory(void);

static Device *device;

static void open_device(void) {
    ck_assert_int_eq(device_open("cpu", 1, NULL, &device, NULL), MAE_OK);
}

static void close_device(void) {
    device_close(device);
}

/* --- gradients -------------------------------------------------------------------------------- */

/* Of a few passes over different images, the last one; free() it. */
static float *gradients_of(Device *d, ParamGradients kind, size_t *bytes, int64_t *n) {
    ModelConfig c = small_config(3, TARGET_NORM_PIX, false);
    c.depth = 4;
    Vit *v = small_vit(d, &c, kind);
    AutoencoderGraph g = small_graph(v, FORWARD_TRAIN, 5);
    ck_assert_int_eq(graph_plan(g.graph, GRAPH_TRAIN, NULL), MAE_OK);
    *bytes = params_bytes(v->params) + graph_bytes(g.graph, GRAPH_TRAIN);
    for (uint64_t seed = 1; seed <= 3; seed++) {
        small_feed(v, &g, seed);
        small_step(v, &g);
    }
    float *gradients = small_gradients(v, n);
    graph_free(g.graph);
    vit_free(v);
    return gradients;
}

START_TEST(fresh_gradients_take_the_place_of_activations) {
    size_t summed_bytes, fresh_bytes;
    int64_t n, m;
    Device *ref; /* the scratch of cpu would be larger than this model */
    ck_assert_int_eq(device_open("ref", 1, NULL, &ref, NULL), MAE_OK);
    float *summed = gradients_of(ref, GRADIENTS_SUMMED, &summed_bytes, &n);
    float *fresh = gradients_of(ref, GRADIENTS_FRESH, &fresh_bytes, &m);
    ck_assert_int_eq(n, m);
    ck_assert_mem_eq(summed, fresh, (size_t)n * sizeof *fresh);
    ck_assert_uint_lt(fresh_bytes + (size_t)n * sizeof *fresh / 4, summed_bytes);
    free(summed);
    free(fresh);
    device_close(ref);
}
END_TEST

/* What the cpu computes again is what it would have kept. (ref rounds what it takes a GELU of.) */
START_TEST(kept_or_computed_again_gradients_are_the_same) {
    size_t again_bytes, kept_bytes;
    int64_t n, m;
    ParamGradients kind = _i ? GRADIENTS_FRESH : GRADIENTS_SUMMED;
    float *again = gradients_of(device, kind, &again_bytes, &n);
    device->kernels.remakes = false;
    float *kept = gradients_of(device, kind, &kept_bytes, &m);
    ck_assert_int_eq(n, m);
    ck_assert_mem_eq(again, kept, (size_t)n * sizeof *kept);
    free(again);
    free(kept);
}
END_TEST

/* --- two graphs ------------------------------------------------------------------------------- */

/* A classifier of v for images of another height. */
static ClassifierGraph graph_of_height(const Vit *v, int64_t height) {
    ClassifierGraph g;
    Vit other = *v;
    other.config.image_height = height;
    ClassifierOptions o = {.batch = 3, .train = true, .float_images = true};
    ck_assert_int_eq(classifier_graph(&other, o, &g, NULL), MAE_OK);
    ck_assert_int_eq(classifier_plan(&g, GRAPH_TRAIN, NULL), MAE_OK);
    return g;
}

static void set_random(ClassifierGraph *g, Value *v, Rng *rng) {
    int64_t n = shape_numel(v->shape);
    float *x = malloc((size_t)n * sizeof *x);
    rng_fill_range(rng, -1, 1, x, n);
    graph_set_real(g->graph, v, x);
    free(x);
}

static void pass(ClassifierGraph *g, uint64_t seed) {
    const float one = 1;
    Rng rng = rng_make(seed, RNG_MASK, 0, 0);
    set_random(g, g->encoder.images, &rng);
    set_random(g, g->targets, &rng);
    graph_forward(g->graph);
    graph_set_grad(g->graph, g->loss, &one);
    graph_backward(g->graph, g->loss, NULL, NULL);
}

/* Of the second of two updates, to which images of two sizes contribute; free() it. */
static float *gradients_of_two_sizes(ParamGradients kind, size_t bytes[2], int64_t *n) {
    ModelConfig c = small_config(3, TARGET_PIXEL, false);
    c.decoder_depth = 0;
    c.head = HEAD_LINEAR;
    c.classes = 4;
    Vit *v = small_vit(device, &c, kind);
    ClassifierGraph large = graph_of_height(v, 8), small = graph_of_height(v, 4);
    bytes[0] = graph_bytes(large.graph, GRAPH_TRAIN);
    bytes[1] = graph_bytes(small.graph, GRAPH_TRAIN);
    for (uint64_t update = 0; update < 2; update++) {
        params_zero_grad(v->params);
        pass(&large, 2 * update);
        pass(&small, 2 * update + 1);
    }
    float *gradients = small_gradients(v, n);
    classifier_graph_free(&small);
    classifier_graph_free(&large);
    vit_free(v);
    return gradients;
}

/* The first graph takes room for the gradients, the second one none. */
START_TEST(graphs_of_two_sizes_contribute_to_one_update) {
    size_t summed_bytes[2], fresh_bytes[2];
    int64_t n, m;
    float *summed = gradients_of_two_sizes(GRADIENTS_SUMMED, summed_bytes, &n);
    float *fresh = gradients_of_two_sizes(GRADIENTS_FRESH, fresh_bytes, &m);
    ck_assert_int_eq(n, m);
    ck_assert_mem_eq(summed, fresh, (size_t)n * sizeof *fresh);
    ck_assert_uint_gt(fresh_bytes[0], summed_bytes[0]);
    ck_assert_uint_eq(fresh_bytes[1], summed_bytes[1]);
    free(summed);
    free(fresh);
}
END_TEST

typedef struct Two {
    Params *params;
    Param *used, *later, *alone;
    Graph *graph;
    Value *x, *out, *beyond;
} Two;

/* x used -> out, out later -> beyond; nothing reads `alone`. */
static Two two_layers(void) {
    Two t = {.params = params_new(device)};
    float ones[16];
    for (int i = 0; i < 16; i++) ones[i] = 1;
    t.used = params_add(t.params, "used", SHAPE(4, 4), true);
    t.later = params_add(t.params, "later", SHAPE(4, 4), true);
    t.alone = params_add(t.params, "alone", SHAPE(4, 4), true);
    ck_assert_int_eq(params_alloc(t.params, GRADIENTS_FRESH, NULL), MAE_OK);
    for (int i = 0; i < 3; i++) params_set(t.params, params_at(t.params, i), ones);
    t.graph = graph_new(device, t.params);
    t.x = graph_input(t.graph, "x", NUMBER_REAL, SHAPE(4, 4));
    t.out = op_linear(t.graph, "out", t.x, graph_param(t.graph, t.used), NULL, (LinearOptions){0});
    t.beyond = op_linear(t.graph, "beyond", t.out, graph_param(t.graph, t.later), NULL,
                         (LinearOptions){0});
    graph_keep(t.graph, t.out);
    graph_keep(t.graph, t.beyond);
    ck_assert_int_eq(graph_plan(t.graph, GRAPH_TRAIN, NULL), MAE_OK);
    graph_set_real(t.graph, t.x, ones);
    return t;
}

static void expect_gradient(const Param *p, float want) {
    float got[16];
    device_download_floats(device, got, p->grad, NUMBER_WIDE, p->numel);
    for (int i = 0; i < 16; i++)
        ck_assert_msg(got[i] == want, "%s: %g, not %g", p->name, (double)got[i], (double)want);
}

/* Parameters that the root does not depend on, before and after a pass that did, and one that no op
 * reads. */
START_TEST(gradients_of_what_is_not_reached_are_zero) {
    Two t = two_layers();
    float up[16];
    for (int i = 0; i < 16; i++) up[i] = 1;
    for (int pass = 0; pass < 3; pass++) {
        Value *root = pass == 1 ? t.beyond : t.out;
        graph_forward(t.graph);
        graph_set_grad(t.graph, root, up);
        graph_backward(t.graph, root, NULL, NULL);
        expect_gradient(t.alone, 0);
        expect_gradient(t.later, pass == 1 ? 16 : 0);
        if (pass != 1) expect_gradient(t.used, 4);
    }
    graph_zero_gradients(t.graph);
    expect_gradient(t.used, 0);
    graph_free(t.graph);
    params_free(t.params);
}
END_TEST

/* A task of its own over the parameter that the first graph does not read. Without a pass of the
 * first graph, the sum is started by hand; when that graph is gone, the next one holds it. */
START_TEST(each_graph_has_its_own_parameters) {
    Two t = two_layers();
    float up[16];
    for (int i = 0; i < 16; i++) up[i] = 1;
    for (int round = 0; round < 2; round++) {
        Graph *g = graph_new(device, t.params);
        Value *x = graph_input(g, "x", NUMBER_REAL, SHAPE(4, 4));
        Value *y = op_linear(g, "y", x, graph_param(g, t.alone), NULL, (LinearOptions){0});
        graph_keep(g, y);
        (void)graph_bytes(g, GRAPH_TRAIN);
        ck_assert_int_eq(graph_plan(g, GRAPH_TRAIN, NULL), MAE_OK);
        graph_set_real(g, x, up);
        for (int update = 0; update < 3; update++) {
            bool first = t.graph && update < 2;
            if (first) graph_forward(t.graph);
            if (first) graph_set_grad(t.graph, t.out, up);
            if (first) graph_backward(t.graph, t.out, NULL, NULL);
            if (t.graph && !first) graph_zero_gradients(t.graph);
            graph_forward(g);
            graph_set_grad(g, y, up);
            graph_backward(g, y, NULL, NULL);
            expect_gradient(t.used, first ? 4 : 0);
            expect_gradient(t.alone, 4);
        }
        graph_free(g);
        graph_free(t.graph);
        t.graph = NULL;
    }
    params_free(t.params);
}
END_TEST

/* --- activations ------------------------------------------------------------------------------ */

typedef struct Norm {
    Params *params;
    Graph *graph;
    Value *x, *hidden, *out;
} Norm;

/* x -> layer norm -> linear -> GELU -> linear, over [64,32] and [64,128]. */
static Norm norm_and_mlp(float x_value) {
    Norm m = {.params = params_new(device)};
    enum { R = 64, C = 32, H = 128 };
    float *x = malloc(R * C * sizeof *x);
    for (int i = 0; i < R * C; i++) x[i] = x_value;
    Param *in = params_add(m.params, "in", SHAPE(R, C), true);
    Param *w = params_add(m.params, "w", SHAPE(C), true);
    Param *b = params_add(m.params, "b", SHAPE(C), true);
    Param *up = params_add(m.params, "up", SHAPE(H, C), true);
    Param *down = params_add(m.params, "down", SHAPE(C, H), true);
    ck_assert_int_eq(params_alloc(m.params, GRADIENTS_SUMMED, NULL), MAE_OK);
    params_set(m.params, in, x);
    free(x);
    Graph *g = m.graph = graph_new(device, m.params);
    m.x = graph_param(g, in);
    m.hidden = op_layernorm(g, "norm", m.x, graph_param(g, w), graph_param(g, b), 1e-6);
    Value *h =
        op_linear(g, "up", m.hidden, graph_param(g, up), NULL, (LinearOptions){.gelu = true});
    m.out = op_linear(g, "down", h, graph_param(g, down), NULL, (LinearOptions){0});
    graph_keep(g, m.out);
    ck_assert_int_eq(graph_plan(g, GRAPH_TRAIN, NULL), MAE_OK);
    return m;
}

static int last_step(const Graph *g, const Value *v) {
    return g->buffers[((const ValueNode *)(const void *)v)->data_buffer].last;
}

START_TEST(norms_and_gelu_live_to_the_backward_pass_or_not) {
    for (int remakes = 0; remakes < 2; remakes++) {
        device->kernels.remakes = remakes;
        Norm m = norm_and_mlp(1);
        Value *h = graph_find(m.graph, "up");
        ck_assert_int_eq(last_step(m.graph, m.hidden) < m.graph->n_ops, remakes);
        ck_assert_int_eq(last_step(m.graph, h) < m.graph->n_ops, remakes);
        graph_free(m.graph);
        params_free(m.params);
    }
}
END_TEST

/* A class that planning does not know: the GELU as an op of its own. */
static bool always(const Op *op) {
    (void)op;
    return true;
}

static void gelu_forward(Graph *g, Op *op) {
    int64_t n = shape_numel(op->in[0]->value.shape);
    const float *x = DATA(op->in[0]);
    float *y = DATA(op->out[0]);
    device_copy(g->device, op->saved[0], x, (size_t)n * sizeof *x);
    for (int64_t i = 0; i < n; i++) y[i] = 0.5f * x[i] * (1 + erff(x[i] * sqrtf(0.5f)));
}

static void gelu_backward(Graph *g, Op *op) {
    ck_assert(op->passed);
    op_pass_gradient(g, op, op->in[0], op->accumulate[0]);
}

static int64_t gelu_saved(const Op *op, int i) {
    return i ? 0 : shape_numel(op->out[0]->value.shape);
}

static const OpClass GELU = {.name = "gelu",
                             .shares = BIT(0),
                             .is_gelu = always,
                             .forward = gelu_forward,
                             .backward = gelu_backward,
                             .saved = gelu_saved,
                             .saves_real = true};

/* Of a hidden layer whose GELU is its own, or of the class above. */
static void hidden_gradient(bool own, float *gradient) {
    float x[4 * 8], up[8 * 8];
    Params *params = params_new(device);
    Param *w = params_add(params, "w", SHAPE(8, 8), true);
    Param *down = params_add(params, "down", SHAPE(8, 8), true);
    ck_assert_int_eq(params_alloc(params, GRADIENTS_SUMMED, NULL), MAE_OK);
    Rng rng = rng_make(3, RNG_INIT, 0, 0);
    rng_fill_range(&rng, -1, 1, x, 4 * 8);
    rng_fill_range(&rng, -1, 1, up, 8 * 8);
    params_set(params, w, up);
    params_set(params, down, up);
    Graph *g = graph_new(device, params);
    Value *in = graph_input(g, "x", NUMBER_REAL, SHAPE(4, 8));
    Value *h = op_linear(g, "h", in, graph_param(g, w), NULL, (LinearOptions){.gelu = own});
    if (!own) h = op_result(g, graph_op(g, &GELU, "gelu", NULL, INPUTS(h)), h->shape, true);
    Value *y = op_linear(g, "y", h, graph_param(g, down), NULL, (LinearOptions){0});
    graph_keep(g, y);
    ck_assert_int_eq(graph_plan(g, GRAPH_TRAIN, NULL), MAE_OK);
    ck_assert_int_lt(last_step(g, h), g->n_ops);
    graph_set_real(g, in, x);
    graph_forward(g);
    graph_set_grad(g, y, x);
    graph_backward(g, y, NULL, NULL);
    device_download_floats(device, gradient, w->grad, NUMBER_WIDE, 64);
    device_download_floats(device, gradient + 64, down->grad, NUMBER_WIDE, 64);
    graph_free(g);
    params_free(params);
}

START_TEST(a_new_class_declares_what_is_fused_with_it) {
    float own[128], declared[128];
    hidden_gradient(true, own);
    hidden_gradient(false, declared);
    ck_assert_mem_eq(own, declared, sizeof own);
}
END_TEST

/* A frozen norm has no backward pass, for which its statistics would be kept: its result is. */
START_TEST(results_of_frozen_norms_are_kept) {
    Params *params = params_new(device);
    Param *one = params_add(params, "one", SHAPE(32), false);
    Param *w = params_add(params, "w", SHAPE(32, 32), true);
    ck_assert_int_eq(params_alloc(params, GRADIENTS_SUMMED, NULL), MAE_OK);
    Graph *g = graph_new(device, params);
    Value *x = graph_input(g, "x", NUMBER_REAL, SHAPE(64, 32)), *scale = graph_param(g, one);
    Value *hidden = op_layernorm(g, "norm", x, scale, scale, 1e-6);
    graph_keep(g, op_linear(g, "out", hidden, graph_param(g, w), NULL, (LinearOptions){0}));
    ck_assert_int_eq(graph_plan(g, GRAPH_TRAIN, NULL), MAE_OK);
    ck_assert_int_ge(last_step(g, hidden), g->n_ops);
    graph_free(g);
    params_free(params);
}
END_TEST

/* A row whose sum is too large has a mean that is not finite, and is known by it. */
START_TEST(what_is_not_kept_is_known_by_its_statistics) {
    Norm m = norm_and_mlp(3e38f);
    graph_forward(m.graph);
    const Value *v = graph_first_nonfinite(m.graph);
    ck_assert_ptr_nonnull(v);
    ck_assert_str_eq(v->name, "norm");
    graph_free(m.graph);
    params_free(m.params);
}
END_TEST

Suite *suite_graph_memory(void) {
    Suite *s = suite_create("graph_memory");
    TCase *t = tcase_create("graph_memory");
    tcase_add_checked_fixture(t, open_device, close_device);
    tcase_add_test(t, fresh_gradients_take_the_place_of_activations);
    tcase_add_loop_test(t, kept_or_computed_again_gradients_are_the_same, 0, 2);
    tcase_add_test(t, graphs_of_two_sizes_contribute_to_one_update);
    tcase_add_test(t, gradients_of_what_is_not_reached_are_zero);
    tcase_add_test(t, each_graph_has_its_own_parameters);
    tcase_add_test(t, norms_and_gelu_live_to_the_backward_pass_or_not);
    tcase_add_test(t, a_new_class_declares_what_is_fused_with_it);
    tcase_add_test(t, results_of_frozen_norms_are_kept);
    tcase_add_test(t, what_is_not_kept_is_known_by_its_statistics);
    suite_add_tcase(s, t);
    return s;
}
