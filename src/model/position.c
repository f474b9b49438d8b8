/* Position embeddings: the fixed sin-cos table, and its interpolation to another grid. */
#include <math.h>
#include <string.h>

#include "model/vit.h"

static void sincos_half(float *out, int64_t half, double position) {
    int64_t quarter = half / 2;
    for (int64_t k = 0; k < quarter; k++) {
        double angle = position * (1 / pow(10000, (double)k / (double)quarter));
        out[k] = (float)sin(angle);
        out[quarter + k] = (float)cos(angle);
    }
}

void pos_embed_sincos(float *out, int64_t width, int64_t rows, int64_t columns) {
    ASSERT(width % 4 == 0, "sin-cos positions of width %lld", (long long)width);
    memset(out, 0, (size_t)width * sizeof *out);
    for (int64_t y = 0; y < rows; y++)
        for (int64_t x = 0; x < columns; x++) {
            float *row = out + (1 + y * columns + x) * width;
            sincos_half(row, width / 2, (double)x);
            sincos_half(row + width / 2, width / 2, (double)y);
        }
}

/* Four taps at output place o of n, in float as torch computes them. */
static void taps(int64_t o, int64_t in, int64_t out, int64_t index[4], float weight[4]) {
    const float a = -0.75f;
    float scale = (float)in / (float)out;
    float x = scale * ((float)o + 0.5f) - 0.5f;
    float base = floorf(x), t = x - base;
    for (int k = 0; k < 4; k++) {
        int64_t i = (int64_t)base - 1 + k;
        index[k] = i < 0 ? 0 : i >= in ? in - 1 : i;
        float d = fabsf(t - (float)(k - 1));
        weight[k] = d <= 1 ? ((a + 2) * d - (a + 3)) * d * d + 1
                           : ((a * d - 5 * a) * d + 8 * a) * d - 4 * a;
    }
}

void pos_embed_interpolate(float *out, int64_t out_rows, int64_t out_columns, const float *in,
                           int64_t in_rows, int64_t in_columns, int64_t width) {
    memcpy(out, in, (size_t)width * sizeof *out);
    for (int64_t y = 0; y < out_rows; y++)
        for (int64_t x = 0; x < out_columns; x++) {
            int64_t iy[4], ix[4];
            float wy[4], wx[4];
            taps(y, in_rows, out_rows, iy, wy);
            taps(x, in_columns, out_columns, ix, wx);
            float *row = out + (1 + y * out_columns + x) * width;
            for (int64_t c = 0; c < width; c++) {
                float sum = 0;
                for (int k = 0; k < 4; k++) {
                    float line = 0;
                    for (int m = 0; m < 4; m++)
                        line += wx[m] * in[(1 + iy[k] * in_columns + ix[m]) * width + c];
                    sum += wy[k] * line;
                }
                row[c] = sum;
            }
        }
}
