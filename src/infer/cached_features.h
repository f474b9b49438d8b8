/* Features of a frozen encoder, kept in memory: a probe without augmentation need not compute them
 * in every epoch. Images that cannot be read are left out in all processes (dataset_n_left_out). */
#ifndef INFER_CACHED_FEATURES_H
#define INFER_CACHED_FEATURES_H

#include "infer/evaluate.h"

typedef struct CachedFeatures CachedFeatures;
/* Each process of the job computes a part, all get the whole. batch: most samples that are gathered
 * at a time. */
Status cached_features_new(Session *s, const SessionJob *job, int64_t batch, CachedFeatures **out,
                           Error *err);
void cached_features_free(CachedFeatures *c); /* accepts NULL */
/* [n,D] of the samples of a batch, valid until the next call; in place of one that could not be
 * read the next one of the data, whose label the batch then has. */
const float *cached_features_gather(CachedFeatures *c, Batch *b);
/* As evaluate_run, with the head of v alone. */
Status cached_features_evaluate(CachedFeatures *c, Vit *v, const int *class_of, Evaluation *out,
                                Error *err);

#endif
