/* Tables of text, byte by byte. */
#include "formats/csv.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/rng.h"
#include "scratch.h"

#include <check.h> /* last: it has a macro named fail */

Suite *suite_csv(void);

static CsvWriter *begin(void) {
    CsvWriter *w;
    ck_assert_int_eq(csv_writer_open(scratch_path("t.csv"), &w, NULL), MAE_OK);
    return w;
}

/* free it with mem_free */
static char *finish(CsvWriter *w) {
    uint8_t *data;
    size_t bytes;
    ck_assert_int_eq(csv_writer_commit(w, NULL), MAE_OK);
    csv_writer_close(w);
    ck_assert_int_eq(file_read(scratch_path("t.csv"), 1 << 26, &data, &bytes, NULL), MAE_OK);
    return (char *)data;
}

START_TEST(rows_of_cells) {
    const float values[] = {0.1f, -1, 1e-30f, 16777216, NAN, -INFINITY};
    CsvWriter *w = begin();
    ck_assert_int_eq(csv_writer_text(w, "name", NULL), MAE_OK);
    ck_assert_int_eq(csv_writer_text(w, "a, \"b\"", NULL), MAE_OK);
    ck_assert_int_eq(csv_writer_end_row(w, NULL), MAE_OK);
    ck_assert_int_eq(csv_writer_text(w, "two\nlines", NULL), MAE_OK);
    ck_assert_int_eq(csv_writer_count(w, -7, NULL), MAE_OK);
    ck_assert_int_eq(csv_writer_floats(w, values, 6, NULL), MAE_OK);
    ck_assert_int_eq(csv_writer_end_row(w, NULL), MAE_OK);
    ck_assert_int_eq(csv_writer_text(w, "", NULL), MAE_OK);
    ck_assert_int_eq(csv_writer_end_row(w, NULL), MAE_OK);
    char *text = finish(w);
    ck_assert_str_eq(text, "\"name\",\"a, \"\"b\"\"\"\n\"\\two\\nlines\",-7,0.100000001,-1,"
                           "1e-30,16777216,nan,-inf\n\"\"\n");
    mem_free(text);
}
END_TEST

/* More than the writer's buffer holds. */
START_TEST(numbers_are_read_back) {
    enum { N = 20000 };
    float *values = malloc(N * sizeof *values);
    Rng rng = rng_make(1, RNG_SYNTHETIC, 0, 0);
    for (int i = 0; i < N; i++) values[i] = (float)(rng_normal(&rng) * exp(rng_normal(&rng) * 20));
    CsvWriter *w = begin();
    ck_assert_int_eq(csv_writer_floats(w, values, N, NULL), MAE_OK);
    ck_assert_int_eq(csv_writer_end_row(w, NULL), MAE_OK);
    char *text = finish(w), *at = text;
    for (int i = 0; i < N; i++) {
        ck_assert_float_eq(strtof(at, &at), values[i]);
        ck_assert_int_eq(*at++, i < N - 1 ? ',' : '\n');
    }
    ck_assert_int_eq(*at, 0);
    mem_free(text);
    free(values);
}
END_TEST

START_TEST(what_is_not_committed_is_not_there) {
    CsvWriter *w = begin();
    ck_assert_int_eq(csv_writer_text(w, "name", NULL), MAE_OK);
    csv_writer_close(w);
    ck_assert(!file_exists(scratch_path("t.csv")));
    ck_assert_int_eq(csv_writer_open(scratch_path("none/t.csv"), &w, NULL), MAE_IO);
    ck_assert_ptr_null(w);
    csv_writer_close(NULL);
}
END_TEST

Suite *suite_csv(void) {
    Suite *s = suite_create("csv");
    TCase *t = tcase_create("csv");
    tcase_add_checked_fixture(t, scratch_make, scratch_remove);
    tcase_add_test(t, rows_of_cells);
    tcase_add_test(t, numbers_are_read_back);
    tcase_add_test(t, what_is_not_committed_is_not_there);
    suite_add_tcase(s, t);
    return s;
}
