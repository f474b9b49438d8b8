/* With -DFUZZ_REPLAY a fuzz target becomes a plain program that runs the files given to it once
 * each, for debuggers and for machines without libFuzzer.
 *
 *   clang -g -O1 -fsanitize=fuzzer,address,undefined -D_GNU_SOURCE -Isrc -Itests/fuzz \
 *       tests/fuzz/fuzz_pickle.c src/formats/pickle*.c src/base/{file,memory,status,tensor}.c -lm
 * -lz cc -g -DFUZZ_REPLAY ... the same; fuzz_tensorfile.c also needs
 *   src/formats/{zip,torch_file,tensorfile,tensorfile_open,safetensors}.c and -ljansson */
#ifndef FUZZ_REPLAY_H
#define FUZZ_REPLAY_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

#ifdef FUZZ_REPLAY
#include <stdio.h>

#include "base/file.h"
#include "base/memory.h"

int main(int argc, char **argv) {
    for (int i = 1; i < argc; i++) {
        Error err = {0};
        uint8_t *data;
        size_t bytes;
        if (file_read(argv[i], (size_t)1 << 30, &data, &bytes, &err) != MAE_OK) {
            fprintf(stderr, "%s\n", err.message);
            return 1;
        }
        LLVMFuzzerTestOneInput(data, bytes);
        mem_free(data);
    }
    printf("%d inputs\n", argc - 1);
    return 0;
}
#endif

#endif
