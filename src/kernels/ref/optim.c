/* AdamW (Loshchilov and Hutter, arXiv 1711.05101), in the order of torch.optim.AdamW: the decay
 * acts on the parameter before the step and does not pass through the moments. SGD with momentum
 * in the form of torch.optim.SGD, where the rate is no part of the momentum. */
#include "kernels/ref/ref.h"

static double squares_of(const wide *x, int64_t n) {
    double s = 0;
    for (int64_t i = 0; i < n; i++) s += (double)x[i] * (double)x[i];
    return s;
}

static void sum_squares(Device *d, double *sums, const Segment *list, int64_t count) {
    (void)d;
    for (int64_t k = 0; k < count; k++) sums[k] = squares_of(list[k].g, list[k].n);
}

static void adamw_tensor(const Segment *s, AdamW a) {
    wide *p = s->p, *m = s->m, *v = s->v;
    double lr = a.lr * s->lr_scale;
    for (int64_t i = 0; i < s->n; i++) {
        double g = (double)((const wide *)s->g)[i] * a.gradient_scale;
        double first = a.beta1 * (double)m[i] + (1 - a.beta1) * g;
        double second = a.beta2 * (double)v[i] + (1 - a.beta2) * g * g;
        double decayed = (double)p[i] * (1 - lr * s->weight_decay);
        double divisor = sqrt(second) / sqrt(a.correction2) + a.eps;
        m[i] = (wide)first;
        v[i] = (wide)second;
        p[i] = (wide)(decayed - lr / a.correction1 * first / divisor);
    }
}

static void adamw(Device *d, const Segment *list, int64_t count, AdamW a) {
    (void)d;
    for (int64_t k = 0; k < count; k++) adamw_tensor(list + k, a);
}

/* |p| and |g| decide the rate; where one of them is zero it stays what it is. */
static double lars_rate(const Segment *s) {
    double weight = sqrt(squares_of(s->p, s->n)), gradient = sqrt(squares_of(s->g, s->n));
    return weight > 0 && gradient > 0 ? s->trust * weight / gradient : 1;
}

static void sgd_tensor(const Segment *s, Sgd a) {
    wide *p = s->p, *g = s->g, *m = s->m;
    for (int64_t i = 0; i < s->n; i++) {
        put_wide(g + i, a.gradient_scale * (double)g[i], false);
        if (s->weight_decay > 0) put_wide(g + i, s->weight_decay * (double)p[i], true);
    }
    double rate = s->trust > 0 ? lars_rate(s) : 1;
    for (int64_t i = 0; i < s->n; i++) {
        double step = a.momentum * (double)m[i] + rate * (double)g[i];
        m[i] = (wide)step;
        put_wide(p + i, -a.lr * s->lr_scale * step, true);
    }
}

static void sgd(Device *d, const Segment *list, int64_t count, Sgd a) {
    (void)d;
    for (int64_t k = 0; k < count; k++) sgd_tensor(list + k, a);
}

static void average(Device *d, const Segment *list, int64_t count, double decay) {
    (void)d;
    for (int64_t k = 0; k < count; k++) {
        wide *m = list[k].m;
        for (int64_t i = 0; i < list[k].n; i++)
            m[i] =
                (wide)(decay * (double)m[i] + (1 - decay) * (double)((const wide *)list[k].p)[i]);
    }
}

void REF(fill_optim)(Kernels *k) {
    k->sum_squares = sum_squares;
    k->adamw = adamw;
    k->sgd = sgd;
    k->average = average;
}
