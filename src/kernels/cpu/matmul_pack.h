/* The operands of a matrix product, and their packed forms:
 *
 *   left   panels of MR rows:     panel[k][MR]
 *   right  slivers of NR columns: sliver[k][NR]
 */
#ifndef KERNELS_CPU_MATMUL_PACK_H
#define KERNELS_CPU_MATMUL_PACK_H

#include "kernels/cpu/simd.h"

enum {
    MR = VEC_LANES == 16 ? 14 : 6, /* 2 * MR sums, 2 vectors and 1 value fit the registers */
    NR = 2 * VEC_LANES,
    MAX_K = 1024, /* packed at once */
    MAX_N = 3072,
    PANEL = MAX_K * MR + VEC_LANES, /* floats of a panel and what using it in vectors adds */
    GROUP = 4,                      /* panels packed at once */
    SUM_ROWS = 64,                  /* summed in float before they go to double */
    LINE = 16,                      /* floats of a cache line */
};

/* Element (i, j) of a stored matrix is at[i * ld + j]; the operand is it or its transpose. */
typedef struct Operand {
    const float *at;
    int64_t ld;
    bool transposed;
} Operand;

typedef struct Product {
    int64_t M, N, K;
    Operand a, b;
    float *c; /* [M,N], contiguous, as all below */
    bool accumulate;
    /* Any may be NULL. With activated or gelu_of, c holds partial sums meanwhile. */
    const float *bias, *residual; /* are added; residual may be c or activated */
    float *activated;             /* gelu of c */
    float *gelu_of;               /* c is multiplied by gelu' of it, and it becomes its gelu */
    float *row_sums;              /* [M] += sums over k of a */
} Product;

/* A part of a product that is packed at once. */
typedef struct Block {
    int64_t n, N, k, K; /* first column, columns; first k, length */
    bool first, last;   /* along K */
} Block;

/* --- packing ---------------------------------------------------------------------------------- */

/* to[k][width] = from[i * ld + k] for i < n, zero for the others; width is a constant here. What is
 * narrower than a vector is written in whole ones: the next k covers what is too much, and the last
 * one goes beyond the end. */
static ALWAYS_INLINE void pack_rows(float *to, const float *from, int64_t ld, int64_t n,
                                    int64_t width, int64_t K) {
    int64_t k = 0, wide = min_i64(width, VEC_LANES);
    for (; n == width && k + VEC_LANES <= K; k += VEC_LANES) {
        for (int64_t i = 0; i < width; i += wide) {
            int64_t row = min_i64(i, width - wide); /* the last block may overlap the one before */
            transpose_block(to + k * width + row, width, from + row * ld + k, ld, wide, 1);
        }
    }
    for (; k < K; k++) {
        for (int64_t i = 0; i < n; i++) to[k * width + i] = from[i * ld + k];
        for (int64_t i = n; i < width; i++) to[k * width + i] = 0;
    }
}

/* to[k][width] = from[k * ld + i] for i < n, zero for the others. */
static ALWAYS_INLINE void pack_columns(float *to, const float *from, int64_t ld, int64_t n,
                                       int64_t width, int64_t K) {
    for (int64_t k = 0; k < K; k++) {
        if (n == width) {
            memcpy(to + k * width, from + k * ld, (size_t)width * sizeof(float));
            continue;
        }
        for (int64_t i = 0; i < n; i++) to[k * width + i] = from[k * ld + i];
        for (int64_t i = n; i < width; i++) to[k * width + i] = 0;
    }
}

/* The same for a group of panels, PANEL apart, in one pass over the rows of from: each visit finds
 * some neighbouring cache lines. */
static void pack_column_group(float *panels, const float *from, int64_t ld, int64_t n, int64_t K) {
    int64_t whole = n / MR * MR;
    for (int64_t k = 0; k < K; k++) {
        float *to = panels + k * MR;
        for (int64_t i = 0; i < whole; i += MR, to += PANEL)
            memcpy(to, from + k * ld + i, MR * sizeof(float));
    }
    if (whole < n) pack_columns(panels + n / MR * PANEL, from + whole, ld, n - whole, MR, K);
}

/* Rows m..m+n of the left operand. */
static void pack_panels(float *panels, const Product *p, const Block *b, int64_t m, int64_t n) {
    int64_t ld = p->a.ld;
    if (p->a.transposed) {
        pack_column_group(panels, p->a.at + b->k * ld + m, ld, n, b->K);
        return;
    }
    for (int64_t i = 0; i < n; i += MR, panels += PANEL)
        pack_rows(panels, p->a.at + (m + i) * ld + b->k, ld, min_i64(MR, n - i), MR, b->K);
}

static void pack_sliver(float *sliver, const Product *p, const Block *b, int64_t j) {
    int64_t n = min_i64(NR, b->N - j), ld = p->b.ld, column = b->n + j;
    if (p->b.transposed)
        pack_rows(sliver, p->b.at + column * ld + b->k, ld, n, NR, b->K);
    else
        pack_columns(sliver, p->b.at + b->k * ld + column, ld, n, NR, b->K);
}

/* sums[n] += sums over k of a panel. Vectors reach beyond its rows; what they find there is not
 * used. */
static void add_row_sums(float *sums, const float *panel, int64_t n, int64_t K) {
    enum { VECS = (MR + VEC_LANES - 1) / VEC_LANES };
    double total[VECS * VEC_LANES] = {0};
    for (int64_t first = 0; first < K; first += SUM_ROWS) {
        Vec part[VECS] = {{0}};
        for (int64_t k = first; k < min_i64(first + SUM_ROWS, K); k++)
            for (int i = 0; i < VECS; i++)
                part[i] += *(const VecAnywhere *)(panel + k * MR + i * VEC_LANES);
        for (int i = 0; i < VECS * VEC_LANES; i++)
            total[i] += (double)part[i / VEC_LANES][i % VEC_LANES];
    }
    for (int64_t i = 0; i < n; i++) sums[i] = (float)((double)sums[i] + total[i]);
}

#endif
