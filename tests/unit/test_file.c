/* Files: maps, bounded reads, writes that happen whole or not at all. */
#include <check.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"

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
    ck_assert_msg(file_read(path, 1000, &data, &bytes, &err) == MAE_OK, "%s", err.message);
    ck_assert_uint_eq(bytes, strlen(expected));
    ck_assert_str_eq((char *)data, expected);
    mem_free(data);
}

START_TEST(write_and_read) {
    Error err = {0};
    ByteSource s;
    char part[3];
    ck_assert_int_eq(file_write_all(path, "tokens", 6, &err), MAE_OK);
    expect_content("tokens");
    ck_assert(!file_exists(temporary));
    ck_assert_int_eq(byte_source_open(path, &s, &err), MAE_OK);
    ck_assert_uint_eq(s.bytes, 6);
    ck_assert_int_eq(byte_source_read(&s, 2, part, 3, "part", &err), MAE_OK);
    ck_assert_mem_eq(part, "ken", 3);
    byte_source_close(&s);
    byte_source_close(&s);
    ck_assert_int_eq(file_write_all(path, "", 0, &err), MAE_OK);
    expect_content("");
}
END_TEST

START_TEST(memory_is_read_like_a_file) {
    char part[3];
    ByteSource s = byte_source_of("x", "tokens", 6);
    ck_assert_int_eq(byte_source_read(&s, 3, part, 3, "part", NULL), MAE_OK);
    ck_assert_mem_eq(part, "ens", 3);
    ck_assert_int_eq(byte_source_read(&s, 6, part, 0, "nothing", NULL), MAE_OK);
    byte_source_close(&s);
}
END_TEST

/* The bytes that are left are read, what is missing is an error with path and what it was. */
START_TEST(file_cut_while_open) {
    Error err = {0};
    ByteSource s;
    char all[6];
    ck_assert_int_eq(file_write_all(path, "tokens", 6, NULL), MAE_OK);
    ck_assert_int_eq(byte_source_open(path, &s, NULL), MAE_OK);
    ck_assert_int_eq(truncate(path, 4), 0);
    ck_assert_int_eq(byte_source_read(&s, 0, all, 4, "the start", &err), MAE_OK);
    ck_assert_int_eq(byte_source_read(&s, 0, all, 6, "the words", &err), MAE_IO);
    ck_assert_ptr_nonnull(strstr(err.message, path));
    ck_assert_ptr_nonnull(strstr(err.message, "the words: the file became shorter"));
    byte_source_close(&s);
}
END_TEST

START_TEST(abandoned_write_leaves_the_old_file) {
    Error err = {0};
    FileWriter *w;
    ck_assert_int_eq(file_write_all(path, "old", 3, &err), MAE_OK);
    ck_assert_int_eq(file_writer_open(path, &w, &err), MAE_OK);
    ck_assert_int_eq(file_writer_write(w, "new", 3, &err), MAE_OK);
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
    ck_assert_int_eq(file_writer_open(path, &w, &err), MAE_OK);
    size_t done = 0;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; done += sizes[i++])
        ck_assert_int_eq(file_writer_write(w, data + done, sizes[i], &err), MAE_OK);
    ck_assert_uint_eq(done, TOTAL);
    ck_assert_int_eq(file_writer_commit(w, &err), MAE_OK);
    file_writer_close(w);
    ck_assert_int_eq(file_read(path, TOTAL, &back, &bytes, &err), MAE_OK);
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
    ck_assert_int_eq(byte_source_open(path, &s, &err), MAE_IO);
    ck_assert_ptr_nonnull(strstr(err.message, path));
    ck_assert_int_eq(byte_source_open(folder, &s, NULL), MAE_IO);
    ck_assert_int_eq(file_read(folder, 10, &data, &bytes, NULL), MAE_IO);
    ck_assert_int_eq(file_writer_open("/no-such-folder/x", &w, NULL), MAE_IO);
    ck_assert_int_eq(file_write_all(path, "12345", 5, NULL), MAE_OK);
    ck_assert_int_eq(file_read(path, 4, &data, &bytes, NULL), MAE_IO);
    ck_assert_ptr_null(data);
    ck_assert_int_eq(file_read("/dev/zero", 100000, &data, &bytes, NULL), MAE_IO);
}
END_TEST

START_TEST(every_failing_allocation_is_reported) {
    Error err = {0};
    ck_assert_int_eq(file_write_all(path, "old", 3, &err), MAE_OK);
    int n = 1;
    for (;; n++) {
        mem_fail_after(n);
        Status status = file_write_all(path, "new", 3, NULL);
        mem_fail_after(0);
        ck_assert(!file_exists(temporary));
        if (status == MAE_OK) break;
        ck_assert_int_eq(status, MAE_MEMORY);
        ck_assert_int_lt(n, 20);
    }
    ck_assert_int_gt(n, 3);
    expect_content("new");
}
END_TEST

static void refuse_writing(const char *where, const char *words) {
    Error err = {0};
    FileWriter *w;
    ck_assert_int_eq(file_writer_open(where, &w, &err), MAE_IO);
    ck_assert_ptr_null(w);
    ck_assert_msg(strstr(err.message, words) != NULL, "%s", err.message);
    ck_assert_int_eq(file_check_output(where, NULL), MAE_IO);
}

/* What is no regular file is written into or refused, and stays what it is. */
START_TEST(other_kinds_of_output) {
    struct stat info;
    char text[8] = {0};
    Error err = {0};
    ck_assert_int_eq(mkfifo(path, 0600), 0);
    ck_assert(file_is_stream(path) && !file_is_standard_output(path));
    int reader = open(path, O_RDONLY | O_NONBLOCK);
    ck_assert_int_ge(reader, 0);
    ck_assert_msg(file_write_all(path, "abc", 3, &err) == MAE_OK, "%s", err.message);
    ck_assert_int_eq(read(reader, text, sizeof text), 3);
    ck_assert_str_eq(text, "abc");
    close(reader);
    ck_assert(lstat(path, &info) == 0 && S_ISFIFO(info.st_mode) && !file_exists(temporary));
    unlink(path);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%.100s", path);
    int server = socket(AF_UNIX, SOCK_STREAM, 0);
    ck_assert_int_eq(bind(server, (struct sockaddr *)&address, sizeof address), 0);
    refuse_writing(path, "is a socket");
    close(server);
    refuse_writing(folder, "is a folder");
    ck_assert(lstat(path, &info) == 0 && S_ISSOCK(info.st_mode));
    unlink(path);
}
END_TEST

/* A descriptor by its name, and a reader that has gone. */
START_TEST(descriptors) {
    char name[32], text[8] = {0};
    int ends[2];
    Error err = {0};
    signal(SIGPIPE, SIG_IGN);
    ck_assert_int_eq(pipe(ends), 0);
    snprintf(name, sizeof name, "/dev/fd/%d", ends[1]);
    ck_assert(file_is_stream(name) && file_is_stream("-") && file_is_stream("/dev/stdout"));
    ck_assert(file_is_standard_output("-") && file_is_standard_output("/proc/self/fd/1"));
    ck_assert(!file_is_standard_output(name) && !file_is_standard_output("/dev/fd/1x"));
    ck_assert_int_eq(file_write_all(name, "abc", 3, &err), MAE_OK);
    ck_assert_int_eq(read(ends[0], text, sizeof text), 3);
    ck_assert_str_eq(text, "abc");
    close(ends[0]);
    ck_assert_int_eq(file_write_all(name, "abc", 3, &err), MAE_IO);
    ck_assert_ptr_nonnull(strstr(err.message, "Broken pipe"));
    close(ends[1]);
    ck_assert_int_eq(file_write_all("/dev/fd/9999", "abc", 3, NULL), MAE_IO);
}
END_TEST

/* Links are followed, one after the other; nobody's file is written to by its name. */
START_TEST(links) {
    char link[160];
    struct stat info;
    Error err = {0};
    snprintf(link, sizeof link, "%s/link", folder);
    ck_assert_int_eq(symlink("file.bin", link), 0);
    ck_assert_int_eq(file_write_all(link, "new", 3, &err), MAE_OK); /* made */
    expect_content("new");
    ck_assert_int_eq(file_write_all(link, "newer", 5, &err), MAE_OK); /* replaced */
    expect_content("newer");
    ck_assert(lstat(link, &info) == 0 && S_ISLNK(info.st_mode));
    unlink(link);
    ck_assert_int_eq(symlink("link", link), 0);
    ck_assert_int_eq(file_write_all(link, "x", 1, NULL), MAE_IO);
    unlink(link);
    ck_assert_int_eq(symlink("file.bin", temporary), 0);
    ck_assert_int_eq(file_write_all(path, "x", 1, NULL), MAE_IO);
    expect_content("newer");
}
END_TEST

START_TEST(endings) {
    static const struct {
        const char *path, *endings;
        Status status;
    } rows[] = {
        {"a.npy", ".npy", MAE_OK},
        {"A.NPY", ".npy", MAE_OK},
        {"a", ".npy", MAE_OK},
        {"a.b/c", ".npy", MAE_OK},
        {"a.features", ".npy", MAE_OK},
        {"-", ".npy", MAE_OK},
        {"a.txt", ".csv .txt", MAE_OK},
        {"/dev/fd/3", ".png", MAE_OK},
        {"a.png/", ".npy", MAE_OK},
        {"a.", ".npy", MAE_OK},
        {"a.npy.png", ".npy", MAE_USAGE},
        {"a.JPG", ".png", MAE_USAGE},
        {"a/b.pth", ".onnx", MAE_USAGE},
        {"a.safetensors", "", MAE_USAGE},
        {"a.tif", ".tiff", MAE_USAGE},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        Error err = {0};
        Status status = file_check_ending(rows[i].path, "it", rows[i].endings, &err);
        ck_assert_msg(status == rows[i].status, "%s: %s", rows[i].path, err.message);
    }
}
END_TEST

START_TEST(folders) {
    char deep[256], middle[160];
    Error err = {0};
    snprintf(middle, sizeof middle, "%s/a", folder);
    snprintf(deep, sizeof deep, "%s/b/", middle);
    ck_assert_int_eq(file_make_directories(deep, &err), MAE_OK);
    ck_assert_int_eq(file_make_directories(deep, &err), MAE_OK);
    ck_assert(file_is_directory(deep) && !file_is_directory(path));
    ck_assert_int_eq(file_write_all(path, "x", 1, &err), MAE_OK);
    ck_assert_int_eq(file_make_directories(path, NULL), MAE_IO);
    ck_assert_int_eq(file_remove(path, &err), MAE_OK);
    ck_assert_int_eq(file_remove(path, &err), MAE_OK);
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
    tcase_add_test(c, other_kinds_of_output);
    tcase_add_test(c, descriptors);
    tcase_add_test(c, links);
    tcase_add_test(c, endings);
    tcase_add_test(c, folders);
    suite_add_tcase(s, c);
    return s;
}
