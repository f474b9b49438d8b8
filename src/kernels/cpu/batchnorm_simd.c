/* Batch normalisation, a band of columns at a time: its rows are read twice for mean and variance,
 * a third time for the result, by one thread. Sums are in double. See ref/batchnorm.c. */
#include "kernels/cpu/simd.h"

enum { COLUMNS = 64 }; /* of a band */

/* sum of x[b,c] over B rows that lie C apart. */
static void column_sums(double *sum, const float *x, int64_t B, int64_t C, int64_t n) {
    for (int64_t c = 0; c < n; c++) sum[c] = 0;
    for (int64_t b = 0; b < B; b++) {
#pragma omp simd
        for (int64_t c = 0; c < n; c++) sum[c] += (double)x[b * C + c];
    }
}

/* The same of (x - mean)^2. */
static void column_squares(double *sum, const float *x, const double *mean, int64_t B, int64_t C,
                           int64_t n) {
    for (int64_t c = 0; c < n; c++) sum[c] = 0;
    for (int64_t b = 0; b < B; b++) {
#pragma omp simd
        for (int64_t c = 0; c < n; c++) {
            double difference = (double)x[b * C + c] - mean[c];
            sum[c] += difference * difference;
        }
    }
}

/* y = (x - mean) * rstd; y may be x. */
static void normalize_band(float *y, const float *x, const double *mean, const double *rstd,
                           int64_t B, int64_t C, int64_t n) {
    for (int64_t b = 0; b < B; b++) {
#pragma omp simd
        for (int64_t c = 0; c < n; c++) {
            y[b * C + c] = (float)(((double)x[b * C + c] - mean[c]) * rstd[c]);
        }
    }
}

/* What is not finite would stay in the average for good; the update of such a batch is skipped. */
static void move_average(float *average, double value, double momentum) {
    if (isfinite(value)) *average = (float)((1 - momentum) * (double)*average + momentum * value);
}

static void batchnorm_train(Device *d, void *y, void *running_mean, void *running_var, void *count,
                            const void *x_, int64_t B, int64_t C, double eps, double momentum) {
#pragma omp parallel for schedule(static) num_threads(team(d, 4.0 * (double)(B * C)))
    for (int64_t at = 0; at < C; at += COLUMNS) {
        const float *x = (const float *)x_ + at;
        double mean[COLUMNS], squares[COLUMNS], rstd[COLUMNS];
        int64_t n = min_i64(COLUMNS, C - at);
        column_sums(mean, x, B, C, n);
        for (int64_t c = 0; c < n; c++) mean[c] /= (double)B;
        column_squares(squares, x, mean, B, C, n);
        for (int64_t c = 0; c < n; c++) {
            rstd[c] = 1 / sqrt(squares[c] / (double)B + eps);
            move_average((float *)running_mean + at + c, mean[c], momentum);
            move_average((float *)running_var + at + c, squares[c] / (double)(B - 1), momentum);
        }
        normalize_band((float *)y + at, x, mean, rstd, B, C, n);
    }
    *(float *)count += 1;
}

static void batchnorm_infer(Device *d, void *y, const void *running_mean, const void *running_var,
                            const void *x, int64_t B, int64_t C, double eps) {
#pragma omp parallel for schedule(static) num_threads(team(d, (double)(B * C)))
    for (int64_t at = 0; at < C; at += COLUMNS) {
        double mean[COLUMNS], rstd[COLUMNS];
        int64_t n = min_i64(COLUMNS, C - at);
        for (int64_t c = 0; c < n; c++) {
            mean[c] = (double)((const float *)running_mean)[at + c];
            rstd[c] = 1 / sqrt((double)((const float *)running_var)[at + c] + eps);
        }
        normalize_band((float *)y + at, (const float *)x + at, mean, rstd, B, C, n);
    }
}

void SIMD(fill_batchnorm)(Kernels *k) {
    k->batchnorm_train = batchnorm_train;
    k->batchnorm_infer = batchnorm_infer;
}
