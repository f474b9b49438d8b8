#include "corpus.h"

#include <check.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"

static void replay_file(FuzzTarget *target, const char *path) {
    Error err = {0};
    uint8_t *read;
    size_t bytes;
    ck_assert_msg(file_read(path, 1 << 20, &read, &bytes, &err) == MAE_OK, "%s", err.message);
    uint8_t *data = malloc(bytes ? bytes : 1);
    ck_assert_ptr_nonnull(data);
    memcpy(data, read, bytes);
    mem_free(read);
    target(data, bytes);
    free(data);
}

void corpus_replay(FuzzTarget *target, const char *name) {
    char path[512];
    int n = 0;
    snprintf(path, sizeof path, "tests/fuzz/corpus/%s", name);
    DIR *d = opendir(path);
    ck_assert_msg(d != NULL, "%s is missing", path);
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        if (e->d_name[0] == '.') continue;
        snprintf(path, sizeof path, "tests/fuzz/corpus/%s/%s", name, e->d_name);
        replay_file(target, path);
        n++;
    }
    closedir(d);
    ck_assert_int_ge(n, 8);
}
