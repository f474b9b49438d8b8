/* Between images and patches, by threads over images or patches; see ref/patch.c. Where an image
 * value is one of 256 bytes, normalising looks it up. */
#include <math.h>
#include <string.h>

#include "kernels/cpu/cpu.h"

/* One channel plane. The table is exact: it holds what the formula gives for each byte. */
static void normalize_u8(float *out, const uint8_t *image, int64_t n_pixels, int64_t channels,
                         float mean, float std) {
    float table[256];
    for (int v = 0; v < 256; v++) {
        float unit = (float)v / 255.0f;
        float centred = unit - mean;
        table[v] = centred / std;
    }
    for (int64_t i = 0; i < n_pixels; i++) out[i] = table[image[i * channels]];
}

static void normalize_u16(float *out, const uint16_t *image, int64_t n_pixels, int64_t channels,
                          float mean, float std) {
    for (int64_t i = 0; i < n_pixels; i++) {
        float unit = (float)image[i * channels] / 65535.0f;
        float centred = unit - mean;
        out[i] = centred / std;
    }
}

static void normalize_f32(float *out, const float *image, int64_t n_pixels, int64_t channels,
                          float mean, float std) {
    for (int64_t i = 0; i < n_pixels; i++) {
        float centred = image[i * channels] - mean;
        out[i] = centred / std;
    }
}

static void image_normalize(Device *d, void *out, const void *images, Number type,
                            const float *mean, const float *std, int64_t B, PatchGrid g) {
    int64_t n_pixels = g.height * g.width, C = g.channels;
#pragma omp parallel for schedule(static) num_threads(team(d, (double)(B * C * n_pixels)))
    for (int64_t i = 0; i < B * C; i++) {
        int64_t c = i % C, at = i / C * n_pixels * C + c;
        float *plane = (float *)out + i * n_pixels;
        if (type == NUMBER_U8)
            normalize_u8(plane, (const uint8_t *)images + at, n_pixels, C, mean[c], std[c]);
        else if (type == NUMBER_U16)
            normalize_u16(plane, (const uint16_t *)images + at, n_pixels, C, mean[c], std[c]);
        else
            normalize_f32(plane, (const float *)images + at, n_pixels, C, mean[c], std[c]);
    }
}

/* The top left pixel of patch `id` of image b, in its first channel. */
static const float *patch_at(const float *images, PatchGrid g, int64_t b, int64_t id) {
    int64_t per_row = g.width / g.patch;
    int64_t row = id / per_row * g.patch, column = id % per_row * g.patch;
    return images + b * g.channels * g.height * g.width + row * g.width + column;
}

static void patch_gather(Device *d, void *out, const void *images, const int32_t *ids, int64_t B,
                         int64_t M, PatchGrid g) {
    int64_t n = g.channels * g.patch * g.patch;
#pragma omp parallel for schedule(static) num_threads(team(d, (double)(B * M * n)))
    for (int64_t i = 0; i < B * M; i++) {
        const float *from = patch_at(images, g, i / M, ids[i]);
        float *to = (float *)out + i * n;
        for (int64_t row = 0; row < g.channels * g.patch; row++) {
            int64_t c = row / g.patch, y = row % g.patch;
            memcpy(to + row * g.patch, from + (c * g.height + y) * g.width,
                   (size_t)g.patch * sizeof(float));
        }
    }
}

static void normalize_patch(float *v, int64_t n) {
    double mean = 0, variance = 0;
    for (int64_t i = 0; i < n; i++) mean += (double)v[i];
    mean /= (double)n;
    for (int64_t i = 0; i < n; i++) variance += ((double)v[i] - mean) * ((double)v[i] - mean);
    variance /= (double)(n - 1);
    double divisor = sqrt(variance + 1e-6);
    for (int64_t i = 0; i < n; i++) v[i] = (float)(((double)v[i] - mean) / divisor);
}

static void patch_target(Device *d, void *out, const void *images, const int32_t *ids, int64_t B,
                         int64_t M, PatchGrid g, bool normalize) {
    int64_t n = g.channels * g.patch * g.patch;
#pragma omp parallel for schedule(static) num_threads(team(d, (double)(B * M * n)))
    for (int64_t i = 0; i < B * M; i++) {
        const float *from = patch_at(images, g, i / M, ids[i]);
        float *to = (float *)out + i * n;
        for (int64_t row = 0; row < g.patch * g.channels; row++) {
            int64_t y = row / g.channels, c = row % g.channels;
            const float *line = from + (c * g.height + y) * g.width;
            for (int64_t x = 0; x < g.patch; x++) to[(y * g.patch + x) * g.channels + c] = line[x];
        }
        if (normalize) normalize_patch(to, n);
    }
}

void cpu_fill_patch(Kernels *k) {
    k->image_normalize = image_normalize;
    k->patch_gather = patch_gather;
    k->patch_target = patch_target;
}
