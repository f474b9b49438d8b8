/* Assembling, shuffling and pooling tokens. All these kernels move whole rows of C values. embed
 * gives the encoder a class token and positions. restore gives the decoder all patches back in
 * order, with a learned token in the gaps. gather picks the removed patches for the loss. mean and
 * cls pool for a classifier. */
#include "kernels/ref/ref.h"

static void tokens_embed_forward(Device *d, void *y_, const void *x_, const void *cls_,
                                 const void *pos_, const int32_t *ids, int64_t B, int64_t M,
                                 int64_t C) {
    (void)d;
    const real *x = x_;
    const wide *cls = cls_, *pos = pos_;
    for (int64_t b = 0; b < B; b++) {
        for (int64_t t = 0; t < 1 + M; t++) {
            const real *from = t ? x + (b * M + t - 1) * C : NULL;
            const wide *at = pos ? pos + (t ? 1 + ids[b * M + t - 1] : 0) * C : NULL;
            real *y = (real *)y_ + (b * (1 + M) + t) * C;
            for (int64_t c = 0; c < C; c++) {
                double value = from ? get(from[c]) : (double)cls[c];
                put(y + c, at ? value + (double)at[c] : value, false);
            }
        }
    }
}

static void tokens_embed_backward(Device *d, void *dx_, void *dcls_, void *dpos_, const void *dy_,
                                  const int32_t *ids, int64_t B, int64_t M, int64_t C,
                                  bool accumulate) {
    (void)d;
    real *dx = dx_;
    wide *dcls = dcls_, *dpos = dpos_;
    for (int64_t b = 0; b < B; b++) {
        for (int64_t t = 0; t < 1 + M; t++) {
            const real *dy = (const real *)dy_ + (b * (1 + M) + t) * C;
            int64_t place = t ? 1 + ids[b * M + t - 1] : 0;
            for (int64_t c = 0; c < C; c++) {
                if (t && dx) put(&dx[(b * M + t - 1) * C + c], get(dy[c]), accumulate);
                if (!t && dcls) put_wide(&dcls[c], get(dy[c]), true);
                if (dpos) put_wide(&dpos[place * C + c], get(dy[c]), true);
            }
        }
    }
}

/* Row of x that token t of image b comes from; above K it is a gap. */
static int64_t source_row(const int32_t *restore, int64_t b, int64_t t, int64_t P) {
    return t && restore ? 1 + restore[b * P + t - 1] : t;
}

static void tokens_restore_forward(Device *d, void *y_, const void *x_, const void *token_,
                                   const void *pos_, const int32_t *restore, int64_t B, int64_t K,
                                   int64_t P, int64_t C) {
    (void)d;
    const real *x = x_;
    const wide *token = token_, *pos = pos_;
    for (int64_t b = 0; b < B; b++) {
        for (int64_t t = 0; t < 1 + P; t++) {
            int64_t row = source_row(restore, b, t, P);
            const real *from = row < 1 + K ? x + (b * (1 + K) + row) * C : NULL;
            real *y = (real *)y_ + (b * (1 + P) + t) * C;
            for (int64_t c = 0; c < C; c++) {
                double value = from ? get(from[c]) : (double)token[c];
                put(y + c, value + (double)pos[t * C + c], false);
            }
        }
    }
}

static void tokens_restore_backward(Device *d, void *dx_, void *dtoken_, void *dpos_,
                                    const void *dy_, const int32_t *restore, int64_t B, int64_t K,
                                    int64_t P, int64_t C, bool accumulate) {
    (void)d;
    real *dx = dx_;
    wide *dtoken = dtoken_, *dpos = dpos_;
    for (int64_t b = 0; b < B; b++) {
        for (int64_t t = 0; t < 1 + P; t++) {
            int64_t row = source_row(restore, b, t, P);
            const real *dy = (const real *)dy_ + (b * (1 + P) + t) * C;
            bool kept = row < 1 + K;
            for (int64_t c = 0; c < C; c++) {
                if (kept && dx) put(&dx[(b * (1 + K) + row) * C + c], get(dy[c]), accumulate);
                if (!kept && dtoken) put_wide(&dtoken[c], get(dy[c]), true);
                if (dpos) put_wide(&dpos[t * C + c], get(dy[c]), true);
            }
        }
    }
}

static void tokens_gather_forward(Device *d, void *y_, const void *x_, const int32_t *ids,
                                  int64_t B, int64_t M, int64_t P, int64_t C) {
    (void)d;
    for (int64_t i = 0; i < B * M; i++) {
        const real *x = (const real *)x_ + (i / M * (1 + P) + 1 + ids[i]) * C;
        real *y = (real *)y_ + i * C;
        for (int64_t c = 0; c < C; c++) y[c] = x[c];
    }
}

static void tokens_gather_backward(Device *d, void *dx_, const void *dy_, const int32_t *ids,
                                   int64_t B, int64_t M, int64_t P, int64_t C, bool accumulate) {
    (void)d;
    real *dx = dx_;
    if (!accumulate) {
        for (int64_t i = 0; i < B * (1 + P) * C; i++) put(dx + i, 0, false);
    }
    for (int64_t i = 0; i < B * M; i++) {
        const real *dy = (const real *)dy_ + i * C;
        real *to = dx + (i / M * (1 + P) + 1 + ids[i]) * C;
        for (int64_t c = 0; c < C; c++) put(to + c, get(dy[c]), true);
    }
}

static void tokens_mean_forward(Device *d, void *y_, const void *x_, int64_t B, int64_t T,
                                int64_t C) {
    (void)d;
    const real *x = x_;
    for (int64_t b = 0; b < B; b++) {
        for (int64_t c = 0; c < C; c++) {
            double s = 0;
            for (int64_t t = 1; t < T; t++) s += get(x[(b * T + t) * C + c]);
            put((real *)y_ + b * C + c, s / (double)(T - 1), false);
        }
    }
}

static void tokens_mean_backward(Device *d, void *dx_, const void *dy_, int64_t B, int64_t T,
                                 int64_t C, bool accumulate) {
    (void)d;
    for (int64_t b = 0; b < B; b++) {
        const real *dy = (const real *)dy_ + b * C;
        for (int64_t t = 0; t < T; t++) {
            real *dx = (real *)dx_ + (b * T + t) * C;
            for (int64_t c = 0; c < C; c++) {
                put(&dx[c], t ? get(dy[c]) / (double)(T - 1) : 0.0, accumulate);
            }
        }
    }
}

static void tokens_cls_forward(Device *d, void *y, const void *x, int64_t B, int64_t T, int64_t C) {
    (void)d;
    for (int64_t b = 0; b < B; b++) {
        for (int64_t c = 0; c < C; c++) {
            ((real *)y)[b * C + c] = ((const real *)x)[b * T * C + c];
        }
    }
}

static void tokens_cls_backward(Device *d, void *dx, const void *dy, int64_t B, int64_t T,
                                int64_t C, bool accumulate) {
    (void)d;
    for (int64_t i = 0; i < B * T; i++) {
        for (int64_t c = 0; c < C; c++) {
            double value = i % T ? 0.0 : get(((const real *)dy)[i / T * C + c]);
            put((real *)dx + i * C + c, value, accumulate);
        }
    }
}

void REF(fill_tokens)(Kernels *k) {
    k->tokens_embed_forward = tokens_embed_forward;
    k->tokens_embed_backward = tokens_embed_backward;
    k->tokens_restore_forward = tokens_restore_forward;
    k->tokens_restore_backward = tokens_restore_backward;
    k->tokens_gather_forward = tokens_gather_forward;
    k->tokens_gather_backward = tokens_gather_backward;
    k->tokens_mean_forward = tokens_mean_forward;
    k->tokens_mean_backward = tokens_mean_backward;
    k->tokens_cls_forward = tokens_cls_forward;
    k->tokens_cls_backward = tokens_cls_backward;
}
