/* Crop arithmetic, resized crops, evaluation crops and colour changes against golden files, exact;
 * properties of the draws: inside the image, uniform flips, the same numbers for the same key. */
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "data/augment/augment.h"
#include "golden_dir.h"

Suite *suite_augment(void);

static Augment make_augment(AugmentKind kind, int64_t size) {
    return (Augment){.kind = kind,
                     .height = size,
                     .width = size,
                     .min_scale = 0.2,
                     .max_scale = 1,
                     .min_ratio = 3.0 / 4,
                     .max_ratio = 4.0 / 3,
                     .flip = 0.5,
                     .brightness = 0.4,
                     .contrast = 0.4,
                     .saturation = 0.4,
                     .hue = 0.1};
}

/* NULL when there are no golden files. */
static json_t *golden_json(const char *name) {
    char path[512];
    json_error_t error;
    if (!golden_path(path, sizeof path, name)) return NULL;
    json_t *j = json_load_file(path, 0, &error);
    ck_assert_msg(j != NULL, "%s: %s", path, error.text);
    return j;
}

static TensorFile *golden_tensors(const char *name) {
    char path[512];
    return golden_path(path, sizeof path, name) ? golden_open(path) : NULL;
}

static int64_t integer(const json_t *row, const char *key) {
    const json_t *v = json_object_get(row, key);
    ck_assert_msg(json_is_integer(v) || json_is_boolean(v), "no %s", key);
    return json_is_boolean(v) ? json_is_true(v) : json_integer_value(v);
}

static const char *string(const json_t *row, const char *key) {
    const char *v = json_string_value(json_object_get(row, key));
    ck_assert_ptr_nonnull(v);
    return v;
}

static void check_crop_row(const json_t *row) {
    double draws[16][2];
    json_t *list = json_object_get(row, "draws");
    int n = (int)json_array_size(list);
    ck_assert_int_le(n, 16);
    for (int i = 0; i < n; i++)
        for (size_t k = 0; k < 2; k++)
            draws[i][k] = json_number_value(json_array_get(json_array_get(list, (size_t)i), k));
    bool fallback;
    Box b = augment_crop_size(integer(row, "width"), integer(row, "height"),
                              (const double(*)[2])draws, n, 3.0 / 4, 4.0 / 3, &fallback);
    ck_assert_int_eq(b.width, integer(row, "w"));
    ck_assert_int_eq(b.height, integer(row, "h"));
    ck_assert_int_eq(fallback, integer(row, "fallback"));
    ck_assert_int_eq(b.left, fallback ? integer(row, "j") : 0);
    ck_assert_int_eq(b.top, fallback ? integer(row, "i") : 0);
}

START_TEST(crop_size_golden) {
    json_t *j = golden_json("augment/crop_params.json");
    if (!j) return;
    json_t *rows = json_object_get(json_object_get(j, "rows"), "torchvision");
    ck_assert_uint_gt(json_array_size(rows), 0);
    for (size_t i = 0; i < json_array_size(rows); i++) check_crop_row(json_array_get(rows, i));
    json_decref(j);
}
END_TEST

START_TEST(crop_once_golden) {
    json_t *j = golden_json("augment/crop_params.json");
    if (!j) return;
    json_t *rows = json_object_get(json_object_get(j, "rows"), "mae_util_crop");
    ck_assert_uint_gt(json_array_size(rows), 0);
    for (size_t i = 0; i < json_array_size(rows); i++) {
        const json_t *row = json_array_get(rows, i);
        const json_t *pair = json_array_get(json_object_get(row, "draws"), 0);
        const double draw[2] = {json_number_value(json_array_get(pair, 0)),
                                json_number_value(json_array_get(pair, 1))};
        Box b = augment_crop_once_size(integer(row, "width"), integer(row, "height"), draw);
        ck_assert_int_eq(b.width, integer(row, "w"));
        ck_assert_int_eq(b.height, integer(row, "h"));
    }
    json_decref(j);
}
END_TEST

static Image photo(const json_t *row) {
    char name[128], path[512];
    Image im = {0};
    Error err = {0};
    snprintf(name, sizeof name, "augment/photos/%s", string(row, "photo"));
    ck_assert(golden_path(path, sizeof path, name));
    ck_assert_msg(image_load_crop(path, 3, 0, NULL, &im, &err) == MAE_OK, "%s", err.message);
    return im;
}

static void check_resized_crop(const json_t *row, const TensorFile *s) {
    int64_t size = integer(row, "size");
    uint8_t *expected = golden_pixels(s, string(row, "name"), size * size * 3);
    Image in = photo(row), out;
    Box box = {integer(row, "left"), integer(row, "top"), integer(row, "width"),
               integer(row, "height")};
    ck_assert_int_eq(resample_crop(&in, box, size, size, &out, NULL), MAE_OK);
    for (int64_t y = 0; y < size; y++)
        for (int64_t x = 0; x < size; x++) {
            int64_t from = integer(row, "hflip") ? size - 1 - x : x;
            ck_assert_mem_eq(out.pixels + (y * size + from) * 3, expected + (y * size + x) * 3, 3);
        }
    free(expected);
    image_free(&in);
    image_free(&out);
}

START_TEST(resized_crops_golden) {
    json_t *j = golden_json("augment/crops.json");
    if (!j) return;
    TensorFile *s = golden_tensors("augment/crops.safetensors");
    json_t *rows = json_object_get(j, "crops");
    ck_assert_uint_gt(json_array_size(rows), 0);
    for (size_t i = 0; i < json_array_size(rows); i++)
        check_resized_crop(json_array_get(rows, i), s);
    tensorfile_close(s);
    json_decref(j);
}
END_TEST

static void check_eval(const json_t *row, const TensorFile *s) {
    int64_t size = integer(row, "input_size");
    uint8_t *expected = golden_pixels(s, string(row, "name"), size * size * 3);
    Image in = photo(row);
    Augment a = make_augment(AUGMENT_EVAL, size);
    ResampleScratch scratch = {0};
    uint8_t *dst = malloc((size_t)(size * size * 3));
    ck_assert_int_eq(augment_apply(&a, &in, 1, 2, 3, dst, &scratch, NULL), MAE_OK);
    ck_assert_mem_eq(dst, expected, size * size * 3);
    free(expected);
    free(dst);
    resample_scratch_free(&scratch);
    image_free(&in);
}

START_TEST(eval_golden) {
    json_t *j = golden_json("augment/eval.json");
    if (!j) return;
    TensorFile *s = golden_tensors("augment/eval.safetensors");
    json_t *rows = json_object_get(j, "evals");
    ck_assert_uint_gt(json_array_size(rows), 0);
    for (size_t i = 0; i < json_array_size(rows); i++) check_eval(json_array_get(rows, i), s);
    tensorfile_close(s);
    json_decref(j);
}
END_TEST

/* The tensor's name is the operation and the factor: "hue_-0.1". */
static void check_colour(const char *name, const uint8_t *want, const uint8_t *input) {
    static const struct {
        const char *prefix;
        void (*apply)(Image *im, double factor);
    } ops[] = {{"brightness_", augment_brightness},
               {"contrast_", augment_contrast},
               {"saturation_", augment_saturation},
               {"hue_", augment_hue}};
    Image im;
    ck_assert_int_eq(image_new(&im, MAE_U8, 64, 64, 3, NULL), MAE_OK);
    memcpy(im.pixels, input, 64 * 64 * 3);
    bool found = false;
    for (size_t i = 0; i < 4; i++) {
        size_t n = strlen(ops[i].prefix);
        if (strncmp(name, ops[i].prefix, n) != 0) continue;
        ops[i].apply(&im, strtod(name + n, NULL));
        found = true;
    }
    ck_assert_msg(found, "unknown %s", name);
    ck_assert_msg(memcmp(im.pixels, want, 64 * 64 * 3) == 0, "%s differs", name);
    image_free(&im);
}

START_TEST(colour_golden) {
    TensorFile *s = golden_tensors("augment/color_jitter.safetensors");
    if (!s) return;
    uint8_t *input = golden_pixels(s, "input", 64 * 64 * 3);
    for (size_t i = 0; i < tensorfile_count(s); i++) {
        const char *name = tensorfile_at(s, i)->name;
        uint8_t *want = golden_pixels(s, name, 64 * 64 * 3);
        if (strcmp(name, "input") != 0) check_colour(name, want, input);
        free(want);
    }
    free(input);
    tensorfile_close(s);
}
END_TEST

static Image ramp(int64_t width, int64_t height, int64_t channels) {
    Image im;
    ck_assert_int_eq(image_new(&im, MAE_U8, width, height, channels, NULL), MAE_OK);
    for (int64_t i = 0; i < width * height * channels; i++)
        im.pixels[i] = (uint8_t)(i * 37 + i / 11);
    return im;
}

/* Crop-fixed of an image of the right size resamples nothing: the flip is all there is to see. */
START_TEST(flip_mirrors) {
    enum { S = 225, N = S * S * 3 };
    Image in = ramp(S, S, 3);
    Augment a = make_augment(AUGMENT_CROP_FIXED, S);
    ResampleScratch scratch = {0};
    uint8_t *dst = malloc(N);
    for (int f = 0; f < 2; f++) {
        a.flip = f;
        ck_assert_int_eq(augment_apply(&a, &in, 1, 1, 1, dst, &scratch, NULL), MAE_OK);
        for (int y = 0; y < S; y++)
            for (int x = 0; x < S; x++)
                ck_assert_mem_eq(dst + (y * S + x) * 3,
                                 in.pixels + (y * S + (f ? S - 1 - x : x)) * 3, 3);
    }
    free(dst);
    resample_scratch_free(&scratch);
    image_free(&in);
}
END_TEST

START_TEST(draws_stay_inside) {
    static const int64_t sizes[][2] = {{1, 1}, {500, 375}, {3, 900}, {900, 3}, {17, 16}};
    int n_flips = 0;
    for (uint64_t i = 0; i < 5000; i++) {
        int64_t w = sizes[i % 5][0], h = sizes[i % 5][1];
        static const AugmentKind kinds[] = {AUGMENT_CROP_FIXED, AUGMENT_CROP, AUGMENT_CROP_ONCE};
        Augment a = make_augment(kinds[i % 3], 32);
        Geometry g = augment_draw(&a, w, h, 9, 0, i);
        if (a.kind == AUGMENT_CROP_FIXED) augment_resized_size(&a, w, h, &w, &h);
        ck_assert(g.whole_width == w && g.whole_height == h);
        ck_assert(g.box.left >= 0 && g.box.top >= 0 && g.box.width > 0 && g.box.height > 0);
        ck_assert(g.box.left + g.box.width <= w && g.box.top + g.box.height <= h);
        n_flips += g.flip;
    }
    ck_assert_int_gt(n_flips, 2300); /* 2500 +- 35 */
    ck_assert_int_lt(n_flips, 2700);
}
END_TEST

/* Left of a place the image is black, right of it white, and so above and below another one. The
 * edge must lie where the geometry says. 0.6: half a pixel, and what clipping the overshoot of the
 * cubic kernel takes. */
static void check_edge(const Augment *a, const Image *in, int64_t x, int64_t y, uint64_t index) {
    enum { S = 48 };
    uint8_t dst[S * S * 3];
    ResampleScratch scratch = {0};
    Geometry g = augment_draw(a, in->width, in->height, 5, 1, index);
    double at_x = (double)x, at_y = (double)y, white_x = 0, white_y = 0;
    ck_assert_int_eq(augment_apply(a, in, 5, 1, index, dst, &scratch, NULL), MAE_OK);
    geometry_map(&g, &at_x, &at_y);
    for (int i = 0; i < S; i++) {
        white_x += dst[(S / 2 * S + i) * 3] / 255.0;
        white_y += dst[(i * S + S / 2) * 3 + 1] / 255.0;
    }
    double want_x = g.flip ? fmin(fmax(at_x, 0), S) : S - fmin(fmax(at_x, 0), S);
    ck_assert_double_eq_tol(white_x, want_x, 0.6);
    ck_assert_double_eq_tol(white_y, S - fmin(fmax(at_y, 0), S), 0.6);
    resample_scratch_free(&scratch);
}

START_TEST(pixels_go_where_the_geometry_says) {
    static const AugmentKind kinds[] = {AUGMENT_EVAL, AUGMENT_NONE, AUGMENT_CROP_FIXED,
                                        AUGMENT_CROP, AUGMENT_CROP_ONCE};
    static const int64_t sizes[][2] = {{97, 61}, {61, 97}, {300, 60}};
    for (size_t s = 0; s < 3; s++) {
        Image in;
        int64_t w = sizes[s][0], h = sizes[s][1], x = w * 2 / 5, y = h * 3 / 5;
        ck_assert_int_eq(image_new(&in, MAE_U8, w, h, 3, NULL), MAE_OK);
        for (int64_t i = 0; i < w * h; i++) {
            in.pixels[3 * i] = i % w < x ? 0 : 255;
            in.pixels[3 * i + 1] = i / w < y ? 0 : 255;
        }
        for (size_t k = 0; k < 5; k++)
            for (uint64_t i = 0; i < 40; i++) {
                Augment a = make_augment(kinds[k], 48);
                check_edge(&a, &in, x, y, i);
            }
        image_free(&in);
    }
}
END_TEST

START_TEST(images_of_the_exact_size_may_stay) {
    enum { S = 24, N = S * S * 3 };
    static const int64_t widths[] = {S, S + 1, 2 * S};
    ResampleScratch scratch = {0};
    uint8_t kept[N], cut[N];
    for (size_t k = 0; k < 3; k++) {
        Image in = ramp(widths[k], S, 3);
        Augment a = make_augment(AUGMENT_EVAL, S);
        ck_assert_int_eq(augment_apply(&a, &in, 0, 0, 0, cut, &scratch, NULL), MAE_OK);
        a.keeps_exact = true;
        ck_assert_int_eq(augment_apply(&a, &in, 0, 0, 0, kept, &scratch, NULL), MAE_OK);
        ck_assert((memcmp(kept, cut, N) != 0) == (k == 0));
        if (k == 0) ck_assert_mem_eq(kept, in.pixels, N);
        image_free(&in);
    }
    resample_scratch_free(&scratch);
}
END_TEST

START_TEST(same_key_same_pixels) {
    enum { S = 24, N = S * S * 3 };
    static const AugmentKind kinds[] = {AUGMENT_EVAL, AUGMENT_NONE,        AUGMENT_CROP_FIXED,
                                        AUGMENT_CROP, AUGMENT_CROP_JITTER, AUGMENT_CROP_ONCE};
    ResampleScratch scratch = {0};
    uint8_t first[N], again[N], other[N];
    for (size_t k = 0; k < 6; k++)
        for (int64_t channels = 1; channels <= 3; channels += 2) {
            Image in = ramp(61, 47, channels);
            Augment a = make_augment(kinds[k], S);
            size_t n = (size_t)(S * S * channels);
            ck_assert_int_eq(augment_apply(&a, &in, 5, 1, 8, first, &scratch, NULL), MAE_OK);
            ck_assert_int_eq(augment_apply(&a, &in, 5, 2, 8, other, &scratch, NULL), MAE_OK);
            ck_assert_int_eq(augment_apply(&a, &in, 5, 1, 8, again, &scratch, NULL), MAE_OK);
            ck_assert_mem_eq(first, again, n);
            bool random = kinds[k] != AUGMENT_EVAL && kinds[k] != AUGMENT_NONE;
            ck_assert((memcmp(first, other, n) != 0) == random);
            image_free(&in);
        }
    resample_scratch_free(&scratch);
}
END_TEST

static void apply(const Augment *a, const Image *in, uint8_t *dst) {
    ResampleScratch scratch = {0};
    ck_assert_int_eq(augment_apply(a, in, 5, 1, 8, dst, &scratch, NULL), MAE_OK);
    resample_scratch_free(&scratch);
}

/* Strengths alone do nothing; the flag makes a crop the crop with jitter. */
START_TEST(jitter_is_a_flag) {
    enum { S = 24, N = S * S * 3 };
    uint8_t plain[N], kind[N], flag[N];
    Image in = ramp(61, 47, 3);
    Augment a = make_augment(AUGMENT_CROP, S);
    apply(&a, &in, plain);
    a.jitter = true;
    apply(&a, &in, flag);
    a = make_augment(AUGMENT_CROP_JITTER, S);
    apply(&a, &in, kind);
    ck_assert_mem_eq(flag, kind, N);
    ck_assert_mem_ne(flag, plain, N);
    a.brightness = a.contrast = a.saturation = a.hue = 0;
    apply(&a, &in, kind);
    ck_assert_mem_eq(kind, plain, N);
    image_free(&in);
}
END_TEST

/* RandAugment works on the finished crop, with a stream of its own. */
START_TEST(randaugment_comes_last) {
    enum { S = 24, N = S * S * 3 };
    uint8_t want[N], got[N];
    Image in = ramp(61, 47, 3), crop = {.width = S, .height = S, .channels = 3, .pixels = want};
    ResampleScratch scratch = {0};
    Augment a = make_augment(AUGMENT_CROP_JITTER, S);
    apply(&a, &in, want);
    a.randaugment = (RandAugment){2, 9, 0.5, true, 1};
    apply(&a, &in, got);
    ck_assert_mem_ne(got, want, N);
    Rng rng = rng_make(5, RNG_RANDAUGMENT, 1, 8);
    ck_assert_int_eq(randaugment_apply(&a.randaugment, &crop, &rng, &scratch, NULL), MAE_OK);
    ck_assert_mem_eq(got, want, N);
    resample_scratch_free(&scratch);
    image_free(&in);
}
END_TEST

/* The middle of a constant image stays, and a single bright pixel spreads by PIL's kernel. */
START_TEST(sharpness_kernel) {
    uint8_t copy[25] = {0};
    Image im = {.width = 5, .height = 5, .channels = 1, .pixels = (uint8_t[25]){0}};
    copy[12] = 130;
    augment_sharpness(&im, 0, copy);
    for (int y = 0; y < 5; y++)
        for (int x = 0; x < 5; x++) {
            bool near = abs(x - 2) < 2 && abs(y - 2) < 2;
            ck_assert_int_eq(im.pixels[5 * y + x], x == 2 && y == 2 ? 50 : near ? 10 : 0);
        }
}
END_TEST

Suite *suite_augment(void) {
    Suite *s = suite_create("augment");
    TCase *c = tcase_create("augment");
    tcase_add_test(c, crop_size_golden);
    tcase_add_test(c, crop_once_golden);
    tcase_add_test(c, resized_crops_golden);
    tcase_add_test(c, eval_golden);
    tcase_add_test(c, colour_golden);
    tcase_add_test(c, flip_mirrors);
    tcase_add_test(c, draws_stay_inside);
    tcase_add_test(c, pixels_go_where_the_geometry_says);
    tcase_add_test(c, images_of_the_exact_size_may_stay);
    tcase_add_test(c, same_key_same_pixels);
    tcase_add_test(c, jitter_is_a_flag);
    tcase_add_test(c, randaugment_comes_last);
    tcase_add_test(c, sharpness_kernel);
    suite_add_tcase(s, c);
    return s;
}
