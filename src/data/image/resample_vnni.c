/* The two inner loops of resample.c with AVX-512 VNNI, chosen at run time. One instruction adds
 * four products of unsigned and signed bytes to a 32-bit sum. A 22-bit weight is therefore cut into
 * three signed bytes, top * 65536 + middle * 256 + low, with a sum for each. Partial sums may wrap
 * around. The final sum is below 2^31, and adding modulo 2^32 is exact in any order, so the result
 * equals the plain loops to the bit. */
#include "data/image/resample_axis.h"

#include <stddef.h>
#include <string.h>

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>

#define VNNI __attribute__((target("avx2,avx512f,avx512bw,avx512vl,avx512vnni")))

static bool has_vnni(void) {
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("avx512f") &&
           __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512vnni");
}

/* Sums for each byte of the weights. */
typedef struct Sums {
    __m256i low, middle, top;
} Sums;

VNNI static inline Sums sums_begin(void) {
    return (Sums){_mm256_set1_epi32(1 << (RESAMPLE_BITS - 1)), _mm256_setzero_si256(),
                  _mm256_setzero_si256()};
}

/* Four taps: pixels has their four bytes in every 32 bits. */
VNNI static inline Sums sums_add(Sums s, __m256i pixels, const int32_t *parts) {
    return (Sums){_mm256_dpbusd_epi32(s.low, pixels, _mm256_set1_epi32(parts[0])),
                  _mm256_dpbusd_epi32(s.middle, pixels, _mm256_set1_epi32(parts[1])),
                  _mm256_dpbusd_epi32(s.top, pixels, _mm256_set1_epi32(parts[2]))};
}

VNNI static inline __m256i sums_end(Sums s) {
    __m256i v = _mm256_add_epi32(s.low, _mm256_slli_epi32(s.middle, 8));
    return _mm256_srai_epi32(_mm256_add_epi32(v, _mm256_slli_epi32(s.top, 16)), RESAMPLE_BITS);
}

/* --- across ----------------------------------------------------------------------------------- */

/* Two of the rows lie in the halves of each vector. */
VNNI static inline __m128i load_16(const uint8_t *p) {
    return _mm_loadu_si128((const __m128i *)(const void *)p);
}

/* RGBRGBRGBRGB.... of two rows -> (r r r r)(g g g g)(b b b b)(0 0 0 0) of each. */
VNNI static inline __m256i pixels_load(const uint8_t *upper, const uint8_t *lower) {
    const __m256i order = _mm256_broadcastsi128_si256(
        _mm_setr_epi8(0, 3, 6, 9, 1, 4, 7, 10, 2, 5, 8, 11, -1, -1, -1, -1));
    __m256i v = _mm256_inserti128_si256(_mm256_castsi128_si256(load_16(upper)), load_16(lower), 1);
    return _mm256_shuffle_epi8(v, order);
}

/* Three bytes; four where the pixel after it is still to be written. */
static inline void pixel_store(uint8_t *dst, int32_t v, bool last) {
    if (last)
        memcpy(dst, &v, 3);
    else
        memcpy(dst, &v, 4);
}

VNNI static void across_rows(uint8_t *dst, const uint8_t *src, int64_t src_stride,
                             const ResampleAxis *axis) {
    const int64_t row = 3 * axis->n;
    for (int64_t i = 0; i < axis->n; i++, dst += 3) {
        const int32_t *parts = axis->parts + i * axis->stride / 4 * 3;
        const uint8_t *p = src + 3 * (int64_t)axis->first[i];
        Sums a = sums_begin(), b = sums_begin();
        for (int32_t t = 0; t < axis->count[i]; t += 4, parts += 3, p += 12) {
            a = sums_add(a, pixels_load(p, p + src_stride), parts);
            b = sums_add(b, pixels_load(p + 2 * src_stride, p + 3 * src_stride), parts);
        }
        /* Per half: the pixels of rows 0 and 2, of rows 1 and 3. */
        __m256i v = _mm256_packs_epi32(sums_end(a), sums_end(b));
        v = _mm256_packus_epi16(v, v);
        __m128i even = _mm256_castsi256_si128(v), odd = _mm256_extracti128_si256(v, 1);
        bool last = i + 1 == axis->n;
        pixel_store(dst, _mm_cvtsi128_si32(even), last);
        pixel_store(dst + row, _mm_cvtsi128_si32(odd), last);
        pixel_store(dst + 2 * row, _mm_extract_epi32(even, 1), last);
        pixel_store(dst + 3 * row, _mm_extract_epi32(odd, 1), last);
    }
}

/* --- down ------------------------------------------------------------------------------------- */

enum { COLUMNS = 32 };

VNNI static inline __m256i load_32(const uint8_t *p) {
    return _mm256_loadu_si256((const __m256i *)(const void *)p);
}

/* COLUMNS columns; rows past the count have weight zero, and the last one stands in for them. */
VNNI static void down_block(uint8_t *dst, const uint8_t *src, int64_t src_stride, int32_t count,
                            const int32_t *parts) {
    Sums s[4] = {sums_begin(), sums_begin(), sums_begin(), sums_begin()};
    for (int32_t t = 0; t < count; t += 4, parts += 3) {
        const uint8_t *row[4];
        for (int k = 0; k < 4; k++) row[k] = src + (t + k < count ? t + k : count - 1) * src_stride;
        __m256i r0 = load_32(row[0]), r1 = load_32(row[1]);
        __m256i r2 = load_32(row[2]), r3 = load_32(row[3]);
        __m256i near_a = _mm256_unpacklo_epi8(r0, r1), far_a = _mm256_unpackhi_epi8(r0, r1);
        __m256i near_b = _mm256_unpacklo_epi8(r2, r3), far_b = _mm256_unpackhi_epi8(r2, r3);
        s[0] = sums_add(s[0], _mm256_unpacklo_epi16(near_a, near_b), parts);
        s[1] = sums_add(s[1], _mm256_unpackhi_epi16(near_a, near_b), parts);
        s[2] = sums_add(s[2], _mm256_unpacklo_epi16(far_a, far_b), parts);
        s[3] = sums_add(s[3], _mm256_unpackhi_epi16(far_a, far_b), parts);
    }
    __m256i near = _mm256_packs_epi32(sums_end(s[0]), sums_end(s[1]));
    __m256i far = _mm256_packs_epi32(sums_end(s[2]), sums_end(s[3]));
    _mm256_storeu_si256((__m256i *)(void *)dst, _mm256_packus_epi16(near, far));
}

static void down(uint8_t *dst, const uint8_t *src, int64_t src_stride, int64_t bytes,
                 const ResampleAxis *axis, int64_t i) {
    if (bytes < COLUMNS) {
        resample_down(dst, src, src_stride, bytes, axis, i);
        return;
    }
    const int32_t *parts = axis->parts + i * axis->stride / 4 * 3;
    src += axis->first[i] * src_stride;
    for (int64_t x = 0; x < bytes; x += COLUMNS) {
        int64_t at = x + COLUMNS <= bytes ? x : bytes - COLUMNS; /* the last block overlaps */
        down_block(dst + at, src + at, src_stride, axis->count[i], parts);
    }
}

const ResampleLoops *resample_loops_vnni(void) {
    static const ResampleLoops loops = {across_rows, down};
    return has_vnni() ? &loops : NULL;
}

#else

const ResampleLoops *resample_loops_vnni(void) {
    return NULL;
}

#endif
