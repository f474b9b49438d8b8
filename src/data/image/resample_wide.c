/* The two inner loops of resampling for 16 bits and float32: sums in double over ascending taps,
 * rounded to the type. Compiled once for each type, which is a constant in every loop. */
#include <stddef.h>
#include <string.h>

#include "base/status.h"
#include "data/image/image.h"
#include "data/image/resample_axis.h"

static inline double value_get(MaeType type, const void *p, int64_t i) {
    return type == MAE_U16 ? (double)((const uint16_t *)p)[i] : (double)((const float *)p)[i];
}

/* 16 bits round halves up and are clipped. */
static inline void value_set(MaeType type, void *p, int64_t i, double sum) {
    double v = sum + 0.5;
    if (type == MAE_F32)
        ((float *)p)[i] = (float)sum;
    else
        ((uint16_t *)p)[i] = (uint16_t)(v <= 0.0 ? 0.0 : v >= 65535.0 ? 65535.0 : v);
}

static inline void across_row(MaeType type, void *dst, const void *src, int64_t channels,
                              const ResampleAxis *axis) {
    enum { BLOCK = 8 };
    for (int64_t i = 0; i < axis->n; i++) {
        const double *w = axis->exact + i * axis->stride;
        int64_t first = axis->first[i] * channels;
        for (int64_t c = 0; c < channels; c += BLOCK) {
            double sum[BLOCK] = {0};
            int64_t n = channels - c < BLOCK ? channels - c : BLOCK;
            for (int32_t t = 0; t < axis->count[i]; t++)
                for (int64_t k = 0; k < n; k++)
                    sum[k] += value_get(type, src, first + t * channels + c + k) * w[t];
            for (int64_t k = 0; k < n; k++) value_set(type, dst, i * channels + c + k, sum[k]);
        }
    }
}

/* Common numbers of channels are constants too. */
static inline void across_typed(MaeType type, void *dst, const void *src, int64_t channels,
                                const ResampleAxis *axis) {
    if (channels == 1)
        across_row(type, dst, src, 1, axis);
    else if (channels == 3)
        across_row(type, dst, src, 3, axis);
    else
        across_row(type, dst, src, channels, axis);
}

void resample_wide_across(MaeType type, void *dst, const void *src, int64_t src_stride,
                          int64_t n_rows, int64_t channels, const ResampleAxis *axis) {
    size_t pixel = (size_t)channels * image_value_bytes(type), bytes = (size_t)axis->n * pixel;
    for (int64_t y = 0; y < n_rows; y++) {
        uint8_t *to = (uint8_t *)dst + (size_t)y * bytes;
        const uint8_t *from = (const uint8_t *)src + y * src_stride;
        if (axis->same)
            memcpy(to, from + (size_t)axis->first[0] * pixel, bytes);
        else if (type == MAE_U16)
            across_typed(MAE_U16, to, from, channels, axis);
        else
            across_typed(MAE_F32, to, from, channels, axis);
    }
}

static inline void down_row(MaeType type, void *dst, const uint8_t *src, int64_t src_stride,
                            int64_t n_values, int32_t count, const double *w) {
    enum { BLOCK = 64 };
    for (int64_t x = 0; x < n_values; x += BLOCK) {
        int64_t n = n_values - x < BLOCK ? n_values - x : BLOCK;
        double sum[BLOCK] = {0};
        for (int32_t t = 0; t < count; t++)
            for (int64_t k = 0; k < n; k++)
                sum[k] += value_get(type, src + t * src_stride, x + k) * w[t];
        for (int64_t k = 0; k < n; k++) value_set(type, dst, x + k, sum[k]);
    }
}

void resample_wide_down(MaeType type, void *dst, const void *src, int64_t src_stride,
                        int64_t n_values, const ResampleAxis *axis, int64_t i) {
    const uint8_t *from = (const uint8_t *)src + axis->first[i] * src_stride;
    const double *w = axis->exact + i * axis->stride;
    if (axis->same)
        memcpy(dst, from, (size_t)n_values * image_value_bytes(type));
    else if (type == MAE_U16)
        down_row(MAE_U16, dst, from, src_stride, n_values, axis->count[i], w);
    else
        down_row(MAE_F32, dst, from, src_stride, n_values, axis->count[i], w);
}
