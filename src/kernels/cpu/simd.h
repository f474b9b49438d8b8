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

static inline int64_t min_i64(int64_t a, int64_t b) {
    return a < b ? a : b;
}
static inline int64_t round_up(int64_t n, int64_t to) {
    return (n + to - 1) / to * to;
}

/* exp(x) within 2 ulp for -87.3 <= x <= 88; 0 below, exp(88) above. x = n log 2 + r; 2^n is made of
 * bits, exp(r) is a polynomial. Adding 1.5 * 2^23 rounds to an integer and leaves it in the low
 * bits. */
static inline float exp_f32(float x) {
    const float shift = 12582912.0f;
    float c = x < -87.3f ? -87.3f : x;
    c = c > 88.0f ? 88.0f : c;
    float shifted = c * 1.44269504f + shift;
    float n = shifted - shift;
    float r = c - n * 0.693359375f;
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
    return x < -87.3f ? 0.0f : p * power;
}

/* erf(z) / z on |z| <= 1, a polynomial in z^2 (relative error 1e-9 before rounding). */
static inline float erf_ratio_f32(float z2) {
    float p = 7.875875063e-5f;
    p = p * z2 - 0.0008016864287f;
    p = p * z2 + 0.005189087423f;
    p = p * z2 - 0.02685421201f;
    p = p * z2 + 0.1128359472f;
    p = p * z2 - 0.3761262667f;
    return p * z2 + 1.128379166f;
}

/* erfc(a) for a >= 1: exp of a polynomial (absolute error of the exponent 2e-8 before rounding);
 * 0 beyond 4, where it is under 1.6e-8. */
static inline float erfc_tail_f32(float a) {
    float p = -1.637308202e-6f;
    p = p * a + 4.606115784e-5f;
    p = p * a - 0.0005968319516f;
    p = p * a + 0.00475971955f;
    p = p * a - 0.02642148466f;
    p = p * a + 0.1100806912f;
    p = p * a + 0.6318254143f;
    p = p * a + 1.1302338f;
    p = p * a - 0.0003202256921f;
    float tail = exp_f32(-p);
    return a > 4.0f ? 0.0f : tail;
}

/* Phi(x), the standard normal distribution: gelu(x) = x Phi(x). Absolute error under 1e-7, and the
 * lower tail keeps its relative accuracy down to 1e-8. */
static inline float normal_cdf_f32(float x) {
    float z = x * 0.70710678f;
    float a = fabsf(z);
    float near = 0.5f + 0.5f * z * erf_ratio_f32(z * z);
    float tail = 0.5f * erfc_tail_f32(a);
    float far = x < 0.0f ? tail : 1.0f - tail;
    return a < 1.0f ? near : far;
}

#endif
