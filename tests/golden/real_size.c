/* Models of real size with weights by formula: norms and probes of every stage and gradient against
 * float64, allowed ten times the error that the published code has in float32. */
#include <math.h>
#include <string.h>

#include "data/augment/mix.h"
#include "golden.h"

typedef struct Big {
    const TensorFile *tensors;
    const json_t *entry, *json;
    Vit *model;
    int64_t batch;
    uint64_t seed;
    float *images;
    Masks masks;
} Big;

/* --- values by formula ------------------------------------------------------------------------ */

/* splitmix64; the state starts at FNV-1a of the name. u in [0,1) with 24 bits. */
static double formula_uniform(uint64_t start, uint64_t i) {
    uint64_t z = start + (i + 1) * 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    z ^= z >> 31;
    return (double)(z >> 40) / 16777216.0;
}

static uint64_t formula_start(const char *name, uint64_t seed) {
    uint64_t h = 0xcbf29ce484222325u;
    for (; *name; name++) h = (h ^ (unsigned char)*name) * 0x100000001b3u;
    return h ^ seed;
}

/* out = offset + scale * s with s in [-1,1). */
static void formula(float *out, int64_t n, const char *name, uint64_t seed, double offset,
                    double scale) {
    uint64_t start = formula_start(name, seed);
    for (int64_t i = 0; i < n; i++)
        out[i] = (float)(offset + scale * (2 * formula_uniform(start, (uint64_t)i) - 1));
}

static bool ends_with(const char *s, const char *end) {
    size_t n = strlen(s), m = strlen(end);
    return n >= m && strcmp(s + n - m, end) == 0;
}

static void set_weight(Big *b, Param *p) {
    double offset = 0, scale = 0.05;
    float *values = mem_alloc_array((size_t)p->numel, sizeof *values);
    ASSERT(values, "no memory for %s", p->name);
    if (ends_with(p->name, ".weight") && p->shape.n_dims == 1) {
        offset = 1;
        scale = 0.1;
    } else if (ends_with(p->name, ".weight")) {
        int64_t out = p->shape.dim[0];
        scale = sqrt(6.0 / (double)(out + p->numel / out));
    }
    formula(values, p->numel, p->name, b->seed, offset, scale);
    params_set(b->model->params, p, values);
    mem_free(values);
}

/* The first values of a stream, before scale and offset. */
static void compare_first(Golden *g, Big *b, const char *name, const json_t *want, double offset,
                          double scale) {
    size_t n = json_array_size(want);
    float *got = golden_memory(g, (int64_t)n, sizeof *got);
    formula(got, (int64_t)n, name, b->seed, offset, scale);
    for (size_t i = 0; i < n; i++)
        compare_number(g, golden_text(g, "formula of %s[%zu]", name, i), (double)got[i],
                       json_number_value(json_array_get(want, i)), 0);
}

static void set_weights(Golden *g, Big *b) {
    const char *name;
    json_t *want;
    json_object_foreach(json_object_get(b->json, "weight_check"), name, want)
        compare_first(g, b, name, want, 0, 1);
    compare_first(g, b, "noise", json_object_get(b->json, "noise_first4"), 0.5, 0.5);
    for (int64_t i = 0; i < params_count(b->model->params); i++)
        if (params_at(b->model->params, i)->trainable &&
            !ends_with(params_at(b->model->params, i)->name, "pos_embed"))
            set_weight(b, params_at(b->model->params, i));
}

/* --- comparisons ------------------------------------------------------------------------------ */

static double l2_norm(const float *x, int64_t n) {
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += (double)x[i] * (double)x[i];
    return sqrt(sum);
}

/* Norm, and a few values spread over the tensor. What floating point can promise is relative to the
 * largest value of the tensor; the larger of the probes and the root mean square is a lower bound
 * of it. */
static void compare_summary(Golden *g, const char *name, const float *x, int64_t n,
                            const json_t *want, double l2_error, double probe_error) {
    const json_t *probes = json_object_get(want, "probes");
    int64_t n_probes = (int64_t)json_array_size(probes);
    double l2 = golden_number(want, "l2"), scale = l2 / sqrt((double)n);
    compare_number(g, golden_text(g, "norm of %s", name), l2_norm(x, n), l2,
                   golden_allowance(l2_error * l2, l2));
    for (int64_t i = 0; i < n_probes; i++)
        scale = fmax(scale, fabs(json_number_value(json_array_get(probes, (size_t)i))));
    for (int64_t i = 0; i < n_probes; i++)
        compare_number(g, golden_text(g, "probe %lld of %s", (long long)i, name),
                       (double)x[i * n / n_probes],
                       json_number_value(json_array_get(probes, (size_t)i)),
                       golden_allowance(probe_error, scale));
}

static void compare_stage(Golden *g, Big *b, AutoencoderGraph *graph, const char *name,
                          const json_t *want) {
    const Value *v = graph_find(graph->graph, name);
    if (!v) {
        golden_problem(g, "no stage %s", name);
        return;
    }
    compare_summary(g, name, golden_value(g, graph, v), shape_numel(v->shape), want,
                    golden_number(json_object_get(b->json, "stage_l2_rel_error_f32"), name),
                    golden_number(json_object_get(b->json, "stage_probe_max_abs_error_f32"), name));
}

static void compare_gradients(Golden *g, Big *b) {
    const char *name;
    json_t *want;
    const json_t *errors = json_object_get(b->json, "grads_error_f32");
    json_object_foreach(json_object_get(b->json, "grads_f64"), name, want) {
        const Param *p = params_find(b->model->params, name);
        const json_t *error = json_object_get(errors, name);
        if (!p || !p->grad)
            golden_problem(g, "no gradient of %s", name);
        else
            compare_summary(g, name, golden_gradient(g, p), p->numel, want,
                            golden_number(error, "l2_rel"), golden_number(error, "probe_max_abs"));
    }
}

/* error: of the float32 run, {"max_abs", "rel_l2", "ref_max"}. */
static void compare_statistics(Golden *g, Big *b, const char *name, const float *x, int64_t n,
                               const json_t *error) {
    const json_t *want = json_object_get(b->json, golden_text(g, "%s_f64", name));
    double largest = golden_number(error, "ref_max");
    double limit = golden_allowance(golden_number(error, "max_abs"), largest);
    double relative = golden_allowance(golden_number(error, "rel_l2"), 1);
    double mean = 0, square = 0, low = (double)INFINITY, high = -(double)INFINITY;
    for (int64_t i = 0; i < n; i++) {
        mean += (double)x[i] / (double)n;
        low = fmin(low, (double)x[i]);
        high = fmax(high, (double)x[i]);
    }
    for (int64_t i = 0; i < n; i++) square += ((double)x[i] - mean) * ((double)x[i] - mean);
    double std = golden_number(want, "std"), l2 = golden_number(want, "l2");
    compare_number(g, golden_text(g, "mean of %s", name), mean, golden_number(want, "mean"), limit);
    compare_number(g, golden_text(g, "std of %s", name), sqrt(square / (double)n), std,
                   relative * std + std / (double)n);
    compare_number(g, golden_text(g, "norm of %s", name), l2_norm(x, n), l2, relative * l2);
    compare_number(g, golden_text(g, "min of %s", name), low, golden_number(want, "min"), limit);
    compare_number(g, golden_text(g, "max of %s", name), high, golden_number(want, "max"), limit);
}

/* The first columns of the listed tokens of x[B,T,C], as in want[B,n_tokens,columns]. */
static void compare_tokens(Golden *g, Big *b, const char *name, const float *x, Shape shape,
                           const int64_t *tokens) {
    Shape part;
    const float *want = golden_reals(g, b->tensors, name, &part);
    if (!want) return;
    int64_t n = part.dim[1], columns = part.dim[2];
    float *got = golden_memory(g, shape_numel(part), sizeof *got);
    for (int64_t i = 0; i < part.dim[0] * n; i++)
        memcpy(got + i * columns, x + (i / n * shape.dim[1] + tokens[i % n]) * shape.dim[2],
               (size_t)columns * sizeof *got);
    compare_reals(g, name, got, want, shape_numel(part), golden_limit(g, b->entry, name));
}

static void compare_outputs(Golden *g, Big *b, AutoencoderGraph *graph) {
    int64_t P = b->masks.n_patches;
    const int64_t first[] = {0, 1, 2, 3}, spread[] = {0, P / 2, P - 1};
    float *latent = golden_value(g, graph, graph->latent);
    float *pred = golden_value(g, graph, graph->pred);
    compare_statistics(g, b, "latent", latent, shape_numel(graph->latent->shape),
                       json_object_get(b->json, "latent_f32_vs_f64"));
    compare_statistics(g, b, "pred", pred, shape_numel(graph->pred->shape),
                       json_object_get(b->json, "pred_f32_vs_f64"));
    compare_tokens(g, b, "latent_first4tokens_first64", latent, graph->latent->shape, first);
    compare_tokens(g, b, "pred_tokens_0_mid_last_first64", pred, graph->pred->shape, spread);
}

/* --- passes ----------------------------------------------------------------------------------- */

static bool build(Golden *g, Big *b, ForwardKind kind, int64_t keep, AutoencoderGraph *graph) {
    Error err = {0};
    if (autoencoder_graph(b->model, kind, b->batch, keep, NUMBER_WIDE, graph, &err) == MAE_OK)
        return true;
    golden_problem(g, "%s", err.message);
    return false;
}

static bool run(Golden *g, Big *b, AutoencoderGraph *graph, GraphMode mode) {
    Error err = {0};
    if (graph_plan(graph->graph, mode, &err) != MAE_OK) {
        golden_problem(g, "%s", err.message);
        return false;
    }
    golden_feed(graph, &b->masks, b->images);
    graph_forward(graph->graph);
    return true;
}

static void compare_loss(Golden *g, Big *b, AutoencoderGraph *graph, const char *name) {
    double want = golden_number(b->json, name);
    compare_number(g, name, (double)*golden_value(g, graph, graph->loss), want, 1e-6 * want);
}

static void check_training(Golden *g, Big *b) {
    const float one = 1;
    const char *name;
    json_t *want, *stages = json_object_get(b->json, "stages_f64");
    AutoencoderGraph graph = {0};
    if (!build(g, b, FORWARD_FULL, b->masks.n_keep, &graph)) return;
    graph_keep(graph.graph, graph.latent);
    graph_keep(graph.graph, graph.pred);
    json_object_foreach(stages, name, want) {
        Value *v = graph_find(graph.graph, name);
        if (v) graph_keep(graph.graph, v);
    }
    if (run(g, b, &graph, GRAPH_TRAIN)) {
        compare_loss(g, b, &graph, "loss_f64");
        compare_outputs(g, b, &graph);
        json_object_foreach(stages, name, want) if (strcmp(name, "patch_embed") != 0)
            compare_stage(g, b, &graph, name, want);
        params_zero_grad(b->model->params);
        graph_set_grad(graph.graph, graph.loss, &one);
        graph_backward(graph.graph, graph.loss, NULL, NULL);
        compare_gradients(g, b);
    }
    graph_free(graph.graph);
}

/* The stage before masking holds all patches. */
static void check_patch_embed(Golden *g, Big *b) {
    AutoencoderGraph graph = {0};
    if (!golden_embedding(g, b->model, b->batch, &graph)) return;
    graph_keep(graph.graph, graph_find(graph.graph, "patch_embed"));
    if (run(g, b, &graph, GRAPH_INFER))
        compare_stage(g, b, &graph, "patch_embed",
                      json_object_get(json_object_get(b->json, "stages_f64"), "patch_embed"));
    graph_free(graph.graph);
}

static void check_other_loss(Golden *g, Big *b) {
    const char *name = "loss_norm_pix_False_f64";
    AutoencoderGraph graph = {0};
    if (!json_object_get(b->json, name)) return;
    b->model->config.target = TARGET_PIXEL;
    if (!build(g, b, FORWARD_TRAIN, b->masks.n_keep, &graph)) return;
    if (run(g, b, &graph, GRAPH_INFER)) compare_loss(g, b, &graph, name);
    graph_free(graph.graph);
}

static bool read_config(Golden *g, Big *b, ModelConfig *c) {
    if (!golden_preset(g, json_string_value(json_object_get(b->json, "arch")), c)) return false;
    c->image_height = c->image_width = golden_integer(b->json, "image");
    c->target = golden_integer(b->json, "norm_pix_loss") ? TARGET_NORM_PIX : TARGET_PIXEL;
    b->batch = golden_integer(b->json, "batch");
    b->seed = (uint64_t)golden_integer(b->json, "seed");
    return true;
}

static void make_inputs(Golden *g, Big *b, const ModelConfig *c) {
    int64_t P = model_patches(c), n = b->batch * c->channels * c->image_height * c->image_width;
    float *noise = golden_memory(g, b->batch * P, sizeof *noise);
    b->images = golden_memory(g, n, sizeof *b->images);
    formula(b->images, n, "images", b->seed, 0, 2);
    formula(noise, b->batch * P, "noise", b->seed, 0.5, 0.5);
    b->masks = golden_masks(g, noise, b->batch, P,
                            mask_keep_count(P, golden_number(b->json, "mask_ratio")));
    const int64_t *restore = golden_ints(g, b->tensors, "ids_restore", NULL);
    const float *mask = golden_reals(g, b->tensors, "mask", NULL);
    if (restore) compare_ids(g, "ids_restore", b->masks.ids_restore, restore, b->batch * P);
    compare_reals(g, "mask", b->masks.mask, mask, b->batch * P, (Limit){0, 0});
}

void check_real_size(Golden *g, const char *path, const json_t *entry) {
    ModelConfig c;
    Big b = {.entry = entry};
    b.tensors = golden_tensors(g, path);
    b.json = golden_json(g, golden_sibling(g, path, ".json"));
    if (!b.tensors || !b.json || !read_config(g, &b, &c)) return;
    b.model = golden_model(g, &c, true);
    if (!b.model) return;
    compare_number(g, "parameters", (double)vit_parameters(b.model),
                   golden_number(b.json, "n_params_including_frozen"), 0);
    make_inputs(g, &b, &c);
    set_weights(g, &b);
    check_training(g, &b);
    check_patch_embed(g, &b);
    check_other_loss(g, &b);
    vit_free(b.model);
}

/* --- the classifier --------------------------------------------------------------------------- */

static bool read_classifier(Golden *g, Big *b, ModelConfig *c) {
    Shape logits;
    if (!golden_reals(g, b->tensors, "logits", &logits)) return false;
    if (!golden_preset(g, json_string_value(json_object_get(b->json, "arch")), c)) return false;
    golden_make_classifier(c, HEAD_LINEAR, golden_integer(b->json, "global_pool") == 1,
                           logits.dim[1]);
    if (golden_integer(b->json, "image") > 0)
        c->image_height = c->image_width = golden_integer(b->json, "image");
    b->batch = logits.dim[0];
    b->seed = (uint64_t)golden_integer(b->json, "seed");
    return true;
}

/* Images by formula; labels and smoothing of the file. */
static void set_classifier_inputs(Golden *g, Big *b, ClassifierGraph *graph) {
    const ModelConfig *c = &b->model->config;
    int64_t n = shape_numel(graph->encoder.images->shape);
    float *images = golden_memory(g, n, sizeof *images);
    float *targets = golden_memory(g, b->batch * c->classes, sizeof *targets);
    int *labels = golden_memory(g, b->batch, sizeof *labels);
    for (int64_t i = 0; i < b->batch; i++) labels[i] = (int)golden_listed(b->json, "labels", i);
    formula(images, n, "images", b->seed, 0, 2);
    mix_targets(targets, labels, NULL, b->batch, c->classes,
                golden_number(b->json, "label_smoothing"));
    graph_set_real(graph->graph, graph->encoder.images, images);
    graph_set_real(graph->graph, graph->targets, targets);
}

static void check_classifier_training(Golden *g, Big *b) {
    const float one = 1;
    double want = golden_number(b->json, "loss_f64");
    ClassifierGraph graph = {0};
    ClassifierOptions o = {.batch = b->batch, .train = true, .float_images = true};
    if (golden_classifier_graph(g, b->model, o, &graph)) {
        params_zero_grad(b->model->params);
        set_classifier_inputs(g, b, &graph);
        graph_forward(graph.graph);
        compare_output(g, b->entry, b->tensors, "logits", graph.graph, graph.logits);
        compare_statistics(g, b, "logits", golden_output(g, graph.graph, graph.logits),
                           shape_numel(graph.logits->shape),
                           json_object_get(json_object_get(b->entry, "f32_vs_f64"), "logits"));
        compare_number(g, "loss_f64", (double)*golden_output(g, graph.graph, graph.loss), want,
                       1e-6 * want);
        graph_set_grad(graph.graph, graph.loss, &one);
        graph_backward(graph.graph, graph.loss, NULL, NULL);
        compare_gradients(g, b);
    }
    classifier_graph_free(&graph);
}

void check_real_classifier(Golden *g, const char *path, const json_t *entry) {
    ModelConfig c;
    Big b = {.entry = entry};
    b.tensors = golden_tensors(g, path);
    b.json = golden_json(g, golden_sibling(g, path, ".json"));
    if (!b.tensors || !b.json || !read_classifier(g, &b, &c)) return;
    b.model = golden_model(g, &c, true);
    if (!b.model) return;
    compare_number(g, "parameters with gradients", (double)params_count(b.model->params),
                   (double)json_object_size(json_object_get(b.json, "grads_f64")), 0);
    set_weights(g, &b);
    check_classifier_training(g, &b);
    vit_free(b.model);
}
