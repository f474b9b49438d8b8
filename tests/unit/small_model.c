/* See small_model.h. */
#include "small_model.h"

#include <stdlib.h>

#include "base/rng.h"

ModelConfig small_config(int64_t channels, TargetKind target, bool mask_token_in_encoder) {
    ModelConfig c = {.image_height = 8,
                     .image_width = 12,
                     .channels = channels,
                     .patch = 4,
                     .embed_dim = 12,
                     .depth = 2,
                     .heads = 3,
                     .decoder_embed_dim = 8,
                     .decoder_depth = 1,
                     .decoder_heads = 2,
                     .mlp_ratio = 2,
                     .norm_eps = 1e-6,
                     .target = target,
                     .pca_components = 5,
                     .mask_token_in_encoder = mask_token_in_encoder};
    for (int i = 0; i < MAX_CHANNELS; i++) {
        c.mean[i] = 0.5f;
        c.std[i] = 0.25f;
    }
    return c;
}

static float *random_floats(Rng *rng, int64_t n, double scale) {
    float *x = malloc((size_t)n * sizeof *x);
    ASSERT(x, "no memory");
    for (int64_t i = 0; i < n; i++) x[i] = (float)rng_range(rng, -scale, scale);
    return x;
}

static void shake(Params *params, Param *p, Rng *rng) {
    float *x = random_floats(rng, p->numel, 0.2), *old = malloc((size_t)p->numel * sizeof *old);
    ASSERT(old, "no memory");
    params_get(params, p, old);
    for (int64_t i = 0; i < p->numel; i++) x[i] += old[i];
    params_set(params, p, x);
    free(old);
    free(x);
}

Vit *small_vit(Device *d, const ModelConfig *c, ParamGradients gradients) {
    Error err = {0};
    Vit *a = NULL;
    Rng rng = rng_make(7, RNG_INIT, 1, 0);
    Status status = vit_new(d, c, gradients, TUNE_ALL, &a, &err);
    if (status == MAE_OK) status = vit_init(a, 1, &err);
    ASSERT(status == MAE_OK, "%s", err.message);
    for (int64_t i = 0; i < params_count(a->params); i++)
        shake(a->params, params_at(a->params, i), &rng);
    return a;
}

Vit *small_model(Device *d, const ModelConfig *c) {
    return small_vit(d, c, GRADIENTS_SUMMED);
}

AutoencoderGraph small_graph(Vit *a, ForwardKind kind, int64_t batch) {
    Error err = {0};
    AutoencoderGraph g;
    int64_t keep = model_patches(&a->config) / 2;
    Status status = autoencoder_graph(a, kind, batch, keep, NUMBER_WIDE, &g, &err);
    ASSERT(status == MAE_OK, "%s", err.message);
    return g;
}

void small_feed(const Vit *a, AutoencoderGraph *g, uint64_t seed) {
    Error err = {0};
    Masks *masks;
    Rng rng = rng_make(seed, RNG_SYNTHETIC, 0, 0);
    float *images = random_floats(&rng, shape_numel(g->images->shape), 2);
    Status status = masks_new((MaskRule){MASK_RANDOM, 0.5}, &a->config, g->batch, &masks, &err);
    ASSERT(status == MAE_OK, "%s", err.message);
    for (int64_t b = 0; b < g->batch; b++) masks_draw(masks, b, seed, 0, (uint64_t)b);
    graph_set_real(g->graph, g->images, images);
    autoencoder_set_masks(g, masks);
    masks_free(masks);
    free(images);
}

float small_step(Vit *a, AutoencoderGraph *g) {
    const float one = 1;
    float loss;
    params_zero_grad(a->params);
    graph_forward(g->graph);
    graph_get(g->graph, g->loss, &loss);
    graph_set_grad(g->graph, g->loss, &one);
    graph_backward(g->graph, g->loss, NULL, NULL);
    return loss;
}

float *small_gradients(const Vit *a, int64_t *n) {
    *n = 0;
    for (int64_t i = 0; i < params_count(a->params); i++)
        if (params_at(a->params, i)->grad) *n += params_at(a->params, i)->numel;
    float *all = malloc((size_t)*n * sizeof *all), *next = all;
    ASSERT(all, "no memory");
    for (int64_t i = 0; i < params_count(a->params); i++) {
        const Param *p = params_at(a->params, i);
        if (!p->grad) continue;
        device_download_floats(a->device, next, p->grad, NUMBER_WIDE, p->numel);
        next += p->numel;
    }
    return all;
}
