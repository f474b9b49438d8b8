/* Layer normalisation (Ba et al., arXiv 1607.06450): every row is shifted and scaled to mean 0 and
 * variance 1, then multiplied by w and shifted by b.
 *
 * Backward: write n = (x - mean) * rstd, and g = dy * w for the gradient that reaches n. Moving one
 * x also moves the mean and the variance of its row. That takes away the part of g along the
 * constant vector and the part along n: dx = rstd * (g - avg(g) - n * avg(g * n)). */
#include "kernels/ref/ref.h"

static void layernorm_forward(Device *d, void *y_, void *mean_, void *rstd_, const void *x_,
                              const void *w_, const void *b_, int64_t R, int64_t C, double eps) {
    (void)d;
    const wide *w = w_, *b = b_;
    for (int64_t r = 0; r < R; r++) {
        const real *x = (const real *)x_ + r * C;
        real *y = (real *)y_ + r * C;
        double mean = 0, variance = 0;
        for (int64_t c = 0; c < C; c++) mean += get(x[c]) / (double)C;
        for (int64_t c = 0; c < C; c++) {
            variance += (get(x[c]) - mean) * (get(x[c]) - mean) / (double)C;
        }
        double rstd = 1 / sqrt(variance + eps);
        for (int64_t c = 0; c < C; c++) {
            put(y + c, (get(x[c]) - mean) * rstd * (double)w[c] + (double)b[c], false);
        }
        ((wide *)mean_)[r] = (wide)mean;
        ((wide *)rstd_)[r] = (wide)rstd;
    }
}

static void backward_row(real *dx, const real *dy, const real *x, const wide *w, double mean,
                         double rstd, int64_t C, bool accumulate) {
    double average_g = 0, average_gn = 0;
    for (int64_t c = 0; c < C; c++) {
        double n = (get(x[c]) - mean) * rstd;
        double g = get(dy[c]) * (double)w[c];
        average_g += g / (double)C;
        average_gn += g * n / (double)C;
    }
    for (int64_t c = 0; c < C; c++) {
        double n = (get(x[c]) - mean) * rstd;
        double g = get(dy[c]) * (double)w[c];
        put(&dx[c], rstd * (g - average_g - n * average_gn), accumulate);
    }
}

static void layernorm_backward(Device *d, void *dx_, void *dw_, void *db_, const void *dy_,
                               const void *x_, const void *mean_, const void *rstd_, const void *w_,
                               int64_t R, int64_t C, bool accumulate, void *scratch) {
    (void)d;
    (void)scratch;
    const real *dy = dy_, *x = x_;
    const wide *mean = mean_, *rstd = rstd_;
    for (int64_t r = 0; dx_ && r < R; r++) {
        backward_row((real *)dx_ + r * C, dy + r * C, x + r * C, w_, (double)mean[r],
                     (double)rstd[r], C, accumulate);
    }
    for (int64_t c = 0; (dw_ || db_) && c < C; c++) {
        double dw = 0, db = 0;
        for (int64_t r = 0; r < R; r++) {
            double n = (get(x[r * C + c]) - (double)mean[r]) * (double)rstd[r];
            dw += get(dy[r * C + c]) * n;
            db += get(dy[r * C + c]);
        }
        if (dw_) put_wide((wide *)dw_ + c, dw, true);
        if (db_) put_wide((wide *)db_ + c, db, true);
    }
}

static size_t layernorm_scratch(const Device *d, int64_t R, int64_t C) {
    (void)d;
    (void)R;
    (void)C;
    return 0;
}

void REF(fill_norm)(Kernels *k) {
    k->layernorm_forward = layernorm_forward;
    k->layernorm_backward = layernorm_backward;
    k->layernorm_scratch = layernorm_scratch;
}
