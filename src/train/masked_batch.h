/* What a masked autoencoder learns from: images and masks of a micro-batch. The graph makes a loss
 * of them. */
#ifndef TRAIN_MASKED_BATCH_H
#define TRAIN_MASKED_BATCH_H

#include "model/autoencoder.h"

typedef struct MaskedBatch {
    AutoencoderGraph graph;
    Masks *masks;
    uint64_t seed;
} MaskedBatch;

/* The graph is planned for training. type: of the pixels. */
Status masked_batch_new(Vit *v, MaskRule rule, MaeType type, int64_t batch, uint64_t seed,
                        MaskedBatch **out, Error *err);
void masked_batch_free(MaskedBatch *m); /* accepts NULL */

/* Masks depend on (seed, epoch, samples[i]). Copies pixels [batch,h,w,C] to the device. */
void masked_batch_set(MaskedBatch *m, const void *pixels, uint64_t epoch, const int64_t *samples);

#endif
