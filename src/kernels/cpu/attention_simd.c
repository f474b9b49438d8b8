/* Attention, one image and head at a time; see ref/attention.c for the formulas.
 *
 * A head is worked on in blocks of query rows, and a block's scores are kept transposed,
 * p[key][query]: queries lie in the lanes of vectors. So maximum, sum, lse and sum(do * o) of a row
 * are vectors, softmax needs nothing across lanes, and of the five products only those that make
 * scores need a transposed operand, packed for each block:
 *
 *   p = k q^T    ds = v do^T    o = p^T v    dq = ds^T k    dk += ds q    dv += p do
 *
 * The others are read and written where they lie, if D is made of whole vectors; otherwise in
 * padded copies. While a head is at work, the rows of the next one are prefetched: they are short
 * and far apart, which no processor foresees. Memory grows with T, not T^2. Scores are kept times
 * log2(e), for exp2.
 *
 * Class tokens make T one more than a multiple of the vectors' length. Scores of up to FEW queries
 * beyond whole vectors are therefore single dot products, not a vector mostly empty.
 *
 * A head is one thread's work from begin to end, which makes results independent of their number.
 */
#ifdef _OPENMP
#include <omp.h>
#endif

#include "kernels/cpu/attention_micro.h"

enum {
    BLOCK = 64,
    FEW = VEC_LANES / 4,
    WIDTH = BLOCK + VEC_LANES, /* most lanes of a block */
};

static const float LOG2_E = 1.44269504f, LN_2 = 0.693147181f;

/* --- memory -------------------------------------------------------------------------------------
 */

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

/* --- packing ------------------------------------------------------------------------------------
 */

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

/* --- dot products -------------------------------------------------------------------------------
 */

typedef int32_t Ints __attribute__((vector_size(sizeof(Vec)), may_alias));
typedef uint32_t Bits __attribute__((vector_size(sizeof(Vec)), may_alias)); /* wrap around */

/* Lane i of the result is the sum of all lanes of v[i]: in every round, a vector takes the sums of
 * neighbours of two. */
static inline Vec lane_sums(Vec *v) {
#pragma GCC unroll 4
    for (int n = VEC_LANES / 2; n > 0; n /= 2) {
#pragma GCC unroll 8
        for (int i = 0; i < n; i++) {
            Vec a = v[2 * i], b = v[2 * i + 1];
            v[i] = even_lanes(a, b) + odd_lanes(a, b);
        }
    }
    return v[0];
}

/* dots[i] = row i of a times row i of b, i < n; written to whole vectors. */
static void row_dots(float *dots, Matrix a, Matrix b, int64_t n, int64_t D) {
    for (int64_t first = 0; first < n; first += VEC_LANES) {
        Vec sum[VEC_LANES];
        for (int i = 0; i < VEC_LANES; i += 4) {
            const float *x[4], *y[4];
            Vec part[4];
#pragma GCC unroll 4
            for (int r = 0; r < 4; r++) {
                int64_t row = min_i64(first + i + r, n - 1);
                x[r] = a.at + row * a.ld;
                y[r] = b.at + row * b.ld;
                part[r] = (Vec){0};
            }
            for (int64_t j = 0; j < D; j += VEC_LANES) {
#pragma GCC unroll 4
                for (int r = 0; r < 4; r++)
                    part[r] += *(VecAnywhere *)(x[r] + j) * *(VecAnywhere *)(y[r] + j);
            }
#pragma GCC unroll 4
            for (int r = 0; r < 4; r++) sum[i + r] = part[r];
        }
        *(Vec *)(dots + first) = lane_sums(sum);
    }
}

/* --- softmax ------------------------------------------------------------------------------------
 */

static inline Vec choose(Ints mask, Vec yes, Vec no) {
    return (Vec)(((Ints)yes & mask) | ((Ints)no & ~mask));
}

/* 2^x for x <= 127, 0 from -127 down; NaN stays. As exp_inside_f32 of simd.h, for vectors. The
 * power of two is added to the exponent; at -127 that makes 0 of 1. */
static inline Vec exp2_vec(Vec x) {
    const Vec lowest = (Vec){0} - 127.0f;
    x = choose(x < lowest, lowest, x);
    Vec shifted = x + 12582912.0f;
    Vec r = x - (shifted - 12582912.0f);
    Vec p = r * 1.339881e-3f + 9.618437e-3f;
    p = p * r + 5.550327e-2f;
    p = p * r + 2.402265e-1f;
    p = p * r + 6.931472e-1f;
    p = p * r + 1.0f;
    return (Vec)((Bits)p + ((Bits)shifted << 23));
}

/* The largest of every lane of p[T] vectors, W floats apart; NaN is passed over, its exp shows it.
 */
static Vec column_maximum(const float *p, int64_t T, int64_t W) {
    Vec most[4];
    for (int i = 0; i < 4; i++) most[i] = (Vec){0} - INFINITY;
    int64_t t = 0;
    for (; t + 4 <= T; t += 4) {
        for (int i = 0; i < 4; i++) {
            Vec next = *(const Vec *)(p + (t + i) * W);
            most[i] = choose(next > most[i], next, most[i]);
        }
    }
    for (; t < T; t++) {
        Vec next = *(const Vec *)(p + t * W);
        most[0] = choose(next > most[0], next, most[0]);
    }
    for (int i = 1; i < 4; i++) most[0] = choose(most[i] > most[0], most[i], most[0]);
    return most[0];
}

/* p[T,W] becomes 2^(p - maximum of its column), inverse[W] is 1 / the sums of the columns; for the
 * first n of them lse is the log of the denominator. */
static void softmax_columns(float *p, int64_t T, int64_t W, float *inverse, float *lse, int64_t n) {
    for (int64_t j = 0; j < W; j += VEC_LANES) {
        Vec most = column_maximum(p + j, T, W), sum = {0};
        for (int64_t t = 0; t < T; t++) {
            Vec *at = (Vec *)(p + t * W + j);
            *at = exp2_vec(*at - most);
            sum += *at;
        }
        *(Vec *)(inverse + j) = 1.0f / sum;
        for (int64_t i = j; i < min_i64(n, j + VEC_LANES); i++)
            lse[i] = most[i - j] * LN_2 + logf(sum[i - j]);
    }
}

/* p becomes 2^(p - lse), ds becomes p * (ds - sum): columns of both have their lse and sum. */
static void softmax_backward_columns(float *p, float *ds, int64_t T, int64_t W, const float *lse,
                                     const float *sum) {
    for (int64_t j = 0; j < W; j += VEC_LANES) {
        Vec column_lse = *(const Vec *)(lse + j), column_sum = *(const Vec *)(sum + j);
        for (int64_t t = 0; t < T; t++) {
            Vec *p_at = (Vec *)(p + t * W + j), *ds_at = (Vec *)(ds + t * W + j);
            *p_at = exp2_vec(*p_at - column_lse);
            *ds_at = *p_at * (*ds_at - column_sum);
        }
    }
}

/* --- forward ------------------------------------------------------------------------------------
 */

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

/* Heads dealt out at once: a thread that goes on to the next head finds it prefetched. */
static int64_t heads_at_once(int64_t n) {
    return min_i64(4, 1 + n / 32);
}

/* c[T,n] = factor * a b^T for a[T,D] and the n rows of b, which are packed in bt, but for the last
 * few where they would take a vector of their own: these are single dot products. */
static void multiply_scores(const Shape *s, const Work *w, Matrix c, Matrix a, Matrix b, float *bt,
                            int64_t n, float factor, Ahead *ahead) {
    int64_t whole = n / VEC_LANES * VEC_LANES;
    if (whole == 0 || n - whole > FEW) whole = round_up(n, VEC_LANES);
    pack_transposed(bt, whole, b, min_i64(n, whole), s->D, factor);
    multiply_by_rows(&(Product){.M = s->T,
                                .N = whole,
                                .K = s->D,
                                .a = a.at,
                                .lda = a.ld,
                                .b = bt,
                                .ldb = whole,
                                .c = c.at,
                                .ldc = c.ld,
                                .ahead = ahead});
    for (int64_t j = whole; j < n; j++) {
        row_dots(w->row, a, (Matrix){b.at + j * b.ld, 0}, s->T, s->Dp);
        for (int64_t t = 0; t < s->T; t++) c.at[t * c.ld + j] = w->row[t] * factor;
    }
}

/* Query rows t..t+n. */
static void forward_block(const Shape *s, const Work *w, const Head *h, int64_t t, int64_t n) {
    float inverse[WIDTH] __attribute__((aligned(64)));
    int64_t W = round_up(n, VEC_LANES);
    Matrix p = {w->p, W};
    multiply_scores(s, w, p, h->k, rows_from(h->q, t), w->qt, n, LOG2_E / sqrtf((float)s->D),
                    h->ahead);
    softmax_columns(p.at, s->T, W, inverse, h->lse + t, n);
    multiply_by_columns(&(Product){.M = n,
                                   .N = s->Dp,
                                   .K = s->T,
                                   .a = p.at,
                                   .lda = W,
                                   .b = h->v.at,
                                   .ldb = h->v.ld,
                                   .c = h->o.at + t * h->o.ld,
                                   .ldc = h->o.ld,
                                   .factor = inverse,
                                   .ahead = h->ahead});
}

/* Blocks of query rows: whole vectors, of nearly equal number. */
static int64_t count_blocks(const Shape *s) {
    return s->T <= BLOCK ? 1 : (s->T - FEW + BLOCK - 1) / BLOCK;
}

static int64_t block_start(const Shape *s, int64_t i) {
    int64_t n_vecs = (s->T - FEW + VEC_LANES - 1) / VEC_LANES, n = count_blocks(s);
    return i == n ? s->T : n_vecs * i / n * VEC_LANES;
}

static void forward_head(const Shape *s, const Work *w, const Tensors *x, int64_t i) {
    Ahead ahead = ahead_of(s, x, i);
    Head h = head_at(s, x, i);
    Matrix o = h.o;
    h.ahead = &ahead;
    h.q = whole_vectors(s, w->q, h.q);
    h.k = whole_vectors(s, w->k, h.k);
    h.v = whole_vectors(s, w->v, h.v);
    h.o = room_for(s, w->o, o);
    for (int64_t b = 0; b < count_blocks(s); b++) {
        int64_t t = block_start(s, b);
        forward_block(s, w, &h, t, block_start(s, b + 1) - t);
    }
    copy_back(s, o, h.o);
}

static void attention_forward(Device *d, void *o, void *lse, const void *qkv, int64_t B, int64_t T,
                              int64_t H, int64_t D, void *scratch) {
    Shape s = shape_for(B, T, H, D);
    Tensors x = {.qkv = (float *)qkv, .o = o, .lse = lse};
    int64_t chunk = heads_at_once(B * H);
#pragma omp parallel for schedule(dynamic, chunk)                                                  \
    num_threads(team(d, (double)(B * H * T * T * D) / 4))
    for (int64_t i = 0; i < B * H; i++) {
        Work w = work_of_thread(&s, scratch);
        forward_head(&s, &w, &x, i);
    }
}

/* --- backward -----------------------------------------------------------------------------------
 */

/* p and ds of query rows t..t+n. Both factors that belong to ds are in the packed do and the sums:
 * so dq and dk need none. */
static void backward_scores(const Shape *s, const Work *w, const Head *h, int64_t t, int64_t n) {
    float block_lse[WIDTH] __attribute__((aligned(64))) = {0};
    float sum[WIDTH] __attribute__((aligned(64))) = {0};
    int64_t W = round_up(n, VEC_LANES);
    float scale = 1 / sqrtf((float)s->D);
    Matrix q = rows_from(h->q, t), dout = rows_from(h->dout, t), o = rows_from(h->o, t);
    Matrix p = {w->p, W}, ds = {w->ds, W};
    row_dots(sum, dout, o, n, s->Dp);
    for (int64_t i = 0; i < n; i++) {
        block_lse[i] = h->lse[t + i] * LOG2_E;
        sum[i] *= scale;
    }
    multiply_scores(s, w, p, h->k, q, w->qt, n, LOG2_E * scale, h->ahead);
    multiply_scores(s, w, ds, h->v, dout, w->doutt, n, scale, h->ahead);
    softmax_backward_columns(p.at, ds.at, s->T, W, block_lse, sum);
}

/* to = (sums of the blocks before, when there are) + a b, for the n query rows of a block; the last
 * block writes to, the others sums. */
static void add_block(const Shape *s, Matrix to, float *sums, const float *a, Matrix b, int64_t n,
                      bool first, bool last, Ahead *ahead) {
    Matrix c = last ? to : (Matrix){sums, s->Dp};
    multiply_by_rows(&(Product){.M = s->T,
                                .N = s->Dp,
                                .K = n,
                                .a = a,
                                .lda = round_up(n, VEC_LANES),
                                .b = b.at,
                                .ldb = b.ld,
                                .c = c.at,
                                .ldc = c.ld,
                                .addend = first ? NULL : sums,
                                .ld_addend = s->Dp,
                                .ahead = ahead});
}

static void backward_block(const Shape *s, const Work *w, const Head *h, int64_t i) {
    int64_t t = block_start(s, i), n = block_start(s, i + 1) - t;
    bool first = i == 0, last = i == count_blocks(s) - 1;
    backward_scores(s, w, h, t, n);
    multiply_by_columns(&(Product){.M = n,
                                   .N = s->Dp,
                                   .K = s->T,
                                   .a = w->ds,
                                   .lda = round_up(n, VEC_LANES),
                                   .b = h->k.at,
                                   .ldb = h->k.ld,
                                   .c = h->dq.at + t * h->dq.ld,
                                   .ldc = h->dq.ld,
                                   .ahead = h->ahead});
    add_block(s, h->dk, w->dk, w->ds, rows_from(h->q, t), n, first, last, h->ahead);
    add_block(s, h->dv, w->dv, w->p, rows_from(h->dout, t), n, first, last, h->ahead);
}

static void backward_head(const Shape *s, const Work *w, const Tensors *x, int64_t i) {
    Ahead ahead = ahead_of(s, x, i);
    Head h = head_at(s, x, i);
    Matrix dq = h.dq, dk = h.dk, dv = h.dv;
    h.ahead = &ahead;
    h.q = whole_vectors(s, w->q, h.q);
    h.k = whole_vectors(s, w->k, h.k);
    h.v = whole_vectors(s, w->v, h.v);
    h.o = whole_vectors(s, w->o, h.o);
    h.dout = whole_vectors(s, w->dout, h.dout);
    h.dq = room_for(s, w->dq, dq);
    h.dk = room_for(s, w->dk, dk);
    h.dv = room_for(s, w->dv, dv);
    for (int64_t b = 0; b < count_blocks(s); b++) backward_block(s, w, &h, b);
    copy_back(s, dq, h.dq);
    copy_back(s, dk, h.dk);
    copy_back(s, dv, h.dv);
}

static void attention_backward(Device *d, void *dqkv, const void *dout, const void *o,
                               const void *lse, const void *qkv, int64_t B, int64_t T, int64_t H,
                               int64_t D, void *scratch) {
    Shape s = shape_for(B, T, H, D);
    Tensors x = {(float *)qkv, (float *)o, (float *)lse, (float *)dout, dqkv};
    int64_t chunk = heads_at_once(B * H);
#pragma omp parallel for schedule(dynamic, chunk) num_threads(team(d, (double)(B * H * T * T * D)))
    for (int64_t i = 0; i < B * H; i++) {
        Work w = work_of_thread(&s, scratch);
        backward_head(&s, &w, &x, i);
    }
}

static size_t attention_scratch(const Device *d, int64_t B, int64_t T, int64_t H, int64_t D) {
    Shape s = shape_for(B, T, H, D);
    return (size_t)(d->n_threads * work_floats(&s)) * sizeof(float);
}

void SIMD(fill_attention)(Kernels *k) {
    k->attention_forward = attention_forward;
    k->attention_backward = attention_backward;
    k->attention_scratch = attention_scratch;
}
