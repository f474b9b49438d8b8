/* The corpus of the fuzzers of images, sources and options, through their targets. */
#include <check.h>

#include "corpus.h"

/* As in test_corpus.c. */
int fuzz_jpeg(const uint8_t *data, size_t bytes);
int fuzz_png(const uint8_t *data, size_t bytes);
int fuzz_webp(const uint8_t *data, size_t bytes);
int fuzz_npy(const uint8_t *data, size_t bytes);
int fuzz_tar(const uint8_t *data, size_t bytes);
int fuzz_list(const uint8_t *data, size_t bytes);
int fuzz_config(const uint8_t *data, size_t bytes);
int fuzz_options(const uint8_t *data, size_t bytes);

#define LLVMFuzzerTestOneInput fuzz_jpeg
#include "../fuzz/fuzz_jpeg.c"
#undef LLVMFuzzerTestOneInput
#define LLVMFuzzerTestOneInput fuzz_png
#include "../fuzz/fuzz_png.c"
#undef LLVMFuzzerTestOneInput
#define LLVMFuzzerTestOneInput fuzz_webp
#include "../fuzz/fuzz_webp.c"
#undef LLVMFuzzerTestOneInput
#define LLVMFuzzerTestOneInput fuzz_npy
#include "../fuzz/fuzz_npy.c"
#undef LLVMFuzzerTestOneInput
#define LLVMFuzzerTestOneInput fuzz_tar
#include "../fuzz/fuzz_tar.c"
#undef LLVMFuzzerTestOneInput
#define LLVMFuzzerTestOneInput fuzz_list
#include "../fuzz/fuzz_list.c"
#undef LLVMFuzzerTestOneInput
#define LLVMFuzzerTestOneInput fuzz_config
#include "../fuzz/fuzz_config.c"
#undef LLVMFuzzerTestOneInput
#define LLVMFuzzerTestOneInput fuzz_options
#include "../fuzz/fuzz_options.c"
#undef LLVMFuzzerTestOneInput

Suite *suite_corpus_data(void);

START_TEST(jpeg) {
    corpus_replay(fuzz_jpeg, "jpeg");
}
END_TEST

START_TEST(png) {
    corpus_replay(fuzz_png, "png");
}
END_TEST

START_TEST(webp) {
    corpus_replay(fuzz_webp, "webp");
}
END_TEST

START_TEST(npy) {
    corpus_replay(fuzz_npy, "npy");
}
END_TEST

START_TEST(tar) {
    corpus_replay(fuzz_tar, "tar");
}
END_TEST

START_TEST(list) {
    corpus_replay(fuzz_list, "list");
}
END_TEST

START_TEST(config) {
    corpus_replay(fuzz_config, "config");
}
END_TEST

START_TEST(options) {
    corpus_replay(fuzz_options, "options");
}
END_TEST

Suite *suite_corpus_data(void) {
    Suite *s = suite_create("corpus_data");
    TCase *t = tcase_create("corpus_data");
    tcase_add_test(t, jpeg);
    tcase_add_test(t, png);
    tcase_add_test(t, webp);
    tcase_add_test(t, npy);
    tcase_add_test(t, tar);
    tcase_add_test(t, list);
    tcase_add_test(t, config);
    tcase_add_test(t, options);
    suite_add_tcase(s, t);
    return s;
}
