/* Private to resample*.c: the weights along one axis, and the two inner loops in plain C and
 * AVX2. */
#ifndef DATA_RESAMPLE_AXIS_H
#define DATA_RESAMPLE_AXIS_H

#include <stdbool.h>
#include <stdint.h>

enum { RESAMPLE_BITS = 22 };

/* Output i is the sum over t < count[i] of weight[i*stride + t] * input[first[i] + t], rounded and
 * shifted down by RESAMPLE_BITS. stride is a multiple of 4; weights past count are zero. */
typedef struct ResampleAxis {
    int64_t n, stride;
    int32_t *first, *count;
    int32_t *weight;
    /* weight = high * 4096 + low for multiply-add of 16-bit pairs: per group of 4 taps
     * low[4], high[4]. */
    int16_t *split;
} ResampleAxis;

/* dst[n_rows][axis->n][channels] from rows of src, src_stride bytes apart. `end` is the first byte
 * that may not be read. */
void resample_across(uint8_t *dst, const uint8_t *src, int64_t src_stride, const uint8_t *end,
                     int64_t n_rows, int64_t channels, const ResampleAxis *axis);
/* One output row of `bytes` bytes: output i of axis, rows of src src_stride apart. */
void resample_down(uint8_t *dst, const uint8_t *src, int64_t src_stride, int64_t bytes,
                   const ResampleAxis *axis, int64_t i);

/* The same; across is for 3 channels only. Call them only where resample_has_avx2(). */
bool resample_has_avx2(void);
void resample_across_avx2(uint8_t *dst, const uint8_t *src, int64_t src_stride, const uint8_t *end,
                          int64_t n_rows, const ResampleAxis *axis);
void resample_down_avx2(uint8_t *dst, const uint8_t *src, int64_t src_stride, int64_t bytes,
                        const ResampleAxis *axis, int64_t i);

static inline uint8_t resample_clip(int32_t sum) {
    int32_t v = sum >> RESAMPLE_BITS;
    return (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v);
}

#endif
