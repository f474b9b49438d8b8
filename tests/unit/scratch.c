#include "scratch.h"

#include <ftw.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "data/image.h"

#include <check.h> /* last: it has a macro named fail */

#define MAX_PATH_BYTES 512

static char top[64];

void scratch_make(void) {
    snprintf(top, sizeof top, "/tmp/mae-unit-XXXXXX");
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

static void make_folder_of(const char *path) {
    char folder[MAX_PATH_BYTES];
    Error err = {0};
    snprintf(folder, sizeof folder, "%s", path);
    *strrchr(folder, '/') = '\0';
    ck_assert_msg(file_make_directories(folder, &err) == STATUS_OK, "%s", err.message);
}

void scratch_write(const char *path, const void *data, size_t bytes) {
    Error err = {0};
    make_folder_of(path);
    ck_assert_msg(file_write_all(path, data, bytes, &err) == STATUS_OK, "%s", err.message);
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
    ck_assert_msg(image_new(&im, width, height, 3, &err) == STATUS_OK, "%s", err.message);
    for (int64_t i = 0; i < width * height * 3; i++)
        im.pixels[i] = scratch_pixel(number, i / 3 % width, i / 3 / width, (int)(i % 3));
    ck_assert_msg(image_write_png(path, &im, &err) == STATUS_OK, "%s", err.message);
    image_free(&im);
}
