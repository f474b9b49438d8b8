/* What the writer of checkpoints promises: the bytes of the moment of submission, the same with a
 * thread and without, one save at a time, failures reported once, and work without memory. */
#include <check.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "file_faults.h"
#include "run/manifest.h"
#include "scratch.h"
#include "set_log.h"
#include "small_run.h"

Suite *suite_checkpoint_writer(void);

static SmallRun run;
static int warnings;
static char last_line[1024];

static void on_log(void *user, int level, const char *line) {
    (void)user;
    if (level <= LOG_WARNING) warnings++;
    snprintf(last_line, sizeof last_line, "%s", line);
}

static void enter(void) {
    scratch_make();
    small_run_make(&run);
    set_log(on_log, NULL);
    scratch_text(scratch_path("run/log.jsonl"), "");
}

static void leave(void) {
    small_run_free(&run);
    scratch_remove();
}

static uint32_t crc_of(const char *path) {
    FileDigest d;
    Error err = {0};
    ck_assert_msg(file_digest(path, &d, &err) == MAE_OK, "%s", err.message);
    return d.crc32;
}

static void submit(CheckpointWriter *w, int64_t step) {
    Error err = {0};
    small_run_set(&run, step);
    ck_assert_msg(writer_submit(w, &run.notes, -1, &err) == MAE_OK, "%s", err.message);
}

static void expect_same_files(const char *a, const char *b) {
    static const char *const names[] = {WEIGHTS_NAME, STATE_NAME, MANIFEST_FILE};
    for (int i = 0; i < 3; i++)
        ck_assert_msg(crc_of(scratch_path("%s/%s", a, names[i])) ==
                          crc_of(scratch_path("%s/%s", b, names[i])),
                      "%s", names[i]);
}

START_TEST(the_same_bytes_with_a_thread_and_without) {
    Error err = {0};
    scratch_text(scratch_path("plain/log.jsonl"), "");
    for (int64_t step = 1; step <= 3; step++) {
        CheckpointWriter *a = small_run_writer(&run, scratch_path("run"), true);
        CheckpointWriter *b = small_run_writer(&run, scratch_path("plain"), false);
        ck_assert(small_run_save(&run, a, step, &err) == MAE_OK);
        ck_assert(small_run_save(&run, b, step, &err) == MAE_OK);
        writer_free(a);
        writer_free(b);
        expect_same_files("run", "plain");
    }
    ck_assert(checkpoint_write(scratch_path("weights"), run.state.model, &run.notes, &err) ==
              MAE_OK);
    ck_assert_uint_eq(crc_of(scratch_path("weights")), crc_of(scratch_path("run/" WEIGHTS_NAME)));
    ck_assert_int_eq(warnings, 0);
}
END_TEST

/* Nothing can reach the disk before everything has changed. */
START_TEST(what_is_written_is_the_moment_of_submission) {
    Error err = {0};
    CheckpointWriter *w = small_run_writer(&run, scratch_path("run"), true);
    faults_gate(true);
    submit(w, 5);
    small_run_set(&run, 6);
    ck_assert(writer_poll(w, &err) == MAE_OK);
    ck_assert(!file_exists(scratch_path("run/" WEIGHTS_NAME)));
    faults_gate(false);
    ck_assert(writer_wait(w, &err) == MAE_OK);
    ck_assert_int_eq(small_run_on_disk(scratch_path("run")), 5);
    writer_free(w);
}
END_TEST

static void *open_gate_soon(void *unused) {
    usleep(20000);
    faults_gate(false);
    return unused;
}

START_TEST(a_second_save_waits_for_the_first) {
    pthread_t opener;
    CheckpointWriter *w = small_run_writer(&run, scratch_path("run"), true);
    faults_gate(true);
    submit(w, 5);
    ck_assert(pthread_create(&opener, NULL, open_gate_soon, NULL) == 0);
    submit(w, 6);
    pthread_join(opener, NULL);
    writer_free(w); /* waits, too */
    ck_assert_ptr_nonnull(strstr(last_line, "1 of 2 saves waited"));
    ck_assert_int_eq(small_run_on_disk(scratch_path("run")), 6);
}
END_TEST

/* The next to ask hears of it, once, and who never asks reads it in the log. */
START_TEST(a_failure_in_the_thread) {
    Error err = {0};
    CheckpointWriter *w = small_run_writer(&run, scratch_path("run"), true);
    submit(w, 4);
    ck_assert(writer_wait(w, &err) == MAE_OK);
    faults_fail_at(1, EIO);
    submit(w, 5);
    while (writer_poll(w, &err) == MAE_OK) usleep(1000);
    ck_assert_int_eq(err.status, MAE_IO);
    ck_assert_ptr_nonnull(strstr(err.message, "next.safetensors"));
    ck_assert_ptr_nonnull(strstr(err.message, "what was saved before is whole"));
    ck_assert(writer_poll(w, NULL) == MAE_OK);
    faults_fail_at(1, EIO);
    submit(w, 6);
    ck_assert_int_eq(writer_wait(w, NULL), MAE_IO);
    faults_fail_at(1, EIO);
    submit(w, 7);
    writer_free(w);
    ck_assert_ptr_nonnull(strstr(last_line, "next.safetensors"));
    ck_assert_int_eq(small_run_on_disk(scratch_path("run")), 4);
}
END_TEST

/* The copy is the first thing that a first save allocates. */
START_TEST(without_memory_for_a_copy_it_writes_itself) {
    CheckpointWriter *w = small_run_writer(&run, scratch_path("run"), true);
    CheckpointWriter *plain = small_run_writer(&run, scratch_path("plain"), false);
    scratch_text(scratch_path("plain/log.jsonl"), "");
    mem_fail_after(1);
    submit(w, 5);
    mem_fail_after(0);
    ck_assert_int_eq(small_run_on_disk(scratch_path("run")), 5);
    ck_assert_int_eq(warnings, 1);
    ck_assert_ptr_nonnull(strstr(last_line, "no memory for a copy"));
    submit(w, 6);
    ck_assert_int_eq(warnings, 1);
    submit(plain, 6);
    expect_same_files("run", "plain");
    writer_free(w);
    writer_free(plain);
}
END_TEST

/* Every allocation of a save fails once: an error or a save, never half of one. */
START_TEST(every_allocation_fails_once) {
    int64_t failures = 0;
    CheckpointWriter *w = small_run_writer(&run, scratch_path("run"), false);
    submit(w, 4);
    for (int64_t n = 1;; n++) {
        Error err = {0};
        small_run_set(&run, 5 + n);
        int64_t before = mem_allocations();
        mem_fail_after(n);
        Status status = writer_submit(w, &run.notes, -1, &err);
        bool reached = mem_allocations() - before >= n;
        mem_fail_after(0);
        if (!reached) break;
        if (status != MAE_OK) failures++;
        int64_t step = small_run_on_disk(scratch_path("run"));
        ck_assert(step == 5 + n || (step == 4 && status != MAE_OK));
        submit(w, 4);
    }
    ck_assert_int_gt(failures, 20);
    writer_free(w);
}
END_TEST

START_TEST(the_thread_takes_no_signals) {
    sigset_t mask, pending;
    CheckpointWriter *w = small_run_writer(&run, scratch_path("run"), true);
    submit(w, 5);
    sigemptyset(&mask);
    sigaddset(&mask, SIGTERM);
    ck_assert(pthread_sigmask(SIG_BLOCK, &mask, NULL) == 0);
    ck_assert(kill(getpid(), SIGTERM) == 0); /* ends the process if any thread takes it */
    submit(w, 6);
    ck_assert(sigpending(&pending) == 0);
    ck_assert_int_eq(sigismember(&pending, SIGTERM), 1);
    writer_free(w);
}
END_TEST

Suite *suite_checkpoint_writer(void) {
    Suite *s = suite_create("checkpoint_writer");
    TCase *t = tcase_create("checkpoint_writer");
    tcase_add_checked_fixture(t, enter, leave);
    tcase_set_timeout(t, 60);
    tcase_add_test(t, the_same_bytes_with_a_thread_and_without);
    tcase_add_test(t, what_is_written_is_the_moment_of_submission);
    tcase_add_test(t, a_second_save_waits_for_the_first);
    tcase_add_test(t, a_failure_in_the_thread);
    tcase_add_test(t, without_memory_for_a_copy_it_writes_itself);
    tcase_add_test(t, every_allocation_fails_once);
    tcase_add_test(t, the_thread_takes_no_signals);
    suite_add_tcase(s, t);
    return s;
}
