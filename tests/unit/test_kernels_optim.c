/* The rows of the optimisers, over lists of tensors, against ref64 as in test_kernels.c. */
#include "kernel_case.h"

#include <check.h>
#include <math.h>
#include <string.h>

Suite *suite_kernels_optim(void);

static Rng rng_of_test(uint64_t seed) {
    return rng_make(seed, RNG_SYNTHETIC, 0, 1);
}

enum { ROW_ADAMW, ROW_SGD, ROW_AVERAGE, ROW_SUM_SQUARES, ROWS, TENSORS = 40, SIZES = 12 };

/* Sizes of tensors that follow each other, again and again. */
typedef enum Tensors { MIXED, BASE_BLOCK, TINY_BLOCK } Tensors;
#define BLOCK(C)                                                                                   \
    { C, C, 3 * (C) * (C), 3 * (C), (C) * (C), C, C, C, 4 * (C) * (C), 4 * (C), 4 * (C) * (C), C }
static const int64_t TENSOR_SIZES[][SIZES] = {
    [MIXED] = {1, 192, 70001, 16, 576, 31, 65536, 131073, 1, 192, 70001, 16},
    [BASE_BLOCK] = BLOCK(768),
    [TINY_BLOCK] = BLOCK(192)};

/* The arrays p, g, m, v are cut into tensors, small ones and some of several pieces; every second
 * one is for LARS. */
static int64_t cut(const Device *d, Segment *list, void **p, int64_t n, Tensors tensors) {
    const int64_t *sizes = TENSOR_SIZES[tensors];
    int64_t count = 0;
    for (int64_t at = 0; at < n && count < TENSORS; count++) {
        int64_t size = sizes[count % SIZES] < n - at ? sizes[count % SIZES] : n - at;
        size_t place = device_bytes(d, NUMBER_WIDE, at);
        list[count] = (Segment){.p = device_at(p[0], place),
                                .g = device_at(p[1], place),
                                .m = device_at(p[2], place),
                                .v = device_at(p[3], place),
                                .n = size,
                                .trust = count % 2 ? 0.01 : 0,
                                .lr_scale = 1 - 0.01 * (double)count,
                                .weight_decay = count % 3 ? 0.05 : 0};
        at += (size + 15) / 16 * 16;
    }
    return count;
}

static void call_optimisers(Device *d, void **p, const Case *c) {
    AdamW a = {.lr = 0.01,
               .beta1 = 0.9,
               .beta2 = 0.95,
               .eps = 1e-8,
               .correction1 = 0.19,
               .correction2 = 0.0975,
               .gradient_scale = 0.5};
    Segment list[TENSORS];
    double sums[TENSORS], *place = device_alloc(d, sizeof sums);
    const int64_t all = c->dim[0], n = cut(d, list, p, all, (Tensors)(c->flags / ROWS));
    switch (c->flags % ROWS) {
    case ROW_ADAMW: ROW(c, d, work_moved(d, 0, 7 * all), adamw, list, n, a); break;
    case ROW_SGD:
        ROW(c, d, work_moved(d, 0, 5 * all), sgd, list, n,
            (Sgd){.lr = 0.1, .momentum = 0.9, .gradient_scale = 0.5});
        d->kernels.sgd(d, list, n, (Sgd){.lr = 0.05, .momentum = 0.9, .gradient_scale = 1});
        break;
    case ROW_AVERAGE: ROW(c, d, work_moved(d, 0, 3 * all), average, list, n, 0.9999); break;
    case ROW_SUM_SQUARES:
        ROW(c, d, work_moved(d, 0, all), sum_squares, place, list, n);
        device_download(d, sums, place, sizeof sums);
        for (int64_t i = 0; i < n; i++) {
            float sum = (float)sums[i];
            device_upload_floats(d, list[i].p, NUMBER_WIDE, &sum, 1);
        }
    }
    device_free(d, place, sizeof sums);
}

/* flags: a row and ROWS times a Tensors. */
static void make_optimiser(Case *c, Rng *rng, const int64_t *n, int flags) {
    *c = (Case){.call = call_optimisers, .dim = {n[0]}, .flags = flags, .growth = 8};
    for (int i = 0; i < 3; i++) case_wide(c, rng, IN_OUT, n[0]);
    float *v = case_wide(c, rng, IN_OUT, n[0]);
    for (int64_t i = 0; i < n[0]; i++) v[i] *= v[i];
}

START_TEST(optimisers) {
    static const int64_t sizes[] = {1, 31, 300, 70209, 1000003};
    Rng rng = rng_of_test((uint64_t)_i);
    Case c;
    make_optimiser(&c, &rng, &sizes[_i / ROWS], _i % ROWS);
    case_check(&c);
}
END_TEST

/* The weights of one block. */
enum { BASE = 12 * 768 * 768 + 13 * 768, TINY = 12 * 192 * 192 + 13 * 192 };
enum { OF_BASE = ROWS * BASE_BLOCK, OF_TINY = ROWS * TINY_BLOCK };
const Bench benches_optim[] = {
    {"optimiser: adamw", "vit_base block", make_optimiser, {BASE}, OF_BASE + ROW_ADAMW},
    {"optimiser: adamw", "vit_tiny block", make_optimiser, {TINY}, OF_TINY + ROW_ADAMW},
    {"optimiser: sgd", "vit_base block", make_optimiser, {BASE}, OF_BASE + ROW_SGD},
    {"optimiser: average", "vit_base block", make_optimiser, {BASE}, OF_BASE + ROW_AVERAGE},
    {"optimiser: norm", "vit_base block", make_optimiser, {BASE}, OF_BASE + ROW_SUM_SQUARES},
    {.name = NULL}};

static void call_lars(Device *d, void **p, const Case *c) {
    Segment list[2];
    float w[2];
    (void)c;
    for (int i = 0; i < 2; i++)
        list[i] = (Segment){.p = p[3 * i],
                            .g = p[3 * i + 1],
                            .m = p[3 * i + 2],
                            .n = 1,
                            .trust = 0.01,
                            .lr_scale = 1};
    d->kernels.sgd(d, list, 2, (Sgd){.lr = 0.5, .momentum = 0.9, .gradient_scale = 1});
    for (int i = 0; i < 2; i++) device_download_floats(d, w + i, p[3 * i], NUMBER_WIDE, 1);
    ck_assert(w[0] == -0.5f && w[1] == 1);
}

/* LARS leaves the rate alone where weights or gradients are all zero. */
START_TEST(lars_without_weights_or_gradients) {
    static const float values[] = {0, 1, 0, 1, 0, 0}; /* p, g, m of each */
    Rng rng = rng_of_test(0);
    Case c = {.call = call_lars, .growth = 1};
    for (int i = 0; i < 6; i++) *case_wide(&c, &rng, IN_OUT, 1) = values[i];
    case_check(&c);
}
END_TEST

static void call_sum_squares(Device *d, void **p, const Case *c) {
    Segment list[3];
    double sums[3], *place = device_alloc(d, sizeof sums);
    for (int i = 0; i < 3; i++) list[i] = (Segment){.g = p[i], .n = c->buffers[i].n};
    d->kernels.sum_squares(d, place, list, 3);
    device_download(d, sums, place, sizeof sums);
    device_free(d, place, sizeof sums);
    ck_assert(sums[0] == 4 && sums[2] == 1);
    if (c->flags == 0) ck_assert_double_eq_tol(sums[1] / 1e60, 1, 1e-6);
    if (c->flags == 1) ck_assert_double_eq_tol(sums[1] / 1e-60, 1, 1e-6);
    if (c->flags == 2) ck_assert(isnan(sums[1]));
    if (c->flags == 3) ck_assert(isinf(sums[1]));
}

/* The reason to sum in double: neither tiny nor huge elements are lost, and one NaN shows, in the
 * sum of its tensor alone. */
START_TEST(sum_squares_extremes) {
    enum { N = 70001 };
    static const float puts[][2] = {{1e30f, 0}, {0, 0}, {0, NAN}, {0, -INFINITY}};
    Rng rng = rng_of_test(0);
    Case c = {.call = call_sum_squares, .flags = _i, .growth = INFINITY};
    *case_wide(&c, &rng, INPUT, 1) = 2;
    float *x = case_wide(&c, &rng, INPUT, N);
    *case_wide(&c, &rng, INPUT, 1) = 1;
    memset(x, 0, N * sizeof *x);
    x[0] = puts[_i][0];
    x[65536] = puts[_i][1];
    x[N - 1] = 1e-30f;
    case_check(&c);
}
END_TEST

Suite *suite_kernels_optim(void) {
    Suite *s = suite_create("kernels_optim");
    TCase *t = tcase_create("kernels_optim");
    tcase_add_loop_test(t, optimisers, 0, 5 * ROWS);
    tcase_add_test(t, lars_without_weights_or_gradients);
    tcase_add_loop_test(t, sum_squares_extremes, 0, 4);
    suite_add_tcase(s, t);
    return s;
}
