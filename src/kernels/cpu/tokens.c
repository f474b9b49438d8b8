/* Moving rows of tokens, by threads over rows; see ref/tokens.c. Sums over rows (of dcls, dtoken
 * and dpos) are split by columns instead: each thread adds all rows in order. */
#include <string.h>

#include "kernels/cpu/cpu.h"

enum { COLUMNS = 64 }; /* of a piece of work where rows are summed */

static int64_t min_i64(int64_t a, int64_t b) {
    return a < b ? a : b;
}

/* y = a + b, or a when b is NULL. */
static void sum_row(float *y, const float *a, const float *b, int64_t C) {
    if (!b) {
        memcpy(y, a, (size_t)C * sizeof(float));
        return;
    }
    for (int64_t c = 0; c < C; c++) y[c] = a[c] + b[c];
}

/* dx (+)= dy */
static void put_row(float *dx, const float *dy, int64_t C, bool accumulate) {
    if (!accumulate) {
        memcpy(dx, dy, (size_t)C * sizeof(float));
        return;
    }
    for (int64_t c = 0; c < C; c++) dx[c] += dy[c];
}

static void tokens_embed_forward(Device *d, void *y, const void *x, const void *cls,
                                 const void *pos, const int32_t *ids, int64_t B, int64_t M,
                                 int64_t C) {
#pragma omp parallel for schedule(static) num_threads(team(d, (double)(B * M * C)))
    for (int64_t i = 0; i < B * (1 + M); i++) {
        int64_t b = i / (1 + M), t = i % (1 + M);
        const float *from = t ? (const float *)x + (b * M + t - 1) * C : cls;
        int64_t place = t ? 1 + ids[b * M + t - 1] : 0;
        sum_row((float *)y + i * C, from, pos ? (const float *)pos + place * C : NULL, C);
    }
}

static void tokens_embed_backward(Device *d, void *dx, void *dcls_, void *dpos, const void *dy_,
                                  const int32_t *ids, int64_t B, int64_t M, int64_t C,
                                  bool accumulate) {
    float *dcls = dcls_;
    const float *dy = dy_;
    if (dx) {
#pragma omp parallel for schedule(static) num_threads(team(d, (double)(B * M * C)))
        for (int64_t i = 0; i < B * M; i++) {
            put_row((float *)dx + i * C, dy + (i / M * (1 + M) + 1 + i % M) * C, C, accumulate);
        }
    }
#pragma omp parallel for schedule(static) num_threads(team(d, (double)(B * M * C)))
    for (int64_t at = 0; at < C; at += COLUMNS) {
        int64_t n = min_i64(COLUMNS, C - at);
        for (int64_t b = 0; dcls && b < B; b++) {
            put_row(dcls + at, dy + b * (1 + M) * C + at, n, true);
        }
        for (int64_t i = 0; dpos && i < B * (1 + M); i++) {
            int64_t b = i / (1 + M), t = i % (1 + M);
            int64_t place = t ? 1 + ids[b * M + t - 1] : 0;
            put_row((float *)dpos + place * C + at, dy + i * C + at, n, true);
        }
    }
}

/* Row of x that token t of image b comes from; above K it is a gap. */
static int64_t source_row(const int32_t *restore, int64_t b, int64_t t, int64_t P) {
    return t && restore ? 1 + restore[b * P + t - 1] : t;
}

static void tokens_restore_forward(Device *d, void *y, const void *x, const void *token,
                                   const void *pos, const int32_t *restore, int64_t B, int64_t K,
                                   int64_t P, int64_t C) {
#pragma omp parallel for schedule(static) num_threads(team(d, (double)(B * P * C)))
    for (int64_t i = 0; i < B * (1 + P); i++) {
        int64_t b = i / (1 + P), t = i % (1 + P);
        int64_t row = source_row(restore, b, t, P);
        const float *from = row < 1 + K ? (const float *)x + (b * (1 + K) + row) * C : token;
        sum_row((float *)y + i * C, from, (const float *)pos + t * C, C);
    }
}

static void tokens_restore_backward(Device *d, void *dx, void *dtoken, void *dpos, const void *dy_,
                                    const int32_t *restore, int64_t B, int64_t K, int64_t P,
                                    int64_t C, bool accumulate) {
    const float *dy = dy_;
    if (dx) {
#pragma omp parallel for schedule(static) num_threads(team(d, (double)(B * P * C)))
        for (int64_t i = 0; i < B * (1 + P); i++) {
            int64_t b = i / (1 + P), t = i % (1 + P);
            int64_t row = source_row(restore, b, t, P);
            if (row > K) continue;
            put_row((float *)dx + (b * (1 + K) + row) * C, dy + i * C, C, accumulate);
        }
    }
#pragma omp parallel for schedule(static) num_threads(team(d, (double)(B * P * C)))
    for (int64_t at = 0; at < C; at += COLUMNS) {
        int64_t n = min_i64(COLUMNS, C - at);
        for (int64_t i = 0; i < B * (1 + P); i++) {
            int64_t b = i / (1 + P), t = i % (1 + P);
            bool kept = source_row(restore, b, t, P) <= K;
            if (dtoken && !kept) put_row((float *)dtoken + at, dy + i * C + at, n, true);
            if (dpos) put_row((float *)dpos + t * C + at, dy + i * C + at, n, true);
        }
    }
}

static void tokens_gather_forward(Device *d, void *y, const void *x, const int32_t *ids, int64_t B,
                                  int64_t M, int64_t P, int64_t C) {
#pragma omp parallel for schedule(static) num_threads(team(d, (double)(B * M * C)))
    for (int64_t i = 0; i < B * M; i++) {
        const float *from = (const float *)x + (i / M * (1 + P) + 1 + ids[i]) * C;
        sum_row((float *)y + i * C, from, NULL, C);
    }
}

static void tokens_gather_backward(Device *d, void *dx_, const void *dy, const int32_t *ids,
                                   int64_t B, int64_t M, int64_t P, int64_t C, bool accumulate) {
    float *dx = dx_;
#pragma omp parallel for schedule(static) num_threads(team(d, (double)(B * P * C)))
    for (int64_t i = 0; i < B * (1 + P); i++) {
        if (!accumulate) memset(dx + i * C, 0, (size_t)C * sizeof(float));
    }
#pragma omp parallel for schedule(static) num_threads(team(d, (double)(B * M * C)))
    for (int64_t i = 0; i < B * M; i++) {
        float *to = dx + (i / M * (1 + P) + 1 + ids[i]) * C;
        put_row(to, (const float *)dy + i * C, C, true);
    }
}

/* Tokens are summed in double: a few adds more, and the mean of equal tokens is that token. */
static void tokens_mean_forward(Device *d, void *y, const void *x_, int64_t B, int64_t T,
                                int64_t C) {
    int64_t pieces = (C + COLUMNS - 1) / COLUMNS;
#pragma omp parallel for schedule(static) num_threads(team(d, (double)(B * T * C)))
    for (int64_t i = 0; i < B * pieces; i++) {
        int64_t b = i / pieces, at = i % pieces * COLUMNS, n = min_i64(COLUMNS, C - at);
        double sum[COLUMNS] = {0};
        for (int64_t t = 1; t < T; t++) {
            const float *x = (const float *)x_ + (b * T + t) * C + at;
            for (int64_t c = 0; c < n; c++) sum[c] += (double)x[c];
        }
        for (int64_t c = 0; c < n; c++) {
            ((float *)y)[b * C + at + c] = (float)(sum[c] / (double)(T - 1));
        }
    }
}

static void tokens_mean_backward(Device *d, void *dx_, const void *dy_, int64_t B, int64_t T,
                                 int64_t C, bool accumulate) {
    float share = 1.0f / (float)(T - 1);
#pragma omp parallel for schedule(static) num_threads(team(d, (double)(B * T * C)))
    for (int64_t i = 0; i < B * T; i++) {
        const float *dy = (const float *)dy_ + i / T * C;
        float *dx = (float *)dx_ + i * C;
        float factor = i % T ? share : 0.0f;
        for (int64_t c = 0; c < C; c++) dx[c] = (accumulate ? dx[c] : 0.0f) + factor * dy[c];
    }
}

static void tokens_cls_forward(Device *d, void *y, const void *x, int64_t B, int64_t T, int64_t C) {
    (void)d;
    for (int64_t b = 0; b < B; b++) {
        sum_row((float *)y + b * C, (const float *)x + b * T * C, NULL, C);
    }
}

static void tokens_cls_backward(Device *d, void *dx_, const void *dy, int64_t B, int64_t T,
                                int64_t C, bool accumulate) {
#pragma omp parallel for schedule(static) num_threads(team(d, (double)(B * T * C)))
    for (int64_t b = 0; b < B; b++) {
        float *dx = (float *)dx_ + b * T * C;
        put_row(dx, (const float *)dy + b * C, C, accumulate);
        if (!accumulate) memset(dx + C, 0, (size_t)((T - 1) * C) * sizeof(float));
    }
}

void cpu_fill_tokens(Kernels *k) {
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
