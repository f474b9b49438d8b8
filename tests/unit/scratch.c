#include "scratch.h"

#include <check.h>
#include <dirent.h>
#include <ftw.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "data/image/image.h"

#define MAX_PATH_BYTES 512

static char top[64];

/* In memory, where the system has room for files there: waiting for the disk to flush would be most
 * of the time of tests that write checkpoints. */
void scratch_make(void) {
    bool memory = access("/dev/shm", W_OK | X_OK) == 0;
    snprintf(top, sizeof top, "%s/mae-unit-XXXXXX", memory ? "/dev/shm" : "/tmp");
    ck_assert_ptr_nonnull(mkdtemp(top));
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *where) {
    (void)st, (void)type, (void)where;
    return remove(path);
}

void scratch_remove(void) {
    ck_assert_int_eq(nftw(top, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
}

char *scratch_path(const char *format, ...) {
    static char ring[8][MAX_PATH_BYTES];
    static int turn;
    char *path = ring[turn++ % 8];
    size_t n = (size_t)snprintf(path, MAX_PATH_BYTES, "%s/", top);
    va_list args;
    va_start(args, format);
    vsnprintf(path + n, MAX_PATH_BYTES - n, format, args);
    va_end(args);
    return path;
}

void scratch_make_folder(const char *name) {
    Error err = {0};
    ck_assert_msg(file_make_directories(scratch_path("%s", name), &err) == MAE_OK, "%s",
                  err.message);
}

void scratch_remove_folder(const char *name) {
    const char *path = scratch_path("%s", name);
    if (!file_exists(path)) return;
    ck_assert_int_eq(nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
}

bool scratch_is_empty(const char *name) {
    int n = 0;
    DIR *dir = opendir(scratch_path("%s", name));
    ck_assert_ptr_nonnull(dir);
    while (readdir(dir)) n++;
    closedir(dir);
    return n <= 2; /* itself and its parent */
}

static void copy_file(const char *from, const char *to) {
    Error err = {0};
    uint8_t *data;
    size_t bytes;
    ck_assert_msg(file_read(from, SIZE_MAX - 1, &data, &bytes, &err) == MAE_OK, "%s", err.message);
    scratch_write(to, data, bytes);
    mem_free(data);
}

void scratch_copy_folder(const char *from, const char *to) {
    scratch_remove_folder(to);
    scratch_make_folder(to);
    DIR *dir = opendir(scratch_path("%s", from));
    ck_assert_ptr_nonnull(dir);
    for (const struct dirent *e; (e = readdir(dir));) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0) continue;
        char *inner_from = mem_printf("%s/%s", from, e->d_name);
        char *inner_to = mem_printf("%s/%s", to, e->d_name);
        ck_assert(inner_from && inner_to);
        if (file_is_directory(scratch_path("%s", inner_from)))
            scratch_copy_folder(inner_from, inner_to);
        else
            copy_file(scratch_path("%s", inner_from), scratch_path("%s", inner_to));
        mem_free(inner_from);
        mem_free(inner_to);
    }
    closedir(dir);
}

static void make_folder_of(const char *path) {
    char folder[MAX_PATH_BYTES];
    Error err = {0};
    snprintf(folder, sizeof folder, "%s", path);
    *strrchr(folder, '/') = '\0';
    ck_assert_msg(file_make_directories(folder, &err) == MAE_OK, "%s", err.message);
}

void scratch_write(const char *path, const void *data, size_t bytes) {
    Error err = {0};
    make_folder_of(path);
    ck_assert_msg(file_write_all(path, data, bytes, &err) == MAE_OK, "%s", err.message);
}

void scratch_text(const char *path, const char *text) {
    scratch_write(path, text, strlen(text));
}

uint8_t scratch_pixel(int number, int64_t x, int64_t y, int channel) {
    return (uint8_t)(number * 37 + x * 3 + y * 5 + channel * 11);
}

void scratch_png(const char *path, int number, int64_t width, int64_t height) {
    Error err = {0};
    Image im = {0};
    make_folder_of(path);
    ck_assert_msg(image_new(&im, MAE_U8, width, height, 3, &err) == MAE_OK, "%s", err.message);
    for (int64_t i = 0; i < width * height * 3; i++)
        im.pixels[i] = scratch_pixel(number, i / 3 % width, i / 3 / width, (int)(i % 3));
    ck_assert_msg(image_write_png(path, &im, &err) == MAE_OK, "%s", err.message);
    image_free(&im);
}
