/* Resampling against the stated rule written as plain double loops, on odd sizes, boxes and
 * directions; windows against the whole; the golden crops are in test_augment.c. */
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/rng.h"
#include "data/image/resample.h"
#include "data/image/resample_axis.h"

Suite *suite_resample(void);

static double kernel(double x) {
    x = fabs(x);
    if (x < 1) return (1.5 * x - 2.5) * x * x + 1;
    return x < 2 ? (((x - 5) * x + 8) * x - 4) * -0.5 : 0;
}

/* Output o of a line of n_in values (stride apart) brought to n_out. */
static uint8_t plain_output(const uint8_t *line, int64_t stride, int64_t n_in, int64_t n_out,
                            int64_t o) {
    double scale = (double)n_in / (double)n_out, fs = scale > 1 ? scale : 1;
    double centre = ((double)o + .5) * scale, total = 0;
    int64_t lo = (int64_t)(centre - 2 * fs + .5), hi = (int64_t)(centre + 2 * fs + .5);
    if (lo < 0) lo = 0;
    if (hi > n_in) hi = n_in;
    for (int64_t x = lo; x < hi; x++) total += kernel(((double)x - centre + .5) * (1 / fs));
    int64_t sum = 1 << 21;
    for (int64_t x = lo; x < hi; x++) {
        double w = kernel(((double)x - centre + .5) * (1 / fs)) / total * 4194304.0;
        sum += (int64_t)(w < 0 ? w - .5 : w + .5) * line[x * stride];
    }
    int64_t v = sum >> 22;
    return (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v);
}

/* Two passes, horizontal first; the result is malloc memory. */
static uint8_t *plain(const Image *in, Box b, int64_t w, int64_t h) {
    int64_t c = in->channels;
    uint8_t *mid = malloc((size_t)(b.height * w * c)), *out = malloc((size_t)(h * w * c));
    for (int64_t y = 0; y < b.height; y++)
        for (int64_t x = 0; x < w; x++)
            for (int64_t k = 0; k < c; k++) {
                const uint8_t *line = in->pixels + ((b.top + y) * in->width + b.left) * c + k;
                mid[(y * w + x) * c + k] = plain_output(line, c, b.width, w, x);
            }
    for (int64_t y = 0; y < h; y++)
        for (int64_t x = 0; x < w * c; x++)
            out[y * w * c + x] = plain_output(mid + x, w * c, b.height, h, y);
    free(mid);
    return out;
}

static Image random_image(Rng *rng, int64_t width, int64_t height, int64_t channels) {
    Image im;
    ck_assert_int_eq(image_new(&im, MAE_U8, width, height, channels, NULL), MAE_OK);
    bool extreme = rng_below(rng, 2) == 0; /* black and white only: overshoot is clipped */
    for (int64_t i = 0; i < width * height * channels; i++)
        im.pixels[i] = (uint8_t)(extreme ? 255 * rng_below(rng, 2) : rng_below(rng, 256));
    return im;
}

static void compare(const Image *in, Box box, int64_t w, int64_t h) {
    Image out;
    uint8_t *expected = plain(in, box, w, h);
    ck_assert_int_eq(resample_crop(in, box, w, h, &out, NULL), MAE_OK);
    ck_assert_mem_eq(out.pixels, expected, (size_t)(w * h * in->channels));
    free(expected);
    image_free(&out);
}

START_TEST(fixed_sizes) {
    static const int64_t sizes[][4] = {{1, 1, 1, 1},     {1, 1, 9, 7},    {9, 7, 1, 1},
                                       {64, 48, 64, 48}, {33, 17, 33, 5}, {33, 17, 8, 17},
                                       {300, 3, 2, 90},  {7, 201, 65, 3}, {2, 2, 3, 3}};
    Rng rng = rng_make(1, RNG_SYNTHETIC, 0, 0);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        const int64_t *s = sizes[i];
        for (int64_t channels = 1; channels <= 3; channels += 2) {
            Image in = random_image(&rng, s[0], s[1], channels);
            compare(&in, (Box){0, 0, s[0], s[1]}, s[2], s[3]);
            image_free(&in);
        }
    }
}
END_TEST

static Box random_box(Rng *rng, int64_t width, int64_t height) {
    Box b = {0, 0, 1 + rng_below(rng, width), 1 + rng_below(rng, height)};
    b.left = rng_below(rng, width - b.width + 1);
    b.top = rng_below(rng, height - b.height + 1);
    return b;
}

START_TEST(random_sizes) {
    Rng rng = rng_make(2, RNG_SYNTHETIC, 0, 0);
    for (int i = 0; i < 200; i++) {
        int64_t width = 1 + rng_below(&rng, 70), height = 1 + rng_below(&rng, 70);
        Image in = random_image(&rng, width, height, i % 2 ? 3 : 1);
        compare(&in, random_box(&rng, width, height), 1 + rng_below(&rng, 50),
                1 + rng_below(&rng, 50));
        image_free(&in);
    }
}
END_TEST

START_TEST(window_is_a_cut) {
    Rng rng = rng_make(3, RNG_SYNTHETIC, 0, 0);
    ResampleScratch scratch = {0};
    for (int i = 0; i < 100; i++) {
        int64_t w = 1 + rng_below(&rng, 60), h = 1 + rng_below(&rng, 60);
        Image in = random_image(&rng, 1 + rng_below(&rng, 60), 1 + rng_below(&rng, 60), 3), whole;
        Box box = random_box(&rng, in.width, in.height), cut = random_box(&rng, w, h);
        uint8_t *part = malloc((size_t)(cut.width * cut.height * 3));
        ck_assert_int_eq(resample_crop(&in, box, w, h, &whole, NULL), MAE_OK);
        ImageView view = image_view(&in);
        Resample r = resample_make(box, w, h);
        r.window = cut;
        ck_assert_int_eq(resample_into(&view, &r, part, &scratch, NULL), MAE_OK);
        for (int64_t y = 0; y < cut.height; y++)
            ck_assert_mem_eq(part + y * cut.width * 3,
                             whole.pixels + ((cut.top + y) * w + cut.left) * 3,
                             (size_t)(cut.width * 3));
        free(part);
        image_free(&whole);
        image_free(&in);
    }
    resample_scratch_free(&scratch);
}
END_TEST

static void compare_loops(const ResampleLoops *loops, const uint8_t *in, int64_t width,
                          int64_t rows, const ResampleAxis *axis) {
    int64_t row = 3 * width;
    uint8_t *a = malloc((size_t)(rows * row)), *b = malloc((size_t)(rows * row));
    resample_across(NULL, a, in, row, in + rows * row, rows, 3, axis);
    resample_across(loops, b, in, row, in + rows * row, rows, 3, axis);
    ck_assert_mem_eq(a, b, (size_t)(rows * axis->n * 3));
    for (int64_t i = 0; i < axis->n; i++)
        for (int64_t bytes = 1; bytes <= row; bytes += 7) {
            resample_down(a, in, row, bytes, axis, i);
            loops->down(b, in, row, bytes, axis, i);
            ck_assert_mem_eq(a, b, (size_t)bytes);
        }
    free(a);
    free(b);
}

/* The vector loops against the plain ones, where there are any. */
START_TEST(vector_loops_agree) {
    const ResampleLoops *loops[] = {resample_loops_avx2(), resample_loops_vnni()};
    if (!loops[0]) printf("SKIP no AVX2 here\n");
    if (!loops[1]) printf("SKIP no AVX-512 VNNI here\n");
    enum { N = 5, STRIDE = 8, ROWS = 9, WIDTH = 20 };
    Rng rng = rng_make(4, RNG_SYNTHETIC, 0, 0);
    int32_t first[N], count[N], weight[N * STRIDE] = {0};
    int16_t split[2 * N * STRIDE];
    int32_t parts[N * STRIDE / 4 * 3];
    uint8_t in[ROWS * WIDTH * 3];
    for (int trial = 0; trial < 100; trial++) {
        for (int i = 0; i < N; i++) {
            count[i] = 1 + (int32_t)rng_below(&rng, STRIDE);
            first[i] = (int32_t)rng_below(&rng, ROWS + 1 - count[i]);
            for (int t = 0; t < STRIDE; t++) {
                int32_t v = t < count[i] ? (int32_t)rng_below(&rng, 2000001) - 1000000 : 0;
                int8_t *bytes = (int8_t *)(parts + (i * STRIDE + t) / 4 * 3) + t % 4;
                int32_t low = (int8_t)(v & 255), rest = (v - low) / 256;
                bytes[0] = (int8_t)low;
                bytes[4] = (int8_t)(rest & 255);
                bytes[8] = (int8_t)((rest - bytes[4]) / 256);
                weight[i * STRIDE + t] = v;
                split[2 * i * STRIDE + t / 4 * 8 + t % 4] = (int16_t)(v & 4095);
                split[2 * i * STRIDE + t / 4 * 8 + 4 + t % 4] = (int16_t)((v - (v & 4095)) / 4096);
            }
        }
        for (size_t i = 0; i < sizeof in; i++) in[i] = (uint8_t)rng_u32(&rng);
        ResampleAxis axis = {N, STRIDE, first, count, weight, split, parts, NULL, false};
        for (int k = 0; k < 2; k++)
            if (loops[k]) compare_loops(loops[k], in, WIDTH, ROWS, &axis);
    }
}
END_TEST

static Image random_typed(Rng *rng, MaeType type, int64_t width, int64_t height, int64_t channels) {
    Image im;
    int64_t n = width * height * channels;
    ck_assert_int_eq(image_new(&im, type, width, height, channels, NULL), MAE_OK);
    for (int64_t i = 0; i < n; i++) {
        if (type == MAE_U8) im.pixels[i] = (uint8_t)rng_u32(rng);
        if (type == MAE_U16) im.u16[i] = (uint16_t)rng_u32(rng);
        if (type == MAE_F32) im.f32[i] = (float)rng_range(rng, -1000, 1000);
    }
    return im;
}

/* The pixels of im as one plane a channel, each row followed by 5 bytes of something else. */
static uint8_t *planar_copy(const Image *im, ImageView *view) {
    int64_t value = (int64_t)image_value_bytes(im->type), row = im->width * value + 5;
    uint8_t *planes = malloc((size_t)(im->channels * im->height * row));
    *view = image_view(im);
    view->pixels = planes;
    view->row_stride = row;
    view->pixel_stride = value;
    view->channel_stride = im->height * row;
    for (int64_t c = 0; c < im->channels; c++)
        for (int64_t y = 0; y < im->height; y++)
            for (int64_t x = 0; x < im->width; x++)
                memcpy(planes + c * view->channel_stride + y * row + x * value,
                       im->pixels + ((y * im->width + x) * im->channels + c) * value,
                       (size_t)value);
    return planes;
}

/* Bands do not see each other, and pixels may lie anywhere. */
START_TEST(bands_one_by_one) {
    static const MaeType types[] = {MAE_U8, MAE_U16, MAE_F32};
    static const int64_t channels[] = {1, 2, 3, 5, 12, 64};
    Rng rng = rng_make(5, RNG_SYNTHETIC, 0, 0);
    ResampleScratch scratch = {0};
    for (size_t i = 0; i < 18; i++) {
        int64_t n = channels[i / 3], value = (int64_t)image_value_bytes(types[i % 3]);
        Image im = random_typed(&rng, types[i % 3], 23, 19, n), out, together;
        Box box = random_box(&rng, 23, 19);
        ImageView view;
        uint8_t *planes = planar_copy(&im, &view);
        Resample r = resample_make(box, 9, 25);
        ck_assert_int_eq(resample_crop(&im, box, 9, 25, &together, NULL), MAE_OK);
        ck_assert_int_eq(image_new(&out, im.type, 9, 25, n, NULL), MAE_OK);
        ck_assert_int_eq(resample_into(&view, &r, out.pixels, &scratch, NULL), MAE_OK);
        ck_assert_mem_eq(out.pixels, together.pixels, (size_t)(9 * 25 * n * value));
        for (int64_t c = 0; c < n; c++) {
            ImageView band = view;
            band.channels = 1;
            band.pixels = planes + c * view.channel_stride;
            ck_assert_int_eq(resample_into(&band, &r, out.pixels, &scratch, NULL), MAE_OK);
            for (int64_t k = 0; k < 9 * 25; k++)
                ck_assert_mem_eq(out.pixels + k * value, together.pixels + (k * n + c) * value,
                                 (size_t)value);
        }
        free(planes);
        image_free(&together);
        image_free(&out);
        image_free(&im);
    }
    resample_scratch_free(&scratch);
}
END_TEST

/* Bottom row first, right column first. */
START_TEST(strides_may_be_negative) {
    Rng rng = rng_make(6, RNG_SYNTHETIC, 0, 0);
    ResampleScratch scratch = {0};
    Image im = random_typed(&rng, MAE_U8, 21, 13, 3), turned, expected, out;
    ck_assert_int_eq(image_new(&turned, MAE_U8, 21, 13, 3, NULL), MAE_OK);
    ck_assert_int_eq(image_new(&out, MAE_U8, 8, 7, 3, NULL), MAE_OK);
    for (int64_t i = 0; i < 21 * 13; i++)
        memcpy(turned.pixels + 3 * i, im.pixels + 3 * (21 * 13 - 1 - i), 3);
    ImageView view = image_view(&im);
    view.pixels = im.pixels + 3 * (21 * 13 - 1);
    view.row_stride = -view.row_stride;
    view.pixel_stride = -view.pixel_stride;
    Resample r = resample_make((Box){2, 1, 17, 11}, 8, 7);
    ck_assert_int_eq(resample_crop(&turned, r.box, 8, 7, &expected, NULL), MAE_OK);
    ck_assert_int_eq(resample_into(&view, &r, out.pixels, &scratch, NULL), MAE_OK);
    ck_assert_mem_eq(out.pixels, expected.pixels, 8 * 7 * 3);
    resample_scratch_free(&scratch);
    image_free(&im);
    image_free(&turned);
    image_free(&expected);
    image_free(&out);
}
END_TEST

START_TEST(scratch_of_the_caller_is_enough) {
    static const MaeType types[] = {MAE_U8, MAE_U16, MAE_F32};
    Rng rng = rng_make(7, RNG_SYNTHETIC, 0, 0);
    for (int i = 0; i < 60; i++) {
        Image im = random_typed(&rng, types[i % 3], 1 + rng_below(&rng, 60),
                                1 + rng_below(&rng, 60), 1 + rng_below(&rng, 6));
        Resample r = resample_make(random_box(&rng, im.width, im.height), 1 + rng_below(&rng, 30),
                                   1 + rng_below(&rng, 30));
        ImageView view = image_view(&im);
        uint8_t *planes = i % 2 ? planar_copy(&im, &view) : NULL;
        ResampleScratch scratch = {.bytes = resample_scratch_bytes(&view, &r)};
        scratch.memory = mem_alloc(scratch.bytes);
        void *out = malloc((size_t)(r.width * r.height * im.channels) * 4);
        int64_t before = mem_allocations();
        ck_assert_int_eq(resample_into(&view, &r, out, &scratch, NULL), MAE_OK);
        ck_assert_int_eq(mem_allocations(), before);
        free(out);
        free(planes);
        resample_scratch_free(&scratch);
        image_free(&im);
    }
}
END_TEST

Suite *suite_resample(void) {
    Suite *s = suite_create("resample");
    TCase *c = tcase_create("resample");
    tcase_add_test(c, fixed_sizes);
    tcase_add_test(c, random_sizes);
    tcase_add_test(c, window_is_a_cut);
    tcase_add_test(c, vector_loops_agree);
    tcase_add_test(c, bands_one_by_one);
    tcase_add_test(c, strides_may_be_negative);
    tcase_add_test(c, scratch_of_the_caller_is_enough);
    suite_add_tcase(s, c);
    return s;
}
