/* Attention (Vaswani et al., arXiv 1706.03762). For every image and head, with one row of q, k, v
 * per token: s = q k^T / sqrt(D), p = softmax of each row of s, o = p v.
 *
 * The forward pass keeps only the logarithm of the softmax denominator; the backward pass computes
 * p again from it. For each query row t it takes dp = do v^T and ds = p * (dp - sum(dp * p)). Since
 * the rows of o are p v, sum(dp * p) = sum(do * o). Then dq = ds k, dk = ds^T q (both / sqrt(D))
 * and dv = p^T do. The scratch holds a row of p or ds, and dk and dv of one head, all in double. */
#include "kernels/ref/ref.h"

/* Rows of one image and head lie `step` elements apart. */
typedef struct Head {
    const real *q, *k, *v;
    int64_t T, D, step;
} Head;

static Head head_at(const real *qkv, int64_t b, int64_t h, int64_t T, int64_t H, int64_t D) {
    const real *q = qkv + b * T * 3 * H * D + h * D;
    return (Head){.q = q, .k = q + H * D, .v = q + 2 * H * D, .T = T, .D = D, .step = 3 * H * D};
}

static double dot(const real *a, const real *b, int64_t n) {
    double s = 0;
    for (int64_t i = 0; i < n; i++) s += get(a[i]) * get(b[i]);
    return s;
}

static double score(const Head *a, int64_t t, int64_t s) {
    return dot(a->q + t * a->step, a->k + s * a->step, a->D) / sqrt((double)a->D);
}

/* One query row: p receives the softmax, o the output; returns the log of the denominator. */
static double forward_row(const Head *a, int64_t t, double *p, real *o) {
    double highest = -INFINITY, sum = 0;
    for (int64_t s = 0; s < a->T; s++) {
        p[s] = score(a, t, s);
        if (p[s] > highest) highest = p[s];
    }
    for (int64_t s = 0; s < a->T; s++) {
        p[s] = exp(p[s] - highest);
        sum += p[s];
    }
    for (int64_t i = 0; i < a->D; i++) {
        double value = 0;
        for (int64_t s = 0; s < a->T; s++) value += p[s] / sum * get(a->v[s * a->step + i]);
        put(o + i, value, false);
    }
    return highest + log(sum);
}

static void attention_forward(Device *d, void *o_, void *lse_, const void *qkv, int64_t B,
                              int64_t T, int64_t H, int64_t D, void *scratch) {
    (void)d;
    for (int64_t b = 0; b < B; b++) {
        for (int64_t h = 0; h < H; h++) {
            Head a = head_at(qkv, b, h, T, H, D);
            for (int64_t t = 0; t < T; t++) {
                real *o = (real *)o_ + ((b * T + t) * H + h) * D;
                ((wide *)lse_)[(b * H + h) * T + t] = (wide)forward_row(&a, t, scratch, o);
            }
        }
    }
}

/* One query row: writes its dq, adds its share to dk and dv [T,D]. */
static void backward_row(const Head *a, int64_t t, double lse, const real *dout, const real *o,
                         real *dq, double *ds, double *dk, double *dv) {
    double sum = dot(dout, o, a->D), scale = 1 / sqrt((double)a->D);
    for (int64_t s = 0; s < a->T; s++) {
        double p = exp(score(a, t, s) - lse);
        ds[s] = p * (dot(dout, a->v + s * a->step, a->D) - sum) * scale;
        for (int64_t i = 0; i < a->D; i++) {
            dv[s * a->D + i] += p * get(dout[i]);
            dk[s * a->D + i] += ds[s] * get(a->q[t * a->step + i]);
        }
    }
    for (int64_t i = 0; i < a->D; i++) {
        double value = 0;
        for (int64_t s = 0; s < a->T; s++) value += ds[s] * get(a->k[s * a->step + i]);
        put(dq + i, value, false);
    }
}

static void attention_backward(Device *d, void *dqkv, const void *dout_, const void *o_,
                               const void *lse_, const void *qkv, int64_t B, int64_t T, int64_t H,
                               int64_t D, void *scratch) {
    (void)d;
    double *ds = scratch, *dk = ds + T, *dv = dk + T * D;
    const wide *lse = lse_;
    for (int64_t b = 0; b < B; b++) {
        for (int64_t h = 0; h < H; h++) {
            Head a = head_at(qkv, b, h, T, H, D);
            real *dq = (real *)dqkv + b * T * 3 * H * D + h * D;
            for (int64_t i = 0; i < 2 * T * D; i++) dk[i] = 0;
            for (int64_t t = 0; t < T; t++) {
                int64_t row = ((b * T + t) * H + h) * D;
                backward_row(&a, t, (double)lse[(b * H + h) * T + t], (const real *)dout_ + row,
                             (const real *)o_ + row, dq + t * a.step, ds, dk, dv);
            }
            for (int64_t t = 0; t < T; t++) {
                for (int64_t i = 0; i < D; i++) {
                    put(dq + t * a.step + H * D + i, dk[t * D + i], false);
                    put(dq + t * a.step + 2 * H * D + i, dv[t * D + i], false);
                }
            }
        }
    }
}

static size_t attention_scratch(const Device *d, int64_t B, int64_t T, int64_t H, int64_t D) {
    (void)d;
    (void)B;
    (void)H;
    return (size_t)(T + 2 * T * D) * sizeof(double);
}

void REF(fill_attention)(Kernels *k) {
    k->attention_forward = attention_forward;
    k->attention_backward = attention_backward;
    k->attention_scratch = attention_scratch;
}
