/* Known answers of Philox (from the authors' kat_vectors), moments of the distributions, and
 * permutations. */
#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"

Suite *suite_rng(void);

START_TEST(philox_known_answers) {
    static const struct {
        uint32_t counter[4], key[2], expected[4];
    } cases[] = {
        {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
         {0xffffffff, 0xffffffff},
         {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
         {0xa4093822, 0x299f31d0},
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint32_t out[4];
        philox4x32(cases[i].counter, cases[i].key, out);
        for (int k = 0; k < 4; k++) ck_assert_uint_eq(out[k], cases[i].expected[k]);
    }
}
END_TEST

START_TEST(streams_are_keyed) {
    Rng base = rng_make(1, RNG_CROP, 2, 3);
    Rng others[] = {rng_make(2, RNG_CROP, 2, 3),
                    rng_make(1, RNG_MASK, 2, 3),
                    rng_make(1, RNG_CROP, 3, 3),
                    rng_make(1, RNG_CROP, 2, 4),
                    rng_make(1, RNG_CROP, 2, 3 + (UINT64_C(1) << 40)),
                    rng_make(1 + (UINT64_C(1) << 50), RNG_CROP, 2, 3)};
    Rng same = rng_make(1, RNG_CROP, 2, 3);
    for (int i = 0; i < 10; i++) {
        uint32_t v = rng_u32(&base);
        ck_assert_uint_eq(rng_u32(&same), v);
        for (int k = 0; k < 6; k++) ck_assert_uint_ne(rng_u32(&others[k]), v);
    }
}
END_TEST

/* Each bound is five standard errors of the mean or variance of n draws. */
START_TEST(moments) {
    enum { N = 200000 };
    Rng r = rng_make(7, RNG_INIT, 0, 0);
    double u = 0, f = 0, z = 0, zz = 0;
    for (int i = 0; i < N; i++) {
        double a = rng_uniform(&r), c = rng_normal(&r);
        float b = rng_uniform_f32(&r);
        ck_assert(a >= 0 && a < 1 && b >= 0 && b < 1 && isfinite(c));
        u += a, f += b, z += c, zz += c * c;
    }
    double n = N, half_width = 5 / sqrt(n);
    ck_assert_double_le(fabs(u / n - 0.5), half_width / sqrt(12));
    ck_assert_double_le(fabs(f / n - 0.5), half_width / sqrt(12));
    ck_assert_double_le(fabs(z / n), half_width);
    ck_assert_double_le(fabs(zz / n - 1), half_width * sqrt(2));
    double v = rng_range(&r, -2, 3);
    ck_assert(v >= -2 && v < 3);
}
END_TEST

START_TEST(below_is_even) {
    Rng r = rng_make(3, RNG_ORDER, 0, 0);
    int count[7] = {0};
    for (int i = 0; i < 70000; i++) {
        int64_t v = rng_below(&r, 7);
        ck_assert(v >= 0 && v < 7);
        count[v]++;
    }
    for (int k = 0; k < 7; k++) ck_assert_int_lt(abs(count[k] - 10000), 500);
    ck_assert_int_eq(rng_below(&r, 1), 0);
    ck_assert_int_lt(rng_below(&r, UINT32_MAX), UINT32_MAX);
}
END_TEST

START_TEST(permutation_is_a_bijection) {
    static const int64_t sizes[] = {1, 2, 3, 4, 5, 7, 16, 17, 63, 64, 65, 101, 999, 4097};
    static char seen[4097];
    for (size_t k = 0; k < sizeof sizes / sizeof sizes[0]; k++) {
        int64_t n = sizes[k];
        memset(seen, 0, sizeof seen);
        for (int64_t i = 0; i < n; i++) {
            int64_t j = rng_permute(42, 3, n, i);
            ck_assert(j >= 0 && j < n && !seen[j]);
            seen[j] = 1;
        }
    }
}
END_TEST

START_TEST(permutations_differ_and_mix) {
    int same_epoch = 0, fixed = 0, rising = 0;
    for (int64_t i = 0; i < 1000; i++) {
        int64_t j = rng_permute(42, 0, 1000, i);
        same_epoch += j == rng_permute(42, 1, 1000, i);
        fixed += j == i;
        rising += i > 0 && j > rng_permute(42, 0, 1000, i - 1);
    }
    ck_assert_int_lt(same_epoch, 10); /* one expected */
    ck_assert_int_lt(fixed, 10);
    ck_assert_int_lt(abs(rising - 500), 60); /* deviation 9 */
    /* Every place of five is reached about equally often over the epochs. */
    int count[5] = {0};
    for (uint64_t epoch = 0; epoch < 5000; epoch++) count[rng_permute(9, epoch, 5, 2)]++;
    for (int k = 0; k < 5; k++) ck_assert_int_lt(abs(count[k] - 1000), 150);
}
END_TEST

/* The same numbers whatever was drawn before and however many; the stream goes on behind them. */
START_TEST(fill_is_single_draws) {
    for (int before = 0; before < 9; before++)
        for (int64_t n = 0; n < 70; n += 1 + n / 9) {
            float filled[70];
            Rng a = rng_make(5, RNG_INIT, 2, 3), b = a;
            for (int i = 0; i < before; i++) ck_assert_uint_eq(rng_u32(&a), rng_u32(&b));
            rng_fill_range(&a, -0.3, 1.7, filled, n);
            for (int64_t i = 0; i < n; i++) {
                float single = (float)rng_range(&b, -0.3, 1.7);
                ck_assert_mem_eq(&filled[i], &single, sizeof single);
            }
            ck_assert_uint_eq(rng_u32(&a), rng_u32(&b));
        }
}
END_TEST

Suite *suite_rng(void) {
    Suite *s = suite_create("rng");
    TCase *c = tcase_create("rng");
    tcase_add_test(c, philox_known_answers);
    tcase_add_test(c, streams_are_keyed);
    tcase_add_test(c, moments);
    tcase_add_test(c, below_is_even);
    tcase_add_test(c, permutation_is_a_bijection);
    tcase_add_test(c, permutations_differ_and_mix);
    tcase_add_test(c, fill_is_single_draws);
    suite_add_tcase(s, c);
    return s;
}
