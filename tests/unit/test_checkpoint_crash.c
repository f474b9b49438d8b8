/* The checkpoint of a run folder after a kill before each single operation on its files, after a
 * failure of each operation, and after damage. What is left is the checkpoint before or the new
 * one, whole, or an error that names the file. */
#include <check.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "file_faults.h"
#include "run/manifest.h"
#include "run/run_state.h"
#include "run/runfolder.h"
#include "scratch.h"
#include "small_run.h"

Suite *suite_checkpoint_crash(void);

#define BEFORE 10
#define AFTER 11

static SmallRun run;

static void enter(void) {
    scratch_make();
    small_run_make(&run);
}

static void leave(void) {
    small_run_free(&run);
    scratch_remove();
}

static bool is_there(const char *folder, const char *name) {
    return file_exists(scratch_path("%s/%s", folder, name));
}

static void save(const char *folder, int64_t step) {
    Error err = {0};
    scratch_text(scratch_path("%s/log.jsonl", folder), "");
    CheckpointWriter *w = small_run_writer(&run, scratch_path("%s", folder), false);
    ck_assert_msg(small_run_save(&run, w, step, &err) == MAE_OK, "%s", err.message);
    writer_free(w);
}

/* A folder with the checkpoint of BEFORE, or, when that is 0, with none. */
static void begin(const char *folder, int64_t before) {
    Error err = {0};
    scratch_text(scratch_path("%s/log.jsonl", folder), "");
    ck_assert_msg(runfolder_clear(scratch_path("%s", folder), &err) == MAE_OK, "%s", err.message);
    if (before) save(folder, before);
}

typedef void Job(const char *folder, bool asynchronous);

static void save_after(const char *folder, bool asynchronous) {
    Error err = {0};
    CheckpointWriter *w = small_run_writer(&run, scratch_path("%s", folder), asynchronous);
    (void)small_run_save(&run, w, AFTER, &err);
    writer_free(w);
}

static void recover(const char *folder, bool asynchronous) {
    Error err = {0};
    bool there;
    (void)asynchronous;
    (void)run_state_open(scratch_path("%s", folder), &there, &err);
}

/* A process of its own does the job and is killed before the n-th operation; false: it had fewer.
 */
static bool killed_at(int64_t n, Job *job, const char *folder, bool asynchronous) {
    int status;
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        faults_kill_at(n);
        job(folder, asynchronous);
        _exit(0);
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    if (WIFEXITED(status)) ck_assert_int_eq(WEXITSTATUS(status), 0);
    if (WIFSIGNALED(status)) ck_assert_int_eq(WTERMSIG(status), SIGKILL);
    return WIFSIGNALED(status);
}

static void expect_numbered(const char *folder, int64_t step, bool there) {
    FileDigest a, b;
    Error err = {0};
    char *path = scratch_path("%s/checkpoint-%lld.safetensors", folder, (long long)step);
    ck_assert_int_eq(file_exists(path), there);
    if (!there) return;
    ck_assert(file_digest(path, &a, &err) == MAE_OK);
    ck_assert(file_digest(scratch_path("%s/last.safetensors", folder), &b, &err) == MAE_OK);
    ck_assert_uint_eq(a.crc32, b.crc32);
    ck_assert_int_eq(a.bytes, b.bytes);
}

static void expect_no_rubbish(const char *folder) {
    static const char *const names[] = {"next.safetensors",       "next.safetensors.tmp",
                                        "next.state.safetensors", "next.state.safetensors.tmp",
                                        "next.manifest.json",     "next.manifest.json.tmp"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        ck_assert_msg(!is_there(folder, names[i]), "%s", names[i]);
}

/* Returns the step found. */
static int64_t expect_whole(const char *folder, int64_t before) {
    int64_t step = small_run_on_disk(scratch_path("%s", folder));
    ck_assert_msg(step == before || step == AFTER, "step %lld", (long long)step);
    expect_no_rubbish(folder);
    expect_numbered(folder, AFTER, step == AFTER);
    return step;
}

/* --- kills ------------------------------------------------------------------------------------ */

static void kill_everywhere(int64_t before, bool asynchronous) {
    int64_t n = 0, old = 0, new = 0;
    bool killed = true;
    while (killed) {
        begin("run", before);
        killed = killed_at(++n, save_after, "run", asynchronous);
        if (expect_whole("run", before) == AFTER)
            new ++;
        else
            old++;
        ck_assert_msg(new == 0 || small_run_on_disk(scratch_path("run")) == AFTER,
                      "kill %lld brought the one before back", (long long)n);
        ck_assert_int_lt(n, 200);
    }
    ck_assert_int_gt(old, 10);
    ck_assert_int_gt(new, 10);
}

START_TEST(a_kill_leaves_the_one_before_or_the_new_one) {
    kill_everywhere(BEFORE, _i == 1);
}
END_TEST

START_TEST(a_kill_in_the_first_save_leaves_none_or_all) {
    kill_everywhere(0, _i == 1);
}
END_TEST

/* Which of the names are there that a commit makes and takes away. */
static int names_there(const char *folder) {
    return is_there(folder, NEXT_MANIFEST_FILE) | is_there(folder, "next.safetensors") << 1 |
           is_there(folder, "next.state.safetensors") << 2 |
           is_there(folder, "checkpoint-11.safetensors") << 3 |
           is_there(folder, "checkpoint-11.safetensors.tmp") << 4;
}

/* From the moment on that the manifest is there, the new checkpoint is taken, and a recovery may be
 * killed as often as one likes. */
START_TEST(a_recovery_is_killed_everywhere) {
    int64_t cuts = 0;
    int names = 0;
    bool killed = true;
    for (int64_t n = 1; killed; n++) {
        begin("run", BEFORE);
        killed = killed_at(n, save_after, "run", false);
        if (!is_there("run", NEXT_MANIFEST_FILE) || names_there("run") == names) continue;
        names = names_there("run");
        cuts++;
        for (int64_t m = 1; killed_at(m, recover, "run", false); m++) {
            ck_assert_int_eq(expect_whole("run", BEFORE), AFTER);
            begin("run", BEFORE);
            ck_assert(killed_at(n, save_after, "run", false));
        }
        ck_assert_int_eq(expect_whole("run", BEFORE), AFTER);
    }
    ck_assert_int_ge(cuts, 4);
}
END_TEST

/* --- operations that fail --------------------------------------------------------------------- */

START_TEST(a_failure_is_reported_and_leaves_a_whole_checkpoint) {
    int64_t failed = 0;
    bool reached = true;
    for (int64_t n = 1; reached; n++) {
        Error err = {0}, later = {0};
        begin("run", BEFORE);
        CheckpointWriter *w = small_run_writer(&run, scratch_path("run"), _i == 1);
        faults_fail_at(n, ENOSPC);
        Status status = small_run_save(&run, w, AFTER, &err);
        reached = !faults_pending();
        faults_fail_at(0, 0);
        if (status != MAE_OK) {
            failed++;
            ck_assert_int_eq(status, MAE_IO);
            ck_assert_msg(strstr(err.message, scratch_path("run")) != NULL, "%s", err.message);
            ck_assert_msg(strstr(err.message, "No space left") != NULL, "%s", err.message);
        }
        ck_assert(writer_poll(w, &later) == MAE_OK);
        int64_t step = expect_whole("run", BEFORE);
        ck_assert(status != MAE_OK || step == AFTER);
        ck_assert_msg(small_run_save(&run, w, 12, &later) == MAE_OK, "%s", later.message);
        ck_assert_int_eq(small_run_on_disk(scratch_path("run")), 12);
        writer_free(w);
    }
    ck_assert_int_gt(failed, 15);
}
END_TEST

START_TEST(without_links_the_numbered_one_is_a_copy) {
    struct stat last, numbered;
    save("linked", 3);
    faults_fail_links(EPERM);
    save("copied", 3);
    faults_fail_links(0);
    expect_numbered("copied", 3, true);
    expect_numbered("linked", 3, true);
    ck_assert(!is_there("linked", "checkpoint-3.safetensors.tmp"));
    ck_assert(stat(scratch_path("linked/last.safetensors"), &last) == 0);
    ck_assert(stat(scratch_path("linked/checkpoint-3.safetensors"), &numbered) == 0);
    ck_assert(last.st_ino == numbered.st_ino);
    ck_assert(stat(scratch_path("copied/last.safetensors"), &last) == 0);
    ck_assert(stat(scratch_path("copied/checkpoint-3.safetensors"), &numbered) == 0);
    ck_assert(last.st_ino != numbered.st_ino);
}
END_TEST

/* The next save replaces last.safetensors and does not write into it. */
START_TEST(a_numbered_checkpoint_stays_what_it_was) {
    FileDigest before, after;
    Error err = {0};
    char *path = scratch_path("run/checkpoint-3.safetensors");
    save("run", 3);
    ck_assert(file_digest(path, &before, &err) == MAE_OK);
    save("run", 4);
    ck_assert(file_digest(path, &after, &err) == MAE_OK);
    ck_assert_uint_eq(before.crc32, after.crc32);
    expect_numbered("run", 4, true);
}
END_TEST

/* --- damage ----------------------------------------------------------------------------------- */

static void flip_byte(const char *path, size_t at) {
    uint8_t *data;
    size_t bytes;
    Error err = {0};
    ck_assert(file_read(path, 1 << 24, &data, &bytes, &err) == MAE_OK);
    data[at < bytes ? at : bytes - 1] ^= 1;
    scratch_write(path, data, bytes);
    mem_free(data);
}

static void expect_refused(const char *folder, const char *name, const char *why) {
    Error err = {0};
    bool there;
    ck_assert_int_eq(run_state_open(scratch_path("%s", folder), &there, &err), MAE_FORMAT);
    ck_assert_msg(strstr(err.message, name) != NULL, "%s", err.message);
    ck_assert_msg(strstr(err.message, why) != NULL, "%s", err.message);
    ck_assert_msg(strstr(err.message, "--restart") != NULL, "%s", err.message);
    ck_assert_msg(strstr(err.message, "checkpoint-N") != NULL, "%s", err.message);
}

START_TEST(a_damaged_file_is_named_with_both_checksums) {
    static const char *const names[] = {WEIGHTS_NAME, STATE_NAME};
    char was[16], is[16];
    FileDigest d;
    Error err = {0};
    char *path = scratch_path("run/%s", names[_i]);
    save("run", BEFORE);
    ck_assert(file_digest(path, &d, &err) == MAE_OK);
    snprintf(was, sizeof was, "%08x", d.crc32);
    flip_byte(path, 20000);
    ck_assert(file_digest(path, &d, &err) == MAE_OK);
    snprintf(is, sizeof is, "%08x", d.crc32);
    expect_refused("run", names[_i], was);
    expect_refused("run", names[_i], is);
    flip_byte(path, 20000);
    ck_assert_int_eq(small_run_on_disk(scratch_path("run")), BEFORE);
}
END_TEST

START_TEST(files_that_are_missing_short_or_of_another_save) {
    save("other", AFTER);
    save("run", BEFORE);
    ck_assert(rename(scratch_path("other/" STATE_NAME), scratch_path("run/" STATE_NAME)) == 0);
    expect_refused("run", STATE_NAME, "exchanged");
    ck_assert(truncate(scratch_path("run/" STATE_NAME), 1000) == 0);
    expect_refused("run", STATE_NAME, "1000 bytes");
    ck_assert(unlink(scratch_path("run/" STATE_NAME)) == 0);
    expect_refused("run", STATE_NAME, "missing");
}
END_TEST

/* The manifest and a file it lists were damaged between the commit and the first rename. */
START_TEST(a_damaged_save_is_discarded) {
    int64_t n = 1;
    for (;; n++) {
        begin("run", BEFORE);
        ck_assert(killed_at(n, save_after, "run", false));
        if (is_there("run", NEXT_MANIFEST_FILE) && is_there("run", "next.safetensors")) break;
    }
    flip_byte(scratch_path("run/next.state.safetensors"), 20000);
    ck_assert_int_eq(small_run_on_disk(scratch_path("run")), BEFORE);
    expect_no_rubbish("run");
    scratch_text(scratch_path("run/next.manifest.json"), "{\"format\":");
    ck_assert_int_eq(small_run_on_disk(scratch_path("run")), BEFORE);
    expect_no_rubbish("run");
}
END_TEST

/* A manifest decides what is renamed and removed, so it is read with suspicion. */
START_TEST(hostile_manifests) {
#define ROOT "{\"format\":\"mae.c checkpoint\",\"version\":1,\"step\":1,\"epoch\":1,\"files\":"
#define FILE_(name, crc) "{\"name\":\"" name "\",\"bytes\":3,\"crc32\":\"" crc "\"}"
#define GOOD FILE_("last.safetensors", "00000000")
    static const char *const texts[] = {
        "",
        "[]",
        "{}",
        "{\"format\":\"mae.c checkpoint\"}",
        ROOT "[]}",
        ROOT "[1]}",
        ROOT "{}}",
        ROOT "[" FILE_("last.state.safetensors", "00000000") "]}",
        ROOT "[" GOOD "," FILE_("last../../x.safetensors", "00000000") "]}",
        ROOT "[" GOOD "," FILE_("config.json", "00000000") "]}",
        ROOT "[" GOOD "," FILE_("last.manifest.json", "00000000") "]}",
        ROOT "[" FILE_("last.safetensors", "0000000") "]}",
        ROOT "[" FILE_("last.safetensors", "-0000001") "]}",
        ROOT "[{\"name\":\"last.safetensors\",\"bytes\":-3,\"crc32\":\"00000000\"}]}",
        ROOT "[{\"name\":\"last.safetensors\",\"bytes\":\"3\",\"crc32\":\"00000000\"}]}",
        ROOT "[" GOOD "],\"numbered\":\"../x\"}",
        ROOT "[" GOOD "],\"numbered\":\"checkpoint-.safetensors\"}",
        ROOT "[" GOOD "],\"numbered\":\"checkpoint-1/../x.safetensors\"}",
        ROOT "[" GOOD "],\"numbered\":7}"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        Error err = {0};
        Manifest m;
        char *path = scratch_path("m.json");
        scratch_text(path, texts[i]);
        ck_assert_msg(manifest_read(path, &m, &err) == MAE_FORMAT, "%s", texts[i]);
        ck_assert_ptr_nonnull(strstr(err.message, path));
        scratch_text(scratch_path("run/last.manifest.json"), texts[i]);
        expect_refused("run", MANIFEST_FILE, "delete last.manifest.json");
    }
}
END_TEST

/* --- folders of other makes ------------------------------------------------------------------- */

static void rename_in_run(const char *from, const char *to) {
    char *a = scratch_path("run/%s", from), *b = scratch_path("run/%s", to);
    ck_assert_msg(rename(a, b) == 0, "%s", from);
}

START_TEST(a_folder_without_a_manifest) {
    Error err = {0};
    bool there;
    save("run", BEFORE);
    ck_assert(unlink(scratch_path("run/" MANIFEST_FILE)) == 0);
    ck_assert_int_eq(small_run_on_disk(scratch_path("run")), BEFORE);
    /* Killed between its two renames. */
    rename_in_run(STATE_NAME, "old");
    rename_in_run(WEIGHTS_NAME, "old.weights");
    save("run", AFTER);
    ck_assert(unlink(scratch_path("run/" MANIFEST_FILE)) == 0);
    rename_in_run(STATE_NAME, "next.state.safetensors");
    rename_in_run("old", STATE_NAME);
    ck_assert_int_eq(small_run_on_disk(scratch_path("run")), AFTER);
    /* No pair at all. */
    rename_in_run("old.weights", WEIGHTS_NAME);
    ck_assert(run_state_open(scratch_path("run"), &there, &err) == MAE_OK && there);
    ck_assert_int_eq(run_state_load(scratch_path("run"), &run.state, &err), MAE_FORMAT);
    ck_assert_ptr_nonnull(strstr(err.message, "step 10"));
}
END_TEST

/* Saved by several processes: a state each, all of them listed, renamed and checked; what they
 * replace goes. */
START_TEST(states_of_several_processes) {
    Error err = {0};
    Manifest m = {.step = 5, .epoch = 1};
    FileDigest d;
    bool there;
    static const char *const names[] = {"last.safetensors", "last.state-1-of-2.safetensors",
                                        "last.state-2-of-2.safetensors"};
    save("run", BEFORE);
    scratch_text(scratch_path("run/last.state.notes"), "not ours");
    for (int i = 0; i < 3; i++) {
        char *path;
        ck_assert(manifest_next_path(scratch_path("run"), names[i], &path, &err) == MAE_OK);
        scratch_text(path, names[i]);
        ck_assert(file_digest(path, &d, &err) == MAE_OK);
        ck_assert(manifest_add(&m, names[i], d, &err) == MAE_OK);
        mem_free(path);
    }
    ck_assert(manifest_commit(scratch_path("run"), &m, &err) == MAE_OK);
    manifest_free(&m);
    for (int i = 0; i < 3; i++) ck_assert(is_there("run", names[i]));
    ck_assert(!is_there("run", STATE_NAME));
    ck_assert(is_there("run", "last.state.notes"));
    ck_assert(run_state_open(scratch_path("run"), &there, &err) == MAE_OK && there);
    flip_byte(scratch_path("run/last.state-2-of-2.safetensors"), 0);
    expect_refused("run", "last.state-2-of-2.safetensors", "damaged");
    ck_assert(runfolder_clear(scratch_path("run"), &err) == MAE_OK);
    for (int i = 0; i < 3; i++) ck_assert(!is_there("run", names[i]));
    ck_assert(!is_there("run", MANIFEST_FILE) && !run_state_exists(scratch_path("run")));
}
END_TEST

Suite *suite_checkpoint_crash(void) {
    Suite *s = suite_create("checkpoint_crash");
    TCase *t = tcase_create("checkpoint_crash");
    tcase_add_checked_fixture(t, enter, leave);
    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, a_kill_leaves_the_one_before_or_the_new_one, 0, 2);
    tcase_add_loop_test(t, a_kill_in_the_first_save_leaves_none_or_all, 0, 2);
    tcase_add_test(t, a_recovery_is_killed_everywhere);
    tcase_add_loop_test(t, a_failure_is_reported_and_leaves_a_whole_checkpoint, 0, 2);
    tcase_add_test(t, without_links_the_numbered_one_is_a_copy);
    tcase_add_test(t, a_numbered_checkpoint_stays_what_it_was);
    tcase_add_loop_test(t, a_damaged_file_is_named_with_both_checksums, 0, 2);
    tcase_add_test(t, files_that_are_missing_short_or_of_another_save);
    tcase_add_test(t, a_damaged_save_is_discarded);
    tcase_add_test(t, hostile_manifests);
    tcase_add_test(t, a_folder_without_a_manifest);
    tcase_add_test(t, states_of_several_processes);
    suite_add_tcase(s, t);
    return s;
}
