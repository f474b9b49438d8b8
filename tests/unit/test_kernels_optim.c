/* The rows of the optimisers, over lists of tensors, against ref64 as in test_kernels.c. */
#include "kernel_case.h" /* before check.h, which has a macro `fail` */

#include <check.h>
#include <math.h>
#include <string.h>

Suite *suite_kernels_optim(void);

static Rng rng_of_test(uint64_t seed) {
    return rng_make(seed, RNG_SYNTHETIC, 0, 1);
}

enum { ROW_ADAMW, ROW_SGD, ROW_AVERAGE, ROW_SUM_SQUARES, ROWS, TENSORS = 40 };

/* The arrays p, g, m, v are cut into tensors, small ones and some of several pieces; every second
 * one is for LARS. */
static int64_t cut(const Device *d, Segment *list, void **p, int64_t n) {
    static const int64_t sizes[] = {1, 192, 70001, 16, 576, 31, 65536, 131073};
    int64_t count = 0;
    for (int64_t at = 0; at < n && count < TENSORS; count++) {
        int64_t size = sizes[count % 8] < n - at ? sizes[count % 8] : n - at;
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
    const Kernels *k = &d->kernels;
    AdamW a = {.lr = 0.01,
               .beta1 = 0.9,
               .beta2 = 0.95,
               .eps = 1e-8,
               .correction1 = 0.19,
               .correction2 = 0.0975,
               .gradient_scale = 0.5};
    Segment list[TENSORS];
    double sums[TENSORS], *place = device_alloc(d, sizeof sums);
    int64_t n = cut(d, list, p, c->dim[0]);
    switch (c->flags) {
    case ROW_ADAMW: k->adamw(d, list, n, a); break;
    case ROW_SGD:
        k->sgd(d, list, n, (Sgd){.lr = 0.1, .momentum = 0.9, .gradient_scale = 0.5});
        k->sgd(d, list, n, (Sgd){.lr = 0.05, .momentum = 0.9, .gradient_scale = 1});
        break;
    case ROW_AVERAGE: k->average(d, list, n, 0.9999); break;
    case ROW_SUM_SQUARES:
        k->sum_squares(d, place, list, n);
        device_download(d, sums, place, sizeof sums);
        for (int64_t i = 0; i < n; i++) {
            float sum = (float)sums[i];
            device_upload_floats(d, list[i].p, NUMBER_WIDE, &sum, 1);
        }
    }
    device_free(d, place, sizeof sums);
}

START_TEST(optimisers) {
    static const int64_t sizes[] = {1, 31, 300, 70209, 1000003};
    Rng rng = rng_of_test((uint64_t)_i);
    int64_t n = sizes[_i / ROWS];
    Case c = {.call = call_optimisers, .dim = {n}, .flags = _i % ROWS, .growth = 8};
    for (int i = 0; i < 3; i++) case_add(&c, &rng, IN_OUT, n);
    float *v = case_add(&c, &rng, IN_OUT, n);
    for (int64_t i = 0; i < n; i++) v[i] *= v[i];
    case_check(&c);
}
END_TEST

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
    for (int i = 0; i < 6; i++) *case_add(&c, &rng, IN_OUT, 1) = values[i];
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
    *case_add(&c, &rng, INPUT, 1) = 2;
    float *x = case_add(&c, &rng, INPUT, N);
    *case_add(&c, &rng, INPUT, 1) = 1;
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
