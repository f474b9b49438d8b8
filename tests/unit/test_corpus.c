/* Every file of the fuzzers' corpus through its target; those of pickle and tensorfile have tests
 * of their own. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"

/* The targets themselves under other names, so that what is replayed is what was fuzzed. */
int fuzz_zip(const uint8_t *data, size_t bytes);
int fuzz_safetensors(const uint8_t *data, size_t bytes);
int fuzz_hf_config(const uint8_t *data, size_t bytes);
int fuzz_checkpoint(const uint8_t *data, size_t bytes);
int fuzz_onnx(const uint8_t *data, size_t bytes);

#define LLVMFuzzerTestOneInput fuzz_zip
#include "../fuzz/fuzz_zip.c"
#undef LLVMFuzzerTestOneInput
#define LLVMFuzzerTestOneInput fuzz_safetensors
#include "../fuzz/fuzz_safetensors.c"
#undef LLVMFuzzerTestOneInput
#define LLVMFuzzerTestOneInput fuzz_hf_config
#include "../fuzz/fuzz_hf_config.c"
#undef LLVMFuzzerTestOneInput
#define LLVMFuzzerTestOneInput fuzz_checkpoint
#include "../fuzz/fuzz_checkpoint.c"
#undef LLVMFuzzerTestOneInput
#define LLVMFuzzerTestOneInput fuzz_onnx
#include "../fuzz/fuzz_onnx.c"
#undef LLVMFuzzerTestOneInput

#include <check.h> /* last: it has a macro named fail */

Suite *suite_corpus(void);

typedef int Target(const uint8_t *data, size_t bytes);

/* In memory of exactly that size, so that sanitizers see a byte too many. */
static void replay_file(Target *target, const char *path) {
    Error err = {0};
    uint8_t *read;
    size_t bytes;
    ck_assert_msg(file_read(path, 1 << 20, &read, &bytes, &err) == STATUS_OK, "%s", err.message);
    uint8_t *data = malloc(bytes ? bytes : 1);
    ck_assert_ptr_nonnull(data);
    memcpy(data, read, bytes);
    mem_free(read);
    target(data, bytes);
    free(data);
}

static void replay(Target *target, const char *name) {
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

START_TEST(zip) {
    replay(fuzz_zip, "zip");
}
END_TEST

START_TEST(safetensors) {
    replay(fuzz_safetensors, "safetensors");
}
END_TEST

START_TEST(hf_config) {
    replay(fuzz_hf_config, "hf_config");
}
END_TEST

START_TEST(checkpoint) {
    replay(fuzz_checkpoint, "checkpoint");
}
END_TEST

START_TEST(onnx) {
    replay(fuzz_onnx, "onnx");
}
END_TEST

Suite *suite_corpus(void) {
    Suite *s = suite_create("corpus");
    TCase *t = tcase_create("corpus");
    tcase_add_test(t, zip);
    tcase_add_test(t, safetensors);
    tcase_add_test(t, hf_config);
    tcase_add_test(t, checkpoint);
    tcase_add_test(t, onnx);
    suite_add_tcase(s, t);
    return s;
}
