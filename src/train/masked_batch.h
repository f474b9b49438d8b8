/* What a masked autoencoder is given: images and masks of a micro-batch, in the graph that makes a
 * loss of them. */
#ifndef TRAIN_MASKED_BATCH_H
#define TRAIN_MASKED_BATCH_H

#include "model/autoencoder.h"

typedef struct MaskedOptions {
    int64_t batch;
    MaskKind mask;
    double mask_ratio;
    uint64_t seed;
    bool float_images; /* inputs are given as normalised images (golden tests) */
} MaskedOptions;

typedef struct MaskedBatch {
    Vit *model;
    AutoencoderGraph graph;
    MaskedOptions options;
    int32_t *ids_keep, *ids_restore, *ids_pred;
    float *mask;
    uint64_t *scratch;
} MaskedBatch;

/* The graph is planned for training. */
Status masked_batch_new(Vit *v, MaskedOptions options, MaskedBatch **out, Error *err);
void masked_batch_free(MaskedBatch *m); /* accepts NULL */

/* Masks keyed by (seed, epoch, samples[i]); pixels u8 [batch,h,w,C] are copied to the device. */
void masked_batch_set(MaskedBatch *m, const uint8_t *pixels, uint64_t epoch,
                      const int64_t *samples);
/* The same from normalised images [B,C,h,w] and noise [B,P]. */
void masked_batch_set_float(MaskedBatch *m, const float *images, const float *noise);

#endif
