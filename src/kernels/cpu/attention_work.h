/* What attention works on: one image and head of the tensors, a thread's slice of the scratch, and
 * the copies of operands that go into it. */
#ifndef KERNELS_CPU_ATTENTION_WORK_H
#define KERNELS_CPU_ATTENTION_WORK_H

#ifdef _OPENMP
#include <omp.h>
#endif

#include "kernels/cpu/attention_micro.h"

enum {
    BLOCK = 64,
    FEW = VEC_LANES / 4,
    WIDTH = BLOCK + VEC_LANES, /* most lanes of a block */
};

/* --- memory ----------------------------------------------------------------------------------- */

typedef struct Shape {
    int64_t B, T, H, D;
    int64_t Dp; /* D to whole vectors */
} Shape;

/* The tensors as called; dout and dqkv are NULL in the forward pass. */
typedef struct Tensors {
    float *qkv, *o, *lse, *dout, *dqkv;
} Tensors;

/* One head's [T,D] of them. */
typedef struct Head {
    Matrix q, k, v, o, dout, dq, dk, dv;
    float *lse;
    Ahead *ahead;
} Head;

/* A thread's slice of the scratch. */
typedef struct Work {
    float *qt, *doutt;                /* [D,WIDTH] */
    float *p, *ds;                    /* [T,WIDTH] */
    float *dk, *dv;                   /* [T,Dp]: sums over the blocks so far */
    float *q, *k, *v, *dout, *o, *dq; /* [T,Dp]: padded copies */
    float *row;                       /* [T to whole vectors] */
} Work;

static Shape shape_for(int64_t B, int64_t T, int64_t H, int64_t D) {
    return (Shape){.B = B, .T = T, .H = H, .D = D, .Dp = round_up(D, VEC_LANES)};
}

/* Cuts up the slice at `at`, which may be NULL; returns its floats, a multiple of 16 to keep every
 * slice on cache lines of its own. Copies take no room where none are made. */
static int64_t cut_work(const Shape *s, float *at, Work *w) {
    int64_t matrix = s->T * s->Dp, copy = WIDE && s->D == s->Dp ? 0 : matrix;
    const struct {
        float **part;
        int64_t n;
    } parts[] = {
        {&w->qt, s->D * WIDTH},
        {&w->doutt, s->D * WIDTH},
        {&w->p, s->T * WIDTH},
        {&w->ds, s->T * WIDTH},
        {&w->dk, matrix},
        {&w->dv, matrix},
        {&w->q, copy},
        {&w->k, copy},
        {&w->v, copy},
        {&w->dout, copy},
        {&w->o, copy},
        {&w->dq, copy},
        {&w->row, round_up(s->T, VEC_LANES)},
    };
    int64_t total = 0;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        if (at) *parts[i].part = at + total;
        total += parts[i].n;
    }
    return round_up(total, 16);
}

static int64_t work_floats(const Shape *s) {
    Work w;
    return cut_work(s, NULL, &w);
}

static Work work_of_thread(const Shape *s, void *scratch) {
    Work w;
#ifdef _OPENMP
    cut_work(s, (float *)scratch + omp_get_thread_num() * work_floats(s), &w);
#else
    cut_work(s, scratch, &w);
#endif
    return w;
}

/* --- heads ------------------------------------------------------------------------------------ */

static Matrix rows_from(Matrix m, int64_t first) {
    return (Matrix){m.at + first * m.ld, m.ld};
}

/* Head i of all B * H. */
static Head head_at(const Shape *s, const Tensors *x, int64_t i) {
    int64_t width = s->H * s->D, step = 3 * width;
    int64_t at = (i / s->H * s->T * s->H + i % s->H) * s->D;
    int64_t at3 = (i / s->H * s->T * 3 * s->H + i % s->H) * s->D;
    float *qkv = x->qkv + at3;
    Head h = {.q = {qkv, step}, .k = {qkv + width, step}, .v = {qkv + 2 * width, step}};
    h.o = (Matrix){x->o + at, width};
    h.lse = x->lse + i * s->T;
    if (x->dqkv) {
        float *dqkv = x->dqkv + at3;
        h.dout = (Matrix){x->dout + at, width};
        h.dq = (Matrix){dqkv, step};
        h.dk = (Matrix){dqkv + width, step};
        h.dv = (Matrix){dqkv + 2 * width, step};
    }
    return h;
}

/* What the head after i will touch. The last one has none after it. */
static Ahead ahead_of(const Shape *s, const Tensors *x, int64_t i) {
    if (i + 1 == s->B * s->H) return (Ahead){0};
    Head h = head_at(s, x, i + 1);
    return (Ahead){.matrices = {h.q, h.k, h.v, h.o, h.dout, h.dq, h.dk, h.dv},
                   .n_matrices = x->dqkv ? 8 : 4,
                   .n_rows = s->T,
                   .D = s->D};
}

/* --- packing ---------------------------------------------------------------------------------- */

/* to[D,W] = factor times the transpose of from[n,D]; W is n to whole vectors, filled with zero. */
static void pack_transposed(float *to, int64_t W, Matrix from, int64_t n, int64_t D, float factor) {
    int64_t whole = D / VEC_LANES * VEC_LANES;
    for (int64_t t = 0; t < W; t += VEC_LANES)
        for (int64_t i = 0; i < whole; i += VEC_LANES)
            transpose_block(to + i * W + t, W, from.at + t * from.ld + i, from.ld, n - t, factor);
    for (int64_t i = whole; i < D; i++)
        for (int64_t t = 0; t < W; t++)
            to[i * W + t] = t < n ? from.at[t * from.ld + i] * factor : 0;
}

/* from[T,D], or where D is not made of whole vectors its copy to[T,Dp], filled with zero. Low tiles
 * read b so often that its rows must not compete for the same few sets of the first cache, as rows
 * far apart do: a copy also pays there. */
static Matrix whole_vectors(const Shape *s, float *to, Matrix from) {
    if (WIDE && s->D == s->Dp) return from;
    for (int64_t t = 0; t < s->T; t++) {
        memset(to + (t + 1) * s->Dp - VEC_LANES, 0, VEC_LANES * sizeof(float));
        memcpy(to + t * s->Dp, from.at + t * from.ld, (size_t)s->D * sizeof(float));
    }
    return (Matrix){to, s->Dp};
}

/* Where a product may write: to, or room for whole vectors. */
static Matrix room_for(const Shape *s, float *room, Matrix to) {
    return s->D == s->Dp ? to : (Matrix){room, s->Dp};
}

/* Completes room_for. */
static void copy_back(const Shape *s, Matrix to, Matrix from) {
    for (int64_t t = 0; from.at != to.at && t < s->T; t++)
        memcpy(to.at + t * to.ld, from.at + t * from.ld, (size_t)s->D * sizeof(float));
}

#endif
