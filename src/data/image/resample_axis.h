/* Private to resample*.c: the weights along one axis, and the two inner loops in plain C, AVX2 and
 * AVX-512 VNNI. */
#ifndef DATA_IMAGE_RESAMPLE_AXIS_H
#define DATA_IMAGE_RESAMPLE_AXIS_H

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
    /* weight = top * 65536 + middle * 256 + low in signed bytes: per group of 4 taps their lows in
     * one number, the first tap lowest, then their middles, then their tops. */
    int32_t *parts;
} ResampleAxis;

/* dst[n_rows][axis->n][channels] from rows of src, src_stride bytes apart. `end` is the first byte
 * that may not be read. */
void resample_across(uint8_t *dst, const uint8_t *src, int64_t src_stride, const uint8_t *end,
                     int64_t n_rows, int64_t channels, const ResampleAxis *axis);
/* One output row of `bytes` bytes: output i of axis, rows of src src_stride apart. */
void resample_down(uint8_t *dst, const uint8_t *src, int64_t src_stride, int64_t bytes,
                   const ResampleAxis *axis, int64_t i);

/* The same in vectors; across is for 3 channels only. */
typedef struct ResampleLoops {
    void (*across)(uint8_t *dst, const uint8_t *src, int64_t src_stride, const uint8_t *end,
                   int64_t n_rows, const ResampleAxis *axis);
    void (*down)(uint8_t *dst, const uint8_t *src, int64_t src_stride, int64_t bytes,
                 const ResampleAxis *axis, int64_t i);
} ResampleLoops;
/* NULL where the processor or the compiler does not have it. */
const ResampleLoops *resample_loops_avx2(void);
const ResampleLoops *resample_loops_vnni(void);

/* How far loads of 16 bytes for 4 taps of 3 channels go in a row of src: beyond the last tap that
 * counts. */
static inline int64_t resample_reach(const ResampleAxis *axis) {
    int64_t reach = 0;
    for (int64_t i = 0; i < axis->n; i++) {
        int64_t r = 3 * ((int64_t)axis->first[i] + (axis->count[i] + 3) / 4 * 4) + 4;
        if (r > reach) reach = r;
    }
    return reach;
}

static inline uint8_t resample_clip(int32_t sum) {
    int32_t v = sum >> RESAMPLE_BITS;
    return (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v);
}

#endif
