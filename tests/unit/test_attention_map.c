/* Attention of the class token against the formula written out in double, and the picture: where
 * panels lie, what their ends of the scale look like, what damage does. */
#include <check.h>
#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "base/rng.h"
#include "draw/attention_map.h"

Suite *suite_attention_map(void);

static float *random_values(int64_t n, double size, uint64_t seed) {
    float *v = mem_alloc_array((size_t)n, sizeof *v);
    Rng rng = rng_make(seed, RNG_SYNTHETIC, 0, 0);
    for (int64_t i = 0; i < n; i++) v[i] = (float)(size * (2 * rng_uniform(&rng) - 1));
    return v;
}

/* The formula without any care for overflow; scores here are small enough. */
static double direct(const float *qkv, int64_t T, int64_t H, int64_t D, int64_t h, int64_t t) {
    double sum = 0, wanted = 0;
    for (int64_t s = 0; s < T; s++) {
        double score = 0;
        for (int64_t d = 0; d < D; d++)
            score += (double)qkv[h * D + d] * (double)qkv[((s * 3 + 1) * H + h) * D + d];
        double e = exp(score / sqrt((double)D));
        sum += e;
        if (s == t) wanted = e;
    }
    return wanted / sum;
}

START_TEST(equals_the_formula) {
    static const int64_t shapes[][3] = {{2, 1, 1}, {5, 3, 2}, {17, 2, 7}, {65, 3, 64}};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        int64_t T = shapes[i][0], H = shapes[i][1], D = shapes[i][2];
        float *qkv = random_values(T * 3 * H * D, 2, i);
        float *out = mem_alloc_array((size_t)(H * (T - 1)), sizeof *out);
        attention_of_cls(qkv, T, H, D, out);
        for (int64_t h = 0; h < H; h++)
            for (int64_t t = 1; t < T; t++) {
                double want = direct(qkv, T, H, D, h, t);
                /* a score, at most 4 sqrt(64) = 32, is kept as a float: half of its last place,
                 * 2^-20, is the relative error of its exponential; the sum's doubles it */
                ck_assert_double_le(fabs((double)out[h * (T - 1) + t - 1] - want),
                                    2 * ldexp(1, -20) * want);
            }
        mem_free(qkv);
        mem_free(out);
    }
}
END_TEST

START_TEST(cls_keeps_its_share_and_large_scores_are_fine) {
    /* T 3, H 1, D 1: q, k, v of a token after each other */
    float qkv[9] = {1, 0, 0, 9, 0, 0, 9, 0, 0}, out[2];
    attention_of_cls(qkv, 3, 1, 1, out);
    for (int i = 0; i < 2; i++) ck_assert_double_eq_tol((double)out[i], 1.0 / 3, 1e-7);
    qkv[0] = 1000;
    qkv[4] = 100;
    qkv[7] = 100;
    attention_of_cls(qkv, 3, 1, 1, out);
    for (int i = 0; i < 2; i++) ck_assert_double_eq_tol((double)out[i], 0.5, 1e-7);
    qkv[1] = 200; /* now cls has all */
    attention_of_cls(qkv, 3, 1, 1, out);
    for (int i = 0; i < 2; i++) ck_assert_double_eq_tol((double)out[i], 0, 1e-30);
}
END_TEST

static Image flat_image(int64_t width, int64_t height, int64_t channels, uint8_t value) {
    Image im;
    ck_assert_int_eq(image_new(&im, MAE_U8, width, height, channels, NULL), MAE_OK);
    memset(im.pixels, value, (size_t)(width * height * channels));
    return im;
}

static const uint8_t *pixel(const Image *im, int64_t x, int64_t y) {
    return im->pixels + (y * im->width + x) * im->channels;
}

static int brightness(const Image *im, int64_t x, int64_t y) {
    const uint8_t *p = pixel(im, x, y);
    return p[0] + p[1] + p[2];
}

START_TEST(panels_and_gaps) {
    const float maps[2 * 4] = {0, 1, 2, 3, 3, 2, 1, 0};
    for (int64_t channels = 1; channels <= 3; channels += 2) {
        Image im = flat_image(10, 6, channels, 40), out;
        im.pixels[0] = 250;
        ck_assert_int_eq(attention_picture(&im, maps, 2, 2, 2, &out, NULL), MAE_OK);
        ck_assert_int_eq(out.width, 4 * 10 + 3 * ATTENTION_GAP);
        ck_assert_int_eq(out.height, 6);
        ck_assert_int_eq(out.channels, 3);
        ck_assert_int_eq(pixel(&out, 0, 0)[0], 250);
        ck_assert_int_eq(pixel(&out, 0, 0)[2], channels == 1 ? 250 : 40);
        for (int64_t x = 0; x < out.width; x++) {
            bool gap = x % (10 + ATTENTION_GAP) >= 10;
            for (int64_t y = 0; y < 6; y++)
                ck_assert_int_eq(brightness(&out, x, y) == 3 * 255, gap);
        }
        /* head 1 is head 0 turned upside down and around, so their mean is constant */
        for (int64_t x = 1; x < 10; x++)
            ck_assert_int_eq(brightness(&out, 14 + x, 3), brightness(&out, 14 + 1, 3));
        for (int64_t i = 1; i < 59; i++) {
            int64_t x = i % 10, y = i / 10, a = 28 + x, b = 42 + 9 - x;
            ck_assert(memcmp(pixel(&out, a, y), pixel(&out, b, 5 - y), 3) == 0);
        }
        image_free(&im);
        image_free(&out);
    }
}
END_TEST

/* Over a black image: from violet to yellow, never darker on the way, and linear between cells. */
START_TEST(colours_rise_and_scale_to_each_map) {
    const float low[2] = {-5, 1}, high[2] = {100, 250};
    Image im = flat_image(128, 3, 1, 0), a, b;
    ck_assert_int_eq(attention_picture(&im, low, 1, 1, 2, &a, NULL), MAE_OK);
    ck_assert_int_eq(attention_picture(&im, high, 1, 1, 2, &b, NULL), MAE_OK);
    ck_assert(memcmp(a.pixels, b.pixels, (size_t)(a.width * a.height * 3)) == 0);
    int64_t left = 2 * (128 + ATTENTION_GAP);
    for (int64_t x = 0; x < 127; x++)
        ck_assert_int_le(brightness(&a, left + x, 1), brightness(&a, left + x + 1, 1));
    const uint8_t *first = pixel(&a, left, 1), *last = pixel(&a, left + 127, 1);
    ck_assert(first[2] > first[0] && first[2] > first[1]);
    ck_assert(last[0] > 180 && last[1] > 180 && last[2] < 128);
    /* a quarter of the width lies before the first centre: constant */
    ck_assert(memcmp(first, pixel(&a, left + 31, 1), 3) == 0);
    ck_assert(memcmp(first, pixel(&a, left + 36, 1), 3) != 0);
    image_free(&im);
    image_free(&a);
    image_free(&b);
}
END_TEST

START_TEST(one_cell_not_a_number_too_large_no_memory) {
    float maps[4] = {0.5f, NAN, 0.25f, 1};
    Image im = flat_image(5, 5, 3, 9), out;
    ck_assert_int_eq(attention_picture(&im, maps, 1, 1, 1, &out, NULL), MAE_OK);
    image_free(&out);
    ck_assert_int_eq(attention_picture(&im, maps, 1, 2, 2, &out, NULL), MAE_OK);
    image_free(&out);
    for (int n = 1; n <= 2; n++) {
        mem_fail_after(n);
        Status status = attention_picture(&im, maps, 1, 1, 1, &out, NULL);
        mem_fail_after(0);
        ck_assert_int_eq(status, MAE_MEMORY);
        ck_assert_ptr_null(out.pixels);
    }
    image_free(&im);
    Image huge = {.width = IMAGE_MAX_PIXELS / 2, .height = 1, .channels = 1};
    ck_assert_int_eq(attention_picture(&huge, maps, 1, 1, 1, &out, NULL), MAE_UNSUPPORTED);
}
END_TEST

Suite *suite_attention_map(void) {
    Suite *s = suite_create("attention_map");
    TCase *c = tcase_create("attention_map");
    tcase_add_test(c, equals_the_formula);
    tcase_add_test(c, cls_keeps_its_share_and_large_scores_are_fine);
    tcase_add_test(c, panels_and_gaps);
    tcase_add_test(c, colours_rise_and_scale_to_each_map);
    tcase_add_test(c, one_cell_not_a_number_too_large_no_memory);
    suite_add_tcase(s, c);
    return s;
}
