/* Frozen features: images through the encoder with nothing masked. */
#ifndef TRAIN_FEATURES_H
#define TRAIN_FEATURES_H

#include "data/loader.h"
#include "mae.h"
#include "model/autoencoder.h"

typedef struct Encoder Encoder;
/* pool_cls: the cls token instead of the mean of the patch tokens. */
Status encoder_new(Vit *a, int64_t batch, bool pool_cls, Encoder **out, Error *err);
void encoder_free(Encoder *e); /* accepts NULL */
int64_t encoder_batch(const Encoder *e);
/* n <= batch images u8 [n,h,w,C] -> out[n, embed_dim]. */
void encoder_run(Encoder *e, const uint8_t *pixels, int64_t n, float *out);

/* Called with the features of each batch in order of the samples. */
typedef Status (*FeatureSink)(void *user, const float *features, const Batch *b, Error *err);
/* The first `limit` images (0 = all) of a dataset through the encoder. */
Status features_stream(Encoder *e, Dataset *d, const Augment *augment, int workers, int64_t limit,
                       const MaeEvents *events, FeatureSink sink, void *user, Error *err);

#endif
