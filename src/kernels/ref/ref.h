/* The reference kernels are compiled three times, so that one text is tutorial, oracle for every
 * faster version, and ground for gradient checks: for float (REF_NAME=ref), for double (ref64), and
 * for activations in bf16 with float for the rest (refbf16). `real` is the type of activations,
 * `wide` of all other numbers (kernels.h). Every real is read by get and written by put. REF(x)
 * gives a symbol its prefix. Sums are taken in double. */
#ifndef KERNELS_REF_REF_H
#define KERNELS_REF_REF_H

#include <math.h>

#include "base/tensor.h"
#include "kernels/kernels.h"

typedef WIDE wide;

#ifdef REF_BF16
typedef struct real {
    uint16_t bits;
} real;

static inline double get(real x) {
    return (double)bf16_to_f32(x.bits);
}

static inline real nearest(double x) {
    return (real){f32_to_bf16((float)x)};
}
#else
typedef WIDE real;

static inline double get(real x) {
    return (double)x;
}

static inline real nearest(double x) {
    return (real)x;
}
#endif

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

/* A weight as a product reads it. */
static inline double rounded(wide x) {
    return get(nearest((double)x));
}

/* Writes, or adds, one element of a result. */
static inline void put(real *x, double value, bool accumulate) {
    *x = nearest(accumulate ? get(*x) + value : value);
}

static inline void put_wide(wide *x, double value, bool accumulate) {
    *x = (wide)(accumulate ? (double)*x + value : value);
}

#endif
