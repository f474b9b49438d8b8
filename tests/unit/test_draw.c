/* A part of a set drawn by the seed: the share of each class, its order, and what does not change
 * it. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "data/dataset.h"
#include "data/draw.h"
#include "scratch.h"

Suite *suite_draw(void);

/* Labels that come in turn until each class has size[c]; how many of each are taken. */
static void expect_shares(const int *size, int n_classes, int64_t wanted, const int *expected) {
    int label[400], n = 0, got[8] = {0};
    uint8_t taken[400];
    Error err = {0};
    for (int round = 0; round < 400; round++)
        for (int c = 0; c < n_classes; c++)
            if (round < size[c]) label[n++] = c;
    for (uint64_t seed = 0; seed < 5; seed++) {
        memset(got, 0, sizeof got);
        ck_assert_msg(draw_by_class(label, n, n_classes, wanted, seed, taken, &err) == MAE_OK, "%s",
                      err.message);
        for (int i = 0; i < n; i++) got[label[i]] += taken[i];
        for (int c = 0; c < n_classes; c++)
            ck_assert_msg(got[c] == expected[c], "seed %d, class %d: %d instead of %d", (int)seed,
                          c, got[c], expected[c]);
    }
}

START_TEST(every_class_has_its_share) {
    expect_shares((const int[]){50, 50, 50, 50}, 4, 20, (const int[]){5, 5, 5, 5});
    expect_shares((const int[]){90, 10}, 2, 10, (const int[]){9, 1});
    expect_shares((const int[]){40, 26, 34}, 3, 10, (const int[]){4, 3, 3});
    expect_shares((const int[]){60, 20, 20}, 3, 100, (const int[]){60, 20, 20});
    expect_shares((const int[]){300, 1, 1}, 3, 3, (const int[]){1, 1, 1});
    expect_shares((const int[]){300, 1, 3}, 3, 50, (const int[]){48, 1, 1});
    expect_shares((const int[]){30, 0, 10}, 3, 4, (const int[]){3, 0, 1});
    expect_shares((const int[]){30, 10, 20}, 3, 1, (const int[]){1, 0, 0});
}
END_TEST

START_TEST(equal_remainders_are_drawn) {
    int label[40], which = 0;
    uint8_t taken[40];
    for (int i = 0; i < 40; i++) label[i] = i % 4;
    for (uint64_t seed = 0; seed < 20; seed++) {
        ck_assert_int_eq(draw_by_class(label, 40, 4, 1, seed, taken, NULL), MAE_OK);
        for (int i = 0; i < 40; i++) which |= taken[i] << label[i];
    }
    ck_assert_int_eq(which, 15);
}
END_TEST

static Dataset *open_limited(const char *source, int64_t limit, uint64_t seed) {
    Error err = {0};
    Dataset *d = NULL;
    DatasetOptions o = {.channels = 3, .limit = limit, .seed = seed};
    ck_assert_msg(dataset_open(source, o, &d, &err) == MAE_OK, "%s", err.message);
    return d;
}

static int number_of(const Dataset *d, int64_t i) {
    return (int)strtol(strchr(dataset_name(d, i), '#') + 1, NULL, 10);
}

START_TEST(rows_stay_in_order_and_follow_the_seed) {
    Dataset *a = open_limited("synthetic:100x4x4", 20, 1);
    Dataset *again = open_limited("synthetic:100x4x4", 20, 1);
    Dataset *other = open_limited("synthetic:100x4x4", 20, 2);
    int per_class[10] = {0}, same = 0, first = 0;
    ck_assert_int_eq(dataset_count(a), 20);
    for (int i = 0; i < 20; i++) {
        ck_assert(i == 0 || number_of(a, i) > number_of(a, i - 1));
        ck_assert_int_eq(dataset_class(a, i), number_of(a, i) % 10);
        ck_assert_str_eq(dataset_name(a, i), dataset_name(again, i));
        per_class[dataset_class(a, i)]++;
        same += number_of(a, i) == number_of(other, i);
        first += number_of(a, i) < 20;
    }
    for (int c = 0; c < 10; c++) ck_assert_int_eq(per_class[c], 2);
    ck_assert_int_lt(same, 20);
    ck_assert_int_lt(first, 20);
    ck_assert_ptr_nonnull(strstr(dataset_describe(a), "; 20 of them, drawn by the seed"));
    dataset_close(a);
    dataset_close(again);
    dataset_close(other);
}
END_TEST

START_TEST(the_first_ones_and_all_of_them) {
    Dataset *d = open_limited("synthetic:30x4x4", -7, 3);
    ck_assert_int_eq(dataset_count(d), 7);
    for (int i = 0; i < 7; i++) ck_assert_int_eq(number_of(d, i), i);
    ck_assert_ptr_nonnull(strstr(dataset_describe(d), "; the first 7"));
    dataset_close(d);
    for (int64_t limit = -31; limit <= 31; limit += 31) {
        d = open_limited("synthetic:30x4x4", limit, 3);
        ck_assert_int_eq(dataset_count(d), 30);
        dataset_close(d);
    }
}
END_TEST

START_TEST(a_limit_of_what_a_split_leaves) {
    Dataset *kept = NULL, *held = NULL;
    DatasetOptions o = {.channels = 3, .split_share = 0.25, .limit = 20, .seed = 7}, h = o;
    h.held_out = true;
    h.limit = -4;
    ck_assert_int_eq(dataset_open("synthetic:80x4x4", o, &kept, NULL), MAE_OK);
    ck_assert_int_eq(dataset_open("synthetic:80x4x4", h, &held, NULL), MAE_OK);
    ck_assert_int_eq(dataset_count(kept), 20);
    ck_assert_int_eq(dataset_count(held), 4);
    for (int i = 0; i < 20; i++)
        for (int k = 0; k < 4; k++) ck_assert_int_ne(number_of(kept, i), number_of(held, k));
    dataset_close(kept);
    dataset_close(held);
}
END_TEST

START_TEST(images_without_labels) {
    for (int i = 0; i < 9; i++) scratch_png(scratch_path("flat/%d.png", i), i, 4, 4);
    Dataset *d = open_limited(scratch_path("flat"), 4, 1);
    ck_assert_int_eq(dataset_count(d), 4);
    ck_assert_int_eq(dataset_n_classes(d), 0);
    dataset_close(d);
}
END_TEST

START_TEST(memory_runs_out) {
    for (int n = 1; n < 200; n++) {
        Error err = {0};
        Dataset *d = NULL;
        DatasetOptions o = {.channels = 3, .limit = 5};
        mem_fail_after(n);
        Status status = dataset_open("synthetic:12x4x4", o, &d, &err);
        mem_fail_after(0);
        dataset_close(d);
        if (status == MAE_OK) return;
        ck_assert_int_eq(status, MAE_MEMORY);
    }
    ck_abort_msg("never succeeded");
}
END_TEST

Suite *suite_draw(void) {
    Suite *s = suite_create("draw");
    TCase *c = tcase_create("draw");
    tcase_add_checked_fixture(c, scratch_make, scratch_remove);
    tcase_add_test(c, every_class_has_its_share);
    tcase_add_test(c, equal_remainders_are_drawn);
    tcase_add_test(c, rows_stay_in_order_and_follow_the_seed);
    tcase_add_test(c, the_first_ones_and_all_of_them);
    tcase_add_test(c, a_limit_of_what_a_split_leaves);
    tcase_add_test(c, images_without_labels);
    tcase_add_test(c, memory_runs_out);
    suite_add_tcase(s, c);
    return s;
}
