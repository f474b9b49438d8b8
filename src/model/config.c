/* Sizes of the published models and what may be varied. */
#include <string.h>

#include "model/vit.h"

static const struct Preset {
    int64_t patch, embed_dim, depth, heads, decoder_embed_dim, decoder_depth, decoder_heads;
} PRESETS[] = {
    [MODEL_VIT_TINY] = {16, 192, 12, 3, 192, 4, 3},
    [MODEL_VIT_SMALL] = {16, 384, 12, 6, 256, 8, 8},
    [MODEL_VIT_BASE] = {16, 768, 12, 12, 512, 8, 16},
    [MODEL_VIT_LARGE] = {16, 1024, 24, 16, 512, 8, 16},
    [MODEL_VIT_HUGE] = {14, 1280, 32, 16, 512, 8, 16},
};

ModelConfig model_preset(ModelSize size) {
    const struct Preset *p = &PRESETS[size];
    return (ModelConfig){.image_height = 224,
                         .image_width = 224,
                         .channels = 3,
                         .patch = p->patch,
                         .embed_dim = p->embed_dim,
                         .depth = p->depth,
                         .heads = p->heads,
                         .decoder_embed_dim = p->decoder_embed_dim,
                         .decoder_depth = p->decoder_depth,
                         .decoder_heads = p->decoder_heads,
                         .mlp_ratio = 4,
                         .norm_eps = 1e-6,
                         .target = TARGET_NORM_PIX,
                         .pca_components = 96,
                         .mean = {0.485f, 0.456f, 0.406f},
                         .std = {0.229f, 0.224f, 0.225f}};
}

static Status check_width(const char *what, int64_t width, int64_t heads, int64_t depth,
                          Error *err) {
    if (width < 4 || width % 4 || width > 65536)
        return error_set(
            err, MAE_USAGE,
            "%s width %lld: must be a multiple of 4 (sin-cos positions) of at most 65536", what,
            (long long)width);
    if (heads < 1 || width % heads)
        return error_set(err, MAE_USAGE, "%s width %lld cannot be split into %lld heads", what,
                         (long long)width, (long long)heads);
    if (depth < 1 || depth > 1000)
        return error_set(err, MAE_USAGE, "%s depth %lld: must be 1 to 1000", what,
                         (long long)depth);
    return MAE_OK;
}

Status model_check(const ModelConfig *c, Error *err) {
    if (c->channels < 1 || c->channels > MAX_CHANNELS)
        return error_set(err, MAE_USAGE, "%lld channels: must be 1 to %d", (long long)c->channels,
                         MAX_CHANNELS);
    if (c->patch < 1 || c->image_height < 1 || c->image_width < 1 || c->image_height > 65536 ||
        c->image_width > 65536 || c->image_height % c->patch || c->image_width % c->patch)
        return error_set(
            err, MAE_USAGE,
            "image size %lldx%lld is not a multiple of patch %lld; change --image-size or "
            "--patch",
            (long long)c->image_height, (long long)c->image_width, (long long)c->patch);
    Status status = check_width("encoder", c->embed_dim, c->heads, c->depth, err);
    if (status == MAE_OK && c->decoder_depth > 0)
        status =
            check_width("decoder", c->decoder_embed_dim, c->decoder_heads, c->decoder_depth, err);
    if (status != MAE_OK) return status;
    if (!(c->mlp_ratio > 0 && c->mlp_ratio <= 64) || c->mlp_ratio * (double)c->embed_dim < 1)
        return error_set(err, MAE_USAGE, "MLP ratio %g: must be above 0 and at most 64",
                         c->mlp_ratio);
    if (c->target == TARGET_TOKEN)
        return error_set(
            err, MAE_UNSUPPORTED,
            "target token needs a tokenizer, which this version does not have; use pixel, "
            "norm-pix or pca");
    if (c->target == TARGET_PCA &&
        (c->pca_components < 1 || c->pca_components > model_patch_values(c)))
        return error_set(err, MAE_USAGE, "%lld PCA components of a patch of %lld values",
                         (long long)c->pca_components, (long long)model_patch_values(c));
    if (c->head != HEAD_NONE && (c->classes < 1 || c->classes > 1000000))
        return error_set(err, MAE_USAGE, "%lld classes: must be 1 to 1000000",
                         (long long)c->classes);
    for (int64_t i = 0; i < c->channels; i++)
        if (!(c->std[i] > 0))
            return error_set(err, MAE_USAGE,
                             "pixel standard deviation of channel %lld is not positive",
                             (long long)i);
    return MAE_OK;
}

int64_t model_grid_height(const ModelConfig *c) {
    return c->image_height / c->patch;
}

int64_t model_grid_width(const ModelConfig *c) {
    return c->image_width / c->patch;
}

int64_t model_patches(const ModelConfig *c) {
    return model_grid_height(c) * model_grid_width(c);
}

int64_t model_patch_values(const ModelConfig *c) {
    return c->patch * c->patch * c->channels;
}

int64_t model_prediction_values(const ModelConfig *c) {
    return c->target == TARGET_PCA ? c->pca_components : model_patch_values(c);
}
