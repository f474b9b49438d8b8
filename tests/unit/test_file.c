/* Files: maps, bounded reads, writes that happen whole or not at all. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"

#include <check.h> /* last: it has a macro named fail */

Suite *suite_file(void);

static char folder[64];
static char path[128], temporary[160];

static void enter(void) {
    strncpy(folder, "/tmp/mae-test-XXXXXX", sizeof folder - 1);
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/file.bin", folder);
    snprintf(temporary, sizeof temporary, "%s.tmp", path);
}

static void leave(void) {
    unlink(path);
    unlink(temporary);
    rmdir(folder);
}

static void expect_content(const char *expected) {
    uint8_t *data;
    size_t bytes;
    Error err = {0};
    ck_assert_msg(file_read(path, 1000, &data, &bytes, &err) == STATUS_OK, "%s", err.message);
    ck_assert_uint_eq(bytes, strlen(expected));
    ck_assert_str_eq((char *)data, expected);
    mem_free(data);
}

START_TEST(write_and_read) {
    Error err = {0};
    ByteSource s;
    char part[3];
    ck_assert_int_eq(file_write_all(path, "tokens", 6, &err), STATUS_OK);
    expect_content("tokens");
    ck_assert(!file_exists(temporary));
    ck_assert_int_eq(byte_source_open(path, &s, &err), STATUS_OK);
    ck_assert_uint_eq(s.bytes, 6);
    ck_assert_int_eq(byte_source_read(&s, 2, part, 3, "part", &err), STATUS_OK);
    ck_assert_mem_eq(part, "ken", 3);
    byte_source_close(&s);
    byte_source_close(&s);
    ck_assert_int_eq(file_write_all(path, "", 0, &err), STATUS_OK);
    expect_content("");
}
END_TEST

START_TEST(memory_is_read_like_a_file) {
    char part[3];
    ByteSource s = byte_source_of("x", "tokens", 6);
    ck_assert_int_eq(byte_source_read(&s, 3, part, 3, "part", NULL), STATUS_OK);
    ck_assert_mem_eq(part, "ens", 3);
    ck_assert_int_eq(byte_source_read(&s, 6, part, 0, "nothing", NULL), STATUS_OK);
    byte_source_close(&s);
}
END_TEST

/* The bytes that are left are read, what is missing is an error with path and what it was. */
START_TEST(file_cut_while_open) {
    Error err = {0};
    ByteSource s;
    char all[6];
    ck_assert_int_eq(file_write_all(path, "tokens", 6, NULL), STATUS_OK);
    ck_assert_int_eq(byte_source_open(path, &s, NULL), STATUS_OK);
    ck_assert_int_eq(truncate(path, 4), 0);
    ck_assert_int_eq(byte_source_read(&s, 0, all, 4, "the start", &err), STATUS_OK);
    ck_assert_int_eq(byte_source_read(&s, 0, all, 6, "the words", &err), STATUS_IO);
    ck_assert_ptr_nonnull(strstr(err.message, path));
    ck_assert_ptr_nonnull(strstr(err.message, "the words: the file became shorter"));
    byte_source_close(&s);
}
END_TEST

START_TEST(abandoned_write_leaves_the_old_file) {
    Error err = {0};
    FileWriter *w;
    ck_assert_int_eq(file_write_all(path, "old", 3, &err), STATUS_OK);
    ck_assert_int_eq(file_writer_open(path, &w, &err), STATUS_OK);
    ck_assert_int_eq(file_writer_write(w, "new", 3, &err), STATUS_OK);
    ck_assert(file_exists(temporary));
    expect_content("old");
    file_writer_close(w);
    ck_assert(!file_exists(temporary));
    expect_content("old");
    file_writer_close(NULL);
}
END_TEST

START_TEST(many_sizes_of_write) {
    enum { TOTAL = 300000 };
    uint8_t *data = mem_alloc(TOTAL), *back;
    size_t bytes, sizes[] = {1, 70000, 65535, 2, 65536, 0, 98926};
    Error err = {0};
    FileWriter *w;
    for (size_t i = 0; i < TOTAL; i++) data[i] = (uint8_t)(i * 31 >> 3);
    ck_assert_int_eq(file_writer_open(path, &w, &err), STATUS_OK);
    size_t done = 0;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; done += sizes[i++])
        ck_assert_int_eq(file_writer_write(w, data + done, sizes[i], &err), STATUS_OK);
    ck_assert_uint_eq(done, TOTAL);
    ck_assert_int_eq(file_writer_commit(w, &err), STATUS_OK);
    file_writer_close(w);
    ck_assert_int_eq(file_read(path, TOTAL, &back, &bytes, &err), STATUS_OK);
    ck_assert(bytes == TOTAL && memcmp(data, back, TOTAL) == 0);
    mem_free(back);
    mem_free(data);
}
END_TEST

START_TEST(failures_name_the_path) {
    Error err = {0};
    ByteSource s;
    FileWriter *w;
    uint8_t *data;
    size_t bytes;
    ck_assert_int_eq(byte_source_open(path, &s, &err), STATUS_IO);
    ck_assert_ptr_nonnull(strstr(err.message, path));
    ck_assert_int_eq(byte_source_open(folder, &s, NULL), STATUS_IO);
    ck_assert_int_eq(file_read(folder, 10, &data, &bytes, NULL), STATUS_IO);
    ck_assert_int_eq(file_writer_open("/no-such-folder/x", &w, NULL), STATUS_IO);
    ck_assert_int_eq(file_write_all(path, "12345", 5, NULL), STATUS_OK);
    ck_assert_int_eq(file_read(path, 4, &data, &bytes, NULL), STATUS_IO);
    ck_assert_ptr_null(data);
    ck_assert_int_eq(file_read("/dev/zero", 100000, &data, &bytes, NULL), STATUS_IO);
}
END_TEST

START_TEST(every_failing_allocation_is_reported) {
    Error err = {0};
    ck_assert_int_eq(file_write_all(path, "old", 3, &err), STATUS_OK);
    int n = 1;
    for (;; n++) {
        mem_fail_after(n);
        Status status = file_write_all(path, "new", 3, NULL);
        mem_fail_after(0);
        ck_assert(!file_exists(temporary));
        if (status == STATUS_OK) break;
        ck_assert_int_eq(status, STATUS_MEMORY);
        ck_assert_int_lt(n, 20);
    }
    ck_assert_int_gt(n, 3);
    expect_content("new");
}
END_TEST

START_TEST(folders) {
    char deep[256], middle[160];
    Error err = {0};
    snprintf(middle, sizeof middle, "%s/a", folder);
    snprintf(deep, sizeof deep, "%s/b/", middle);
    ck_assert_int_eq(file_make_directories(deep, &err), STATUS_OK);
    ck_assert_int_eq(file_make_directories(deep, &err), STATUS_OK);
    ck_assert(file_is_directory(deep) && !file_is_directory(path));
    ck_assert_int_eq(file_write_all(path, "x", 1, &err), STATUS_OK);
    ck_assert_int_eq(file_make_directories(path, NULL), STATUS_IO);
    ck_assert_int_eq(file_remove(path, &err), STATUS_OK);
    ck_assert_int_eq(file_remove(path, &err), STATUS_OK);
    rmdir(deep);
    rmdir(middle);
}
END_TEST

Suite *suite_file(void) {
    Suite *s = suite_create("file");
    TCase *c = tcase_create("file");
    tcase_add_checked_fixture(c, enter, leave);
    tcase_add_test(c, write_and_read);
    tcase_add_test(c, memory_is_read_like_a_file);
    tcase_add_test(c, file_cut_while_open);
    tcase_add_test(c, abandoned_write_leaves_the_old_file);
    tcase_add_test(c, many_sizes_of_write);
    tcase_add_test(c, failures_name_the_path);
    tcase_add_test(c, every_failing_allocation_is_reported);
    tcase_add_test(c, folders);
    suite_add_tcase(s, c);
    return s;
}
