/* Where the golden files lie, for tests that use them when they are there: $MAE_GOLDEN, else
 * tests/golden/data. */
#ifndef GOLDEN_DIR_H
#define GOLDEN_DIR_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"

/* The path of a golden file in buf; false, with a line SKIP, when it is absent. */
static inline bool golden_path(char *buf, size_t bytes, const char *name) {
    const char *dir = getenv("MAE_GOLDEN");
    snprintf(buf, bytes, "%s/%s", dir && *dir ? dir : "tests/golden/data", name);
    if (file_exists(buf)) return true;
    printf("SKIP %s is absent (set MAE_GOLDEN)\n", buf);
    return false;
}

#endif
