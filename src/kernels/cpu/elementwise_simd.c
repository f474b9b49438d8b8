/* One pass over memory each. */
#include "kernels/cpu/simd.h"

enum { PIECE = 16384 }; /* of an image, scaled by one thread at once */

static void add(Device *d, void *y_, const void *x_, int64_t n) {
    float *y = y_;
    const float *x = x_;
#pragma omp parallel for simd schedule(static) num_threads(team(d, (double)n))
    for (int64_t i = 0; i < n; i++) y[i] += x[i];
}

/* y = residual + s * x */
static void residual_chunk(float *y, const float *x, const float *residual, float s, int64_t n) {
#pragma omp simd
    for (int64_t i = 0; i < n; i++) y[i] = residual[i] + s * x[i];
}

/* dx (+)= s * dy */
static void scaled_chunk(float *dx, const float *dy, float s, int64_t n, bool accumulate) {
    if (accumulate) {
        residual_chunk(dx, dy, dx, s, n);
        return;
    }
#pragma omp simd
    for (int64_t i = 0; i < n; i++) dx[i] = s * dy[i];
}

static void scaled_residual_forward(Device *d, void *y, const void *x, const void *residual,
                                    const void *scales, int64_t B, int64_t n) {
    int64_t pieces = (n + PIECE - 1) / PIECE;
#pragma omp parallel for schedule(static) num_threads(team(d, (double)(B * n)))
    for (int64_t i = 0; i < B * pieces; i++) {
        int64_t b = i / pieces, from = i % pieces * PIECE, at = b * n + from;
        residual_chunk((float *)y + at, (const float *)x + at, (const float *)residual + at,
                       ((const float *)scales)[b], min_i64(PIECE, n - from));
    }
}

static void scaled_residual_backward(Device *d, void *dx, const void *dy, const void *scales,
                                     int64_t B, int64_t n, bool accumulate) {
    int64_t pieces = (n + PIECE - 1) / PIECE;
#pragma omp parallel for schedule(static) num_threads(team(d, (double)(B * n)))
    for (int64_t i = 0; i < B * pieces; i++) {
        int64_t b = i / pieces, from = i % pieces * PIECE, at = b * n + from;
        scaled_chunk((float *)dx + at, (const float *)dy + at, ((const float *)scales)[b],
                     min_i64(PIECE, n - from), accumulate);
    }
}

void SIMD(fill_elementwise)(Kernels *k) {
    k->add = add;
    k->scaled_residual_forward = scaled_residual_forward;
    k->scaled_residual_backward = scaled_residual_backward;
}
