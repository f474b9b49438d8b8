/* GELU backward where it cannot be the epilogue of a product, as the forward pass always is. */
#include "kernels/cpu/simd.h"

enum { CHUNK = 4096 };

/* dx may be dy: no simd loop here reads what another lane wrote. */
static void gelu_backward_chunk(float *dx, const float *dy, const float *pre, int64_t n) {
#pragma omp simd
    for (int64_t i = 0; i < n; i++) dx[i] = dy[i] * gelu_slope_f32(pre[i], normal_cdf_f32(pre[i]));
}

static void gelu_backward(Device *d, void *dx, const void *dy, const void *pre, int64_t n) {
#pragma omp parallel for schedule(static) num_threads(team(d, 20.0 * (double)n))
    for (int64_t at = 0; at < n; at += CHUNK) {
        gelu_backward_chunk((float *)dx + at, (const float *)dy + at, (const float *)pre + at,
                            min_i64(CHUNK, n - at));
    }
}

void SIMD(fill_activation)(Kernels *k) {
    k->gelu_backward = gelu_backward;
}
