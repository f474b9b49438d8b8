/* Corruptions: keyed randomness, growth with the severity, noise against its constants, values
 * computed by hand, sizes from one pixel up, errors. */
#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "data/corrupt/corrupt_internal.h"
#include "often.h"

Suite *suite_corrupt(void);

static const bool is_random[CORRUPTION_COUNT] = {[CORRUPTION_GAUSSIAN_NOISE] = true,
                                                 [CORRUPTION_SHOT_NOISE] = true,
                                                 [CORRUPTION_IMPULSE_NOISE] = true,
                                                 [CORRUPTION_GLASS_BLUR] = true,
                                                 [CORRUPTION_MOTION_BLUR] = true,
                                                 [CORRUPTION_SNOW] = true,
                                                 [CORRUPTION_FROST] = true,
                                                 [CORRUPTION_FOG] = true,
                                                 [CORRUPTION_ELASTIC_TRANSFORM] = true};

static int64_t n_bytes(const Image *im) {
    return im->width * im->height * im->channels;
}

static Image blank(int64_t width, int64_t height, int64_t channels, int value) {
    Image im;
    ck_assert_int_eq(image_new(&im, MAE_U8, width, height, channels, NULL), MAE_OK);
    memset(im.pixels, value, (size_t)n_bytes(&im));
    return im;
}

/* Something like a photo: shading, waves, edges and a grain, in relation to the size. */
static Image scene(int64_t width, int64_t height, int64_t channels) {
    Image im = blank(width, height, channels, 0);
    Rng rng = rng_make(1, RNG_SYNTHETIC, 0, 0);
    for (int64_t i = 0; i < n_bytes(&im); i++) {
        double x = (double)(i / channels % width) / (double)width;
        double y = (double)(i / channels / width) / (double)height;
        double v = 110 + 40 * sin(9 * x + (double)(i % channels)) * cos(7 * y);
        v += 25 * sin(40 * x + 31 * y) + (fmod(6 * x + 2 * y, 2) < 1 ? 30 : -30);
        im.pixels[i] = (uint8_t)(v + rng_range(&rng, -8, 8));
    }
    return im;
}

static Image copy(const Image *im) {
    Image out = blank(im->width, im->height, im->channels, 0);
    memcpy(out.pixels, im->pixels, (size_t)n_bytes(im));
    return out;
}

static void apply(Corruption kind, int severity, Image *im, uint64_t sample) {
    Rng rng = rng_make(11, RNG_CORRUPT, 0, sample);
    Error err = {0};
    Status status = corrupt_apply(kind, severity, im, &rng, &err);
    ck_assert_msg(status == MAE_OK, "%s %d: %s", corruption_name(kind), severity, err.message);
}

static Image corrupted(const Image *im, Corruption kind, int severity, uint64_t sample) {
    Image out = copy(im);
    apply(kind, severity, &out, sample);
    return out;
}

/* Mean absolute difference. */
static double change(const Image *im, Corruption kind, int severity, uint64_t sample) {
    Image out = corrupted(im, kind, severity, sample);
    double sum = 0;
    for (int64_t i = 0; i < n_bytes(im); i++) sum += abs(out.pixels[i] - im->pixels[i]);
    image_free(&out);
    return sum / (double)n_bytes(im);
}

START_TEST(names) {
    for (int k = 0; k < CORRUPTION_COUNT; k++) {
        ck_assert_int_eq(corruption_find(corruption_name(k)), k);
        ck_assert((corruption_note(k) != NULL) == (k == CORRUPTION_FROST));
    }
    ck_assert_int_eq(CORRUPTION_COUNT, 15);
    ck_assert_int_eq(corruption_find("fog"), CORRUPTION_FOG);
    ck_assert_int_eq(corruption_find("spatter"), -1);
}
END_TEST

static void check_keys(const Image *im, int kind, int severity) {
    size_t n = (size_t)n_bytes(im);
    Image first = corrupted(im, kind, severity, 1), again = corrupted(im, kind, severity, 1);
    Image other = corrupted(im, kind, severity, 2);
    const char *name = corruption_name(kind);
    ck_assert_msg(memcmp(first.pixels, again.pixels, n) == 0, "%s %d", name, severity);
    ck_assert_msg((memcmp(first.pixels, other.pixels, n) != 0) == is_random[kind], "%s %d", name,
                  severity);
    ck_assert_msg(memcmp(first.pixels, im->pixels, n) != 0, "%s %d changes nothing", name,
                  severity);
    image_free(&first);
    image_free(&again);
    image_free(&other);
}

START_TEST(same_key_same_pixels) {
    for (int64_t size = 32; size <= 96; size += 64)
        for (int64_t channels = 1; channels <= 3; channels += 2) {
            Image im = scene(size + size / 4, size, channels);
            for (int k = 0; k < CORRUPTION_COUNT; k++)
                for (int s = 1; s <= CORRUPTION_SEVERITIES; s++) check_keys(&im, k, s);
            image_free(&im);
        }
}
END_TEST

/* For these each severity is the same operation, only stronger. Severities of the others change
 * several constants at once, in opposite directions; they are looked at in severe_is_more. */
START_TEST(change_grows) {
    static const Corruption growing[] = {CORRUPTION_GAUSSIAN_NOISE, CORRUPTION_SHOT_NOISE,
                                         CORRUPTION_IMPULSE_NOISE,  CORRUPTION_DEFOCUS_BLUR,
                                         CORRUPTION_MOTION_BLUR,    CORRUPTION_ZOOM_BLUR,
                                         CORRUPTION_BRIGHTNESS,     CORRUPTION_CONTRAST,
                                         CORRUPTION_PIXELATE,       CORRUPTION_JPEG_COMPRESSION};
    for (int64_t size = 32; size <= 224; size += 192) {
        Image im = scene(size, size, 3);
        for (size_t k = 0; k < sizeof growing / sizeof growing[0]; k++) {
            double before = 0;
            for (int s = 1; s <= CORRUPTION_SEVERITIES; s++) {
                double now = change(&im, growing[k], s, 5);
                ck_assert_msg(now > before, "%s %d at %d: %g after %g", corruption_name(growing[k]),
                              s, (int)size, now, before);
                before = now;
            }
        }
        image_free(&im);
    }
}
END_TEST

START_TEST(severe_is_more) {
    static const Corruption kinds[] = {CORRUPTION_GLASS_BLUR, CORRUPTION_SNOW, CORRUPTION_FOG};
    for (int64_t size = 32; size <= 224; size += 192) {
        Image im = scene(size, size, 3);
        for (size_t k = 0; k < sizeof kinds / sizeof kinds[0]; k++) {
            double least = change(&im, kinds[k], 1, 5), most = change(&im, kinds[k], 5, 5);
            ck_assert_msg(most > 1.2 * least, "%s at %d: %g, %g", corruption_name(kinds[k]),
                          (int)size, least, most);
        }
        image_free(&im);
    }
}
END_TEST

static void moments(const Image *im, double *mean, double *deviation) {
    double sum = 0, squares = 0, n = (double)n_bytes(im);
    for (int64_t i = 0; i < n_bytes(im); i++) {
        sum += im->pixels[i];
        squares += im->pixels[i] * im->pixels[i];
    }
    *mean = sum / n;
    *deviation = sqrt(squares / n - *mean * *mean);
}

/* Values are cut off to whole numbers, so the mean drops by 1/2 and the variance grows by 1/12. The
 * bounds are five standard errors, sigma / sqrt(n) and sigma / sqrt(2 n) for something normal. */
static void check_noise(Corruption kind, int severity, double sigma) {
    Image im = blank(224, 224, 3, 128);
    double mean, deviation, n = (double)n_bytes(&im), expected = sqrt(sigma * sigma + 1.0 / 12);
    apply(kind, severity, &im, 3);
    moments(&im, &mean, &deviation);
    ck_assert_double_eq_tol(mean, 127.5, 5 * sigma / sqrt(n));
    ck_assert_double_eq_tol(deviation, expected, 5 * sigma / sqrt(2 * n));
    image_free(&im);
}

START_TEST(gaussian_noise_has_its_deviation) {
    check_noise(CORRUPTION_GAUSSIAN_NOISE, 1, 0.08 * 255);
    check_noise(CORRUPTION_GAUSSIAN_NOISE, 2, 0.12 * 255); /* clips at four sigma: 1e-4 of them */
}
END_TEST

/* One photon of 60 is 4.25: one in four values is whole and the others lose 0.25, 0.5 or 0.75, on
 * average 0.375. */
START_TEST(shot_noise_has_its_deviation) {
    Image im = blank(224, 224, 3, 128);
    double mean, deviation, n = (double)n_bytes(&im), sigma = sqrt(128.0 * 255 / 60);
    apply(CORRUPTION_SHOT_NOISE, 1, &im, 3);
    moments(&im, &mean, &deviation);
    ck_assert_double_eq_tol(mean, 128 - 0.375, 5 * sigma / sqrt(n));
    ck_assert_double_eq_tol(deviation, sigma, 5 * sigma / sqrt(2 * n));
    image_free(&im);
    im = blank(40, 40, 1, 0);
    apply(CORRUPTION_SHOT_NOISE, 5, &im, 3);
    for (int64_t i = 0; i < n_bytes(&im); i++)
        assert_often(im.pixels[i] == 0, "value %d is %d", (int)i, im.pixels[i]);
    image_free(&im);
}
END_TEST

START_TEST(impulse_noise_has_its_share) {
    static const double share[] = {0.03, 0.06, 0.09, 0.17, 0.27};
    for (int s = 1; s <= CORRUPTION_SEVERITIES; s++) {
        Image im = blank(224, 224, 3, 128);
        double n = (double)n_bytes(&im), p = share[s - 1] / 2, count[2] = {0, 0};
        apply(CORRUPTION_IMPULSE_NOISE, s, &im, 3);
        for (int64_t i = 0; i < n_bytes(&im); i++)
            if (im.pixels[i] != 128) count[im.pixels[i] == 255]++;
        for (int k = 0; k < 2; k++)
            ck_assert_double_eq_tol(count[k] / n, p, 5 * sqrt(p * (1 - p) / n));
        image_free(&im);
    }
}
END_TEST

/* Mean, variance and the probability of 0, each within five standard errors; the fourth central
 * moment of a Poisson variable is m + 3 m^2. */
START_TEST(poisson_moments) {
    static const double means[] = {0, 0.1, 3, 30, 60, 500};
    enum { N = 100000 };
    for (size_t k = 0; k < sizeof means / sizeof means[0]; k++) {
        Rng rng = rng_make(4, RNG_CORRUPT, 0, k);
        double m = means[k], sum = 0, squares = 0, zeros = 0, p = exp(-m);
        for (int i = 0; i < N; i++) {
            double v = (double)corrupt_poisson(&rng, m);
            assert_often(v >= 0, "%g", v);
            sum += v - m, squares += (v - m) * (v - m), zeros += v == 0;
        }
        ck_assert_double_le(fabs(sum / N), 5 * sqrt(m / N));
        ck_assert_double_le(fabs(squares / N - m), 5 * sqrt((m + 2 * m * m) / N));
        ck_assert_double_le(fabs(zeros / N - p), 5 * sqrt(p * (1 - p) / N) + 1e-12);
    }
}
END_TEST

static void check_pixels(Corruption kind, int severity, int64_t width, int64_t height,
                         int64_t channels, const uint8_t *from, const uint8_t *to) {
    Image im = blank(width, height, channels, 0);
    memcpy(im.pixels, from, (size_t)n_bytes(&im));
    apply(kind, severity, &im, 1);
    for (int64_t i = 0; i < n_bytes(&im); i++)
        assert_often(im.pixels[i] == to[i], "%s %d, value %d: %d instead of %d",
                     corruption_name(kind), severity, (int)i, im.pixels[i], to[i]);
    image_free(&im);
}

/* c = 0.4 and 0.05 about the mean of each channel. */
START_TEST(contrast_by_hand) {
    static const uint8_t grey[] = {0, 100, 200}, mild[] = {60, 100, 140}, hard[] = {95, 100, 105};
    static const uint8_t rgb[] = {0, 255, 10, 200, 255, 11}, less[] = {60, 255, 10, 140, 255, 10};
    check_pixels(CORRUPTION_CONTRAST, 1, 3, 1, 1, grey, mild);
    check_pixels(CORRUPTION_CONTRAST, 5, 1, 3, 1, grey, hard);
    check_pixels(CORRUPTION_CONTRAST, 1, 2, 1, 3, rgb, less); /* 10.3, 10.7: cut off */
}
END_TEST

/* V + 0.2 (51 of 255) and V + 0.5 (127.5), at most 1; the other channels in proportion. */
START_TEST(brightness_by_hand) {
    static const uint8_t rgb[] = {100, 50, 0, 0, 0, 0, 250, 125, 25, 9, 255, 9};
    static const uint8_t by_51[] = {151, 75, 0, 51, 51, 51, 255, 127, 25, 9, 255, 9};
    static const uint8_t by_127[] = {227, 113, 0, 127, 127, 127, 255, 127, 25, 9, 255, 9};
    static const uint8_t grey[] = {0, 100, 250}, lighter[] = {51, 151, 255};
    check_pixels(CORRUPTION_BRIGHTNESS, 2, 2, 2, 3, rgb, by_51);
    check_pixels(CORRUPTION_BRIGHTNESS, 5, 4, 1, 3, rgb, by_127);
    check_pixels(CORRUPTION_BRIGHTNESS, 2, 3, 1, 1, grey, lighter);
}
END_TEST

/* Severity 2 halves the size: 2 x 2 blocks. Rows are rounded before columns: (10 + 21) / 2 = 15.5
 * gives 16, (16 + 0) / 2 = 8. */
START_TEST(pixelate_by_hand) {
    static const uint8_t from[] = {10, 21, 255, 255, 0, 0, 255, 254};
    static const uint8_t to[] = {8, 8, 255, 255, 8, 8, 255, 255};
    check_pixels(CORRUPTION_PIXELATE, 2, 4, 2, 1, from, to);
}
END_TEST

/* At 224 a bright point becomes the published disk of radius 3: 29 pixels of 255/29, the softening
 * of sigma 0.1 is none. */
START_TEST(defocus_of_a_point) {
    Image im = blank(224, 224, 1, 0);
    im.pixels[100 * 224 + 50] = 255;
    apply(CORRUPTION_DEFOCUS_BLUR, 1, &im, 1);
    for (int64_t y = 0; y < 224; y++)
        for (int64_t x = 0; x < 224; x++) {
            bool inside = (x - 50) * (x - 50) + (y - 100) * (y - 100) <= 9;
            assert_often(im.pixels[y * 224 + x] == (inside ? 8 : 0), "at %d, %d", (int)x, (int)y);
        }
    image_free(&im);
}
END_TEST

/* What only moves or averages pixels leaves an even picture as it is. The weights of the published
 * disks of radius 8 and 10 sum to 1.013 and 1.011: OpenCV, softening the edge, mirrors what touches
 * the border of the kernel's square. Hence the 2 of 200. */
START_TEST(even_pictures_stay) {
    static const Corruption kinds[] = {CORRUPTION_DEFOCUS_BLUR, CORRUPTION_GLASS_BLUR,
                                       CORRUPTION_MOTION_BLUR,  CORRUPTION_ZOOM_BLUR,
                                       CORRUPTION_CONTRAST,     CORRUPTION_ELASTIC_TRANSFORM,
                                       CORRUPTION_PIXELATE};
    static const int64_t sizes[][2] = {{1, 1}, {7, 4}, {32, 32}, {224, 224}, {300, 260}};
    for (size_t k = 0; k < sizeof kinds / sizeof kinds[0]; k++)
        for (int s = 1; s <= CORRUPTION_SEVERITIES; s++)
            for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
                Image im = blank(sizes[i][0], sizes[i][1], 1, 200);
                int more = kinds[k] == CORRUPTION_DEFOCUS_BLUR && s >= 4 ? 2 : 0;
                apply(kinds[k], s, &im, 1);
                for (int64_t j = 0; j < n_bytes(&im); j++)
                    assert_often(im.pixels[j] >= 200 && im.pixels[j] <= 200 + more, "%s %d: %d",
                                 corruption_name(kinds[k]), s, im.pixels[j]);
                image_free(&im);
            }
}
END_TEST

START_TEST(frost_is_neither_bare_nor_white) {
    static const int64_t sizes[][2] = {{224, 224}, {32, 32}, {96, 200}};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        for (uint64_t key = 0; key < 5; key++) {
            Plane p;
            Rng rng = rng_make(2, RNG_CORRUPT, 0, key);
            ck_assert_int_eq(plane_new(&p, sizes[i][0], sizes[i][1], NULL), MAE_OK);
            ck_assert_int_eq(frost_texture(&p, &rng, NULL), MAE_OK);
            double sum = 0;
            int64_t n = p.width * p.height;
            for (int64_t j = 0; j < n; j++) {
                assert_often(p.values[j] >= 0 && p.values[j] <= 1, "%g", (double)p.values[j]);
                sum += (double)p.values[j];
            }
            ck_assert_double_gt(sum / (double)n, 0.25);
            ck_assert_double_lt(sum / (double)n, 0.65);
            plane_free(&p);
        }
}
END_TEST

START_TEST(any_size) {
    static const int64_t sizes[][2] = {{1, 1},   {2, 1},     {3, 5},     {1, 40},
                                       {32, 32}, {224, 224}, {500, 333}, {2, 300}};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        for (int k = 0; k < CORRUPTION_COUNT; k++)
            for (int s = 1; s <= CORRUPTION_SEVERITIES; s += 4)
                for (int64_t channels = 1; channels <= 3; channels += 2) {
                    Image im = scene(sizes[i][0], sizes[i][1], channels);
                    apply(k, s, &im, 1);
                    image_free(&im);
                }
}
END_TEST

START_TEST(refuses) {
    Rng rng = rng_make(1, RNG_CORRUPT, 0, 0);
    Image two = blank(8, 8, 2, 9), three = blank(8, 8, 3, 9);
    for (int k = 0; k < CORRUPTION_COUNT; k++) {
        ck_assert_int_eq(corrupt_apply(k, 1, &two, &rng, NULL), MAE_UNSUPPORTED);
        ck_assert_int_eq(corrupt_apply(k, 0, &three, &rng, NULL), MAE_UNSUPPORTED);
        ck_assert_int_eq(corrupt_apply(k, 6, &three, &rng, NULL), MAE_UNSUPPORTED);
    }
    image_free(&two);
    image_free(&three);
}
END_TEST

/* Each allocation of each kind fails once; leaks are the address sanitizer's to see. */
START_TEST(memory_runs_out) {
    for (int k = 0; k < CORRUPTION_COUNT; k++) {
        Status status = MAE_MEMORY;
        for (int64_t n = 1; status != MAE_OK; n++) {
            Image im = scene(64, 64, 3);
            Rng rng = rng_make(1, RNG_CORRUPT, 0, 0);
            mem_fail_after(n);
            status = corrupt_apply(k, 5, &im, &rng, NULL);
            mem_fail_after(0);
            ck_assert_msg(status == MAE_OK || status == MAE_MEMORY, "%s, allocation %d: %s",
                          corruption_name(k), (int)n, mae_status_name(status));
            ck_assert_int_lt(n, 100);
            image_free(&im);
        }
    }
}
END_TEST

Suite *suite_corrupt(void) {
    Suite *s = suite_create("corrupt");
    TCase *c = tcase_create("corrupt");
    tcase_add_test(c, names);
    tcase_add_test(c, same_key_same_pixels);
    tcase_add_test(c, change_grows);
    tcase_add_test(c, severe_is_more);
    tcase_add_test(c, gaussian_noise_has_its_deviation);
    tcase_add_test(c, shot_noise_has_its_deviation);
    tcase_add_test(c, impulse_noise_has_its_share);
    tcase_add_test(c, poisson_moments);
    tcase_add_test(c, contrast_by_hand);
    tcase_add_test(c, brightness_by_hand);
    tcase_add_test(c, pixelate_by_hand);
    tcase_add_test(c, defocus_of_a_point);
    tcase_add_test(c, even_pictures_stay);
    tcase_add_test(c, frost_is_neither_bare_nor_white);
    tcase_add_test(c, any_size);
    tcase_add_test(c, refuses);
    tcase_add_test(c, memory_runs_out);
    suite_add_tcase(s, c);
    return s;
}
