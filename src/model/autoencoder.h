/* The masked autoencoder of the paper: masks, and graphs over a Vit that has a decoder.
 * Encoder: patch embedding of the kept patches, cls token, fixed sin-cos positions, blocks, norm.
 * Decoder: embedding, mask tokens, positions, blocks, norm, prediction. */
#ifndef MODEL_AUTOENCODER_H
#define MODEL_AUTOENCODER_H

#include "model/vit.h"

/* int(P * (1 - ratio)) in double, as published. */
int64_t mask_keep_count(int64_t n_patches, double ratio);

/* The mask of one image: ids_keep[K] in the order in which they enter the encoder,
 * ids_restore[P] = place of each patch in (kept, removed), mask[P] (1 = removed).
 * K = mask_n_keep. Any output may be NULL. scratch: P values. */
int64_t mask_n_keep(MaskKind kind, const ModelConfig *c, double ratio);
void mask_draw(MaskKind kind, const ModelConfig *c, double ratio, uint64_t seed, uint64_t epoch,
               uint64_t sample, int32_t *ids_keep, int32_t *ids_restore, float *mask,
               uint64_t *scratch);
/* From noise[P]: stable ascending order (the published random masking). */
void mask_from_noise(const float *noise, int64_t n_patches, int64_t n_keep, int32_t *ids_keep,
                     int32_t *ids_restore, float *mask, uint64_t *scratch);
/* From a list of patches to keep (each once, in range; checked by the caller). */
void mask_from_keep(const int32_t *keep, int64_t n_keep, int64_t n_patches, int32_t *ids_restore,
                    float *mask);
/* Grid masking keeps patches with even row and even column; returns how many. */
int64_t mask_grid(int64_t rows, int64_t columns, int32_t *ids_keep);
/* BEiT's block masking, then filled or trimmed at random to exactly n_mask removed patches. */
void mask_block(int64_t rows, int64_t columns, int64_t n_mask, Rng *rng, float *mask);

/* What a graph computes. */
typedef enum ForwardKind {
    FORWARD_TRAIN, /* loss; prediction for the removed patches only */
    FORWARD_FULL   /* loss; prediction for all patches */
} ForwardKind;

typedef struct AutoencoderGraph {
    Graph *graph;
    int64_t batch, n_keep, n_pred;
    Value *pixels;      /* input u8 [B,h,w,C], NULL when built for float images */
    Value *images;      /* [B,C,h,w] normalised; an input when pixels is NULL */
    Value *ids_keep;    /* input i32 [B,K] */
    Value *ids_restore; /* input i32 [B,P] */
    Value *ids_pred;    /* input i32 [B,M]: patches predicted */
    Value *mask;        /* input real [B,P] */
    Value *latent;      /* [B,1+K,D] (all tokens when the encoder sees mask tokens) */
    Value *pred, *target, *loss_per_patch, *loss;
} AutoencoderGraph;

/* Built, not yet planned. float_images: images are given normalised instead of as pixels. */
Status autoencoder_graph(Vit *a, ForwardKind kind, int64_t batch, int64_t n_keep, bool float_images,
                         AutoencoderGraph *out, Error *err);
/* Finds a stage of the published code by its name ("blocks.0", "decoder_norm"; "patch_embed" has
 * the kept patches only). Keep it before planning to read it afterwards. */
Value *autoencoder_stage(const AutoencoderGraph *g, const char *name); /* NULL: none */

#endif
