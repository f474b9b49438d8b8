/* A temporary folder of a fuzz target, in memory where there is such a place: made at the first
 * call, removed when the process ends by itself. */
#ifndef FUZZ_FOLDER_H
#define FUZZ_FOLDER_H

#include <ftw.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"

static char fuzz_folder[256];

static int fuzz_remove_one(const char *path, const struct stat *st, int type, struct FTW *where) {
    (void)st, (void)type, (void)where;
    return remove(path);
}

static void fuzz_remove_folder(void) {
    nftw(fuzz_folder, fuzz_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static inline void fuzz_make_folder(void) {
    const char *place = getenv("TMPDIR");
    if (*fuzz_folder) return;
    if (!place || !*place) place = file_is_directory("/dev/shm") ? "/dev/shm" : "/tmp";
    snprintf(fuzz_folder, sizeof fuzz_folder, "%s/mae-fuzz-XXXXXX", place);
    ASSERT(mkdtemp(fuzz_folder) != NULL, "%s: no temporary folder", place);
    atexit(fuzz_remove_folder);
}

/* printf of a path in the folder; valid for the next three calls. */
static inline const char *fuzz_path(const char *format, ...) PRINTF_LIKE(1, 2);
static inline const char *fuzz_path(const char *format, ...) {
    static char ring[4][512];
    static int turn;
    char *path = ring[turn++ % 4];
    va_list args;
    fuzz_make_folder();
    int n = snprintf(path, sizeof ring[0], "%s/", fuzz_folder);
    va_start(args, format);
    vsnprintf(path + n, sizeof ring[0] - (size_t)n, format, args);
    va_end(args);
    return path;
}

/* Not through a FileWriter: it flushes to disk, and thousands of files follow each other. */
static inline void fuzz_write(const char *path, const void *data, size_t bytes) {
    FILE *f = fopen(path, "wb");
    ASSERT(f != NULL, "%s cannot be written", path);
    ASSERT(fwrite(data, 1, bytes, f) == bytes, "%s", path);
    ASSERT(fclose(f) == 0, "%s", path);
}

#endif
