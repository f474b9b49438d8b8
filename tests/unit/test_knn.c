/* Nearest rows against a search in double, their order, and votes. */
#include "infer/knn.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"

#include <check.h> /* last: it has a macro named fail */

Suite *suite_knn(void);

/* More than a tile of the bank and a block of queries. */
enum { N = KNN_TILE + 100, M = KNN_BLOCK + 5, W = 17, K = 7 };
/* A cosine of unit rows: W products and sums of at most 1, and W + 1 roundings of the rows. */
#define CLOSE (2 * (W + 1) * 6e-8)

static Device *device;
static float *bank, *queries, cosines[M * K];
static int64_t rows[M * K];

static Device *open_device(const char *name, int threads) {
    Error err = {0};
    Device *d;
    ck_assert_msg(device_open(name, threads, NULL, &d, &err) == MAE_OK, "%s", err.message);
    return d;
}

static void setup(void) {
    Rng rng = rng_make(5, RNG_SYNTHETIC, 0, 0);
    device = open_device("cpu", 2);
    bank = malloc(N * W * sizeof *bank);
    queries = malloc(M * W * sizeof *queries);
    rng_fill_range(&rng, -3, 5, bank, N * W);
    rng_fill_range(&rng, -3, 5, queries, M * W);
}

static void teardown(void) {
    device_close(device);
    free(bank);
    free(queries);
}

static void nearest(Device *d, int64_t n, int64_t m, int64_t k) {
    Error err = {0};
    Status status = knn_nearest(d, bank, n, queries, m, W, k, NULL, rows, cosines, &err);
    ck_assert_msg(status == MAE_OK, "%s", err.message);
}

static double length(const float *x) {
    double sum = 0;
    for (int j = 0; j < W; j++) sum += (double)x[j] * (double)x[j];
    return sqrt(sum);
}

static double cosine(const float *a, const float *b) {
    double sum = 0;
    for (int j = 0; j < W; j++) sum += (double)a[j] * (double)b[j];
    return sum / (length(a) * length(b));
}

static int descending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x < y) - (x > y);
}

START_TEST(rows_are_those_of_a_search_in_double) {
    double *want = malloc(N * sizeof *want);
    nearest(device, N, M, K);
    for (int q = 0; q < M; q++) {
        for (int i = 0; i < N; i++) want[i] = cosine(bank + i * W, queries + q * W);
        for (int k = 0; k < K; k++)
            ck_assert_double_eq_tol((double)cosines[q * K + k], want[rows[q * K + k]], CLOSE);
        qsort(want, N, sizeof *want, descending);
        for (int k = 0; k < K; k++)
            ck_assert_double_eq_tol((double)cosines[q * K + k], want[k], CLOSE);
    }
    free(want);
}
END_TEST

START_TEST(threads_change_no_bit) {
    float *one = malloc(sizeof cosines);
    int64_t *one_rows = malloc(sizeof rows);
    nearest(device, N, M, K);
    memcpy(one, cosines, sizeof cosines);
    memcpy(one_rows, rows, sizeof rows);
    for (int threads = 1; threads <= 3; threads += 2) {
        Device *d = open_device("cpu", threads);
        nearest(d, N, M, K);
        ck_assert_mem_eq(cosines, one, sizeof cosines);
        ck_assert_mem_eq(rows, one_rows, sizeof rows);
        device_close(d);
    }
    free(one);
    free(one_rows);
}
END_TEST

/* So tiles and blocks change no bit either. */
START_TEST(a_cosine_does_not_depend_on_what_is_beside_it) {
    float alone;
    int64_t row;
    nearest(device, N, M, K);
    for (int q = 0; q < M; q += 20)
        for (int k = 0; k < K; k++) {
            const float *b = bank + rows[q * K + k] * W;
            ck_assert_int_eq(
                knn_nearest(device, b, 1, queries + q * W, 1, W, 1, NULL, &row, &alone, NULL),
                MAE_OK);
            ck_assert_float_eq(alone, cosines[q * K + k]);
            ck_assert_int_eq(row, 0);
        }
}
END_TEST

START_TEST(equal_rows_are_ordered_by_number) {
    static const int same[] = {3, 4, KNN_TILE - 1, KNN_TILE, KNN_TILE + 50};
    for (int i = 0; i < 5; i++) /* by a power of 2: the same unit row */
        for (int j = 0; j < W; j++) bank[same[i] * W + j] = queries[j] * (i % 2 ? 4 : 1);
    nearest(device, N, 1, K);
    for (int i = 0; i < 5; i++) {
        ck_assert_int_eq(rows[i], same[i]);
        ck_assert_float_eq(cosines[i], cosines[0]);
    }
    ck_assert_float_gt(cosines[0], cosines[5]);
}
END_TEST

START_TEST(all_rows_may_be_asked_for) {
    memset(bank + W, 0, W * sizeof *bank);
    nearest(device, 5, 2, 5);
    for (int q = 0; q < 2; q++) {
        int seen = 0;
        for (int k = 0; k < 5; k++) {
            seen |= 1 << rows[q * 5 + k];
            if (k > 0) ck_assert_float_le(cosines[q * 5 + k], cosines[q * 5 + k - 1]);
            if (rows[q * 5 + k] == 1) ck_assert_float_eq(cosines[q * 5 + k], 0);
        }
        ck_assert_int_eq(seen, 31);
    }
}
END_TEST

START_TEST(size_does_not_matter) {
    int64_t want[K];
    nearest(device, 100, 1, K);
    memcpy(want, rows, sizeof want);
    for (int j = 0; j < 100 * W; j++) bank[j] *= j / W % 2 ? 0x1p100f : 0x1p-100f;
    nearest(device, 100, 1, K);
    ck_assert_mem_eq(rows, want, sizeof want);
    ck_assert_int_eq(knn_nearest(device, bank, 100, queries, 1, W, K, NULL, rows, NULL, NULL),
                     MAE_OK);
    ck_assert_mem_eq(rows, want, sizeof want);
}
END_TEST

START_TEST(numbers_that_are_not_finite_are_named) {
    Error err = {0};
    bank[3 * W + 2] = NAN;
    ck_assert_int_eq(knn_nearest(device, bank, 9, queries, 1, W, 1, NULL, rows, NULL, &err),
                     MAE_NONFINITE);
    ck_assert_msg(strstr(err.message, "feature 3 of the bank"), "%s", err.message);
    err = (Error){0};
    queries[W] = INFINITY;
    ck_assert_int_eq(knn_nearest(device, bank, 3, queries, 2, W, 1, NULL, rows, NULL, &err),
                     MAE_NONFINITE);
    ck_assert_msg(strstr(err.message, "feature 1 of the queries"), "%s", err.message);
}
END_TEST

START_TEST(votes_are_weighted) {
    static const int64_t near[] = {0, 1, 2, 3, 2, 1};
    static const float close[] = {0.9f, 0.5f, 0.5f, 0.3f, 0.3f, 0.3f};
    static const int labels[] = {2, 1, 1, 0};
    int predicted[2];
    ck_assert_int_eq(knn_vote(near, close, 2, 3, labels, 3, 0.1, predicted, NULL), MAE_OK);
    ck_assert_int_eq(predicted[0], 2);
    ck_assert_int_eq(predicted[1], 1);
    ck_assert_int_eq(knn_vote(near, close, 1, 3, labels, 3, 10, predicted, NULL), MAE_OK);
    ck_assert_int_eq(predicted[0], 1);
    ck_assert_int_eq(knn_vote(near + 3, close + 3, 1, 2, labels, 3, 0.1, predicted, NULL), MAE_OK);
    ck_assert_int_eq(predicted[0], 0); /* a tie */
}
END_TEST

Suite *suite_knn(void) {
    Suite *s = suite_create("knn");
    TCase *t = tcase_create("knn");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, rows_are_those_of_a_search_in_double);
    tcase_add_test(t, threads_change_no_bit);
    tcase_add_test(t, a_cosine_does_not_depend_on_what_is_beside_it);
    tcase_add_test(t, equal_rows_are_ordered_by_number);
    tcase_add_test(t, all_rows_may_be_asked_for);
    tcase_add_test(t, size_does_not_matter);
    tcase_add_test(t, numbers_that_are_not_finite_are_named);
    tcase_add_test(t, votes_are_weighted);
    suite_add_tcase(s, t);
    return s;
}
