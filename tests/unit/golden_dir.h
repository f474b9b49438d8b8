/* Where the golden files lie, for tests that use them when they are there: $MAE_GOLDEN, else
 * tests/golden/data; and the pixels in them. */
#ifndef GOLDEN_DIR_H
#define GOLDEN_DIR_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "formats/tensorfile.h"

/* The path of a golden file in buf; false, with a line SKIP, when it is absent. */
static inline bool golden_path(char *buf, size_t bytes, const char *name) {
    const char *dir = getenv("MAE_GOLDEN");
    snprintf(buf, bytes, "%s/%s", dir && *dir ? dir : "tests/golden/data", name);
    if (file_exists(buf)) return true;
    printf("SKIP %s is absent (set MAE_GOLDEN)\n", buf);
    return false;
}

/* The file of tensors at PATH. */
static inline TensorFile *golden_open(const char *path) {
    Error err = {0};
    TensorFile *f = NULL;
    ASSERT(tensorfile_open(path, &f, &err) == MAE_OK, "%s", err.message);
    return f;
}

/* The n bytes of one of its tensors; to be freed. */
static inline uint8_t *golden_pixels(const TensorFile *f, const char *name, int64_t n) {
    Error err = {0};
    const TensorEntry *t = tensorfile_find(f, name);
    ASSERT(t && t->dtype == DTYPE_U8 && shape_numel(t->shape) == n, "%s", name);
    uint8_t *pixels = malloc((size_t)n);
    ASSERT(pixels && tensorfile_read_raw(f, t, pixels, &err) == MAE_OK, "%s", err.message);
    return pixels;
}

#endif
