/* One pass over memory each, in chunks of a fixed size. */
#include "kernels/cpu/simd.h"

enum { CHUNK = 65536, CHUNKS_AT_ONCE = 256 };

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
    k->sum_squares = sum_squares;
}
