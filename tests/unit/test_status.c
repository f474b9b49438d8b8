/* Status, log and process facts. */
#include <check.h>
#include <signal.h>
#include <string.h>

#include "base/status.h"
#include "base/processors.h"
#include "base/threads.h"
#include "set_log.h"

Suite *suite_status(void);

START_TEST(first_failure_wins) {
    Error err = {0};
    ck_assert_int_eq(error_set(&err, MAE_IO, "%s: gone", "a.bin"), MAE_IO);
    ck_assert_int_eq(error_set(&err, MAE_FORMAT, "later"), MAE_FORMAT);
    ck_assert_int_eq(err.status, MAE_IO);
    ck_assert_str_eq(err.message, "a.bin: gone");
    ck_assert_int_eq(error_set(NULL, MAE_SHAPE, "nobody listens"), MAE_SHAPE);
    ck_assert_str_eq(mae_status_name(MAE_IO), "input/output");
    ck_assert_str_eq(mae_status_name((Status)999), "unknown");
}
END_TEST

START_TEST(long_message_is_cut) {
    Error err = {0};
    error_set(&err, MAE_IO, "%2000d", 1);
    ck_assert_uint_eq(strlen(err.message), sizeof err.message - 1);
}
END_TEST

START_TEST(broken_assert_aborts) {
    ASSERT(1 + 1 == 3, "%d", 1 + 1);
}
END_TEST

static char seen[64];
static int n_seen;

static void remember(void *user, int level, const char *line) {
    ck_assert_ptr_eq(user, seen);
    ck_assert_int_eq(level, LOG_WARNING);
    strncpy(seen, line, sizeof seen - 1);
    n_seen++;
}

START_TEST(log_goes_to_the_sink) {
    log_line(LOG_ERROR, "dropped");
    set_log(remember, seen);
    log_line(LOG_WARNING, "step %d", 7);
    set_log(NULL, NULL);
    log_line(LOG_WARNING, "dropped again");
    ck_assert_int_eq(n_seen, 1);
    ck_assert_str_eq(seen, "step 7");
}
END_TEST

START_TEST(process_facts) {
    ck_assert_int_ge(processors_available(), 1);
    double start = clock_seconds();
    ck_assert(clock_seconds() >= start);
    ck_assert_int_gt(process_rss_bytes(), 100000);
    ck_assert_int_gt(process_peak_rss_bytes(), 100000);
}
END_TEST

Suite *suite_status(void) {
    Suite *s = suite_create("status");
    TCase *c = tcase_create("status");
    tcase_add_test(c, first_failure_wins);
    tcase_add_test(c, long_message_is_cut);
    tcase_add_test_raise_signal(c, broken_assert_aborts, SIGABRT);
    tcase_add_test(c, log_goes_to_the_sink);
    tcase_add_test(c, process_facts);
    suite_add_tcase(s, c);
    return s;
}
