/* Batch normalisation (Ioffe and Szegedy, arXiv 1502.03167) without weights, as before the linear
 * probe of arXiv 2111.06377. Every column is shifted and scaled to mean 0 and variance 1 over the
 * batch. The running statistics take the unbiased variance and leave out what is not finite; they
 * serve when evaluating. */
#include "kernels/ref/ref.h"

static void move_average(wide *average, double value, double momentum) {
    if (isfinite(value)) *average = (wide)((1 - momentum) * (double)*average + momentum * value);
}

static void batchnorm_train(Device *d, void *y_, void *running_mean, void *running_var, void *count,
                            const void *x_, int64_t B, int64_t C, double eps, double momentum) {
    (void)d;
    real *y = y_;
    wide *keep_mean = running_mean, *keep_var = running_var;
    const real *x = x_;
    for (int64_t c = 0; c < C; c++) {
        double mean = 0, squares = 0;
        for (int64_t b = 0; b < B; b++) mean += get(x[b * C + c]) / (double)B;
        for (int64_t b = 0; b < B; b++) {
            squares += (get(x[b * C + c]) - mean) * (get(x[b * C + c]) - mean);
        }
        double rstd = 1 / sqrt(squares / (double)B + eps);
        for (int64_t b = 0; b < B; b++) {
            put(&y[b * C + c], (get(x[b * C + c]) - mean) * rstd, false);
        }
        double unbiased = squares / (double)(B - 1);
        move_average(&keep_mean[c], mean, momentum);
        move_average(&keep_var[c], unbiased, momentum);
    }
    *(wide *)count += 1;
}

static void batchnorm_infer(Device *d, void *y, const void *running_mean, const void *running_var,
                            const void *x_, int64_t B, int64_t C, double eps) {
    (void)d;
    for (int64_t i = 0; i < B * C; i++) {
        double mean = (double)((const wide *)running_mean)[i % C];
        double variance = (double)((const wide *)running_var)[i % C];
        double x = get(((const real *)x_)[i]);
        put((real *)y + i, (x - mean) / sqrt(variance + eps), false);
    }
}

void REF(fill_batchnorm)(Kernels *k) {
    k->batchnorm_train = batchnorm_train;
    k->batchnorm_infer = batchnorm_infer;
}
