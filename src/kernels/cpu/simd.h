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

/* The same at any address of a float. */
typedef float VecAnywhere __attribute__((vector_size(VEC_LANES * 4), may_alias, aligned(4)));

#define ALWAYS_INLINE inline __attribute__((always_inline))

/* Lanes picked from two vectors by number. */
#if defined(__clang__) || __GNUC__ >= 12
#define SHUFFLE(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
typedef int32_t VecIds __attribute__((vector_size(VEC_LANES * 4)));
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

/* Lane j of v[i] becomes lane i of v[j]: every round puts the even lanes of neighbours before their
 * odd ones. */
static ALWAYS_INLINE void transpose_lanes(Vec v[VEC_LANES]) {
#pragma GCC unroll 4
    for (int round = 1; round < VEC_LANES; round *= 2) {
        Vec dealt[VEC_LANES];
#pragma GCC unroll 8
        for (int i = 0; i < VEC_LANES / 2; i++) {
            dealt[i] = even_lanes(v[2 * i], v[2 * i + 1]);
            dealt[i + VEC_LANES / 2] = odd_lanes(v[2 * i], v[2 * i + 1]);
        }
#pragma GCC unroll 16
        for (int i = 0; i < VEC_LANES; i++) v[i] = dealt[i];
    }
}

/* to[j * step + i] = factor * from[i * ld + j] for i < n, zero for the other i < VEC_LANES; of
 * VEC_LANES columns j, in ascending order. */
static ALWAYS_INLINE void transpose_block(float *to, int64_t step, const float *from, int64_t ld,
                                          int64_t n, float factor) {
    Vec v[VEC_LANES] = {{0}};
#pragma GCC unroll 16
    for (int i = 0; i < VEC_LANES; i++)
        if (i < n) v[i] = *(const VecAnywhere *)(from + i * ld) * factor;
    transpose_lanes(v);
#pragma GCC unroll 16
    for (int j = 0; j < VEC_LANES; j++) *(VecAnywhere *)(to + j * step) = v[j];
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
    float r2 = r * r;
    float high = 0.00139263919f * r + 0.008363345811f;
    float low = 0.04166655336f * r + 0.1666657599f;
    float p = (high * r2 + low) * r + 0.5f;
    p = r2 * p + (r + 1.0f);
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
    float a2 = a * a, a4 = a2 * a2;
    float p0 = (0.036408741f * a + 0.318289071f) * a2 + (0.797886729f * a + 0.693147123f);
    float p4 = (-4.23631973e-5f * a + 0.000157172792f) * a2 + (7.55429937e-5f * a - 0.00490582921f);
    float p8 = 1.35706086e-8f * a2 + (-4.28444253e-7f * a + 5.79135849e-6f);
    float p = (p8 * a4 + p4) * a4 + p0;
    float tail = exp_inside_f32(-p);
    return x < 0.0f ? tail : 1.0f - tail;
}

/* gelu'(x) = Phi(x) + x phi(x), phi being the density of Phi and cdf = Phi(x). */
static inline float gelu_slope_f32(float x, float cdf) {
    float density = 0.39894228f * exp_f32(-0.5f * x * x);
    return cdf + x * density;
}

#endif
