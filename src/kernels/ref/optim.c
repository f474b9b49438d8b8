/* AdamW (Loshchilov and Hutter, arXiv 1711.05101), in the order of torch.optim.AdamW: the decay
 * acts on the parameter before the step and does not pass through the moments. SGD with momentum
 * in the form of torch.optim.SGD, where the rate is no part of the momentum. */
#include "kernels/ref/ref.h"

static void adamw(Device *d, void *p_, const void *g_, void *m_, void *v_, int64_t n, AdamW a) {
    (void)d;
    real *p = p_, *m = m_, *v = v_;
    for (int64_t i = 0; i < n; i++) {
        double g = (double)((const real *)g_)[i] * a.gradient_scale;
        double first = a.beta1 * (double)m[i] + (1 - a.beta1) * g;
        double second = a.beta2 * (double)v[i] + (1 - a.beta2) * g * g;
        double decayed = (double)p[i] * (1 - a.lr * a.weight_decay);
        double divisor = sqrt(second) / sqrt(a.correction2) + a.eps;
        m[i] = (real)first;
        v[i] = (real)second;
        p[i] = (real)(decayed - a.lr / a.correction1 * first / divisor);
    }
}

static void sgd(Device *d, void *p, const void *g, void *m_, int64_t n, double lr, double momentum,
                double gradient_scale) {
    (void)d;
    real *m = m_;
    for (int64_t i = 0; i < n; i++) {
        double step = momentum * (double)m[i] + gradient_scale * (double)((const real *)g)[i];
        m[i] = (real)step;
        put((real *)p + i, -lr * step, true);
    }
}

static void average(Device *d, void *e_, const void *p, double decay, int64_t n) {
    (void)d;
    real *e = e_;
    for (int64_t i = 0; i < n; i++) {
        e[i] = (real)(decay * (double)e[i] + (1 - decay) * (double)((const real *)p)[i]);
    }
}

void REF(fill_optim)(Kernels *k) {
    k->adamw = adamw;
    k->sgd = sgd;
    k->average = average;
}
