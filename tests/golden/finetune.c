/* Fine-tuning: forward and backward passes of small classifiers, and the groups of parameters. A
 * case NAME_KIND has the weights of finetune/head_NAME.safetensors and of the encoder that its
 * entry names. */
#include <math.h>
#include <string.h>

#include "data/augment/mix.h"
#include "golden.h"
#include "train/groups.h"

typedef struct Case {
    const TensorFile *tensors;
    const json_t *entry;
    ModelConfig config;
    Vit *model;
    Pool pool;
    float *targets; /* [B,classes] */
    double drop_path;
    const float *draws; /* [branches with a rate,B] */
} Case;

static bool open_case(Golden *g, const char *path, const json_t *entry, Case *c) {
    const char *stem = golden_stem(g, path);
    const char *head =
        golden_text(g, "finetune/head_%.*s.safetensors", (int)strcspn(stem, "_"), stem);
    const json_t *info = json_object_get(golden_entry(g, head), "info");
    const json_t *config = json_object_get(info, "config");
    if (!info) return false;
    *c = (Case){.tensors = golden_tensors(g, path), .entry = entry};
    const TensorFile *own = golden_tensors(g, head), *encoder = golden_encoder(g, config);
    if (!c->tensors || !own || !encoder) return false;
    c->config = golden_config(config);
    golden_make_classifier(&c->config, HEAD_LINEAR, golden_integer(info, "global_pool") == 1,
                           golden_integer(info, "classes"));
    if (!golden_pool(g, c->tensors, &c->config, &c->pool)) return false;
    c->targets = golden_memory(g, c->pool.n * c->config.classes, sizeof *c->targets);
    c->model = golden_model(g, &c->config, true);
    return c->model && golden_load_classifier(g, c->model, encoder, own, "");
}

static void set_inputs(Golden *g, Case *c, ClassifierGraph *graph) {
    const ModelConfig *m = &c->config;
    int64_t B = c->pool.n, row = 0;
    float *scale = golden_memory(g, B, sizeof *scale);
    graph_set_real(graph->graph, graph->encoder.images, c->pool.images);
    if (graph->targets) graph_set_real(graph->graph, graph->targets, c->targets);
    for (int64_t i = 0; graph->drop && i < 2 * m->depth; i++) {
        if (!graph->drop[i]) continue;
        double rate = classifier_drop_rate(c->drop_path, i / 2, m->depth);
        for (int64_t b = 0; b < B; b++)
            scale[b] = classifier_drop_scale(rate, (double)c->draws[row * B + b]);
        graph_set_real(graph->graph, graph->drop[i], scale);
        row++;
    }
}

/* The file has the gradients of all trained parameters, of some, or of none. */
static void compare_gradients(Golden *g, Case *c, bool all) {
    int64_t n = 0, trained = 0;
    for (size_t i = 0; i < tensorfile_count(c->tensors); i++) {
        const char *name = tensorfile_at(c->tensors, i)->name;
        if (strncmp(name, "grad.", 5) != 0) continue;
        const Param *p = params_find(c->model->params, name + 5);
        n++;
        if (!p || !p->grad)
            golden_problem(g, "no gradient of %s", name + 5);
        else
            compare_reals(g, name, golden_gradient(g, p), golden_reals(g, c->tensors, name, NULL),
                          p->numel, golden_limit(g, c->entry, name));
    }
    for (int64_t i = 0; i < params_count(c->model->params); i++)
        trained += params_at(c->model->params, i)->trainable;
    if (all) compare_number(g, "gradients", (double)trained, (double)n, 0);
}

static void check_training(Golden *g, Case *c, bool all) {
    const float one = 1;
    ClassifierGraph graph = {0};
    ClassifierOptions o = {
        .batch = c->pool.n, .train = true, .float_images = true, .drop_path = c->drop_path};
    if (golden_classifier_graph(g, c->model, o, &graph)) {
        params_zero_grad(c->model->params);
        set_inputs(g, c, &graph);
        graph_forward(graph.graph);
        compare_output(g, c->entry, c->tensors, "features", graph.graph, graph.features);
        compare_output(g, c->entry, c->tensors, "logits", graph.graph, graph.logits);
        compare_output(g, c->entry, c->tensors, "loss", graph.graph, graph.loss);
        graph_set_grad(graph.graph, graph.loss, &one);
        graph_backward(graph.graph, graph.loss, NULL, NULL);
        compare_gradients(g, c, all);
    }
    classifier_graph_free(&graph);
}

/* The graph of evaluation, which has neither targets nor stochastic depth. */
static void check_inference(Golden *g, Case *c) {
    ClassifierGraph graph = {0};
    ClassifierOptions o = {.batch = c->pool.n, .float_images = true};
    if (golden_classifier_graph(g, c->model, o, &graph)) {
        set_inputs(g, c, &graph);
        graph_forward(graph.graph);
        compare_output(g, c->entry, c->tensors, "features", graph.graph, graph.features);
        compare_output(g, c->entry, c->tensors, "logits", graph.graph, graph.logits);
    }
    classifier_graph_free(&graph);
}

static bool stated(Golden *g, const json_t *entry, const char *before, double *out) {
    *out = golden_stated(entry, before);
    if (!isnan(*out)) return true;
    golden_problem(g, "its description has no number after '%s'", before);
    return false;
}

void check_smoothed(Golden *g, const char *path, const json_t *entry) {
    Case c = {0};
    double smoothing;
    if (open_case(g, path, entry, &c) && stated(g, entry, "CrossEntropy(", &smoothing)) {
        mix_targets(c.targets, c.pool.labels, NULL, c.pool.n, c.config.classes, smoothing);
        check_inference(g, &c);
        check_training(g, &c, true);
    }
    vit_free(c.model);
}

/* Mixed images and soft targets as the published code makes them, to the bit. */
static void mix(Golden *g, Case *c, double lambda, double smoothing) {
    const Limit exact = {0, 0};
    const ModelConfig *m = &c->config;
    int64_t B = c->pool.n;
    MixItem *items = golden_memory(g, B, sizeof *items);
    for (int64_t i = 0; i < B; i++) items[i] = (MixItem){.lambda = lambda};
    mix_images(c->pool.images, items, B, m->channels, m->image_height, m->image_width);
    mix_targets(c->targets, c->pool.labels, items, B, m->classes, smoothing);
    compare_reals(g, "mixed_images", c->pool.images,
                  golden_reals(g, c->tensors, "mixed_images", NULL), shape_numel(c->pool.shape),
                  exact);
    compare_reals(g, "soft_targets", c->targets, golden_reals(g, c->tensors, "soft_targets", NULL),
                  B * m->classes, exact);
}

void check_mixed(Golden *g, const char *path, const json_t *entry) {
    Case c = {0};
    double lambda, smoothing;
    if (open_case(g, path, entry, &c) && stated(g, entry, "lambda=", &lambda) &&
        stated(g, entry, "smoothing ", &smoothing)) {
        mix(g, &c, lambda, smoothing);
        check_inference(g, &c);
        check_training(g, &c, tensorfile_find(c.tensors, "grad.cls_token") != NULL);
    }
    vit_free(c.model);
}

/* The published rates are float32, ours double. */
static void compare_rates(Golden *g, const Case *c, const json_t *rates, int64_t rows) {
    int64_t n = 0;
    for (int64_t i = 0; i < c->config.depth; i++) {
        double rate = classifier_drop_rate(c->drop_path, i, c->config.depth);
        compare_number(g, golden_text(g, "rate of block %lld", (long long)i), rate,
                       json_number_value(json_array_get(rates, (size_t)i)), 1.2e-7 * rate);
        n += rate > 0;
    }
    compare_number(g, "blocks", (double)c->config.depth, (double)json_array_size(rates), 0);
    compare_number(g, "branches with a rate", (double)(2 * n), (double)rows, 0);
}

void check_drop_path(Golden *g, const char *path, const json_t *entry) {
    Case c = {0};
    Shape draws;
    double smoothing;
    const json_t *rates = json_object_get(json_object_get(entry, "info"), "rates");
    if (open_case(g, path, entry, &c) && stated(g, entry, "drop_path_rate=", &c.drop_path)) {
        const char *like =
            golden_text(g, "finetune/%.*s_ls.safetensors", (int)strcspn(golden_stem(g, path), "_"),
                        golden_stem(g, path));
        c.draws = golden_reals(g, c.tensors, "draws", &draws);
        if (c.draws && stated(g, golden_entry(g, like), "CrossEntropy(", &smoothing)) {
            compare_rates(g, &c, rates, draws.dim[0]);
            mix_targets(c.targets, c.pool.labels, NULL, c.pool.n, c.config.classes, smoothing);
            check_training(g, &c, false);
        }
    }
    vit_free(c.model);
}

/* --- finetune/lrd_groups_*.json --------------------------------------------------------------- */

static void compare_group(Golden *g, const GroupOptions *o, const Param *p, const json_t *want) {
    const json_t *shape = json_object_get(want, "shape");
    ParamGroup got = param_group(o, &p->role);
    double scale = golden_number(want, "lr_scale"), decay = golden_number(want, "weight_decay");
    compare_number(g, golden_text(g, "layer of %s", p->name), (double)got.layer,
                   golden_number(want, "layer_id"), 0);
    compare_number(g, golden_text(g, "rate of %s", p->name), got.lr_scale, scale, 1e-15 * scale);
    compare_number(g, golden_text(g, "decay of %s", p->name), got.weight_decay, decay, 0);
    compare_number(g, golden_text(g, "rank of %s", p->name), p->shape.n_dims,
                   (double)json_array_size(shape), 0);
    for (int k = 0; k < p->shape.n_dims; k++)
        compare_number(g, golden_text(g, "dimension %d of %s", k, p->name), (double)p->shape.dim[k],
                       json_number_value(json_array_get(shape, (size_t)k)), 0);
}

/* Two parameters share a published group exactly where they share layer and decay. */
static void compare_partition(Golden *g, const GroupOptions *o, const Params *params,
                              const json_t *want) {
    int64_t wrong = 0, n = params_count(params);
    for (int64_t i = 0; i < n; i++)
        for (int64_t k = 0; k < i; k++) {
            const Param *p = params_at(params, i), *q = params_at(params, k);
            ParamGroup a = param_group(o, &p->role);
            ParamGroup b = param_group(o, &q->role);
            bool same = a.layer == b.layer && (a.weight_decay > 0) == (b.weight_decay > 0);
            wrong += same != (golden_integer(json_object_get(want, p->name), "group") ==
                              golden_integer(json_object_get(want, q->name), "group"));
        }
    compare_number(g, "pairs of parameters grouped otherwise", (double)wrong, 0, 0);
}

/* The parameters of a model of that size, each with the group the published code gives it. */
void check_layer_groups(Golden *g, const char *path, const json_t *entry) {
    (void)entry;
    Error err = {0};
    ModelConfig c;
    Vit *v = NULL;
    const json_t *j = golden_json(g, path), *params = json_object_get(j, "params");
    const json_t *head = json_object_get(json_object_get(params, "head.weight"), "shape");
    if (!j || !golden_preset(g, json_string_value(json_object_get(j, "arch")), &c)) return;
    golden_make_classifier(&c, HEAD_LINEAR, golden_integer(j, "global_pool") == 1,
                           json_integer_value(json_array_get(head, 0)));
    if (vit_describe(g->device, &c, GRADIENTS_SUMMED, TUNE_ALL, &v, &err) != MAE_OK) {
        golden_problem(g, "%s", err.message);
        return;
    }
    GroupOptions o = {.weight_decay = golden_number(j, "weight_decay"),
                      .fine_tuning = true,
                      .layer_decay = golden_number(j, "layer_decay"),
                      .depth = c.depth};
    compare_number(g, "layers", (double)(c.depth + 1), golden_number(j, "num_layers"), 0);
    compare_number(g, "parameters", (double)params_count(v->params),
                   (double)json_object_size(params), 0);
    compare_partition(g, &o, v->params, params);
    for (int64_t i = 0; i < params_count(v->params); i++) {
        const Param *p = params_at(v->params, i);
        const json_t *want = json_object_get(params, p->name);
        double scale = golden_listed(j, "layer_scales", golden_integer(want, "layer_id"));
        compare_number(g, golden_text(g, "%s is trained", p->name), p->trainable, 1, 0);
        compare_number(g, golden_text(g, "rate of the layer of %s", p->name),
                       param_group(&o, &p->role).lr_scale, scale, 1e-15 * scale);
        compare_group(g, &o, p, want);
    }
    vit_free(v);
}
