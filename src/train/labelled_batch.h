/* What a classifier learns from: images (mixed and normalised on the way), targets, and the draws
 * of stochastic depth. The graph makes a loss of them. */
#ifndef TRAIN_LABELLED_BATCH_H
#define TRAIN_LABELLED_BATCH_H

#include "data/augment/mix.h"
#include "data/loader.h"
#include "model/classifier.h"

typedef struct LabelledOptions {
    int64_t batch;
    double drop_path, smoothing;
    MixOptions mix; /* mixing needs an even batch and float images */
    uint64_t seed;
    bool float_images;  /* batches come with normalised images (erasing, mixing) */
    MaeType type;       /* otherwise of the pixels of batches */
    bool from_features; /* a probe over features: images are not looked at */
    /* Of a batch that is cut among processes (LoaderOptions). Mixing is drawn for the whole batch.
     * With peers, the statistics of a batch norm are of the whole batch, too. */
    int64_t rank, n_ranks; /* 0: one process */
    const GraphPeers *peers;
} LabelledOptions;

typedef struct LabelledBatch {
    Vit *model;
    ClassifierGraph graph;
    LabelledOptions options;
    float *targets; /* [B,classes] */
    float *keep;    /* [2*depth,B] */
    int *labels;    /* [B] */
    MixItem *items; /* [B] */
    MixItem *drawn; /* [n_ranks * B] */
} LabelledBatch;

/* The graph is planned for training. */
Status labelled_batch_new(Vit *v, LabelledOptions options, LabelledBatch **out, Error *err);
void labelled_batch_free(LabelledBatch *l); /* accepts NULL */
/* Sets a whole batch of the loader. label_of: class of the model for each class of the data. Mixing
 * depends on (seed, epoch, batch) and changes b->images. Stochastic depth depends on (seed, epoch,
 * sample). features: [B,D] with from_features, otherwise NULL. */
void labelled_batch_set(LabelledBatch *l, Batch *b, const int *label_of, const float *features);

#endif
