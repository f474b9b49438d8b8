/* Layer normalisation, one row at a time; see ref/norm.c for the formulas. Backward sums dw and db
 * over chunks of rows into the scratch, n_chunks x [dw C | db C], and adds the chunks in order. */
#include "kernels/cpu/simd.h"

enum { MAX_CHUNKS = 64, MIN_CHUNK_ROWS = 32 };

static int64_t chunk_rows(int64_t R) {
    int64_t rows = (R + MAX_CHUNKS - 1) / MAX_CHUNKS;
    return rows < MIN_CHUNK_ROWS ? MIN_CHUNK_ROWS : rows;
}

static int64_t n_chunks(int64_t R) {
    return (R + chunk_rows(R) - 1) / chunk_rows(R);
}

static float sum_row(const float *x, int64_t C) {
    float s = 0;
#pragma omp simd reduction(+ : s)
    for (int64_t c = 0; c < C; c++) s += x[c];
    return s;
}

/* Squares of differences to the mean: no cancellation when |mean| is much larger than the spread.
 */
static float sum_squared_differences(const float *x, float mean, int64_t C) {
    float s = 0;
#pragma omp simd reduction(+ : s)
    for (int64_t c = 0; c < C; c++) s += (x[c] - mean) * (x[c] - mean);
    return s;
}

static void forward_row(float *y, float *mean_out, float *rstd_out, const float *x, const float *w,
                        const float *b, int64_t C, double eps) {
    float mean = sum_row(x, C) / (float)C;
    double variance = (double)sum_squared_differences(x, mean, C) / (double)C;
    float rstd = (float)(1 / sqrt(variance + eps));
#pragma omp simd
    for (int64_t c = 0; c < C; c++) y[c] = (x[c] - mean) * rstd * w[c] + b[c];
    *mean_out = mean;
    *rstd_out = rstd;
}

static void layernorm_forward(Device *d, void *y, void *mean, void *rstd, const void *x,
                              const void *w, const void *b, int64_t R, int64_t C, double eps) {
#pragma omp parallel for schedule(static) num_threads(team(d, 8.0 * (double)(R * C)))
    for (int64_t r = 0; r < R; r++) {
        forward_row((float *)y + r * C, (float *)mean + r, (float *)rstd + r,
                    (const float *)x + r * C, w, b, C, eps);
    }
}

/* One row; dw, db are the sums of its chunk. dx may be NULL. */
static void backward_row(float *dx, float *dw, float *db, const float *dy, const float *x,
                         const float *w, float mean, float rstd, int64_t C, bool accumulate) {
    float sum_g = 0, sum_gn = 0;
#pragma omp simd reduction(+ : sum_g, sum_gn)
    for (int64_t c = 0; c < C; c++) {
        float n = (x[c] - mean) * rstd, g = dy[c] * w[c];
        sum_g += g;
        sum_gn += g * n;
        dw[c] += dy[c] * n;
        db[c] += dy[c];
    }
    if (!dx) return;
    float average_g = sum_g / (float)C, average_gn = sum_gn / (float)C;
    if (accumulate) {
#pragma omp simd
        for (int64_t c = 0; c < C; c++) {
            float n = (x[c] - mean) * rstd;
            dx[c] += rstd * (dy[c] * w[c] - average_g - n * average_gn);
        }
    } else {
#pragma omp simd
        for (int64_t c = 0; c < C; c++) {
            float n = (x[c] - mean) * rstd;
            dx[c] = rstd * (dy[c] * w[c] - average_g - n * average_gn);
        }
    }
}

static void layernorm_backward(Device *d, void *dx, void *dw, void *db, const void *dy,
                               const void *x, const void *mean, const void *rstd, const void *w,
                               int64_t R, int64_t C, bool accumulate, void *scratch) {
    float *sums = scratch, *total[2] = {dw, db};
    int64_t rows = chunk_rows(R), chunks = n_chunks(R);
#pragma omp parallel for schedule(static) num_threads(team(d, 16.0 * (double)(R * C)))
    for (int64_t i = 0; i < chunks; i++) {
        float *part = sums + i * 2 * C;
        memset(part, 0, (size_t)(2 * C) * sizeof(float));
        for (int64_t r = i * rows; r < min_i64((i + 1) * rows, R); r++) {
            backward_row(dx ? (float *)dx + r * C : NULL, part, part + C, (const float *)dy + r * C,
                         (const float *)x + r * C, w, ((const float *)mean)[r],
                         ((const float *)rstd)[r], C, accumulate);
        }
    }
    for (int64_t i = 1; i < chunks; i++) {
#pragma omp simd
        for (int64_t c = 0; c < 2 * C; c++) sums[c] += sums[i * 2 * C + c];
    }
    for (int64_t i = 0; i < 2; i++) {
        if (!total[i]) continue;
#pragma omp simd
        for (int64_t c = 0; c < C; c++) total[i][c] += sums[i * C + c];
    }
}

static size_t layernorm_scratch(const Device *d, int64_t R, int64_t C) {
    (void)d;
    return (size_t)(n_chunks(R) * 2 * C) * sizeof(float);
}

void SIMD(fill_norm)(Kernels *k) {
    k->layernorm_forward = layernorm_forward;
    k->layernorm_backward = layernorm_backward;
    k->layernorm_scratch = layernorm_scratch;
}
