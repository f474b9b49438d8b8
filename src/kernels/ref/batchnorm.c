/* Batch normalisation (Ioffe and Szegedy, arXiv 1502.03167) without weights, as before the linear
 * probe of arXiv 2111.06377. Every column is shifted and scaled to mean 0 and variance 1 over the
 * batch. The running statistics take the unbiased variance and leave out what is not finite; they
 * serve when evaluating. */
#include "kernels/ref/ref.h"

static void move_average(real *average, double value, double momentum) {
    if (isfinite(value)) *average = (real)((1 - momentum) * (double)*average + momentum * value);
}

static void batchnorm_train(Device *d, void *y_, void *running_mean, void *running_var, void *count,
                            const void *x_, int64_t B, int64_t C, double eps, double momentum) {
    (void)d;
    real *y = y_, *keep_mean = running_mean, *keep_var = running_var;
    const real *x = x_;
    for (int64_t c = 0; c < C; c++) {
        double mean = 0, squares = 0;
        for (int64_t b = 0; b < B; b++) mean += (double)x[b * C + c] / (double)B;
        for (int64_t b = 0; b < B; b++) {
            squares += ((double)x[b * C + c] - mean) * ((double)x[b * C + c] - mean);
        }
        double rstd = 1 / sqrt(squares / (double)B + eps);
        for (int64_t b = 0; b < B; b++) {
            y[b * C + c] = (real)(((double)x[b * C + c] - mean) * rstd);
        }
        double unbiased = squares / (double)(B - 1);
        move_average(&keep_mean[c], mean, momentum);
        move_average(&keep_var[c], unbiased, momentum);
    }
    *(real *)count += 1;
}

static void batchnorm_infer(Device *d, void *y, const void *running_mean, const void *running_var,
                            const void *x, int64_t B, int64_t C, double eps) {
    (void)d;
    for (int64_t i = 0; i < B * C; i++) {
        double mean = (double)((const real *)running_mean)[i % C];
        double variance = (double)((const real *)running_var)[i % C];
        ((real *)y)[i] = (real)(((double)((const real *)x)[i] - mean) / sqrt(variance + eps));
    }
}

void REF(fill_batchnorm)(Kernels *k) {
    k->batchnorm_train = batchnorm_train;
    k->batchnorm_infer = batchnorm_infer;
}
