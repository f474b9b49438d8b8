/* The masked autoencoder of the paper: parameters under the published names, and graphs over them.
 * Encoder: patch embedding of the kept patches, cls token, fixed sin-cos positions, blocks, norm.
 * Decoder: embedding, mask tokens, positions, blocks, norm, prediction. */
#ifndef MODEL_AUTOENCODER_H
#define MODEL_AUTOENCODER_H

#include "base/rng.h"
#include "graph/graph.h"

typedef enum TargetKind { TARGET_PIXEL, TARGET_NORM_PIX, TARGET_PCA } TargetKind;

#define MAX_CHANNELS 16

typedef struct ModelConfig {
    int64_t image_height, image_width, channels, patch;
    int64_t embed_dim, depth, heads;
    int64_t decoder_embed_dim, decoder_depth, decoder_heads; /* decoder_depth 0: no decoder */
    double mlp_ratio;
    double norm_eps; /* 1e-6 */
    TargetKind target;
    int64_t pca_components;     /* 96, for TARGET_PCA */
    bool mask_token_in_encoder; /* Table 1c */
    float mean[MAX_CHANNELS], std[MAX_CHANNELS];
} ModelConfig;

/* name: vit_tiny, vit_small, vit_base, vit_large, vit_huge; image 224, ImageNet mean and std. */
Status model_preset(const char *name, ModelConfig *out, Error *err);
/* Everything a user can get wrong, with a message that says what would be right. */
Status model_check(const ModelConfig *c, Error *err);

int64_t model_grid_height(const ModelConfig *c);
int64_t model_grid_width(const ModelConfig *c);
int64_t model_patches(const ModelConfig *c);           /* P */
int64_t model_patch_values(const ModelConfig *c);      /* p*p*C */
int64_t model_prediction_values(const ModelConfig *c); /* V: p*p*C or the PCA components */

/* int(P * (1 - ratio)) in double, as published. */
int64_t mask_keep_count(int64_t n_patches, double ratio);

typedef enum MaskKind { MASK_RANDOM, MASK_BLOCK, MASK_GRID } MaskKind;

/* The mask of one image: ids_keep[K] in the order in which they enter the encoder,
 * ids_restore[P] = place of each patch in (kept, removed), mask[P] (1 = removed).
 * K = mask_n_keep. Any output may be NULL. scratch: P values, or NULL to take them for the call. */
int64_t mask_n_keep(MaskKind kind, const ModelConfig *c, double ratio);
void mask_draw(MaskKind kind, const ModelConfig *c, double ratio, uint64_t seed, uint64_t epoch,
               uint64_t sample, int32_t *ids_keep, int32_t *ids_restore, float *mask,
               uint64_t *scratch);
/* From noise[P]: stable ascending order (the published random masking). */
void mask_from_noise(const float *noise, int64_t n_patches, int64_t n_keep, int32_t *ids_keep,
                     int32_t *ids_restore, float *mask);
/* From a list of patches to keep (each once, in range; checked by the caller). */
void mask_from_keep(const int32_t *keep, int64_t n_keep, int64_t n_patches, int32_t *ids_restore,
                    float *mask);
/* Grid masking keeps patches with even row and even column; returns how many. */
int64_t mask_grid(int64_t rows, int64_t columns, int32_t *ids_keep);
/* BEiT's block masking, then filled or trimmed at random to exactly n_mask removed patches. */
void mask_block(int64_t rows, int64_t columns, int64_t n_mask, Rng *rng, float *mask);

/* Sin-cos positions [1+rows*columns, width] with a zero row for cls, in double, cast to float:
 * first half of the width encodes the column, second the row, each sines then cosines. */
void pos_embed_sincos(float *out, int64_t width, int64_t rows, int64_t columns);
/* [1+A*B, width] -> [1+C*D, width], bicubic a = -0.75, half-pixel centres, border clamped, no
 * antialiasing (torch interpolate); the cls row is copied. */
void pos_embed_interpolate(float *out, int64_t out_rows, int64_t out_columns, const float *in,
                           int64_t in_rows, int64_t in_columns, int64_t width);

typedef struct Autoencoder {
    ModelConfig config;
    Device *device;
    Params *params;
} Autoencoder;

/* Parameters registered under the published names and allocated, not yet initialised (positions
 * are). with_gradients for training. */
Status autoencoder_new(Device *d, const ModelConfig *c, bool with_gradients, Autoencoder **out,
                       Error *err);
/* The same without taking memory, for sums before anything starts. */
Status autoencoder_describe(Device *d, const ModelConfig *c, bool with_gradients, Autoencoder **out,
                            Error *err);
void autoencoder_free(Autoencoder *a); /* accepts NULL; not the device */
/* The published initialisation, keyed by seed and parameter. */
Status autoencoder_init(Autoencoder *a, uint64_t seed, Error *err);
/* Parameters that are trained / all, as the papers count them. */
int64_t autoencoder_parameters(const Autoencoder *a, bool encoder_only);

/* What a graph computes. */
typedef enum ForwardKind {
    FORWARD_TRAIN, /* loss; prediction for the removed patches only */
    FORWARD_FULL,  /* loss; prediction for all patches */
    FORWARD_ENCODE /* latent of n_keep tokens only, no decoder */
} ForwardKind;

typedef struct AutoencoderGraph {
    Graph *graph;
    int64_t batch, n_keep, n_pred;
    Value *pixels;      /* input u8 [B,h,w,C], NULL when built for float images */
    Value *images;      /* [B,C,h,w] normalised; an input when pixels is NULL */
    Value *ids_keep;    /* input i32 [B,K] */
    Value *ids_restore; /* input i32 [B,P]; NULL for FORWARD_ENCODE without encoder mask tokens */
    Value *ids_pred;    /* input i32 [B,M]: patches predicted */
    Value *mask;        /* input real [B,P] */
    Value *latent;      /* [B,1+K,D] (all tokens when the encoder sees mask tokens) */
    Value *pooled;      /* [B,D] mean of the patch tokens, FORWARD_ENCODE */
    Value *pred, *target, *loss_per_patch, *loss;
} AutoencoderGraph;

/* Built, not yet planned. float_images: images are given normalised instead of as pixels. */
Status autoencoder_graph(Autoencoder *a, ForwardKind kind, int64_t batch, int64_t n_keep,
                         bool float_images, AutoencoderGraph *out, Error *err);
/* Finds a stage of the published code by its name ("blocks.0", "decoder_norm"; "patch_embed" has
 * the kept patches only). Keep it before planning to read it afterwards. */
Value *autoencoder_stage(const AutoencoderGraph *g, const char *name); /* NULL: none */

#endif
