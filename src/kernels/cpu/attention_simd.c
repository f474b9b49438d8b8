/* Attention, one image and head at a time; see ref/attention.c for the formulas.
 *
 * A thread packs q, k, v of its head into padded matrices of its slice of the scratch and works on
 * BLOCK query rows at once, so that their scores stay in the first caches and memory grows with T,
 * not T^2. All products go through one register-blocked micro-kernel: MR rows times two vectors,
 * 12 independent sums. Padding is zero and never reaches a result. A head is one thread's work from
 * begin to end, which makes results independent of their number. */
#ifdef _OPENMP
#include <omp.h>
#endif

#include "kernels/cpu/simd.h"

enum { MR = 6, BLOCK = 8 * MR };

/* --- small products -----------------------------------------------------------------------------
 */

/* Element (row i, k) of the left operand is at[i * row + k * column]: also serves transposed ones.
 */
typedef struct Left {
    const float *at;
    int64_t row, column;
} Left;

/* c[MR, n_vecs * VEC_LANES] = or += a b over K; n_vecs is a constant where this is inlined. */
static inline __attribute__((always_inline)) void
micro(float *c, int64_t width, Left a, const float *b, int64_t K, int n_vecs, bool add) {
    Vec sum[MR][2];
    for (int i = 0; i < MR; i++) {
        for (int j = 0; j < n_vecs; j++) {
            sum[i][j] = add ? *(Vec *)(c + i * width + j * VEC_LANES) : (Vec){0};
        }
    }
    for (int64_t k = 0; k < K; k++) {
        Vec right[2];
        for (int j = 0; j < n_vecs; j++) right[j] = *(const Vec *)(b + j * VEC_LANES);
        for (int i = 0; i < MR; i++) {
            float left = a.at[i * a.row];
            for (int j = 0; j < n_vecs; j++) sum[i][j] += right[j] * left;
        }
        a.at += a.column;
        b += width;
    }
    for (int i = 0; i < MR; i++) {
        for (int j = 0; j < n_vecs; j++) *(Vec *)(c + i * width + j * VEC_LANES) = sum[i][j];
    }
}

/* c[M,width] = or += a b[K,width]; M is a multiple of MR, width of VEC_LANES. */
static void multiply(float *c, Left a, const float *b, int64_t M, int64_t width, int64_t K,
                     bool add) {
    int64_t j = 0;
    for (; j + 2 * VEC_LANES <= width; j += 2 * VEC_LANES) {
        for (int64_t i = 0; i < M; i += MR) {
            Left rows = {a.at + i * a.row, a.row, a.column};
            micro(c + i * width + j, width, rows, b + j, K, 2, add);
        }
    }
    for (int64_t i = 0; j < width && i < M; i += MR) {
        Left rows = {a.at + i * a.row, a.row, a.column};
        micro(c + i * width + j, width, rows, b + j, K, 1, add);
    }
}

/* --- packing ------------------------------------------------------------------------------------
 */

/* Shapes of the packed matrices: rows and widths that the micro-kernel can take. */
typedef struct Shape {
    int64_t B, T, H, D;
    int64_t rows, Tp, Dp; /* T to MR; T and D to VEC_LANES, Tp >= rows */
} Shape;

typedef struct Work {
    float *q, *k, *kt, *v, *vt; /* q [rows,Dp] scaled; k, v [T,Dp]; kt, vt [D,Tp] */
    float *dout, *dk, *dv;      /* [rows,Dp] */
    float *p, *ds;              /* [BLOCK,Tp] */
    float *o;                   /* [BLOCK,Dp]: o, or dq */
} Work;

static Shape shape_for(int64_t B, int64_t T, int64_t H, int64_t D) {
    Shape s = {.B = B, .T = T, .H = H, .D = D, .rows = round_up(T, MR)};
    s.Tp = round_up(s.rows, VEC_LANES);
    s.Dp = round_up(D, VEC_LANES);
    return s;
}

/* Floats per thread, a multiple of 16 to keep every slice on a cache line of its own. */
static int64_t work_floats(const Shape *s) {
    return round_up(8 * s->Tp * s->Dp + BLOCK * (2 * s->Tp + s->Dp), 16);
}

static Work work_of_thread(const Shape *s, void *scratch) {
#ifdef _OPENMP
    float *at = (float *)scratch + omp_get_thread_num() * work_floats(s);
#else
    float *at = scratch;
#endif
    int64_t n = s->Tp * s->Dp;
    return (Work){.q = at,
                  .k = at + n,
                  .kt = at + 2 * n,
                  .v = at + 3 * n,
                  .vt = at + 4 * n,
                  .dout = at + 5 * n,
                  .dk = at + 6 * n,
                  .dv = at + 7 * n,
                  .p = at + 8 * n,
                  .ds = at + 8 * n + BLOCK * s->Tp,
                  .o = at + 8 * n + 2 * BLOCK * s->Tp};
}

/* to[rows,width] = factor * from[T,D], zero outside; rows of from lie step apart. */
static void pack(float *to, int64_t rows, int64_t width, const float *from, int64_t step, int64_t T,
                 int64_t D, float factor) {
    memset(to + T * width, 0, (size_t)((rows - T) * width) * sizeof(float));
    for (int64_t t = 0; t < T; t++) {
#pragma omp simd
        for (int64_t i = 0; i < D; i++) to[t * width + i] = from[t * step + i] * factor;
        for (int64_t i = D; i < width; i++) to[t * width + i] = 0;
    }
}

/* to[D,width] = transpose of from[T,D], zero beyond T. */
static void pack_transposed(float *to, int64_t width, const float *from, int64_t step, int64_t T,
                            int64_t D) {
    for (int64_t i = 0; i < D; i++) {
        for (int64_t t = 0; t < T; t++) to[i * width + t] = from[t * step + i];
        for (int64_t t = T; t < width; t++) to[i * width + t] = 0;
    }
}

/* to[T,D] = factor * from[T,width]; rows of to lie step apart. */
static void unpack(float *to, int64_t step, const float *from, int64_t width, int64_t T, int64_t D,
                   float factor) {
    for (int64_t t = 0; t < T; t++) {
#pragma omp simd
        for (int64_t i = 0; i < D; i++) to[t * step + i] = from[t * width + i] * factor;
    }
}

/* --- forward ------------------------------------------------------------------------------------
 */

/* The largest of s[n], s aligned; a NaN is passed over, its exp shows it. Written with masks
 * because no compiler here turns a maximum that respects NaN into vector code. */
static float maximum(const float *s, int64_t n) {
    typedef int32_t Mask __attribute__((vector_size(sizeof(Vec))));
    Vec most = (Vec){0} - INFINITY;
    int64_t i = 0;
    for (; i + VEC_LANES <= n; i += VEC_LANES) {
        Vec next = *(const Vec *)(s + i);
        Mask larger = next > most;
        most = (Vec)(((Mask)next & larger) | ((Mask)most & ~larger));
    }
    float highest = -INFINITY;
    for (int j = 0; j < VEC_LANES; j++) highest = most[j] > highest ? most[j] : highest;
    for (; i < n; i++) highest = s[i] > highest ? s[i] : highest;
    return highest;
}

/* s[n] becomes exp(s - highest); returns the sum of these, log of the denominator in *lse. */
static float softmax_row(float *s, int64_t n, float *lse) {
    float highest = maximum(s, n), sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < n; i++) {
        s[i] = exp_f32(s[i] - highest);
        sum += s[i];
    }
    *lse = highest + logf(sum);
    return sum;
}

static void forward_head(const Shape *s, const Work *w, float *o, float *lse, const float *qkv) {
    int64_t step = 3 * s->H * s->D, o_step = s->H * s->D;
    pack(w->q, s->rows, s->Dp, qkv, step, s->T, s->D, 1 / sqrtf((float)s->D));
    pack_transposed(w->kt, s->Tp, qkv + o_step, step, s->T, s->D);
    pack(w->v, s->T, s->Dp, qkv + 2 * o_step, step, s->T, s->D, 1);
    for (int64_t t = 0; t < s->T; t += BLOCK) {
        int64_t n = min_i64(BLOCK, s->T - t), m = round_up(n, MR);
        float sums[BLOCK];
        multiply(w->p, (Left){w->q + t * s->Dp, s->Dp, 1}, w->kt, m, s->Tp, s->D, false);
        for (int64_t r = 0; r < n; r++) {
            sums[r] = softmax_row(w->p + r * s->Tp, s->T, &lse[t + r]);
        }
        multiply(w->o, (Left){w->p, s->Tp, 1}, w->v, m, s->Dp, s->T, false);
        for (int64_t r = 0; r < n; r++) {
            unpack(o + (t + r) * o_step, o_step, w->o + r * s->Dp, s->Dp, 1, s->D, 1 / sums[r]);
        }
    }
}

static void attention_forward(Device *d, void *o, void *lse, const void *qkv, int64_t B, int64_t T,
                              int64_t H, int64_t D, void *scratch) {
    Shape s = shape_for(B, T, H, D);
#pragma omp parallel for schedule(dynamic) num_threads(team(d, (double)(B * H * T * T * D) / 4))
    for (int64_t i = 0; i < B * H; i++) {
        int64_t b = i / H, h = i % H;
        Work w = work_of_thread(&s, scratch);
        forward_head(&s, &w, (float *)o + (b * T * H + h) * D, (float *)lse + i * T,
                     (const float *)qkv + (b * T * 3 * H + h) * D);
    }
}

/* --- backward -----------------------------------------------------------------------------------
 */

/* p = exp(p - lse); ds = p * (ds - sum), where ds comes in as do v^T. */
static void backward_row(float *p, float *ds, float lse, float sum, int64_t n) {
#pragma omp simd
    for (int64_t i = 0; i < n; i++) {
        p[i] = exp_f32(p[i] - lse);
        ds[i] = p[i] * (ds[i] - sum);
    }
}

static float dot(const float *a, const float *b, int64_t n) {
    float s = 0;
#pragma omp simd reduction(+ : s)
    for (int64_t i = 0; i < n; i++) s += a[i] * b[i];
    return s;
}

/* Query rows t..t+n: writes their dq, adds their shares to dk and dv. q carries the factor
 * 1/sqrt(D), so dk needs none. */
static void backward_block(const Shape *s, const Work *w, float *dq, const float *o,
                           const float *lse, int64_t t) {
    int64_t n = min_i64(BLOCK, s->T - t), m = round_up(n, MR), o_step = s->H * s->D;
    const float *q = w->q + t * s->Dp, *dout = w->dout + t * s->Dp;
    multiply(w->p, (Left){q, s->Dp, 1}, w->kt, m, s->Tp, s->D, false);
    multiply(w->ds, (Left){dout, s->Dp, 1}, w->vt, m, s->Tp, s->D, false);
    for (int64_t r = 0; r < n; r++) {
        float sum = dot(dout + r * s->Dp, o + (t + r) * o_step, s->D);
        backward_row(w->p + r * s->Tp, w->ds + r * s->Tp, lse[t + r], sum, s->T);
    }
    multiply(w->o, (Left){w->ds, s->Tp, 1}, w->k, m, s->Dp, s->T, false);
    unpack(dq + t * 3 * o_step, 3 * o_step, w->o, s->Dp, n, s->D, 1 / sqrtf((float)s->D));
    multiply(w->dk, (Left){w->ds, 1, s->Tp}, q, s->rows, s->Dp, n, t > 0);
    multiply(w->dv, (Left){w->p, 1, s->Tp}, dout, s->rows, s->Dp, n, t > 0);
}

static void backward_head(const Shape *s, const Work *w, float *dqkv, const float *dout,
                          const float *o, const float *lse, const float *qkv) {
    int64_t o_step = s->H * s->D, step = 3 * o_step;
    pack(w->q, s->rows, s->Dp, qkv, step, s->T, s->D, 1 / sqrtf((float)s->D));
    pack(w->k, s->T, s->Dp, qkv + o_step, step, s->T, s->D, 1);
    pack(w->dout, s->rows, s->Dp, dout, o_step, s->T, s->D, 1);
    pack_transposed(w->kt, s->Tp, qkv + o_step, step, s->T, s->D);
    pack_transposed(w->vt, s->Tp, qkv + 2 * o_step, step, s->T, s->D);
    for (int64_t t = 0; t < s->T; t += BLOCK) backward_block(s, w, dqkv, o, lse, t);
    unpack(dqkv + o_step, step, w->dk, s->Dp, s->T, s->D, 1);
    unpack(dqkv + 2 * o_step, step, w->dv, s->Dp, s->T, s->D, 1);
}

static void attention_backward(Device *d, void *dqkv, const void *dout, const void *o,
                               const void *lse, const void *qkv, int64_t B, int64_t T, int64_t H,
                               int64_t D, void *scratch) {
    Shape s = shape_for(B, T, H, D);
#pragma omp parallel for schedule(dynamic) num_threads(team(d, (double)(B * H * T * T * D)))
    for (int64_t i = 0; i < B * H; i++) {
        int64_t at = (i / H * T * H + i % H) * D, at3 = (i / H * T * 3 * H + i % H) * D;
        Work w = work_of_thread(&s, scratch);
        backward_head(&s, &w, (float *)dqkv + at3, (const float *)dout + at, (const float *)o + at,
                      (const float *)lse + i * T, (const float *)qkv + at3);
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
