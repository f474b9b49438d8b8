/* Frozen features: images through the encoder with nothing masked. Works for masked autoencoders,
 * bare encoders and classifiers. */
#ifndef INFER_FEATURES_H
#define INFER_FEATURES_H

#include "data/loader.h"
#include "mae.h"
#include "model/vit.h"

typedef struct EncoderOptions {
    int64_t batch;
    PoolKind pool;
    /* 0: after the final norm; of a classifier, what its head reads. N, from 1: as block N puts
     * tokens out, without the final norm; later blocks are not computed. */
    int64_t block;
    bool attention; /* encoder_attention will be called */
} EncoderOptions;

typedef struct Encoder Encoder;
/* USAGE: a block that the model does not have; block 0 of a classifier with another pool than it
 * was trained with. */
Status encoder_new(Vit *v, EncoderOptions o, Encoder **out, Error *err);
void encoder_free(Encoder *e); /* accepts NULL */
int64_t encoder_batch(const Encoder *e);
/* Values an image: D, or (1+P)*D for all tokens. */
int64_t encoder_values(const Encoder *e);
/* The graph behind it, to measure: its FLOPs, bytes and ops. */
Graph *encoder_graph(Encoder *e);
/* n <= batch images u8 [n,h,w,C] -> out[n, encoder_values]; out may be NULL. False: the graph was
 * stopped (watch_images), and nothing is written. */
bool encoder_run(Encoder *e, const uint8_t *pixels, int64_t n, float *out);
/* Attention of the cls token to the patches in options.block (0: the last one) for image i of the
 * last run -> out[H,P], each head's sums to at most 1. */
void encoder_attention(Encoder *e, int64_t i, float *out);

/* Called with the features of each batch in order of the samples. */
typedef Status (*FeatureSink)(void *user, const float *features, const Batch *b, Error *err);
typedef struct FeatureJob {
    Dataset *data;
    Augment augment;
    int workers;
    int64_t limit; /* the first images, 0: all */
    bool strict;   /* an unreadable image is an error, otherwise it is left out */
    const MaeEvents *events;
} FeatureJob;
/* The images of a dataset through the encoder. EMPTY: none of them could be read. */
Status features_stream(Encoder *e, const FeatureJob *job, FeatureSink sink, void *user, Error *err);

#endif
