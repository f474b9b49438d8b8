/* Features of a frozen encoder, kept in memory: a probe without augmentation need not compute them
 * in every epoch. Images that cannot be read are left out in all processes (dataset_n_left_out). */
#ifndef INFER_CACHED_FEATURES_H
#define INFER_CACHED_FEATURES_H

#include "infer/evaluate.h"

typedef struct CacheJob {
    Dataset *data;
    Augment augment;
    int workers;
    bool strict;   /* an unreadable image is an error */
    int64_t batch; /* most samples that are gathered at a time */
    Comm *comm;    /* each process computes a part, all get the whole; NULL: alone */
} CacheJob;

typedef struct CachedFeatures CachedFeatures;
Status cached_features_new(Session *s, Vit *v, const CacheJob *job, const MaeEvents *events,
                           CachedFeatures **out, Error *err);
void cached_features_free(CachedFeatures *c); /* accepts NULL */
/* [n,D] of the samples of a batch, valid until the next call; in place of one that could not be
 * read the next one of the data, whose label the batch then has. */
const float *cached_features_gather(CachedFeatures *c, Batch *b);
/* As evaluate_run, with the head of v alone. */
Status cached_features_evaluate(CachedFeatures *c, Vit *v, const int *label_of, Evaluation *out,
                                Error *err);

#endif
