/* Between images and patches. Image pixels are [C,height,width]; a patch is a p x p square of all
 * channels, listed as (channel,row,column) where it is embedded and as (row,column,channel) where
 * it is the target. */
#include "kernels/ref/ref.h"

/* Value i of pixels of that type. */
static float unit_of(const void *images, Number type, int64_t i) {
    if (type == NUMBER_U8) return (float)((const uint8_t *)images)[i] / 255.0f;
    if (type == NUMBER_U16) return (float)((const uint16_t *)images)[i] / 65535.0f;
    return ((const float *)images)[i];
}

static void image_normalize(Device *d, void *out_, const void *images, Number type,
                            const float *mean, const float *std, int64_t B, PatchGrid g) {
    (void)d;
    int64_t n_pixels = g.height * g.width;
    for (int64_t b = 0; b < B; b++) {
        for (int64_t i = 0; i < n_pixels; i++) {
            for (int64_t c = 0; c < g.channels; c++) {
                float unit = unit_of(images, type, (b * n_pixels + i) * g.channels + c);
                float centred = unit - mean[c];
                ((wide *)out_)[(b * g.channels + c) * n_pixels + i] = (wide)(centred / std[c]);
            }
        }
    }
}

/* The top left pixel of patch `id` of image b, in its first channel. */
static const wide *patch_at(const wide *images, PatchGrid g, int64_t b, int64_t id) {
    int64_t per_row = g.width / g.patch;
    int64_t row = id / per_row * g.patch, column = id % per_row * g.patch;
    return images + b * g.channels * g.height * g.width + row * g.width + column;
}

static void patch_gather(Device *d, void *out_, const void *images, const int32_t *ids, int64_t B,
                         int64_t M, PatchGrid g) {
    (void)d;
    real *out = out_;
    for (int64_t i = 0; i < B * M; i++) {
        const wide *from = patch_at(images, g, i / M, ids[i]);
        for (int64_t c = 0; c < g.channels; c++) {
            for (int64_t y = 0; y < g.patch; y++) {
                for (int64_t x = 0; x < g.patch; x++) {
                    put(out++, (double)from[(c * g.height + y) * g.width + x], false);
                }
            }
        }
    }
}

/* (v - mean) / sqrt(unbiased variance + 1e-6), as the published norm_pix_loss. */
static void normalize_patch(wide *v, int64_t n) {
    double mean = 0, variance = 0;
    for (int64_t i = 0; i < n; i++) mean += (double)v[i];
    mean /= (double)n;
    for (int64_t i = 0; i < n; i++) variance += ((double)v[i] - mean) * ((double)v[i] - mean);
    variance /= (double)(n - 1);
    double divisor = sqrt(variance + 1e-6);
    for (int64_t i = 0; i < n; i++) v[i] = (wide)(((double)v[i] - mean) / divisor);
}

static void patch_target(Device *d, void *out_, const void *images, const int32_t *ids, int64_t B,
                         int64_t M, PatchGrid g, bool normalize) {
    (void)d;
    int64_t n = g.channels * g.patch * g.patch;
    for (int64_t i = 0; i < B * M; i++) {
        const wide *from = patch_at(images, g, i / M, ids[i]);
        wide *to = (wide *)out_ + i * n, *next = to;
        for (int64_t y = 0; y < g.patch; y++) {
            for (int64_t x = 0; x < g.patch; x++) {
                for (int64_t c = 0; c < g.channels; c++) {
                    *next++ = from[(c * g.height + y) * g.width + x];
                }
            }
        }
        if (normalize) normalize_patch(to, n);
    }
}

void REF(fill_patch)(Kernels *k) {
    k->image_normalize = image_normalize;
    k->patch_gather = patch_gather;
    k->patch_target = patch_target;
}
