/* Forward and backward passes of small models: every stage, the loss, every gradient. A case NAME
 * is ID_np.._mr..: weights/ID.safetensors, model_forward/ID_images.safetensors, and the noise in
 * model_forward/NAME.safetensors. */
#include <string.h>

#include "golden.h"

typedef struct Case {
    const TensorFile *forward;
    Vit *model;
    const float *images;
    Masks masks;
} Case;

static bool read_inputs(Golden *g, Case *c, const char *id, const json_t *info, ModelConfig *m) {
    Shape images, noise;
    const TensorFile *s =
        golden_tensors(g, golden_text(g, "model_forward/%s_images.safetensors", id));
    c->images = s ? golden_reals(g, s, "images", &images) : NULL;
    const float *values = golden_reals(g, c->forward, "noise", &noise);
    if (!c->images || !values) return false;
    m->channels = images.dim[1];
    m->image_height = images.dim[2];
    m->image_width = images.dim[3];
    m->target = golden_integer(info, "norm_pix_loss") ? TARGET_NORM_PIX : TARGET_PIXEL;
    int64_t keep = golden_integer(info, "len_keep");
    compare_number(g, "kept patches",
                   (double)mask_keep_count(noise.dim[1], golden_number(info, "mask_ratio")),
                   (double)keep, 0);
    c->masks = golden_masks(g, values, noise.dim[0], noise.dim[1], keep);
    return true;
}

static bool open_case(Golden *g, const char *path, bool gradients, Case *c) {
    const char *name = golden_stem(g, path), *end = strstr(name, "_np");
    const char *id = golden_text(g, "%.*s", end ? (int)(end - name) : 0, name);
    const char *weights_path = golden_text(g, "weights/%s.safetensors", id);
    const char *forward_path = golden_text(g, "model_forward/%s.safetensors", name);
    const json_t *weights_entry = golden_entry(g, weights_path);
    const json_t *forward_entry = golden_entry(g, forward_path);
    if (!weights_entry || !forward_entry) return false;
    const TensorFile *weights = golden_tensors(g, weights_path);
    c->forward = golden_tensors(g, forward_path);
    if (!weights || !c->forward) return false;
    ModelConfig m =
        golden_config(json_object_get(json_object_get(weights_entry, "info"), "config"));
    if (!read_inputs(g, c, id, json_object_get(forward_entry, "info"), &m)) return false;
    c->model = golden_model(g, &m, gradients);
    return c->model && golden_load(g, c->model, weights, "");
}

static bool build(Golden *g, Case *c, ForwardKind kind, int64_t keep, AutoencoderGraph *out) {
    Error err = {0};
    if (autoencoder_graph(c->model, kind, c->masks.batch, keep, NUMBER_WIDE, out, &err) == MAE_OK)
        return true;
    golden_problem(g, "%s", err.message);
    return false;
}

static bool plan(Golden *g, AutoencoderGraph *graph, GraphMode mode) {
    Error err = {0};
    if (graph_plan(graph->graph, mode, &err) == MAE_OK) return true;
    golden_problem(g, "%s", err.message);
    return false;
}

static void compare_value(Golden *g, Case *c, const json_t *entry, const char *name,
                          AutoencoderGraph *graph, const Value *v) {
    Shape shape;
    const float *want = golden_reals(g, c->forward, name, &shape);
    if (!want) return;
    if (shape_numel(shape) != shape_numel(v->shape))
        golden_problem(g, "%s has %lld values instead of %lld", name,
                       (long long)shape_numel(v->shape), (long long)shape_numel(shape));
    else
        compare_reals(g, name, golden_value(g, graph, v), want, shape_numel(shape),
                      golden_limit(g, entry, name));
}

/* Calls back with each stage of the file that the full graph has: all but patch_embed, which the
 * file holds for all patches. */
static void each_stage(Golden *g, Case *c, const json_t *entry, AutoencoderGraph *graph,
                       bool compare) {
    for (size_t i = 0; i < tensorfile_count(c->forward); i++) {
        const char *name = tensorfile_at(c->forward, i)->name;
        if (strncmp(name, "stage.", 6) != 0 || strcmp(name, "stage.patch_embed") == 0) continue;
        Value *v = graph_find(graph->graph, name + 6);
        if (v && !compare) graph_keep(graph->graph, v);
        if (v && compare) compare_value(g, c, entry, name, graph, v);
        if (!v && compare) golden_problem(g, "no stage %s", name + 6);
    }
}

static void check_full(Golden *g, Case *c, const json_t *entry) {
    AutoencoderGraph graph = {0};
    if (!build(g, c, FORWARD_FULL, c->masks.n_keep, &graph)) return;
    Value *const kept[] = {graph.latent, graph.pred, graph.target, graph.loss_per_patch,
                           graph.loss};
    static const char *const names[] = {"latent", "pred", "target", "loss_per_patch", "loss"};
    for (int i = 0; i < 5; i++) graph_keep(graph.graph, kept[i]);
    each_stage(g, c, entry, &graph, false);
    if (plan(g, &graph, GRAPH_INFER)) {
        golden_feed(&graph, &c->masks, c->images);
        graph_forward(graph.graph);
        each_stage(g, c, entry, &graph, true);
        for (int i = 0; i < 5; i++) compare_value(g, c, entry, names[i], &graph, kept[i]);
    }
    graph_free(graph.graph);
}

/* All patches through the embedding: the encoder without masking. */
static void check_patch_embed(Golden *g, Case *c, const json_t *entry) {
    AutoencoderGraph graph = {0};
    if (!golden_embedding(g, c->model, c->masks.batch, &graph)) return;
    Value *v = graph_find(graph.graph, "patch_embed");
    graph_keep(graph.graph, v);
    if (plan(g, &graph, GRAPH_INFER)) {
        golden_feed(&graph, &c->masks, c->images);
        graph_forward(graph.graph);
        compare_value(g, c, entry, "stage.patch_embed", &graph, v);
    }
    graph_free(graph.graph);
}

/* Rows of the removed patches of x[B,P,V], in the order of the training graph. */
static const float *removed_rows(Golden *g, const Masks *m, const float *x, int64_t V) {
    int64_t n = m->n_patches - m->n_keep;
    float *out = golden_memory(g, m->batch * n * V, sizeof *out);
    for (int64_t i = 0; i < m->batch * m->n_patches; i++) {
        int64_t place = m->ids_restore[i] - m->n_keep, b = i / m->n_patches;
        if (place >= 0) memcpy(out + (b * n + place) * V, x + i * V, (size_t)V * sizeof *out);
    }
    return out;
}

static void check_train(Golden *g, Case *c, const json_t *entry) {
    AutoencoderGraph graph = {0};
    if (!build(g, c, FORWARD_TRAIN, c->masks.n_keep, &graph)) return;
    graph_keep(graph.graph, graph.pred);
    const float *want = golden_reals(g, c->forward, "pred", NULL);
    if (want && plan(g, &graph, GRAPH_INFER)) {
        int64_t n = shape_numel(graph.pred->shape), V = graph.pred->shape.dim[2];
        golden_feed(&graph, &c->masks, c->images);
        graph_forward(graph.graph);
        compare_value(g, c, entry, "loss", &graph, graph.loss);
        compare_reals(g, "pred of the removed patches", golden_value(g, &graph, graph.pred),
                      removed_rows(g, &c->masks, want, V), n, golden_limit(g, entry, "pred"));
    }
    graph_free(graph.graph);
}

static void check_masks(Golden *g, Case *c) {
    const Masks *m = &c->masks;
    int64_t n = m->batch * m->n_patches;
    const int64_t *shuffle = golden_ints(g, c->forward, "ids_shuffle", NULL);
    const int64_t *restore = golden_ints(g, c->forward, "ids_restore", NULL);
    const float *mask = golden_reals(g, c->forward, "mask", NULL);
    if (!shuffle || !restore || !mask) return;
    compare_ids(g, "ids_restore", m->ids_restore, restore, n);
    for (int64_t b = 0; b < m->batch; b++)
        compare_ids(g, "ids_shuffle", m->ids_keep + b * m->n_keep, shuffle + b * m->n_patches,
                    m->n_keep);
    compare_reals(g, "mask", m->mask, mask, n, (Limit){0, 0});
}

void check_forward(Golden *g, const char *path, const json_t *entry) {
    Case c = {0};
    if (open_case(g, path, false, &c)) {
        check_masks(g, &c);
        check_patch_embed(g, &c, entry);
        check_full(g, &c, entry);
        check_train(g, &c, entry);
    }
    vit_free(c.model);
}

/* Every tensor, and all of them as one. */
static void compare_gradients(Golden *g, Case *c, const TensorFile *s, const json_t *entry) {
    int64_t n_tensors = 0, n = 0, room = vit_parameters(c->model);
    float *all_got = golden_memory(g, room, sizeof *all_got);
    float *all_want = golden_memory(g, room, sizeof *all_want);
    for (int64_t i = 0; i < params_count(c->model->params); i++) {
        const Param *p = params_at(c->model->params, i);
        if (!p->trainable) continue;
        const char *name = golden_text(g, "grad.%s", p->name);
        const float *got = golden_gradient(g, p), *want = golden_reals(g, s, name, NULL);
        compare_reals(g, name, got, want, p->numel, golden_limit(g, entry, name));
        if (!want) return;
        memcpy(all_got + n, got, (size_t)p->numel * sizeof *got);
        memcpy(all_want + n, want, (size_t)p->numel * sizeof *want);
        n += p->numel;
        n_tensors++;
    }
    compare_reals(g, "gradient", all_got, all_want, n, golden_limit(g, entry, "gradient"));
    compare_number(g, "number of gradients and losses", (double)(n_tensors + 1),
                   (double)tensorfile_count(s), 0);
}

static void check_gradients(Golden *g, Case *c, ForwardKind kind, const TensorFile *s,
                            const json_t *entry) {
    const float one = 1;
    AutoencoderGraph graph = {0};
    const float *want = golden_reals(g, s, "loss", NULL);
    if (!want || !build(g, c, kind, c->masks.n_keep, &graph)) return;
    if (plan(g, &graph, GRAPH_TRAIN)) {
        params_zero_grad(c->model->params);
        golden_feed(&graph, &c->masks, c->images);
        graph_forward(graph.graph);
        graph_set_grad(graph.graph, graph.loss, &one);
        graph_backward(graph.graph, graph.loss, NULL, NULL);
        compare_reals(g, "loss", golden_value(g, &graph, graph.loss), want, 1,
                      golden_limit(g, entry, "loss"));
        compare_gradients(g, c, s, entry);
    }
    graph_free(graph.graph);
}

void check_backward(Golden *g, const char *path, const json_t *entry) {
    Case c = {0};
    const TensorFile *s = golden_tensors(g, path);
    if (s && open_case(g, path, true, &c)) {
        check_gradients(g, &c, FORWARD_TRAIN, s, entry);
        check_gradients(g, &c, FORWARD_FULL, s, entry);
    }
    vit_free(c.model);
}
