/* The corpus of the fuzzers of checkpoints, through their targets; those of pickle and tensorfile
 * have tests of their own. */
#include <check.h>

#include "corpus.h"

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

Suite *suite_corpus(void);

START_TEST(zip) {
    corpus_replay(fuzz_zip, "zip");
}
END_TEST

START_TEST(safetensors) {
    corpus_replay(fuzz_safetensors, "safetensors");
}
END_TEST

START_TEST(hf_config) {
    corpus_replay(fuzz_hf_config, "hf_config");
}
END_TEST

START_TEST(checkpoint) {
    corpus_replay(fuzz_checkpoint, "checkpoint");
}
END_TEST

START_TEST(onnx) {
    corpus_replay(fuzz_onnx, "onnx");
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
