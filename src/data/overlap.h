/* Images that two datasets share: the same file, or the same place in the same file, whatever it is
 * called. Copies are other images. */
#ifndef DATA_OVERLAP_H
#define DATA_OVERLAP_H

#include "data/dataset.h"

typedef struct Overlap {
    int64_t images;     /* of b that are in a, too */
    int64_t generated;  /* the same of synthetic images, which are not among them */
    int64_t in_a, in_b; /* one of the former; -1: none */
} Overlap;

/* Calls found(user, i, j) for every image i of a that is image j of b, generated ones included: in
 * the order of i, then of j. */
Status dataset_pairs(const Dataset *a, const Dataset *b,
                     void (*found)(void *user, int64_t i, int64_t j), void *user, Error *err);
Status dataset_overlap(const Dataset *a, const Dataset *b, Overlap *out, Error *err);

#endif
