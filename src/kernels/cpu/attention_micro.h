/* Small matrix products for attention: c[M,N] = a b over K, on one thread, with operands in cache.
 *
 * A tile of sums stays in registers while k runs. It is as large as the register file allows beside
 * the vectors of b. Two shapes of tile serve the two ways in which a may lie in memory:
 *
 *   rows     a[i * lda + k]  every row needs an address register: few rows, many vectors
 *   columns  a[k * lda + i]  the rows of a tile are neighbours: many rows, two vectors
 *
 * Only N is padded, to whole vectors. M is cut into tiles of nearly equal height, and the loop has
 * a copy for every height, in which the height is a constant. */
#ifndef KERNELS_CPU_ATTENTION_MICRO_H
#define KERNELS_CPU_ATTENTION_MICRO_H

#include "kernels/cpu/simd.h"

/* Rows lie ld apart. */
typedef struct Matrix {
    float *at;
    int64_t ld;
} Matrix;

enum {
    /* Tiles fit 32 registers, or 16, with the vectors of b and one value of a. */
    WIDE = VEC_LANES == 16,
    ROWS_VECS = WIDE ? 4 : 2,
    ROWS_MAX = WIDE ? 8 : 6, /* with fewer than ROWS_VECS vectors */
    COLUMNS_VECS = 2,
    COLUMNS_MAX = WIDE ? 14 : 6,
    AHEAD_ROWS = 12, /* prefetched by a tile: even the few tiles of a short head get through */
};

/* Rows that will be needed soon, n_rows of D floats of each matrix: every tile asks the memory for
 * a few of them, so that they come while it computes. */
typedef struct Ahead {
    Matrix matrices[8];
    int64_t n_matrices, n_rows, D;
    int64_t matrix, row; /* the next one to ask for */
} Ahead;

typedef struct Product {
    int64_t M, N, K; /* N in floats, a multiple of VEC_LANES */
    const float *a;
    int64_t lda;
    const float *b;
    int64_t ldb;
    float *c;
    int64_t ldc;
    const float *addend; /* [M,N] or NULL: is added; may be c */
    int64_t ld_addend;
    const float *factor; /* [M] or NULL: multiplies the rows of the sum */
    Ahead *ahead;        /* or NULL */
} Product;

static void prefetch_rows(Ahead *a, int64_t n) {
    for (; n > 0 && a->matrix < a->n_matrices; n--) {
        Matrix m = a->matrices[a->matrix];
        for (int64_t i = 0; i < a->D; i += 16) __builtin_prefetch(m.at + a->row * m.ld + i, 0, 2);
        if (++a->row == a->n_rows) {
            a->row = 0;
            a->matrix++;
        }
    }
}

/* R rows from row m, V vectors from column n. by_columns, R and V are constants in the copies. */
static ALWAYS_INLINE void multiply_tile(const Product *p, int64_t m, int64_t n, bool by_columns,
                                        int R, int V) {
    int64_t row = by_columns ? 1 : p->lda, step = by_columns ? p->lda : 1, ldb = p->ldb;
    const float *a = p->a + m * row, *b = p->b + n;
    Vec sum[COLUMNS_MAX][ROWS_VECS], right[ROWS_VECS];
#pragma GCC unroll 16
    for (int i = 0; i < R; i++)
#pragma GCC unroll 4
        for (int j = 0; j < V; j++) sum[i][j] = (Vec){0};
    for (int64_t k = 0; k < p->K; k++, a += step, b += ldb) {
#pragma GCC unroll 4
        for (int j = 0; j < V; j++) right[j] = *(const VecAnywhere *)(b + j * VEC_LANES);
#pragma GCC unroll 16
        for (int i = 0; i < R; i++)
#pragma GCC unroll 4
            for (int j = 0; j < V; j++) sum[i][j] += right[j] * a[i * row];
    }
#pragma GCC unroll 16
    for (int i = 0; i < R; i++) {
        float *c = p->c + (m + i) * p->ldc + n;
#pragma GCC unroll 4
        for (int j = 0; j < V; j++) {
            int64_t at = (m + i) * p->ld_addend + n + j * VEC_LANES;
            if (p->addend) sum[i][j] += *(const VecAnywhere *)(p->addend + at);
            if (p->factor) sum[i][j] *= p->factor[m + i];
            *(VecAnywhere *)(c + j * VEC_LANES) = sum[i][j];
        }
    }
}

/* All rows, V vectors from column n, in tiles of at most `most` rows. */
static ALWAYS_INLINE void multiply_sliver(const Product *p, int64_t n, bool by_columns, int most,
                                          int V) {
    int64_t n_tiles = (p->M + most - 1) / most;
    for (int64_t i = 0; i < n_tiles; i++) {
        int64_t m = p->M * i / n_tiles, rows = p->M * (i + 1) / n_tiles - m;
        if (p->ahead) prefetch_rows(p->ahead, AHEAD_ROWS);
        switch (rows) {
#define CASE(R)                                                                                    \
    case R:                                                                                        \
        if (R <= most) multiply_tile(p, m, n, by_columns, R, V);                                   \
        break;
            CASE(1)
            CASE(2)
            CASE(3)
            CASE(4)
            CASE(5)
            CASE(6)
            CASE(7)
            CASE(8)
            CASE(9)
            CASE(10)
            CASE(11)
            CASE(12)
            CASE(13)
            CASE(14)
#undef CASE
        }
    }
}

/* c[M,N] = a b, a[M,K]. */
static void multiply_by_rows(const Product *p) {
    int64_t n_vecs = p->N / VEC_LANES, n_slivers = (n_vecs + ROWS_VECS - 1) / ROWS_VECS;
    for (int64_t i = 0; i < n_slivers; i++) {
        int64_t first = n_vecs * i / n_slivers, n = first * VEC_LANES;
        switch (n_vecs * (i + 1) / n_slivers - first) {
        case 1: multiply_sliver(p, n, false, ROWS_MAX, 1); break;
        case 2: multiply_sliver(p, n, false, ROWS_MAX, 2); break;
#if VEC_LANES == 16
        case 3: multiply_sliver(p, n, false, ROWS_MAX, 3); break;
        case 4: multiply_sliver(p, n, false, 6, 4); break;
#endif
        }
    }
}

/* c[M,N] = a^T b, a[K,M]. */
static void multiply_by_columns(const Product *p) {
    for (int64_t n = 0; n < p->N; n += COLUMNS_VECS * VEC_LANES) {
        if (n + VEC_LANES < p->N)
            multiply_sliver(p, n, true, COLUMNS_MAX, 2);
        else
            multiply_sliver(p, n, true, COLUMNS_MAX, 1);
    }
}

#endif
