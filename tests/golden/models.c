/* Models out of golden files, their inputs and outputs; the files of weights. */
#include <math.h>

#include "golden.h"

ModelConfig golden_config(const json_t *config) {
    int64_t image = golden_integer(config, "img");
    ModelConfig c = {
        .image_height = image,
        .image_width = image,
        .channels = 3,
        .patch = golden_integer(config, "patch"),
        .embed_dim = golden_integer(config, "embed"),
        .depth = golden_integer(config, "depth"),
        .heads = golden_integer(config, "heads"),
        .decoder_embed_dim = golden_integer(config, "dec"),
        .decoder_depth = golden_integer(config, "ddepth"),
        .decoder_heads = golden_integer(config, "dheads"),
        .mlp_ratio = 4,
        .norm_eps = 1e-6,
        .target = TARGET_PIXEL,
    };
    for (int i = 0; i < MAX_CHANNELS; i++) c.std[i] = 1;
    return c;
}

Vit *golden_model(Golden *g, const ModelConfig *c, bool with_gradients) {
    Error err = {0};
    Vit *a = NULL;
    g->blocks = c->depth + c->decoder_depth;
    if (vit_new(g->device, c, with_gradients ? GRADIENTS_SUMMED : GRADIENTS_NONE, TUNE_ALL, &a,
                &err) != MAE_OK)
        golden_problem(g, "%s", err.message);
    return a;
}

static bool load_one(Golden *g, Vit *a, Param *p, const TensorFile *s, const char *prefix) {
    char got[96], want[96];
    Shape shape;
    const float *values = golden_reals(g, s, golden_text(g, "%s%s", prefix, p->name), &shape);
    if (!values) return false;
    if (!shape_equal(shape, p->shape)) {
        golden_problem(g, "%s: shape %s instead of %s", p->name,
                       shape_text(p->shape, got, sizeof got), shape_text(shape, want, sizeof want));
        return false;
    }
    params_set(a->params, p, values);
    return true;
}

bool golden_load(Golden *g, Vit *a, const TensorFile *s, const char *prefix) {
    bool ok = true;
    for (int64_t i = 0; i < params_count(a->params); i++)
        ok = load_one(g, a, params_at(a->params, i), s, prefix) && ok;
    return ok;
}

float *golden_gradient(Golden *g, const Param *p) {
    float *out = golden_memory(g, p->numel, sizeof *out);
    device_download_floats(g->device, out, p->grad, NUMBER_WIDE, p->numel);
    return out;
}

float *golden_value(Golden *g, AutoencoderGraph *graph, const Value *v) {
    float *out = golden_memory(g, shape_numel(v->shape), sizeof *out);
    graph_get(graph->graph, v, out);
    return out;
}

Masks golden_masks(Golden *g, const float *noise, int64_t batch, int64_t patches, int64_t keep) {
    Masks m = {.batch = batch,
               .n_patches = patches,
               .n_keep = keep,
               .ids_keep = golden_memory(g, batch * keep, sizeof *m.ids_keep),
               .ids_restore = golden_memory(g, batch * patches, sizeof *m.ids_restore),
               .ids_pred = golden_memory(g, batch * patches, sizeof *m.ids_pred),
               .mask = golden_memory(g, batch * patches, sizeof *m.mask),
               .keys = golden_memory(g, patches, sizeof *m.keys)};
    for (int64_t b = 0; b < batch; b++) masks_from_noise(&m, b, noise + b * patches);
    return m;
}

void golden_feed(AutoencoderGraph *graph, Masks *m, const float *images) {
    graph_set_real(graph->graph, graph->images, images);
    if (graph->ids_pred) {
        autoencoder_set_masks(graph, m);
        return;
    }
    for (int64_t i = 0; i < m->batch * m->n_patches; i++)
        m->ids_pred[i] = (int32_t)(i % m->n_patches);
    graph_set(graph->graph, graph->ids_keep, m->ids_pred); /* an encoder of all patches */
}

bool golden_embedding(Golden *g, Vit *v, int64_t batch, AutoencoderGraph *out) {
    *out = (AutoencoderGraph){.batch = batch, .n_keep = model_patches(&v->config)};
    out->graph = graph_new(v->device, v->params);
    if (!out->graph) {
        golden_problem(g, "no memory for a graph");
        return false;
    }
    Layers l = {.model = v, .graph = out->graph};
    EncoderGraph e = encoder_build(&l, batch, NUMBER_WIDE, 0);
    out->images = e.images;
    out->ids_keep = e.ids;
    return true;
}

bool golden_training(Golden *g, Vit *v, int64_t batch, int64_t keep, AutoencoderGraph *out) {
    Error err = {0};
    Status status = autoencoder_graph(v, FORWARD_TRAIN, batch, keep, NUMBER_WIDE, out, &err);
    if (status == MAE_OK) status = graph_plan(out->graph, GRAPH_TRAIN, &err);
    if (status != MAE_OK) golden_problem(g, "%s", err.message);
    return status == MAE_OK;
}

/* --- weights/ID.safetensors ------------------------------------------------------------------- */

/* The positions that a new model has, against those of the file. */
static void compare_positions(Golden *g, Vit *a, const TensorFile *s, const char *name) {
    const Param *p = params_find(a->params, name);
    float *got = golden_memory(g, p->numel, sizeof *got);
    const float *want = golden_reals(g, s, name, NULL);
    params_get(a->params, p, got);
    compare_reals(g, name, got, want, want ? p->numel : 0, (Limit){INFINITY, 6e-8});
}

static void compare_weight(Golden *g, Vit *a, const TensorFile *f, const TensorEntry *t) {
    const Param *p = params_find(a->params, t->name);
    if (!p) {
        golden_problem(g, "the model has no parameter %s", t->name);
        return;
    }
    float *got = golden_memory(g, p->numel, sizeof *got);
    params_get(a->params, p, got);
    compare_bytes(g, t->name, (const uint8_t *)got, golden_bytes(g, f, t),
                  p->numel * (int64_t)sizeof *got);
}

void check_weights(Golden *g, const char *path, const json_t *entry) {
    const TensorFile *s = golden_tensors(g, path);
    ModelConfig c = golden_config(json_object_get(json_object_get(entry, "info"), "config"));
    Vit *a = s ? golden_model(g, &c, false) : NULL;
    if (!a) return;
    compare_positions(g, a, s, "pos_embed");
    compare_positions(g, a, s, "decoder_pos_embed");
    if (golden_load(g, a, s, ""))
        for (size_t i = 0; i < tensorfile_count(s); i++)
            compare_weight(g, a, s, tensorfile_at(s, i));
    vit_free(a);
}

/* --- weights/init_stats.json ------------------------------------------------------------------ */

/* Mean and standard deviation of two samples of n values: six standard errors of the difference. */
static void compare_statistics(Golden *g, const char *name, const float *x, int64_t n,
                               const json_t *want) {
    double mean = 0, square = 0, count = (double)n, std = golden_number(want, "std");
    for (int64_t i = 0; i < n; i++) mean += (double)x[i] / count;
    for (int64_t i = 0; i < n; i++) square += ((double)x[i] - mean) * ((double)x[i] - mean);
    compare_number(g, golden_text(g, "mean of %s", name), mean, golden_number(want, "mean"),
                   6 * std * sqrt(2 / count) + 1e-6);
    compare_number(g, golden_text(g, "std of %s", name), sqrt(square / fmax(count - 1, 1)), std,
                   6 * std / sqrt(count) + 1e-6);
}

void check_initial(Golden *g, const char *path, const json_t *entry) {
    (void)entry;
    Error err = {0};
    const json_t *j = golden_json(g, path);
    const json_t *model = json_object_get(json_object_get(j, "models"), "mae");
    ModelConfig c = golden_config(json_object_get(j, "config"));
    Vit *a = j ? golden_model(g, &c, false) : NULL;
    if (!a) return;
    if (vit_init(a, 1, &err) != MAE_OK) golden_problem(g, "%s", err.message);
    compare_number(g, "number of parameters", (double)params_count(a->params),
                   (double)json_object_size(model), 0);
    for (int64_t i = 0; i < params_count(a->params); i++) {
        const Param *p = params_at(a->params, i);
        float *x = golden_memory(g, p->numel, sizeof *x);
        params_get(a->params, p, x);
        compare_statistics(g, p->name, x, p->numel, json_object_get(model, p->name));
    }
    vit_free(a);
}
