/* The vision transformer: its sizes, its parameters under the published names, and how they are
 * initialised. With a decoder it is a masked autoencoder (autoencoder.h), with a head a classifier
 * (classifier.h), with neither an encoder. */
#ifndef MODEL_VIT_H
#define MODEL_VIT_H

#include "base/rng.h"
#include "base/words.h"
#include "graph/graph.h"
#include "mae.h"

/* HeadKind (base/words.h): what stands on a classifier's encoder, under the published names:
 * LINEAR  fine-tuning: mean of the patch tokens -> fc_norm -> head, or norm -> cls token -> head
 * PROBE   the same up to the features, then head.0 (batch norm without affine) -> head.1 */

#define MAX_CHANNELS 64

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
    HeadKind head;
    PoolKind pool; /* mean or cls */
    int64_t classes;
} ModelConfig;

/* One of model_size_words, for images of 224 with ImageNet's mean and deviation. */
ModelConfig model_preset(ModelSize size);
/* Checks everything that a user can get wrong. The message says what would be right. */
Status model_check(const ModelConfig *c, Error *err);

int64_t model_grid_height(const ModelConfig *c);
int64_t model_grid_width(const ModelConfig *c);
int64_t model_patches(const ModelConfig *c);           /* P */
int64_t model_patch_values(const ModelConfig *c);      /* p*p*C */
int64_t model_prediction_values(const ModelConfig *c); /* V: p*p*C or the PCA components */

/* Sin-cos positions [1+rows*columns, width] with a zero row for cls, in double, cast to float. The
 * first half of the width encodes the column, the second the row, each sines then cosines. */
void pos_embed_sincos(float *out, int64_t width, int64_t rows, int64_t columns);
/* [1+in_rows*in_columns, width] -> [1+out_rows*out_columns, width]: bicubic, a = -0.75, half-pixel
 * centres, border clamped, no antialiasing (torch interpolate). The cls row is copied. */
void pos_embed_interpolate(float *out, int64_t out_rows, int64_t out_columns, const float *in,
                           int64_t in_rows, int64_t in_columns, int64_t width);

typedef struct Vit {
    ModelConfig config;
    Device *device;
    Params *params;
} Vit;

/* Which parameters are trained. `tune` counts blocks from the end; a half adds the MLP half of the
 * next one (0.5: norm2 and mlp of the last block). The final norm and the head always are.
 * TUNE_ALL: everything with positions; a masked autoencoder keeps its fixed sin-cos positions. */
#define TUNE_ALL (-1.0)

/* Registers the parameters under the published names and allocates them. Only positions are
 * initialised. gradients is for training, tune (above) for classifiers only. */
Status vit_new(Device *d, const ModelConfig *c, ParamGradients gradients, double tune, Vit **out,
               Error *err);
/* The same without memory, to compute sizes before anything starts. */
Status vit_describe(Device *d, const ModelConfig *c, ParamGradients gradients, double tune,
                    Vit **out, Error *err);
void vit_free(Vit *v); /* accepts NULL; not the device */
/* Gives all that is not fixed the published initial values, by the role of each parameter. They
 * depend on seed and parameter only. */
Status vit_init(Vit *v, uint64_t seed, Error *err);
/* How many values the parameters have: all, without the decoder, or those that are trained. */
int64_t vit_parameters(const Vit *v);
int64_t vit_encoder_parameters(const Vit *v);
int64_t vit_trained_parameters(const Vit *v);

/* The type of a graph's input for pixels of an image. */
Number pixel_number(MaeType type);

#endif
