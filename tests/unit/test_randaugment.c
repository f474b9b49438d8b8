/* RandAugment: its text form, arguments, operations against golden files (exact), the vector loop
 * against the plain one, and properties of whole runs. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/memory.h"
#include "data/augment/affine_row.h"
#include "data/augment/randaugment.h"
#include "golden_dir.h"

Suite *suite_randaugment(void);

static Image noise_image(uint64_t seed, int64_t width, int64_t height, int64_t channels) {
    Image im;
    Rng r = rng_make(seed, RNG_SYNTHETIC, 0, 0);
    ck_assert_int_eq(image_new(&im, MAE_U8, width, height, channels, NULL), MAE_OK);
    for (int64_t i = 0; i < width * height * channels; i++) im.pixels[i] = (uint8_t)rng_u32(&r);
    return im;
}

static size_t bytes_of(const Image *im) {
    return (size_t)(im->width * im->height * im->channels);
}

/* --- text ------------------------------------------------------------------------------------- */

START_TEST(parses) {
    static const struct {
        const char *text;
        RandAugment want;
    } cases[] = {
        {"m9-n2-mstd0.5-inc1", {2, 9, 0.5, true, 0.5}},
        {"rand-m9-mstd0.5-inc1", {2, 9, 0.5, true, 0.5}},
        {"inc0-n3-m4.5", {3, 4.5, 0, false, 0.5}},
        {"m0", {2, 0, 0, false, 0.5}},
        {"mstd1-inc1-m10-n15", {15, 10, 1, true, 0.5}},
        {"none", {0, 0, 0, false, 0}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        RandAugment r;
        Error err = {0};
        const RandAugment *w = &cases[i].want;
        ck_assert_msg(randaugment_parse(cases[i].text, &r, &err) == MAE_OK, "%s", err.message);
        ck_assert_int_eq(r.n_ops, w->n_ops);
        ck_assert_double_eq(r.magnitude, w->magnitude);
        ck_assert_double_eq(r.magnitude_std, w->magnitude_std);
        ck_assert_int_eq(r.increasing, w->increasing);
        ck_assert_double_eq(r.probability, w->probability);
    }
}
END_TEST

START_TEST(refuses) {
    static const struct {
        const char *text, *named;
    } cases[] = {
        {"", "''"},
        {"rand-", "''"},
        {"m9-", "''"},
        {"m11", "'m11'"},
        {"m9-n0", "'n0'"},
        {"m9-n1.5", "'n1.5'"},
        {"m9-inc2", "'inc2'"},
        {"m9-m9", "'m9'"},
        {"m9-w0", "'w0'"},
        {"m-9", "'m'"},
        {"m9-mstd", "'mstd'"},
        {"9", "'9'"},
        {"m9 -n2", "'m9 '"},
        {"m1e1", "'m1e1'"},
        {"m9--n2", "''"},
        {"None", "'None'"},
        {"n2", "magnitude"},
        {"m1.2.3", "'m1.2.3'"},
        {"m9-minf", "'minf'"},
        {"m.", "'m.'"},
        {"m9-n2-mstd0.50000000000000000000000000000000000000001", "'mstd0.5000"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        RandAugment r;
        Error err = {0};
        ck_assert_msg(randaugment_parse(cases[i].text, &r, &err) == MAE_USAGE, "'%s' passes",
                      cases[i].text);
        ck_assert_msg(strstr(err.message, cases[i].named) != NULL, "%s", err.message);
        ck_assert_msg(strstr(err.message, "m9-n2-mstd0.5-inc1") != NULL, "%s", err.message);
        ck_assert_int_eq(r.n_ops, 0);
    }
}
END_TEST

/* --- arguments -------------------------------------------------------------------------------- */

/* timm's plain forms, which the golden files do not have. */
START_TEST(plain_arguments) {
    static const struct {
        RandAugmentOp op;
        double magnitude, want;
    } cases[] = {
        {RANDAUGMENT_POSTERIZE, 0, 0},     {RANDAUGMENT_POSTERIZE, 9, 3},
        {RANDAUGMENT_POSTERIZE, 10, 4},    {RANDAUGMENT_SOLARIZE, 0, 0},
        {RANDAUGMENT_SOLARIZE, 9, 230},    {RANDAUGMENT_SOLARIZE, 10, 256},
        {RANDAUGMENT_COLOR, 0, 0.1},       {RANDAUGMENT_CONTRAST, 5, 1.0},
        {RANDAUGMENT_BRIGHTNESS, 10, 1.9}, {RANDAUGMENT_SHARPNESS, 10, 1.9},
        {RANDAUGMENT_ROTATE, 10, 30},      {RANDAUGMENT_SOLARIZE_ADD, 9, 99},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        double got = randaugment_argument(cases[i].op, cases[i].magnitude, false, false);
        ck_assert_double_eq_tol(got, cases[i].want, 1e-15);
        bool has_sign = cases[i].op == RANDAUGMENT_ROTATE;
        double negated = randaugment_argument(cases[i].op, cases[i].magnitude, false, true);
        ck_assert_double_eq(negated, has_sign ? -got : got);
    }
}
END_TEST

/* --- golden files ----------------------------------------------------------------------------- */

/* timm's names of the operations, without the "Increasing" of the form that has it. */
static const char *const NAMES[RANDAUGMENT_N_OPS] = {
    "AutoContrast", "Equalize",    "Invert", "Rotate",        "Posterize",
    "Solarize",     "SolarizeAdd", "Color",  "Contrast",      "Brightness",
    "Sharpness",    "ShearX",      "ShearY", "TranslateXRel", "TranslateYRel"};

static RandAugmentOp op_of(const char *name, bool *increasing) {
    const char *suffix = strstr(name, "Increasing");
    size_t n = suffix ? (size_t)(suffix - name) : strlen(name);
    *increasing = suffix != NULL;
    for (int op = 0; op < RANDAUGMENT_N_OPS; op++) {
        if (strlen(NAMES[op]) != n || strncmp(NAMES[op], name, n) != 0) continue;
        return (RandAugmentOp)op;
    }
    ck_abort_msg("unknown operation %s", name);
}

static void check_op(const TensorFile *s, const json_t *row, ResampleScratch *scratch) {
    const char *name = json_string_value(json_object_get(row, "name"));
    bool increasing, negate = json_is_true(json_object_get(row, "negated"));
    RandAugmentOp op = op_of(json_string_value(json_object_get(row, "op")), &increasing);
    double level = json_number_value(json_object_get(row, "level"));
    double argument = randaugment_argument(op, level, increasing, negate);
    const json_t *args = json_object_get(row, "args");
    if (json_array_size(args) > 0)
        ck_assert_double_eq(argument, json_number_value(json_array_get(args, 0)));
    Image im = noise_image(0, 64, 64, 3);
    uint8_t *input = golden_pixels(s, "input", (int64_t)bytes_of(&im));
    uint8_t *want = golden_pixels(s, name, (int64_t)bytes_of(&im));
    memcpy(im.pixels, input, bytes_of(&im));
    ck_assert_int_eq(randaugment_op(op, argument, &im, scratch, NULL), MAE_OK);
    ck_assert_msg(memcmp(im.pixels, want, bytes_of(&im)) == 0, "%s differs", name);
    free(input);
    free(want);
    image_free(&im);
}

START_TEST(operations_golden) {
    char path[512];
    ResampleScratch scratch = {0};
    if (!golden_path(path, sizeof path, "augment/randaug_ops.safetensors")) return;
    TensorFile *s = golden_open(path);
    ck_assert(golden_path(path, sizeof path, "augment/randaug.json"));
    json_t *j = json_load_file(path, 0, NULL), *rows = json_object_get(j, "ops");
    ck_assert_uint_ge(json_array_size(rows), RANDAUGMENT_N_OPS);
    for (size_t i = 0; i < json_array_size(rows); i++)
        check_op(s, json_array_get(rows, i), &scratch);
    json_decref(j);
    tensorfile_close(s);
    resample_scratch_free(&scratch);
}
END_TEST

/* --- operations ------------------------------------------------------------------------------- */

static const int64_t SIZES[][2] = {{1, 1}, {2, 5}, {7, 1}, {3, 3}, {33, 20}, {64, 64}};
enum { N_SIZES = sizeof SIZES / sizeof SIZES[0] };

static Affine random_affine(Rng *r, int k, int64_t width, int64_t height) {
    double v = rng_range(r, -0.5, 0.5);
    switch (k % 5) {
    case 0: return affine_rotation(v * 360, width, height);
    case 1: return (Affine){{1, v, 0, 0, 1, 0}};
    case 2: return (Affine){{1, 0, 0, v, 1, 0}};
    case 3: return (Affine){{1, 0, v * (double)width, 0, 1, rng_range(r, -3, 3)}};
    default: return (Affine){{1 + v, rng_range(r, -1, 1), 2, rng_range(r, -1, 1), 1 - v, -2}};
    }
}

START_TEST(affine_vector_is_plain) {
    const uint8_t fill[3] = {1, 2, 3};
    Rng r = rng_make(5, RNG_SYNTHETIC, 0, 1);
    if (!affine_has_avx2()) {
        printf("SKIP affine_vector_is_plain: no AVX2 here\n");
        return;
    }
    for (int k = 0; k < 60; k++) {
        int64_t w = SIZES[k % N_SIZES][0], h = SIZES[k % N_SIZES][1];
        Image in = noise_image((uint64_t)k, w, h + 1, 3); /* a row more: the padding */
        Image plain = noise_image(1, w, h, 3), fast = noise_image(2, w, h, 3);
        Affine a = random_affine(&r, k, w, h);
        for (int64_t y = 0; y < h; y++) {
            affine_row(&a, in.pixels, &plain, y, fill);
            affine_row_avx2(&a, in.pixels, &fast, y, fill);
        }
        ck_assert_mem_eq(plain.pixels, fast.pixels, bytes_of(&plain));
        image_free(&in);
        image_free(&plain);
        image_free(&fast);
    }
}
END_TEST

START_TEST(weakest_changes_nothing) {
    static const RandAugmentOp ops[] = {
        RANDAUGMENT_ROTATE,      RANDAUGMENT_SOLARIZE,   RANDAUGMENT_SOLARIZE_ADD,
        RANDAUGMENT_COLOR,       RANDAUGMENT_CONTRAST,   RANDAUGMENT_BRIGHTNESS,
        RANDAUGMENT_SHARPNESS,   RANDAUGMENT_SHEAR_X,    RANDAUGMENT_SHEAR_Y,
        RANDAUGMENT_TRANSLATE_X, RANDAUGMENT_TRANSLATE_Y};
    ResampleScratch scratch = {0};
    Image im = noise_image(3, 21, 17, 3), same = noise_image(3, 21, 17, 3);
    for (size_t i = 0; i < sizeof ops / sizeof ops[0]; i++)
        for (int negate = 0; negate < 2; negate++) {
            double argument = randaugment_argument(ops[i], 0, true, negate);
            ck_assert_int_eq(randaugment_op(ops[i], argument, &im, &scratch, NULL), MAE_OK);
            ck_assert_msg(memcmp(im.pixels, same.pixels, bytes_of(&im)) == 0, "%s", NAMES[ops[i]]);
        }
    resample_scratch_free(&scratch);
    image_free(&im);
    image_free(&same);
}
END_TEST

/* An RGB image of three equal channels stays one where the operation does not know colours, and the
 * grey image gives the same. The geometric ones differ in the fill colour, which shows where a
 * white image is no longer white; that is left out. */
START_TEST(grey_is_like_rgb) {
    ResampleScratch scratch = {0};
    for (int op = 0; op < RANDAUGMENT_N_OPS; op++)
        for (size_t k = 0; k < N_SIZES; k++) {
            int64_t w = SIZES[k][0], h = SIZES[k][1], n = w * h;
            Image grey = noise_image(k, w, h, 1), rgb = noise_image(9, w, h, 3);
            Image white = noise_image(9, w, h, 1);
            for (int64_t i = 0; i < 3 * n; i++) rgb.pixels[i] = grey.pixels[i / 3];
            memset(white.pixels, 255, (size_t)n);
            double argument = randaugment_argument((RandAugmentOp)op, 7, true, k % 2);
            Image *all[] = {&grey, &rgb, &white};
            for (int i = 0; i < 3; i++)
                ck_assert_int_eq(
                    randaugment_op((RandAugmentOp)op, argument, all[i], &scratch, NULL), MAE_OK);
            bool geometric = op == RANDAUGMENT_ROTATE || op >= RANDAUGMENT_SHEAR_X;
            for (int64_t i = 0; i < 3 * n; i++)
                if (!geometric || white.pixels[i / 3] == 255)
                    ck_assert_msg(rgb.pixels[i] == grey.pixels[i / 3], "%s", NAMES[op]);
            for (int i = 0; i < 3; i++) image_free(all[i]);
        }
    resample_scratch_free(&scratch);
}
END_TEST

/* --- whole runs ------------------------------------------------------------------------------- */

/* The documented order of the draws, done by hand. */
START_TEST(draws_in_order) {
    const RandAugment r = {3, 9, 0.5, true, 0.5};
    ResampleScratch scratch = {0};
    for (uint64_t key = 0; key < 60; key++) {
        Image im = noise_image(key, 24, 16, 3), want = noise_image(key, 24, 16, 3);
        Rng a = rng_make(1, RNG_RANDAUGMENT, 2, key), b = a;
        ck_assert_int_eq(randaugment_apply(&r, &im, &a, &scratch, NULL), MAE_OK);
        for (int k = 0; k < 3; k++) {
            RandAugmentOp op = (RandAugmentOp)rng_below(&b, 15);
            double u = rng_uniform(&b), m = 9 + 0.5 * rng_normal(&b), sign = rng_uniform(&b);
            if (u > 0.5) continue;
            double argument = randaugment_argument(op, m > 10 ? 10 : m, true, sign > 0.5);
            ck_assert_int_eq(randaugment_op(op, argument, &want, &scratch, NULL), MAE_OK);
        }
        ck_assert_mem_eq(im.pixels, want.pixels, bytes_of(&im));
        ck_assert_uint_eq(rng_u32(&a), rng_u32(&b));
        image_free(&im);
        image_free(&want);
    }
    resample_scratch_free(&scratch);
}
END_TEST

START_TEST(allocates_once) {
    const RandAugment r = {4, 9, 3, true, 1};
    ResampleScratch scratch = {0};
    Image im = noise_image(1, 40, 30, 3);
    int64_t before = mem_allocations();
    for (uint64_t key = 0; key < 100; key++) {
        Rng rng = rng_make(1, RNG_RANDAUGMENT, 0, key);
        ck_assert_int_eq(randaugment_apply(&r, &im, &rng, &scratch, NULL), MAE_OK);
    }
    ck_assert_int_eq(mem_allocations(), before + 1);
    resample_scratch_free(&scratch);
    image_free(&im);
}
END_TEST

START_TEST(memory_runs_out) {
    ResampleScratch scratch = {0};
    Image im = noise_image(1, 8, 8, 3);
    Error err = {0};
    mem_fail_after(1);
    ck_assert_int_eq(randaugment_op(RANDAUGMENT_ROTATE, 30, &im, &scratch, &err), MAE_MEMORY);
    mem_fail_after(0);
    ck_assert_int_eq(randaugment_op(RANDAUGMENT_ROTATE, 30, &im, &scratch, NULL), MAE_OK);
    resample_scratch_free(&scratch);
    image_free(&im);
}
END_TEST

Suite *suite_randaugment(void) {
    Suite *s = suite_create("randaugment");
    TCase *c = tcase_create("randaugment");
    tcase_add_test(c, parses);
    tcase_add_test(c, refuses);
    tcase_add_test(c, plain_arguments);
    tcase_add_test(c, operations_golden);
    tcase_add_test(c, affine_vector_is_plain);
    tcase_add_test(c, weakest_changes_nothing);
    tcase_add_test(c, grey_is_like_rgb);
    tcase_add_test(c, draws_in_order);
    tcase_add_test(c, allocates_once);
    tcase_add_test(c, memory_runs_out);
    suite_add_tcase(s, c);
    return s;
}
