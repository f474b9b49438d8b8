/* The images of a source that are most like given ones: what is found, for the job and its
 * picture. */
#ifndef JOBS_NEIGHBOURS_H
#define JOBS_NEIGHBOURS_H

#include "jobs/bank.h"

/* Image `image` of the source is image `query` of those given. */
typedef struct SamePair {
    int64_t query, image;
} SamePair;

typedef struct Neighbours {
    Bank source, given;
    Augment source_augment, given_augment; /* how the model sees them */
    int64_t k;
    int64_t *row;   /* [given.n,k] of the source, most like first; -1: there are no more */
    float *cosine;  /* [given.n,k] */
    SamePair *same; /* in the order of query, then image; none of them is among the rows */
    int64_t n_same;
    size_t same_capacity;
    bool failed; /* memory ran out while pairs were noted */
} Neighbours;

/* The pairs of given row q, in *n. */
const SamePair *neighbours_same(const Neighbours *s, int64_t q, int64_t *n);
/* The class of given row q: its own, or that of the same image of the source; NULL: none. */
const char *neighbours_given_class(const Neighbours *s, int64_t q);
/* The class of a row of the source; NULL: none. */
const char *neighbours_class(const Neighbours *s, int64_t row);

/* Writes a sheet of them into a PNG file: a row a query, the query at the left, the cosine and the
 * class under each neighbour. Long ones are cut, which goes to the log. */
Status neighbours_write_sheet(const Neighbours *s, const char *path, Error *err);

#endif
