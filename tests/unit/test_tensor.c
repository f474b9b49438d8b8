/* Element types, shapes, half-width floats. */
#include <check.h>
#include <math.h>

#include "base/tensor.h"

Suite *suite_tensor(void);

START_TEST(dtype_names) {
    for (int t = 0; t < DTYPE_COUNT; t++) ck_assert_int_eq(dtype_from_name(dtype_name(t)), t);
    ck_assert_int_eq(dtype_from_name("F8"), -1);
    ck_assert_uint_eq(dtype_bytes(DTYPE_BF16), 2);
    ck_assert_uint_eq(dtype_bytes(DTYPE_F64), 8);
}
END_TEST

START_TEST(shapes) {
    char text[32];
    Shape s = SHAPE(2, 3, 4);
    ck_assert_int_eq(shape_numel(s), 24);
    ck_assert_int_eq(shape_numel((Shape){0}), 1);
    ck_assert(shape_equal(s, SHAPE(2, 3, 4)) && !shape_equal(s, SHAPE(2, 3)));
    ck_assert_str_eq(shape_text(s, text, sizeof text), "[2,3,4]");
    ck_assert_str_eq(shape_text((Shape){0}, text, sizeof text), "[]");
    ck_assert_str_eq(shape_text(s, text, 4), "[2,");
}
END_TEST

/* Every half-width value survives the way to float32 and back; NaN stays NaN. */
START_TEST(narrow_floats_round_trip) {
    for (uint32_t i = 0; i < 65536; i++) {
        uint16_t v = (uint16_t)i;
        float f = f16_to_f32(v), b = bf16_to_f32(v);
        if (isnan(f))
            ck_assert(isnan(f16_to_f32(f32_to_f16(f))));
        else
            ck_assert_uint_eq(f32_to_f16(f), v);
        if (isnan(b))
            ck_assert(isnan(bf16_to_f32(f32_to_bf16(b))));
        else
            ck_assert_uint_eq(f32_to_bf16(b), v);
    }
}
END_TEST

/* Between neighbours: below the middle down, above it up, the middle itself to even. */
START_TEST(f16_rounds_to_nearest_even) {
    for (uint16_t v = 0; v < 0x7BFF; v++) {
        float low = f16_to_f32(v), high = f16_to_f32((uint16_t)(v + 1));
        float middle = 0.5f * (low + high);
        ck_assert_uint_eq(f32_to_f16(middle), v + (v & 1));
        ck_assert_uint_eq(f32_to_f16(nextafterf(middle, low)), v);
        ck_assert_uint_eq(f32_to_f16(nextafterf(middle, high)), v + 1);
        ck_assert_uint_eq(f32_to_f16(-middle), 0x8000 | (v + (v & 1)));
    }
    ck_assert_uint_eq(f32_to_f16(65519.99f), 0x7BFF);
    ck_assert_uint_eq(f32_to_f16(65520.0f), 0x7C00);
    ck_assert_uint_eq(f32_to_f16(-INFINITY), 0xFC00);
    ck_assert_uint_eq(f32_to_f16(1e-30f), 0);
}
END_TEST

START_TEST(bf16_rounds_to_nearest_even) {
    ck_assert_uint_eq(f32_to_bf16(1.0f), 0x3F80);
    ck_assert_uint_eq(f32_to_bf16(1.00390625f), 0x3F80); /* 1 + 2^-8, half way */
    ck_assert_uint_eq(f32_to_bf16(1.01171875f), 0x3F82); /* 1 + 3 * 2^-8 */
    ck_assert_uint_eq(f32_to_bf16(nextafterf(1.00390625f, 2)), 0x3F81);
    ck_assert_uint_eq(f32_to_bf16(3.4e38f), 0x7F80);
}
END_TEST

START_TEST(arrays_convert_unaligned) {
    static const float values[] = {0, 1, -2.5f, 1024};
    static const DType types[] = {DTYPE_F32, DTYPE_F64, DTYPE_F16, DTYPE_BF16};
    for (int k = 0; k < 4; k++) {
        char raw[64];
        float back[4];
        dtype_from_f32(raw + 1, values, types[k], 4);
        dtype_to_f32(back, raw + 1, types[k], 4);
        for (int i = 0; i < 4; i++) ck_assert_float_eq(back[i], values[i]);
    }
    static const int16_t shorts[] = {-3, 300};
    static const int64_t longs[] = {-5, INT64_C(1) << 40};
    float out[2];
    dtype_to_f32(out, shorts, DTYPE_I16, 2);
    ck_assert(out[0] == -3 && out[1] == 300);
    dtype_to_f32(out, longs, DTYPE_I64, 2);
    ck_assert(out[0] == -5 && out[1] == 0x1p40f);
}
END_TEST

Suite *suite_tensor(void) {
    Suite *s = suite_create("tensor");
    TCase *c = tcase_create("tensor");
    tcase_add_test(c, dtype_names);
    tcase_add_test(c, shapes);
    tcase_add_test(c, narrow_floats_round_trip);
    tcase_add_test(c, f16_rounds_to_nearest_even);
    tcase_add_test(c, bf16_rounds_to_nearest_even);
    tcase_add_test(c, arrays_convert_unaligned);
    suite_add_tcase(s, c);
    return s;
}
