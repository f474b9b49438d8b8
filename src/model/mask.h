/* Which patches a masked autoencoder sees: the rule, and the masks of a batch. */
#ifndef MODEL_MASK_H
#define MODEL_MASK_H

#include "model/vit.h"

/* RANDOM  the published shuffle of each image
 * BLOCK   BEiT's rectangles, then trimmed or filled at random to the same count for every image
 * GRID    keeps even columns of even rows, whatever the ratio */
typedef struct MaskRule {
    MaskKind kind;
    double ratio; /* of removed patches */
} MaskRule;

/* int(P * (1 - ratio)) in double, as published. */
int64_t mask_keep_count(int64_t n_patches, double ratio);
/* K of the rule. A ratio outside [0, 1) gives a K that autoencoder_graph refuses. */
int64_t mask_n_keep(MaskRule rule, const ModelConfig *c);

typedef struct Masks {
    MaskRule rule;
    int64_t batch, rows, columns, n_patches, n_keep; /* B, grid, P, K */
    int32_t *ids_keep;    /* [B,K] in the order in which they enter the encoder */
    int32_t *ids_restore; /* [B,P] place of each patch in (kept, removed) */
    int32_t *ids_pred;    /* [B,M] written by autoencoder_set_masks */
    float *mask;          /* [B,P] 1 = removed */
    uint64_t *keys;       /* [P] scratch */
} Masks;

/* Nothing is drawn yet. MEMORY; *out is NULL then. */
Status masks_new(MaskRule rule, const ModelConfig *c, int64_t batch, Masks **out, Error *err);
void masks_free(Masks *m); /* accepts NULL */
/* The mask of image b, keyed by (seed, epoch, sample). */
void masks_draw(Masks *m, int64_t b, uint64_t seed, uint64_t epoch, uint64_t sample);
/* Keeps the patches with the smallest noise[P], smallest first, as published; ties by index. */
void masks_from_noise(Masks *m, int64_t b, const float *noise);
/* Completes the mask of image b from its ids_keep: K patches, each once. The caller may have set
 * n_keep, up to P. The removed ones follow in raster order. */
void masks_from_keep(Masks *m, int64_t b);

#endif
