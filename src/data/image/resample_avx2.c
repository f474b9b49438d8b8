/* The two inner loops of resample.c with AVX2, chosen at run time. A 22-bit weight is split into
 * high * 4096 + low, both of 16 bits, so that one multiply-add instruction does two taps; 8-bit
 * pixels are widened to 16. Partial sums may wrap around. The final sum is below 2^31, and adding
 * modulo 2^32 is exact in any order, so the result equals the plain loops to the bit. */
#include "data/image/resample_axis.h"

#include <stddef.h>
#include <string.h>

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>

#define AVX2 __attribute__((target("avx2")))

/* Weights of 4 taps as pairs: lane 0 has taps 0,1 in every 32 bits, lane 1 taps 2,3. */
typedef struct Taps {
    __m256i low, high;
} Taps;

AVX2 static inline Taps taps_load(const int16_t *split) {
    __m256i w = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)(const void *)split));
    return (Taps){_mm256_permutevar8x32_epi32(w, _mm256_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1)),
                  _mm256_permutevar8x32_epi32(w, _mm256_setr_epi32(2, 2, 2, 2, 3, 3, 3, 3))};
}

/* RGBRGBRGBRGB.... -> per lane (r r')(g g')(b b')(0 0), 16 bits each. Reads 16 bytes. */
AVX2 static inline __m256i pixels_load(const uint8_t *p) {
    const __m256i order =
        _mm256_setr_epi8(0, -1, 3, -1, 1, -1, 4, -1, 2, -1, 5, -1, -1, -1, -1, -1, /* taps 0, 1 */
                         6, -1, 9, -1, 7, -1, 10, -1, 8, -1, 11, -1, -1, -1, -1, -1);
    __m256i v = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)(const void *)p));
    return _mm256_shuffle_epi8(v, order);
}

/* Adds the lanes, rounds, clips; the low 3 bytes are one pixel. */
AVX2 static inline uint32_t pixel_finish(__m256i low, __m256i high) {
    __m256i v = _mm256_add_epi32(low, _mm256_slli_epi32(high, 12));
    __m128i s = _mm_add_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
    s = _mm_add_epi32(s, _mm_set1_epi32(1 << (RESAMPLE_BITS - 1)));
    s = _mm_srai_epi32(s, RESAMPLE_BITS);
    s = _mm_packus_epi16(_mm_packs_epi32(s, s), _mm_setzero_si128());
    return (uint32_t)_mm_cvtsi128_si32(s);
}

static inline void pixel_store(uint8_t *dst, uint32_t v) {
    dst[0] = (uint8_t)v;
    dst[1] = (uint8_t)(v >> 8);
    dst[2] = (uint8_t)(v >> 16);
}

/* The rows share the loading of the weights. */
AVX2 static void across_rows(uint8_t *dst, const uint8_t *src, int64_t src_stride,
                             const ResampleAxis *axis) {
    for (int64_t i = 0; i < axis->n; i++) {
        const int16_t *split = axis->split + 2 * i * axis->stride;
        const uint8_t *p = src + 3 * (int64_t)axis->first[i];
        __m256i low[RESAMPLE_ROWS], high[RESAMPLE_ROWS];
        for (int r = 0; r < RESAMPLE_ROWS; r++) low[r] = high[r] = _mm256_setzero_si256();
        for (int32_t t = 0; t < axis->count[i]; t += 4, split += 8, p += 12) {
            Taps w = taps_load(split);
            for (int r = 0; r < RESAMPLE_ROWS; r++) {
                __m256i v = pixels_load(p + r * src_stride);
                low[r] = _mm256_add_epi32(low[r], _mm256_madd_epi16(v, w.low));
                high[r] = _mm256_add_epi32(high[r], _mm256_madd_epi16(v, w.high));
            }
        }
        for (int r = 0; r < RESAMPLE_ROWS; r++)
            pixel_store(dst + 3 * (r * axis->n + i), pixel_finish(low[r], high[r]));
    }
}

/* Two rows, 16 columns: adds to 4 vectors of 4+4 sums in the order that unpack leaves. */
AVX2 static inline void down_pair(__m256i a, __m256i b, __m256i w_low, __m256i w_high,
                                  __m256i low[2], __m256i high[2]) {
    __m256i near = _mm256_unpacklo_epi16(a, b), far = _mm256_unpackhi_epi16(a, b);
    low[0] = _mm256_add_epi32(low[0], _mm256_madd_epi16(near, w_low));
    high[0] = _mm256_add_epi32(high[0], _mm256_madd_epi16(near, w_high));
    low[1] = _mm256_add_epi32(low[1], _mm256_madd_epi16(far, w_low));
    high[1] = _mm256_add_epi32(high[1], _mm256_madd_epi16(far, w_high));
}

AVX2 static inline __m256i widen(const uint8_t *p) {
    return _mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)(const void *)p));
}

AVX2 static inline __m256i down_finish(__m256i low, __m256i high) {
    __m256i v = _mm256_add_epi32(low, _mm256_slli_epi32(high, 12));
    v = _mm256_add_epi32(v, _mm256_set1_epi32(1 << (RESAMPLE_BITS - 1)));
    return _mm256_srai_epi32(v, RESAMPLE_BITS);
}

AVX2 static void down_16(uint8_t *dst, const uint8_t *src, int64_t src_stride, int32_t count,
                         const int16_t *split) {
    __m256i low[2], high[2];
    low[0] = low[1] = high[0] = high[1] = _mm256_setzero_si256();
    for (int32_t t = 0; t < count; t += 2) {
        const int16_t *w = split + t / 4 * 8 + t % 4;
        int32_t pair_low, pair_high;
        memcpy(&pair_low, w, sizeof pair_low);
        memcpy(&pair_high, w + 4, sizeof pair_high);
        __m256i a = widen(src + t * src_stride);
        __m256i b = t + 1 < count ? widen(src + (t + 1) * src_stride) : _mm256_setzero_si256();
        down_pair(a, b, _mm256_set1_epi32(pair_low), _mm256_set1_epi32(pair_high), low, high);
    }
    __m256i v = _mm256_packs_epi32(down_finish(low[0], high[0]), down_finish(low[1], high[1]));
    __m128i bytes = _mm_packus_epi16(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
    _mm_storeu_si128((__m128i *)(void *)dst, bytes);
}

static void down(uint8_t *dst, const uint8_t *src, int64_t src_stride, int64_t bytes,
                 const ResampleAxis *axis, int64_t i) {
    if (bytes < 16) {
        resample_down(dst, src, src_stride, bytes, axis, i);
        return;
    }
    const int16_t *split = axis->split + 2 * i * axis->stride;
    src += axis->first[i] * src_stride;
    for (int64_t x = 0; x < bytes; x += 16) {
        int64_t at = x + 16 <= bytes ? x : bytes - 16; /* the last block overlaps the one before */
        down_16(dst + at, src + at, src_stride, axis->count[i], split);
    }
}

const ResampleLoops *resample_loops_avx2(void) {
    static const ResampleLoops loops = {across_rows, down};
    return __builtin_cpu_supports("avx2") ? &loops : NULL;
}

#else

const ResampleLoops *resample_loops_avx2(void) {
    return NULL;
}

#endif
