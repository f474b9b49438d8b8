/* What is said, and when, of processes that do not answer: beats and time are made here, so nobody
 * waits. Two hosts, a with ranks 0 and 1, b with 2 and 3; timeout and notice as the command has
 * them: 600 s, and so 30. */
#include <check.h>
#include <stdio.h>
#include <string.h>

#include "dist/watch.h"
#include "set_log.h"

Suite *suite_watch(void);

enum { SIZE = 4, TIMEOUT_S = 600, BEAT_S = 3 };

static Watch *watch;
static double now;
static char said[4096];
static Beat beats[SIZE];
static bool silent[SIZE];

static void hear(void *user, int level, const char *line) {
    static const char *const words[] = {"error: ", "warning: ", ""};
    size_t n = strlen(said);
    (void)user;
    snprintf(said + n, sizeof said - n, "%s%s\n", words[level], line);
}

static void start(int rank) {
    Error err = {0};
    char hosts[SIZE][HOST_BYTES] = {"a", "a", "b", "b"};
    now = 1000;
    *said = '\0';
    memset(beats, 0, sizeof beats);
    memset(silent, 0, sizeof silent);
    set_log(hear, NULL);
    ck_assert(watch_new(rank, SIZE, &hosts[0][0], now, &watch, &err) == MAE_OK);
}

static void stop(void) {
    watch_free(watch);
    set_log(NULL, NULL);
}

/* Beats of all that are not silent, for so long; true: the job is to be ended. */
static bool go_on(int rank, double timeout_s, double seconds) {
    double beat = watch_beat_s(timeout_s);
    bool ended = false;
    for (double end = now + seconds; now + beat <= end && !ended;) {
        now += beat;
        for (int r = 0; r < SIZE; r++)
            if (r != rank && !silent[r]) watch_heard(watch, r, beats[r]);
        ended = watch_look(watch, beats[rank], timeout_s, now);
    }
    return ended;
}

static int count(const char *text) {
    int n = 0;
    for (const char *s = said; (s = strstr(s, text)); s++) n++;
    return n;
}

#define SAID(text) ck_assert_msg(count(text) == 1, "not said once: %s; but: %s", text, said)

START_TEST(a_host_that_is_gone_is_one_line_and_one_when_it_is_back) {
    start(0);
    silent[2] = silent[3] = true;
    ck_assert(!go_on(0, TIMEOUT_S, 25));
    ck_assert_str_eq(said, "");
    ck_assert(!go_on(0, TIMEOUT_S, 17));
    SAID("warning: rank 2 and 1 more on b have not answered for 30 s, since ");
    SAID("the job ends after 600 s of it (--peer-timeout)");
    silent[2] = silent[3] = false;
    ck_assert(!go_on(0, TIMEOUT_S, 300));
    SAID("warning: rank 2 and 1 more on b answer again, after 42 s");
    ck_assert_int_eq(count("\n"), 2);
    stop();
}
END_TEST

START_TEST(silence_ends_the_job_after_the_timeout) {
    start(0);
    silent[3] = true;
    ck_assert(!go_on(0, TIMEOUT_S, 597));
    SAID("warning: rank 3 on b has not answered for 30 s");
    ck_assert(go_on(0, TIMEOUT_S, BEAT_S));
    SAID("error: rank 3 on b has not answered rank 0 on a for 600 s, since ");
    ck_assert_int_eq(count("\n"), 2);
    stop();
}
END_TEST

START_TEST(without_a_timeout_all_wait) {
    start(0);
    silent[3] = true;
    ck_assert(!go_on(0, 0, 1e5));
    SAID("all wait (--peer-timeout 0)");
    ck_assert_int_eq(count("\n"), 1);
    stop();
}
END_TEST

START_TEST(each_of_a_host_is_told_and_is_back_by_itself) {
    start(0);
    silent[2] = true;
    ck_assert(!go_on(0, TIMEOUT_S, 100));
    silent[3] = true;
    ck_assert(!go_on(0, TIMEOUT_S, 100));
    silent[2] = false;
    ck_assert(!go_on(0, TIMEOUT_S, 10));
    SAID("rank 2 on b has not answered for 30 s");
    SAID("rank 3 on b has not answered for 30 s");
    SAID("rank 2 on b answers again, after 201 s");
    ck_assert_int_eq(count("\n"), 3);
    stop();
}
END_TEST

/* Others than rank 0 say nothing, and leave the end to it while it answers. */
START_TEST(rank_0_is_watched_by_the_others) {
    for (int rank = 1; rank < SIZE; rank++) {
        start(rank);
        for (int r = 1; r < SIZE; r++) silent[r] = true;
        ck_assert(!go_on(rank, TIMEOUT_S, 2000));
        silent[0] = true;
        ck_assert(!go_on(rank, TIMEOUT_S, TIMEOUT_S + rank * BEAT_S));
        ck_assert_str_eq(said, "");
        ck_assert(go_on(rank, TIMEOUT_S, BEAT_S));
        SAID("error: rank 0 on a has not answered rank ");
        stop();
    }
}
END_TEST

/* Beats say that it lives: it may take as long as it likes. */
START_TEST(who_works_while_others_wait_is_late_and_not_gone) {
    start(0);
    for (int r = 0; r < SIZE; r++) beats[r] = (Beat){.exchanges = 7, .waits = r != 2};
    beats[2].exchanges = 6;
    ck_assert(!go_on(0, TIMEOUT_S, 30));
    ck_assert_str_eq(said, "");
    ck_assert(!go_on(0, TIMEOUT_S, 5000));
    SAID("rank 2 on b is late: at work, while others have waited for 30 s, since ");
    beats[2] = (Beat){.exchanges = 7, .waits = 1}; /* it is there, the exchange takes a while */
    ck_assert(!go_on(0, TIMEOUT_S, 20));
    for (int r = 0; r < SIZE; r++) beats[r] = (Beat){.exchanges = 9, .waits = r == 1};
    ck_assert(!go_on(0, TIMEOUT_S, 20));
    SAID("all go on, after 5043 s");
    ck_assert_int_eq(count("\n"), 2);
    stop();
}
END_TEST

START_TEST(rank_0_may_be_late_too) {
    start(0);
    for (int r = 0; r < SIZE; r++) beats[r] = (Beat){.exchanges = 7, .waits = r > 1};
    beats[0].exchanges = beats[1].exchanges = 6;
    ck_assert(!go_on(0, TIMEOUT_S, 40));
    SAID("rank 0 on a and 1 more are late: at work, ");
    stop();
}
END_TEST

/* One of them is in an earlier exchange, whose end never came to it. */
START_TEST(an_exchange_that_all_wait_for_ends_the_job) {
    start(0);
    for (int r = 0; r < SIZE; r++) beats[r] = (Beat){.exchanges = 7 - (r == 2), .waits = 1};
    ck_assert(!go_on(0, TIMEOUT_S, 600));
    SAID("warning: all processes answer rank 0, but what they exchange has not arrived for 30 s");
    ck_assert(go_on(0, TIMEOUT_S, 10));
    SAID("error: an exchange between the processes has not ended for 600 s");
    stop();
}
END_TEST

/* Each wait by itself is short. */
START_TEST(updates_that_take_long_are_nobody_s_fault) {
    start(0);
    for (int i = 0; i < 500; i++) {
        for (int r = 0; r < SIZE; r++) beats[r] = (Beat){.exchanges = i, .waits = r > 0};
        ck_assert(!go_on(0, TIMEOUT_S, 20));
        for (int r = 0; r < SIZE; r++) beats[r].waits = 0;
        ck_assert(!go_on(0, TIMEOUT_S, 300));
    }
    ck_assert_str_eq(said, "");
    stop();
}
END_TEST

/* Suspended with all the others, or a clock that jumps. */
START_TEST(a_process_that_slept_blames_nobody) {
    start(0);
    for (int r = 0; r < SIZE; r++) beats[r] = (Beat){.exchanges = 7, .waits = 1};
    ck_assert(!go_on(0, TIMEOUT_S, 10));
    now += 1e5;
    ck_assert(!watch_look(watch, beats[0], TIMEOUT_S, now));
    ck_assert(!go_on(0, TIMEOUT_S, 5));
    ck_assert_str_eq(said, "");
    stop();
}
END_TEST

/* Who comes back was silent and is not late, though the others waited. */
START_TEST(waits_for_the_silent_are_not_told_twice) {
    start(0);
    for (int r = 0; r < SIZE; r++) beats[r] = (Beat){.exchanges = 7, .waits = r != 2};
    beats[2].exchanges = 6;
    silent[2] = true;
    ck_assert(!go_on(0, TIMEOUT_S, 400));
    silent[2] = false;
    ck_assert(!go_on(0, TIMEOUT_S, 20));
    SAID("rank 2 on b has not answered for 30 s");
    SAID("rank 2 on b answers again, after 402 s");
    ck_assert_int_eq(count("\n"), 2);
    stop();
}
END_TEST

/* What the tests of several processes lean on. */
START_TEST(a_short_timeout_shortens_the_rest) {
    ck_assert_double_eq(watch_notice_s(0), 30);
    ck_assert_double_eq(watch_notice_s(600), 30);
    ck_assert_double_eq(watch_notice_s(4), 2);
    ck_assert_double_eq_tol(watch_beat_s(4), 0.2, 1e-9);
}
END_TEST

Suite *suite_watch(void) {
    Suite *s = suite_create("watch");
    TCase *t = tcase_create("watch");
    tcase_add_test(t, a_host_that_is_gone_is_one_line_and_one_when_it_is_back);
    tcase_add_test(t, silence_ends_the_job_after_the_timeout);
    tcase_add_test(t, without_a_timeout_all_wait);
    tcase_add_test(t, each_of_a_host_is_told_and_is_back_by_itself);
    tcase_add_test(t, rank_0_is_watched_by_the_others);
    tcase_add_test(t, who_works_while_others_wait_is_late_and_not_gone);
    tcase_add_test(t, rank_0_may_be_late_too);
    tcase_add_test(t, an_exchange_that_all_wait_for_ends_the_job);
    tcase_add_test(t, updates_that_take_long_are_nobody_s_fault);
    tcase_add_test(t, a_process_that_slept_blames_nobody);
    tcase_add_test(t, waits_for_the_silent_are_not_told_twice);
    tcase_add_test(t, a_short_timeout_shortens_the_rest);
    suite_add_tcase(s, t);
    return s;
}
