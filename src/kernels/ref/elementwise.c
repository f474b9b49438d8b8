/* One loop over n elements each. */
#include "kernels/ref/ref.h"

static void fill(Device *d, void *x, double value, int64_t n) {
    (void)d;
    for (int64_t i = 0; i < n; i++) ((real *)x)[i] = (real)value;
}

static void add(Device *d, void *y, const void *x, int64_t n) {
    (void)d;
    for (int64_t i = 0; i < n; i++) ((real *)y)[i] += ((const real *)x)[i];
}

static void scale(Device *d, void *x, double s, int64_t n) {
    (void)d;
    for (int64_t i = 0; i < n; i++) ((real *)x)[i] = (real)((double)((real *)x)[i] * s);
}

static double sum_squares(Device *d, const void *x_, int64_t n) {
    (void)d;
    const real *x = x_;
    double s = 0;
    for (int64_t i = 0; i < n; i++) s += (double)x[i] * (double)x[i];
    return s;
}

void REF(fill_elementwise)(Kernels *k) {
    k->fill = fill;
    k->add = add;
    k->scale = scale;
    k->sum_squares = sum_squares;
}
