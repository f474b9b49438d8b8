/* GELU (Hendrycks and Gimpel, arXiv 1606.08415) in its exact form x Phi(x); the forward pass lives
 * in linear_forward. */
#include "kernels/ref/ref.h"

static void gelu_backward(Device *d, void *dx_, const void *dy_, const void *pre_, int64_t n) {
    (void)d;
    real *dx = dx_;
    const real *dy = dy_, *pre = pre_;
    for (int64_t i = 0; i < n; i++) put(dx + i, get(dy[i]) * gelu_slope(get(pre[i])), false);
}

void REF(fill_activation)(Kernels *k) {
    k->gelu_backward = gelu_backward;
}
