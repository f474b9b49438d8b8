/* Results: what a job writes is what a caller reads, and what --json prints. */
#include "base/result.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

Suite *suite_result(void);

static void expect_json(const MaeResult *r, const char *wanted) {
    char *text = mae_result_json(r);
    ck_assert_str_eq(text, wanted);
    mae_free(text);
}

/* Two rows, a list in one of them, and each kind of value. */
static MaeResult *example(void) {
    bool failed;
    MaeResult *r = NULL;
    Result out = result_start(&failed);
    result_text(out, "name", "x");
    result_count(out, "images", 12345678901);
    result_number(out, "loss", 1.0 / 3);
    result_share(out, "top5", -1);
    result_switch(out, "resumes", true);
    Result rows = result_list(out, "rows");
    Result first = result_object(rows, NULL), second = result_object(rows, NULL);
    result_count(first, "index", 7);
    result_number(second, "index", 2.75);
    Result errors = result_list(second, "error");
    result_number(errors, NULL, 0.5);
    result_number(errors, NULL, (double)NAN);
    result_text(errors, NULL, "last");
    ck_assert_int_eq(result_end(out, &r, NULL), MAE_OK);
    return r;
}

START_TEST(json_has_all_in_order) {
    MaeResult *r = example();
    expect_json(r, "{\"name\":\"x\",\"images\":12345678901,\"loss\":0.333333333,\"top5\":null,"
                   "\"resumes\":true,\"rows\":[{\"index\":7},{\"index\":2.75,\"error\":[0.5,null,"
                   "\"last\"]}]}");
    expect_json(mae_result_get(r, "loss"), "0.333333333");
    mae_result_free(r);
}
END_TEST

START_TEST(values_are_read_by_name) {
    MaeResult *r = example();
    ck_assert_str_eq(mae_result_text(r, "name"), "x");
    ck_assert_ptr_null(mae_result_text(r, "images"));
    ck_assert_int_eq(mae_result_integer(r, "images"), 12345678901);
    ck_assert_double_eq(mae_result_number(r, "images"), 12345678901);
    ck_assert_double_eq(mae_result_number(r, "loss"), 1.0 / 3);
    ck_assert_double_eq(mae_result_number(r, "resumes"), 1);
    ck_assert_int_eq(mae_result_integer(r, "resumes"), 1);
    mae_result_free(r);
}
END_TEST

START_TEST(lists_and_objects_are_read_by_place) {
    MaeResult *r = example();
    const MaeResult *rows = mae_result_get(r, "rows"), *second = mae_result_at(rows, 1);
    const MaeResult *errors = mae_result_get(second, "error");
    ck_assert_int_eq(mae_result_count(r, NULL), 6);
    ck_assert_int_eq(mae_result_count(r, "rows"), 2);
    ck_assert_int_eq(mae_result_integer(mae_result_at(rows, 0), "index"), 7);
    ck_assert_int_eq(mae_result_integer(second, "index"), 2);
    ck_assert_double_eq(mae_result_number(mae_result_at(errors, 0), NULL), 0.5);
    ck_assert(isnan(mae_result_number(mae_result_at(errors, 1), NULL)));
    ck_assert_str_eq(mae_result_text(mae_result_at(errors, 2), NULL), "last");
    ck_assert_str_eq(mae_result_key(r, 0), "name");
    ck_assert_str_eq(mae_result_key(r, 5), "rows");
    ck_assert_ptr_eq(mae_result_at(r, 5), rows);
    mae_result_free(r);
}
END_TEST

START_TEST(what_is_not_there_has_no_value) {
    MaeResult *r = example();
    const MaeResult *rows = mae_result_get(r, "rows"), *unmeasured = mae_result_get(r, "top5");
    ck_assert_ptr_nonnull(unmeasured);
    ck_assert_ptr_null(mae_result_get(r, "top1"));
    ck_assert_ptr_null(mae_result_get(rows, "index"));
    ck_assert(isnan(mae_result_number(r, "top5")) && isnan(mae_result_number(r, "top1")));
    ck_assert(isnan(mae_result_number(r, "name")) && isnan(mae_result_number(NULL, "name")));
    ck_assert_int_eq(mae_result_integer(r, "top5"), -1);
    ck_assert_int_eq(mae_result_count(r, "name"), 0);
    ck_assert_int_eq(mae_result_count(unmeasured, NULL), 0);
    ck_assert_int_eq(mae_result_count(NULL, NULL), 0);
    ck_assert_ptr_null(mae_result_text(r, "top1"));
    for (int64_t i = -1; i < 8; i += 7) {
        ck_assert_ptr_null(mae_result_at(r, i));
        ck_assert_ptr_null(mae_result_at(rows, i));
        ck_assert_ptr_null(mae_result_key(r, i));
    }
    ck_assert_ptr_null(mae_result_key(rows, 0));
    ck_assert_ptr_null(mae_result_at(NULL, 0));
    mae_result_free(r);
    mae_result_free(NULL);
}
END_TEST

/* Names of classes are values and keys. */
START_TEST(names_that_are_not_utf8_are_escaped) {
    bool failed;
    MaeResult *r = NULL;
    Result out = result_start(&failed);
    result_text(out, "class", "caf\xe9");
    result_count(out, "caf\xe9", 3);
    ck_assert_int_eq(result_end(out, &r, NULL), MAE_OK);
    ck_assert_str_eq(mae_result_text(r, "class"), "\\caf\\xE9");
    ck_assert_int_eq(mae_result_integer(r, "\\caf\\xE9"), 3);
    mae_result_free(r);
}
END_TEST

/* A part that could not be made is told at the end, once. */
START_TEST(lack_of_memory_is_remembered) {
    bool failed;
    Error err = {0};
    MaeResult *r = (MaeResult *)&failed;
    Result out = result_start(&failed);
    Result lost = {.value = NULL, .failed = &failed};
    result_count(lost, "images", 1);
    Result list = result_list(lost, "rows");
    result_text(result_object(list, NULL), "name", "x");
    result_value(out, "loss", NULL);
    result_text(out, "name", "x");
    ck_assert_int_eq(result_end(out, &r, &err), MAE_MEMORY);
    ck_assert_ptr_null(r);
    ck_assert_ptr_nonnull(strstr(err.message, "no memory for the result"));
}
END_TEST

START_TEST(nobody_need_take_a_result) {
    bool failed;
    Result out = result_start(&failed);
    result_count(out, "images", 1);
    ck_assert_int_eq(result_end(out, NULL, NULL), MAE_OK);
    result_drop(result_start(&failed));
}
END_TEST

Suite *suite_result(void) {
    Suite *s = suite_create("result");
    TCase *c = tcase_create("result");
    tcase_add_test(c, json_has_all_in_order);
    tcase_add_test(c, values_are_read_by_name);
    tcase_add_test(c, lists_and_objects_are_read_by_place);
    tcase_add_test(c, what_is_not_there_has_no_value);
    tcase_add_test(c, names_that_are_not_utf8_are_escaped);
    tcase_add_test(c, lack_of_memory_is_remembered);
    tcase_add_test(c, nobody_need_take_a_result);
    suite_add_tcase(s, c);
    return s;
}
