/* The inner loop of affine.c with AVX2, chosen at run time: the channels of a pixel are the lanes.
 * The coefficients along a row are sums of bytes, exact as integers and as doubles; everything else
 * is the same operation on doubles in the same order, and not fused, so the bits are the same. */
#include "data/augment/affine_row.h"

#include <string.h>

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>

#define AVX2 __attribute__((target("avx2")))

bool affine_has_avx2(void) {
    return __builtin_cpu_supports("avx2");
}

/* Three channels and one byte more. */
AVX2 static inline __m128i pixel_load(const uint8_t *p) {
    int32_t v;
    memcpy(&v, p, sizeof v);
    return _mm_cvtepu8_epi32(_mm_cvtsi32_si128(v));
}

/* v2 + d (p2 + d (p3 + d p4)) */
AVX2 static inline __m256d polynomial(__m256d v2, __m256d p2, __m256d p3, __m256d p4, __m256d d) {
    __m256d sum = _mm256_add_pd(p3, _mm256_mul_pd(d, p4));
    sum = _mm256_add_pd(p2, _mm256_mul_pd(d, sum));
    return _mm256_add_pd(v2, _mm256_mul_pd(d, sum));
}

/* Of the pixels at p + at[0..3]. */
AVX2 static inline __m256d cubic_of_bytes(const uint8_t *p, const AffineTaps *t) {
    __m128i v1 = pixel_load(p + t->at[0]), v2 = pixel_load(p + t->at[1]);
    __m128i v3 = pixel_load(p + t->at[2]), v4 = pixel_load(p + t->at[3]);
    __m128i p2 = _mm_sub_epi32(v3, v1), fall = _mm_sub_epi32(v1, v2);
    __m128i p4 = _mm_sub_epi32(_mm_sub_epi32(v4, v3), fall);
    __m128i p3 = _mm_sub_epi32(fall, p4);
    return polynomial(_mm256_cvtepi32_pd(v2), _mm256_cvtepi32_pd(p2), _mm256_cvtepi32_pd(p3),
                      _mm256_cvtepi32_pd(p4), _mm256_set1_pd(t->d));
}

AVX2 static inline __m256d cubic(__m256d v1, __m256d v2, __m256d v3, __m256d v4, double d) {
    __m256d p2 = _mm256_sub_pd(v3, v1);
    __m256d p3 = _mm256_mul_pd(_mm256_set1_pd(2.0), _mm256_sub_pd(v1, v2));
    p3 = _mm256_sub_pd(_mm256_add_pd(p3, v3), v4);
    __m256d p4 = _mm256_add_pd(_mm256_sub_pd(_mm256_sub_pd(v2, v1), v3), v4);
    return polynomial(v2, p2, p3, p4, _mm256_set1_pd(d));
}

AVX2 static inline __m256d value_at(const uint8_t *in, const AffineTaps *x, const AffineTaps *y) {
    if (y->d == 0.0) return cubic_of_bytes(in + y->at[1], x);
    if (x->d == 0.0) return cubic_of_bytes(in + x->at[1], y);
    return cubic(cubic_of_bytes(in + y->at[0], x), cubic_of_bytes(in + y->at[1], x),
                 cubic_of_bytes(in + y->at[2], x), cubic_of_bytes(in + y->at[3], x), y->d);
}

/* Truncated, then limited to 0..255 by the packing. */
AVX2 static inline void pixel_store(uint8_t *dst, __m256d v) {
    __m128i i = _mm256_cvttpd_epi32(v);
    i = _mm_packs_epi32(i, i);
    uint32_t bytes = (uint32_t)_mm_cvtsi128_si32(_mm_packus_epi16(i, i));
    dst[0] = (uint8_t)bytes;
    dst[1] = (uint8_t)(bytes >> 8);
    dst[2] = (uint8_t)(bytes >> 16);
}

AVX2 void affine_row_avx2(const Affine *a, const uint8_t *in, Image *out, int64_t y,
                          const uint8_t *fill) {
    uint8_t *dst = out->pixels + y * out->width * 3;
    for (int64_t x = 0; x < out->width; x++, dst += 3) {
        double from_x, from_y;
        if (affine_point(a, out, x, y, &from_x, &from_y)) {
            AffineTaps tx = affine_taps(from_x, out->width, 3);
            AffineTaps ty = affine_taps(from_y, out->height, out->width * 3);
            pixel_store(dst, value_at(in, &tx, &ty));
        } else {
            memcpy(dst, fill, 3);
        }
    }
}

#else

bool affine_has_avx2(void) {
    return false;
}

void affine_row_avx2(const Affine *a, const uint8_t *in, Image *out, int64_t y,
                     const uint8_t *fill) {
    affine_row(a, in, out, y, fill);
}

#endif
