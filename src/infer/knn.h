/* k nearest neighbours on frozen features: cosine similarity, votes weighted exp(cosine / T). */
#ifndef INFER_KNN_H
#define INFER_KNN_H

#include "kernels/device.h"

/* Scales each row of x[n,width] to length 1 (a zero row stays). */
void knn_normalize(float *x, int64_t n, int64_t width);
/* Rows of memory[n_memory,width] and queries[n_queries,width] are normalised. predicted[n_queries];
 * ties go to the smaller class. INTERRUPTED: *stop is no longer 0; stop may be NULL. */
Status knn_predict(Device *d, const float *memory, const int *labels, int64_t n_memory,
                   const float *queries, int64_t n_queries, int64_t width, int n_classes, int64_t k,
                   double temperature, const volatile int *stop, int *predicted, Error *err);

#endif
