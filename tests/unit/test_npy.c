/* .npy files: the header byte by byte, the data, and the count that must be kept. */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "formats/npy.h"

Suite *suite_npy(void);

static char path[] = "/tmp/mae-npy-XXXXXX";

static void enter(void) {
    close(mkstemp(path));
}

static void leave(void) {
    unlink(path);
}

static void expect_file(Shape shape, const float *values, const char *shape_text_expected) {
    uint8_t *data;
    size_t bytes;
    size_t n = (size_t)shape_numel(shape) * sizeof(float);
    ck_assert_int_eq(file_read(path, 10000, &data, &bytes, NULL), MAE_OK);
    ck_assert_int_eq(memcmp(data, "\x93NUMPY\x01\x00", 8), 0);
    size_t start = 10 + (size_t)data[8] + 256 * (size_t)data[9];
    ck_assert_uint_eq(start % 64, 0);
    ck_assert_uint_eq(bytes, start + n);
    ck_assert_int_eq(data[start - 1], '\n');
    char expected[200];
    snprintf(expected, sizeof expected, "{'descr': '<f4', 'fortran_order': False, 'shape': %s, } ",
             shape_text_expected);
    ck_assert_int_eq(memcmp(data + 10, expected, strlen(expected)), 0);
    ck_assert_int_eq(memcmp(data + start, values, n), 0);
    mem_free(data);
}

START_TEST(rows_are_appended) {
    static const float values[] = {1, 2, 3, 4, 5, 6};
    Error err = {0};
    NpyWriter *w;
    ck_assert_int_eq(npy_writer_open(path, SHAPE(2, 3), &w, &err), MAE_OK);
    ck_assert_int_eq(npy_writer_append(w, values, 3, &err), MAE_OK);
    ck_assert_int_eq(npy_writer_append(w, values + 3, 3, &err), MAE_OK);
    ck_assert_int_eq(npy_writer_commit(w, &err), MAE_OK);
    npy_writer_close(w);
    expect_file(SHAPE(2, 3), values, "(2, 3,)");
}
END_TEST

START_TEST(scalars_and_vectors) {
    static const float value = 7;
    NpyWriter *w;
    ck_assert_int_eq(npy_writer_open(path, (Shape){0}, &w, NULL), MAE_OK);
    ck_assert_int_eq(npy_writer_append(w, &value, 1, NULL), MAE_OK);
    ck_assert_int_eq(npy_writer_commit(w, NULL), MAE_OK);
    npy_writer_close(w);
    expect_file((Shape){0}, &value, "()");
    ck_assert_int_eq(npy_writer_open(path, SHAPE(1), &w, NULL), MAE_OK);
    ck_assert_int_eq(npy_writer_append(w, &value, 1, NULL), MAE_OK);
    ck_assert_int_eq(npy_writer_commit(w, NULL), MAE_OK);
    npy_writer_close(w);
    expect_file(SHAPE(1), &value, "(1,)");
}
END_TEST

START_TEST(wrong_count_fails) {
    static const float value = 7;
    Error err = {0};
    NpyWriter *w;
    ck_assert_int_eq(npy_writer_open(path, SHAPE(2), &w, &err), MAE_OK);
    ck_assert_int_eq(npy_writer_append(w, &value, 1, &err), MAE_OK);
    ck_assert_int_eq(npy_writer_commit(w, &err), MAE_SHAPE);
    ck_assert_ptr_nonnull(strstr(err.message, path));
    npy_writer_close(w);
    npy_writer_close(NULL);
}
END_TEST

Suite *suite_npy(void) {
    Suite *s = suite_create("npy");
    TCase *c = tcase_create("npy");
    tcase_add_checked_fixture(c, enter, leave);
    tcase_add_test(c, rows_are_appended);
    tcase_add_test(c, scalars_and_vectors);
    tcase_add_test(c, wrong_count_fails);
    suite_add_tcase(s, c);
    return s;
}
