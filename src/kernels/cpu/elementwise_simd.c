/* One pass over memory each, in chunks of a fixed size where something is summed. */
#include "kernels/cpu/simd.h"

enum {
    CHUNK = 65536, /* summed at once */
    CHUNKS_AT_ONCE = 256,
    PIECE = 16384, /* of an image, scaled by one thread at once */
};

static void fill(Device *d, void *x_, double value, int64_t n) {
    float *x = x_, v = (float)value;
#pragma omp parallel for simd schedule(static) num_threads(team(d, (double)n))
    for (int64_t i = 0; i < n; i++) x[i] = v;
}

static void add(Device *d, void *y_, const void *x_, int64_t n) {
    float *y = y_;
    const float *x = x_;
#pragma omp parallel for simd schedule(static) num_threads(team(d, (double)n))
    for (int64_t i = 0; i < n; i++) y[i] += x[i];
}

static void scale(Device *d, void *x_, double s, int64_t n) {
    float *x = x_, factor = (float)s;
#pragma omp parallel for simd schedule(static) num_threads(team(d, (double)n))
    for (int64_t i = 0; i < n; i++) x[i] *= factor;
}

/* y = residual + s * x */
static void residual_chunk(float *y, const float *x, const float *residual, float s, int64_t n) {
#pragma omp simd
    for (int64_t i = 0; i < n; i++) y[i] = residual[i] + s * x[i];
}

/* By pieces of a fixed size, so that what is fused does not depend on the threads. */
static void add_scaled(Device *d, void *y_, const void *x, double s, int64_t n) {
    float *y = y_;
#pragma omp parallel for schedule(static) num_threads(team(d, (double)n))
    for (int64_t at = 0; at < n; at += PIECE) {
        residual_chunk(y + at, (const float *)x + at, y + at, (float)s, min_i64(PIECE, n - at));
    }
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

static double sum_squares_chunk(const float *x, int64_t n) {
    double s = 0;
#pragma omp simd reduction(+ : s)
    for (int64_t i = 0; i < n; i++) s += (double)x[i] * (double)x[i];
    return s;
}

static double sum_squares(Device *d, const void *x_, int64_t n) {
    const float *x = x_;
    int64_t n_chunks = (n + CHUNK - 1) / CHUNK;
    double total = 0;
    for (int64_t first = 0; first < n_chunks; first += CHUNKS_AT_ONCE) {
        double part[CHUNKS_AT_ONCE];
        int64_t count = min_i64(CHUNKS_AT_ONCE, n_chunks - first);
#pragma omp parallel for schedule(static) num_threads(team(d, (double)n))
        for (int64_t i = 0; i < count; i++) {
            int64_t at = (first + i) * CHUNK;
            part[i] = sum_squares_chunk(x + at, min_i64(CHUNK, n - at));
        }
        for (int64_t i = 0; i < count; i++) total += part[i];
    }
    return total;
}

void SIMD(fill_elementwise)(Kernels *k) {
    k->fill = fill;
    k->add = add;
    k->scale = scale;
    k->add_scaled = add_scaled;
    k->scaled_residual_forward = scaled_residual_forward;
    k->scaled_residual_backward = scaled_residual_backward;
    k->sum_squares = sum_squares;
}
