/* Symmetric eigenproblems on the host, by LAPACK. */
#ifndef TRAIN_EIGEN_H
#define TRAIN_EIGEN_H

#include <stdint.h>

#include "base/status.h"

/* a[n,n] symmetric, overwritten: row i becomes the eigenvector of values[i], values ascending. */
Status eigen_symmetric(double *a, int64_t n, double *values, Error *err);

#endif
