/* AdamW (Loshchilov and Hutter, arXiv 1711.05101), in the order of torch.optim.AdamW: the decay
 * acts on the parameter before the step and does not pass through the moments. */
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

void REF(fill_optim)(Kernels *k) {
    k->adamw = adamw;
}
