/* Attention, one image and head at a time; ref/attention.c has the formulas.
 *
 * A head is worked on in blocks of query rows. The scores of a block are kept transposed,
 * p[key][query], so that queries lie in the lanes of vectors. Maximum, sum, lse and sum(do * o) of
 * a row are then vectors, and softmax needs nothing across lanes. Only the products that make
 * scores need a transposed operand, which is packed for each block:
 *
 *   p = k q^T    ds = v do^T    o = p^T v    dq = ds^T k    dk += ds q    dv += p do
 *
 * The other operands are used where they lie if D is made of whole vectors, otherwise in padded
 * copies. Rows of the next head are prefetched while a head is at work: they are short and far
 * apart, which no processor foresees. Memory grows with T, not T^2. Scores are kept times log2(e),
 * for exp2.
 *
 * Class tokens make T one more than a multiple of the vectors' length. Up to FEW queries beyond
 * whole vectors are therefore single dot products, and not a vector that is mostly empty.
 *
 * One thread works on a head from begin to end, so results do not depend on the number of threads.
 */
#include "kernels/cpu/attention_softmax.h"
#include "kernels/cpu/attention_work.h"

/* --- forward ---------------------------------------------------------------------------------- */

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

/* --- backward --------------------------------------------------------------------------------- */

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
