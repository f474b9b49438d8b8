/* Optimisers in float, one pass over their arrays; see ref/optim.c. They are bound by memory, so
 * the two divisions of AdamW cost nothing. */
#include "kernels/cpu/simd.h"

enum { CHUNK = 16384 };

typedef struct Constants {
    float gradient_scale, beta1, rest1, beta2, rest2, decay, step, root2, eps;
} Constants;

static void adamw_chunk(float *p, const float *g_, float *m, float *v, int64_t n, Constants k) {
#pragma omp simd
    for (int64_t i = 0; i < n; i++) {
        float g = g_[i] * k.gradient_scale;
        float first = k.beta1 * m[i] + k.rest1 * g;
        float second = k.beta2 * v[i] + k.rest2 * g * g;
        float divisor = sqrtf(second) / k.root2 + k.eps;
        m[i] = first;
        v[i] = second;
        p[i] = p[i] * k.decay - k.step * first / divisor;
    }
}

static void adamw(Device *d, void *p, const void *g, void *m, void *v, int64_t n, AdamW a) {
    Constants k = {
        .gradient_scale = (float)a.gradient_scale,
        .beta1 = (float)a.beta1,
        .rest1 = (float)(1 - a.beta1),
        .beta2 = (float)a.beta2,
        .rest2 = (float)(1 - a.beta2),
        .decay = (float)(1 - a.lr * a.weight_decay),
        .step = (float)(a.lr / a.correction1),
        .root2 = (float)sqrt(a.correction2),
        .eps = (float)a.eps,
    };
#pragma omp parallel for schedule(static) num_threads(team(d, 4.0 * (double)n))
    for (int64_t at = 0; at < n; at += CHUNK) {
        adamw_chunk((float *)p + at, (const float *)g + at, (float *)m + at, (float *)v + at,
                    min_i64(CHUNK, n - at), k);
    }
}

static void sgd_chunk(float *p, const float *g, float *m, int64_t n, float rate, float keep,
                      float factor) {
#pragma omp simd
    for (int64_t i = 0; i < n; i++) {
        m[i] = keep * m[i] + factor * g[i];
        p[i] -= rate * m[i];
    }
}

static void sgd(Device *d, void *p, const void *g, void *m, int64_t n, double lr, double momentum,
                double gradient_scale) {
#pragma omp parallel for schedule(static) num_threads(team(d, 2.0 * (double)n))
    for (int64_t at = 0; at < n; at += CHUNK) {
        sgd_chunk((float *)p + at, (const float *)g + at, (float *)m + at, min_i64(CHUNK, n - at),
                  (float)lr, (float)momentum, (float)gradient_scale);
    }
}

static void average_chunk(float *e, const float *p, int64_t n, float keep, float rest) {
#pragma omp simd
    for (int64_t i = 0; i < n; i++) e[i] = keep * e[i] + rest * p[i];
}

static void average(Device *d, void *e, const void *p, double decay, int64_t n) {
#pragma omp parallel for schedule(static) num_threads(team(d, (double)n))
    for (int64_t at = 0; at < n; at += CHUNK) {
        average_chunk((float *)e + at, (const float *)p + at, min_i64(CHUNK, n - at), (float)decay,
                      (float)(1 - decay));
    }
}

void SIMD(fill_optim)(Kernels *k) {
    k->adamw = adamw;
    k->sgd = sgd;
    k->average = average;
}
