/* Features of a frozen encoder in memory: a probe without augmentation computes them only once.
 * Images that cannot be read are left out in all processes (dataset_n_left_out). */
#ifndef INFER_CACHED_FEATURES_H
#define INFER_CACHED_FEATURES_H

#include "infer/evaluate.h"

typedef struct CachedFeatures CachedFeatures;
/* Each process of the job computes a part, and all get the whole. batch: the most samples of a call
 * of cached_features_gather. */
Status cached_features_new(Session *s, const SessionJob *job, int64_t batch, CachedFeatures **out,
                           Error *err);
void cached_features_free(CachedFeatures *c); /* accepts NULL */
/* The features [n,D] of the samples of b. The next readable sample stands in for one that could not
 * be read. b->labels becomes their labels. Both are valid until the next call. */
const float *cached_features_gather(CachedFeatures *c, Batch *b);
/* As evaluate_run, but only the head of v runs. */
Status cached_features_evaluate(CachedFeatures *c, Vit *v, const int *class_of, Evaluation *out,
                                Error *err);

#endif
