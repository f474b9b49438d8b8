/* One loop over all elements each. */
#include "kernels/ref/ref.h"

static void add(Device *d, void *y, const void *x, int64_t n) {
    (void)d;
    for (int64_t i = 0; i < n; i++) put((real *)y + i, get(((const real *)x)[i]), true);
}

static void scaled_residual_forward(Device *d, void *y, const void *x, const void *residual,
                                    const void *scale_, int64_t B, int64_t n) {
    (void)d;
    for (int64_t i = 0; i < B * n; i++) {
        double s = (double)((const wide *)scale_)[i / n];
        double sum = get(((const real *)residual)[i]) + s * get(((const real *)x)[i]);
        put((real *)y + i, sum, false);
    }
}

static void scaled_residual_backward(Device *d, void *dx, const void *dy, const void *scale_,
                                     int64_t B, int64_t n, bool accumulate) {
    (void)d;
    for (int64_t i = 0; i < B * n; i++) {
        double s = (double)((const wide *)scale_)[i / n];
        put((real *)dx + i, s * get(((const real *)dy)[i]), accumulate);
    }
}

void REF(fill_elementwise)(Kernels *k) {
    k->add = add;
    k->scaled_residual_forward = scaled_residual_forward;
    k->scaled_residual_backward = scaled_residual_backward;
}
