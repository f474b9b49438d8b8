/* Nearest neighbours among features, by cosine, and what they vote for. Host memory. */
#ifndef INFER_KNN_H
#define INFER_KNN_H

#include "kernels/device.h"

/* The k <= n rows of bank[n,width] that are most like each of queries[m,width]: rows[m,k], best
 * first, equal ones by number; cosines[m,k] may be NULL. Rows need not be normalised; one of zeros
 * has cosine 0 with all. The result does not depend on the number of threads. Besides what is given
 * it takes memory for KNN_BLOCK queries and KNN_TILE rows at a time. NONFINITE: a row has a number
 * that is not finite. INTERRUPTED: a stop was asked for; stop may be NULL. */
#define KNN_BLOCK 256
#define KNN_TILE 16384
Status knn_nearest(Device *d, const float *bank, int64_t n, const float *queries, int64_t m,
                   int64_t width, int64_t k, Stop *stop, int64_t *rows, float *cosines, Error *err);

/* The class that the neighbours of each query vote for, weighted exp(cosine / temperature):
 * predicted[m] from rows[m,k], cosines[m,k] and the labels of the bank. Ties go to the smaller
 * class. */
Status knn_vote(const int64_t *rows, const float *cosines, int64_t m, int64_t k, const int *labels,
                int n_classes, double temperature, int *predicted, Error *err);

#endif
