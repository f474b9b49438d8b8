/* Private to resample*.c: the weights along one axis, and the two inner loops. Those for 8 bits are
 * in plain C (resample.c), AVX2 and AVX-512 VNNI, those for wider types in resample_wide.c. */
#ifndef DATA_IMAGE_RESAMPLE_AXIS_H
#define DATA_IMAGE_RESAMPLE_AXIS_H

#include <stdbool.h>
#include <stdint.h>

#include "mae.h"

enum { RESAMPLE_BITS = 22, RESAMPLE_ROWS = 4 /* that vector loops do at once */ };

/* Output i is the sum over t < count[i] of weight[i*stride + t] * input[first[i] + t], rounded and
 * shifted down by RESAMPLE_BITS. stride is a multiple of 4; weights past count are zero. An axis
 * for 16 bits or float32 has no weights but `exact`, one for 8 bits has all others. */
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
    double *exact;
    bool same; /* input and output have one size: values are copied */
} ResampleAxis;

typedef struct ResampleLoops ResampleLoops;

/* dst[n_rows][axis->n][channels] from rows of src, src_stride bytes apart. `end` is the first byte
 * that may not be read; rows too near to it, or too few, are left to plain C. loops may be NULL. */
void resample_across(const ResampleLoops *loops, uint8_t *dst, const uint8_t *src,
                     int64_t src_stride, const uint8_t *end, int64_t n_rows, int64_t channels,
                     const ResampleAxis *axis);
/* One output row of `bytes` bytes: output i of axis, rows of src src_stride apart. */
void resample_down(uint8_t *dst, const uint8_t *src, int64_t src_stride, int64_t bytes,
                   const ResampleAxis *axis, int64_t i);
/* Both for 16 bits and float32; strides in bytes. */
void resample_wide_across(MaeType type, void *dst, const void *src, int64_t src_stride,
                          int64_t n_rows, int64_t channels, const ResampleAxis *axis);
void resample_wide_down(MaeType type, void *dst, const void *src, int64_t src_stride,
                        int64_t n_values, const ResampleAxis *axis, int64_t i);

/* 8 bits in vectors; across_rows takes RESAMPLE_ROWS rows of 3 channels. */
struct ResampleLoops {
    void (*across_rows)(uint8_t *dst, const uint8_t *src, int64_t src_stride,
                        const ResampleAxis *axis);
    void (*down)(uint8_t *dst, const uint8_t *src, int64_t src_stride, int64_t bytes,
                 const ResampleAxis *axis, int64_t i);
};
/* NULL where the processor or the compiler does not have it. */
const ResampleLoops *resample_loops_avx2(void);
const ResampleLoops *resample_loops_vnni(void);

static inline uint8_t resample_clip(int32_t sum) {
    int32_t v = sum >> RESAMPLE_BITS;
    return (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v);
}

#endif
