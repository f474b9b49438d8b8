/* GELU (Hendrycks and Gimpel, arXiv 1606.08415) in its exact form x Phi(x); the forward pass lives
 * in linear_forward. Its derivative is Phi(x) + x phi(x), phi being the density of Phi. */
#include "kernels/ref/ref.h"

static void gelu_backward(Device *d, void *dx_, const void *dy_, const void *pre_, int64_t n) {
    (void)d;
    real *dx = dx_;
    const real *dy = dy_, *pre = pre_;
    for (int64_t i = 0; i < n; i++) {
        double x = (double)pre[i];
        double density = 0.39894228040143267794 * exp(-0.5 * x * x);
        dx[i] = (real)((double)dy[i] * (normal_cdf(x) + x * density));
    }
}

void REF(fill_activation)(Kernels *k) {
    k->gelu_backward = gelu_backward;
}
