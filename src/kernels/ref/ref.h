/* The reference kernels are compiled twice, for float (REF_NAME=ref) and for double (ref64), so
 * that one text is tutorial, oracle for every faster version, and ground for gradient checks.
 * `real` is the type of activations, `wide` of all other numbers (kernels.h). Every real is read by
 * get and written by put. REF(x) gives a symbol its prefix. Sums are taken in double. */
#ifndef KERNELS_REF_REF_H
#define KERNELS_REF_REF_H

#include <math.h>

#include "kernels/kernels.h"

typedef REAL real;
typedef WIDE wide;

#define REF_PASTE_(a, b) a##_##b
#define REF_PASTE(a, b) REF_PASTE_(a, b)
#define REF(symbol) REF_PASTE(REF_NAME, symbol)

/* Every file fills its own rows of the table; REF(fill_table) calls them all. */
void REF(fill_table)(Kernels *k);
void REF(fill_matmul)(Kernels *k);
void REF(fill_activation)(Kernels *k);
void REF(fill_norm)(Kernels *k);
void REF(fill_batchnorm)(Kernels *k);
void REF(fill_attention)(Kernels *k);
void REF(fill_patch)(Kernels *k);
void REF(fill_tokens)(Kernels *k);
void REF(fill_loss)(Kernels *k);
void REF(fill_cross_entropy)(Kernels *k);
void REF(fill_elementwise)(Kernels *k);
void REF(fill_optim)(Kernels *k);

/* Phi(x), the standard normal distribution: gelu(x) = x Phi(x). */
static inline double normal_cdf(double x) {
    return 0.5 * erfc(-x * 0.70710678118654752440);
}

/* gelu'(x) = Phi(x) + x phi(x), phi being the density of Phi. */
static inline double gelu_slope(double x) {
    return normal_cdf(x) + x * 0.39894228040143267794 * exp(-0.5 * x * x);
}

/* A weight as a product reads it: of the precision of an activation. */
static inline double rounded(wide x) {
    return (double)(real)x;
}

static inline double get(real x) {
    return (double)x;
}

/* Writes, or adds, one element of a result. */
static inline void put(real *x, double value, bool accumulate) {
    *x = (real)(accumulate ? get(*x) + value : value);
}

static inline void put_wide(wide *x, double value, bool accumulate) {
    *x = (wide)(accumulate ? (double)*x + value : value);
}

#endif
