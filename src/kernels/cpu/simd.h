/* What the *_simd.c files share: symbol names per instruction set, a vector type as wide as the
 * registers, and exp and the normal distribution as straight-line float code that the compiler
 * turns into vector code inside `#pragma omp simd` loops. NaN propagates through all of them. */
#ifndef KERNELS_CPU_SIMD_H
#define KERNELS_CPU_SIMD_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "kernels/cpu/cpu.h"

#define SIMD_PASTE_(isa, symbol) cpu_##isa##_##symbol
#define SIMD_PASTE(isa, symbol) SIMD_PASTE_(isa, symbol)
#define SIMD(symbol) SIMD_PASTE(ISA, symbol)

void SIMD(fill_matmul)(Kernels *k);
void SIMD(fill_activation)(Kernels *k);
void SIMD(fill_norm)(Kernels *k);
void SIMD(fill_batchnorm)(Kernels *k);
void SIMD(fill_attention)(Kernels *k);
void SIMD(fill_loss)(Kernels *k);
void SIMD(fill_cross_entropy)(Kernels *k);
void SIMD(fill_elementwise)(Kernels *k);
void SIMD(fill_optim)(Kernels *k);

#if defined(__AVX512F__)
#define VEC_LANES 16
#elif defined(__AVX__)
#define VEC_LANES 8
#else
#define VEC_LANES 4
#endif

/* One register of floats; its address is a multiple of its size. */
typedef float Vec __attribute__((vector_size(VEC_LANES * 4), may_alias));

/* The same at any address of a float, and four floats. */
typedef float VecAnywhere __attribute__((vector_size(VEC_LANES * 4), may_alias, aligned(4)));
typedef float Four __attribute__((vector_size(16), may_alias, aligned(4)));

#define ALWAYS_INLINE inline __attribute__((always_inline))

/* Lanes picked from two vectors by number. */
#if defined(__clang__) || __GNUC__ >= 12
#define SHUFFLE_4(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#define SHUFFLE SHUFFLE_4
#else
typedef int32_t FourIds __attribute__((vector_size(16)));
typedef int32_t VecIds __attribute__((vector_size(VEC_LANES * 4)));
#define SHUFFLE_4(a, b, ...) __builtin_shuffle(a, b, (FourIds){__VA_ARGS__})
#define SHUFFLE(a, b, ...) __builtin_shuffle(a, b, (VecIds){__VA_ARGS__})
#endif

#if VEC_LANES == 16
#define EVEN_LANES 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30
#define ODD_LANES 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31
#elif VEC_LANES == 8
#define EVEN_LANES 0, 2, 4, 6, 8, 10, 12, 14
#define ODD_LANES 1, 3, 5, 7, 9, 11, 13, 15
#else
#define EVEN_LANES 0, 2, 4, 6
#define ODD_LANES 1, 3, 5, 7
#endif

static inline Vec even_lanes(Vec a, Vec b) {
    return SHUFFLE(a, b, EVEN_LANES);
}
static inline Vec odd_lanes(Vec a, Vec b) {
    return SHUFFLE(a, b, ODD_LANES);
}

/* to[j * step + i] = factor * from[i * ld + j] of 4 x 4. */
static inline void transpose_four(float *to, int64_t step, const float *from, int64_t ld,
                                  float factor) {
    Four r0 = *(const Four *)from * factor, r1 = *(const Four *)(from + ld) * factor;
    Four r2 = *(const Four *)(from + 2 * ld) * factor, r3 = *(const Four *)(from + 3 * ld) * factor;
    Four a = SHUFFLE_4(r0, r2, 0, 4, 1, 5), b = SHUFFLE_4(r1, r3, 0, 4, 1, 5);
    Four c = SHUFFLE_4(r0, r2, 2, 6, 3, 7), d = SHUFFLE_4(r1, r3, 2, 6, 3, 7);
    *(Four *)to = SHUFFLE_4(a, b, 0, 4, 1, 5);
    *(Four *)(to + step) = SHUFFLE_4(a, b, 2, 6, 3, 7);
    *(Four *)(to + 2 * step) = SHUFFLE_4(c, d, 0, 4, 1, 5);
    *(Four *)(to + 3 * step) = SHUFFLE_4(c, d, 2, 6, 3, 7);
}

static inline int64_t min_i64(int64_t a, int64_t b) {
    return a < b ? a : b;
}
static inline int64_t clamp_i64(int64_t x, int64_t low, int64_t high) {
    return x > high ? high : x < low ? low : x;
}
static inline int64_t round_up(int64_t n, int64_t to) {
    return (n + to - 1) / to * to;
}

/* exp(x) within 2 ulp for -87.3 <= x <= 88. x = n log 2 + r; 2^n is made of bits, exp(r) is a
 * polynomial. Adding 1.5 * 2^23 rounds to an integer and leaves it in the low bits. */
static inline float exp_inside_f32(float x) {
    const float shift = 12582912.0f;
    float shifted = x * 1.44269504f + shift;
    float n = shifted - shift;
    float r = x - n * 0.693359375f;
    r = r + n * 2.12194440e-4f;
    float p = 0.00139263919f;
    p = p * r + 0.008363345811f;
    p = p * r + 0.04166655336f;
    p = p * r + 0.1666657599f;
    p = p * r + 0.5f;
    p = (r * r) * p + r + 1.0f;
    uint32_t bits;
    memcpy(&bits, &shifted, 4);
    bits = (bits + 127u) << 23;
    float power;
    memcpy(&power, &bits, 4);
    return p * power;
}

/* The same for every x: 0 below, exp(88) above. */
static inline float exp_f32(float x) {
    float c = x < -87.3f ? -87.3f : x;
    c = c > 88.0f ? 88.0f : c;
    return x < -87.3f ? 0.0f : exp_inside_f32(c);
}

/* Phi(x), the standard normal distribution: gelu(x) = x Phi(x). The tail beyond a = |x| is exp of a
 * polynomial, fitted on 0..5.7 such that the absolute error of Phi is under 6e-8 and the relative
 * error of the tail under 4e-6; it goes on falling steadily to 2e-32 at 11, where a is cut. */
static inline float normal_cdf_f32(float x) {
    float a = fabsf(x);
    a = a > 11.0f ? 11.0f : a;
    float p = 1.35706086e-8f;
    p = p * a - 4.28444253e-7f;
    p = p * a + 5.79135849e-6f;
    p = p * a - 4.23631973e-5f;
    p = p * a + 0.000157172792f;
    p = p * a + 7.55429937e-5f;
    p = p * a - 0.00490582921f;
    p = p * a + 0.036408741f;
    p = p * a + 0.318289071f;
    p = p * a + 0.797886729f;
    p = p * a + 0.693147123f;
    float tail = exp_inside_f32(-p);
    return x < 0.0f ? tail : 1.0f - tail;
}

/* gelu'(x) = Phi(x) + x phi(x), phi being the density of Phi and cdf = Phi(x). */
static inline float gelu_slope_f32(float x, float cdf) {
    float density = 0.39894228f * exp_f32(-0.5f * x * x);
    return cdf + x * density;
}

#endif
