/* The rows that fine-tuning and probing add, against ref64 as in test_kernels.c: shapes that
 * include 1 and odd sizes, some of them large enough to be shared by threads. Tolerances are float
 * epsilon x growth: a few elementary operations give single digits, sums of n terms about n. */
#include <check.h>

#include "deferred.h"
#include "kernel_case.h"
#include "narrow.h"

Suite *suite_kernels_classify(void);

static Rng rng_of_test(uint64_t seed) {
    return rng_make(seed, RNG_SYNTHETIC, 0, 1);
}

/* --- frozen operands -------------------------------------------------------------------------- */

enum { NO_DX = 1, NO_DW = 2, NO_DB = 4 };

static void call_layernorm(Device *d, void **p, const Case *c) {
    const Kernels *k = &d->kernels;
    int64_t R = c->dim[0], C = c->dim[1];
    k->layernorm_forward(d, p[0], p[1], p[2], p[3], p[4], p[5], R, C, 1e-2);
    size_t bytes = k->layernorm_scratch(d, R, C);
    void *scratch = scratch_new(d, bytes);
    k->layernorm_backward(d, c->flags & NO_DX ? NULL : p[6], c->flags & NO_DW ? NULL : p[7],
                          c->flags & NO_DB ? NULL : p[8], p[9], p[3], p[1], p[2], p[4], R, C,
                          c->accumulate, scratch);
    device_free(d, scratch, bytes);
}

/* The buffers of what is frozen are watched: they keep their values. Growth as for `layernorm` in
 * test_kernels.c. */
START_TEST(layernorm_with_frozen_operands) {
    static const int64_t shapes[][2] = {{1, 1}, {7, 33}, {130, 48}, {70, 512}};
    Rng rng = rng_of_test((uint64_t)_i);
    int64_t R = shapes[_i][0], C = shapes[_i][1];
    for (int flags = 1; flags < 8; flags++) {
        Case c = {.call = call_layernorm, .dim = {R, C}, .flags = flags, .accumulate = flags % 3};
        c.growth = 100 + (double)(R + C);
        case_real(&c, &rng, OUTPUT, R * C);
        case_wide(&c, &rng, OUTPUT, R);
        case_wide(&c, &rng, OUTPUT, R);
        case_real(&c, &rng, INPUT, R * C);
        case_wide(&c, &rng, INPUT, C);
        case_wide(&c, &rng, INPUT, C);
        case_real(&c, &rng, IN_OUT, R * C);
        case_wide(&c, &rng, IN_OUT, C);
        case_wide(&c, &rng, IN_OUT, C);
        case_real(&c, &rng, INPUT, R * C);
        case_check(&c);
    }
}
END_TEST

static void call_linear_bias(Device *d, void **p, const Case *c) {
    size_t bytes = d->kernels.linear_scratch(d, c->dim[0], c->dim[1], c->dim[2]);
    void *scratch = scratch_new(d, bytes);
    d->kernels.linear_backward_weight(d, NULL, p[0], p[1], NULL, c->dim[0], c->dim[1], c->dim[2],
                                      false, scratch);
    device_free(d, scratch, bytes);
}

START_TEST(linear_with_frozen_weight) {
    static const int64_t shapes[][3] = {{1, 1, 1}, {65, 33, 31}, {530, 19, 1040}};
    Rng rng = rng_of_test((uint64_t)_i);
    int64_t R = shapes[_i][0], I = shapes[_i][1], O = shapes[_i][2];
    Case c = {.call = call_linear_bias, .dim = {R, I, O}, .growth = (double)R + 8};
    case_wide(&c, &rng, IN_OUT, O);
    case_real(&c, &rng, INPUT, R * O);
    case_check(&c);
}
END_TEST

/* --- batchnorm -------------------------------------------------------------------------------- */

enum { IN_PLACE = 1, IN_RESIDUAL = 2 };

static void call_batchnorm(Device *d, void **p, const Case *c) {
    const int64_t B = c->dim[0], C = c->dim[1];
    ROW(c, d, work_moved(d, 2 * B * C, 0), batchnorm_infer, p[0], p[3], p[4], p[2], B, C, 1e-6);
    ROW(c, d, work_moved(d, 2 * B * C, 0), batchnorm_train, c->flags ? p[2] : p[1], p[3], p[4],
        p[5], p[2], B, C, 1e-6, 0.1);
}

/* Statistics are in double, so that an offset of 100 costs nothing but the rounding of y. */
static void make_batchnorm(Case *c, Rng *rng, const int64_t *n, int flags) {
    int64_t B = n[0], C = n[1];
    *c = (Case){.call = call_batchnorm, .dim = {B, C}, .flags = flags, .growth = 2};
    case_real(c, rng, OUTPUT, B * C);
    case_real(c, rng, flags ? IN_OUT : OUTPUT, B * C);
    float *x = case_real(c, rng, flags ? IN_OUT : INPUT, B * C);
    for (int64_t i = 0; i < B * C; i++) x[i] = i % C ? x[i] + 100 * (float)(i % 2) : 3;
    case_wide(c, rng, IN_OUT, C);
    float *var = case_wide(c, rng, IN_OUT, C);
    for (int64_t i = 0; i < C; i++) var[i] = 0.1f + var[i] * var[i];
    case_wide(c, rng, IN_OUT, 1)[0] = 41;
}

START_TEST(batchnorm) {
    static const int64_t shapes[][2] = {{2, 1}, {3, 5}, {7, 130}, {300, 257}};
    Rng rng = rng_of_test((uint64_t)_i);
    for (int flags = 0; flags < 2; flags++) {
        Case c;
        make_batchnorm(&c, &rng, shapes[_i], flags);
        case_check(&c);
    }
}
END_TEST

START_TEST(running_statistics_in_bf16_are_found) {
    Rng rng = rng_of_test(0);
    Case c;
    make_batchnorm(&c, &rng, (const int64_t[]){7, 13}, 0);
    case_finds(&c, narrow_batchnorm);
}
END_TEST

/* --- residuals and tokens --------------------------------------------------------------------- */

static void call_scaled_residual(Device *d, void **p, const Case *c) {
    int64_t B = c->dim[0], n = c->dim[1];
    void *y = c->flags == IN_PLACE ? p[1] : c->flags == IN_RESIDUAL ? p[2] : p[0];
    ROW(c, d, work_moved(d, 3 * B * n, 0), scaled_residual_forward, y, p[1], p[2], p[3], B, n);
    ROW(c, d, work_moved(d, (2 + c->accumulate) * B * n, 0), scaled_residual_backward, p[4], p[5],
        p[3], B, n, c->accumulate);
}

static void make_scaled_residual(Case *c, Rng *rng, const int64_t *shape, int flags) {
    int64_t B = shape[0], n = shape[1];
    *c = (Case){.call = call_scaled_residual, .dim = {B, n}, .flags = flags, .growth = 4};
    c->accumulate = flags > 0;
    case_real(c, rng, flags ? INPUT : OUTPUT, B * n);
    case_real(c, rng, flags == IN_PLACE ? IN_OUT : INPUT, B * n);
    case_real(c, rng, flags == IN_RESIDUAL ? IN_OUT : INPUT, B * n);
    float *scale = case_wide(c, rng, INPUT, B);
    for (int64_t b = 0; b < B; b++) scale[b] = b % 2 ? 0 : 1 / 0.9f;
    case_real(c, rng, c->accumulate ? IN_OUT : OUTPUT, B * n);
    case_real(c, rng, INPUT, B * n);
}

START_TEST(scaled_residual) {
    static const int64_t shapes[][2] = {{1, 1}, {3, 7}, {5, 16385}, {7, 40001}};
    Rng rng = rng_of_test((uint64_t)_i);
    for (int flags = 0; flags < 3; flags++) {
        Case c;
        make_scaled_residual(&c, &rng, shapes[_i], flags);
        case_check(&c);
    }
}
END_TEST

static void call_cls(Device *d, void **p, const Case *c) {
    const int64_t B = c->dim[0], T = c->dim[1], C = c->dim[2];
    ROW(c, d, work_moved(d, 2 * B * C, 0), tokens_cls_forward, p[0], p[1], B, T, C);
    ROW(c, d, work_moved(d, B * (c->accumulate ? 3 : 1 + T) * C, 0), tokens_cls_backward, p[2],
        p[3], B, T, C, c->accumulate);
}

static void make_cls(Case *c, Rng *rng, const int64_t *n, int accumulate) {
    const int64_t B = n[0], T = n[1], C = n[2];
    *c = (Case){.call = call_cls, .dim = {B, T, C}, .accumulate = accumulate, .growth = 1};
    case_real(c, rng, OUTPUT, B * C);
    case_real(c, rng, INPUT, B * T * C);
    case_real(c, rng, accumulate ? IN_OUT : OUTPUT, B * T * C);
    case_real(c, rng, INPUT, B * C);
}

START_TEST(tokens_cls) {
    static const int64_t shapes[][3] = {{1, 1, 1}, {2, 3, 5}, {40, 50, 130}};
    Rng rng = rng_of_test((uint64_t)_i);
    for (int accumulate = 0; accumulate < 2; accumulate++) {
        Case c;
        make_cls(&c, &rng, shapes[_i], accumulate);
        case_check(&c);
    }
}
END_TEST

/* --- soft cross entropy ----------------------------------------------------------------------- */

static void call_cross_entropy(Device *d, void **p, const Case *c) {
    const int64_t B = c->dim[0], C = c->dim[1];
    ROW(c, d, work_moved(d, B * C, 2 * B * C), soft_cross_entropy_forward, p[0], p[1], p[2], p[3],
        B, C);
    ROW(c, d, work_moved(d, (1 + c->accumulate) * B * C, 2 * B * C), soft_cross_entropy_backward,
        p[4], p[5], p[1], p[3], B, C, c->accumulate);
}

/* Logits of up to 40, whose rounding reaches exp. accumulate 0: distributions; 1: targets of any
 * sign and sum. */
static void make_cross_entropy(Case *c, Rng *rng, const int64_t *n, int accumulate) {
    const int64_t B = n[0], C = n[1];
    *c = (Case){.call = call_cross_entropy, .dim = {B, C}, .accumulate = accumulate};
    c->growth = 8 + 2 * 80;
    case_wide(c, rng, OUTPUT, 1);
    case_wide(c, rng, OUTPUT, B * C);
    float *logits = case_real(c, rng, INPUT, B * C);
    for (int64_t i = 0; i < B * C; i++) logits[i] *= 40;
    float *targets = case_wide(c, rng, INPUT, B * C);
    for (int64_t i = 0; !accumulate && i < B * C; i++) {
        targets[i] = 0.1f / (float)C + (i % C == i / C % C ? 0.9f : 0);
    }
    case_real(c, rng, accumulate ? IN_OUT : OUTPUT, B * C);
    case_wide(c, rng, INPUT, 1);
}

START_TEST(soft_cross_entropy) {
    static const int64_t shapes[][2] = {{1, 1}, {3, 10}, {5, 1000}, {600, 33}, {260, 1000}};
    Rng rng = rng_of_test((uint64_t)_i);
    for (int accumulate = 0; accumulate < 2; accumulate++) {
        Case c;
        make_cross_entropy(&c, &rng, shapes[_i], accumulate);
        case_check(&c);
    }
}
END_TEST

/* One class far ahead, one far behind, all equal: nothing overflows. NaN is seen. */
START_TEST(soft_cross_entropy_extremes) {
    Rng rng = rng_of_test(0);
    int64_t B = 4, C = 19;
    for (int nan = 0; nan < 2; nan++) {
        Case c = {.call = call_cross_entropy, .dim = {B, C}, .growth = 400, .nan_expected = nan};
        case_wide(&c, &rng, OUTPUT, 1);
        case_wide(&c, &rng, OUTPUT, B * C);
        float *logits = case_real(&c, &rng, INPUT, B * C);
        logits[3] = 1e4f;
        logits[C + 3] = -1e4f;
        for (int64_t i = 0; i < C; i++) logits[2 * C + i] = 1e30f;
        if (nan) logits[3 * C + 5] = __builtin_nanf("");
        case_wide(&c, &rng, INPUT, B * C);
        case_real(&c, &rng, OUTPUT, B * C);
        case_wide(&c, &rng, INPUT, 1);
        case_check(&c);
    }
}
END_TEST

/* --- benchmark -------------------------------------------------------------------------------- */

const Bench benches_classify[] = {
    {"batchnorm", "vit_base head", make_batchnorm, {512, 768}, 0},
    {"scaled_residual", "vit_base", make_scaled_residual, {32, 197 * 768}, 0},
    {"tokens_cls", "vit_base", make_cls, {32, 197, 768}, 0},
    {"loss: cross_entropy", "1000 classes", make_cross_entropy, {256, 1000}, 0},
    {.name = NULL}};

/* --- device ----------------------------------------------------------------------------------- */

START_TEST(swapped_areas) {
    static const size_t sizes[] = {0, 1, 4096, 10007};
    Device *d = open_device(test_device_words[_i], 1, NULL);
    for (int i = 0; i < 4; i++) {
        static unsigned char a[10008], b[10008];
        size_t n = sizes[i];
        void *to_a = device_alloc(d, n + 1), *to_b = device_alloc(d, n + 1);
        for (size_t k = 0; k <= n; k++) {
            a[k] = (unsigned char)k;
            b[k] = (unsigned char)(7 * k + 1);
        }
        device_upload(d, to_a, a, n + 1);
        device_upload(d, to_b, b, n + 1);
        device_swap(d, to_a, to_b, n);
        device_download(d, a, to_a, n + 1);
        device_download(d, b, to_b, n + 1);
        for (size_t k = 0; k < n; k++) {
            if (a[k] != (unsigned char)(7 * k + 1) || b[k] != (unsigned char)k) ck_abort();
        }
        ck_assert_uint_eq(a[n], (unsigned char)n); /* the byte after is left alone */
        ck_assert_uint_eq(b[n], (unsigned char)(7 * n + 1));
        device_free(d, to_a, n + 1);
        device_free(d, to_b, n + 1);
    }
    device_close(d);
}
END_TEST

Suite *suite_kernels_classify(void) {
    Suite *s = suite_create("kernels_classify");
    TCase *t = tcase_create("kernels_classify");
    tcase_add_loop_test(t, layernorm_with_frozen_operands, 0, 4);
    tcase_add_loop_test(t, linear_with_frozen_weight, 0, 3);
    tcase_add_loop_test(t, batchnorm, 0, 4);
    tcase_add_test(t, running_statistics_in_bf16_are_found);
    tcase_add_loop_test(t, scaled_residual, 0, 4);
    tcase_add_loop_test(t, tokens_cls, 0, 3);
    tcase_add_loop_test(t, soft_cross_entropy, 0, 5);
    tcase_add_test(t, soft_cross_entropy_extremes);
    tcase_add_loop_test(t, swapped_areas, 0, TEST_DEVICES);
    suite_add_tcase(s, t);
    return s;
}
