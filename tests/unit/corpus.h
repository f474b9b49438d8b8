/* Replays the corpus of a fuzz target in a test. */
#ifndef TESTS_UNIT_CORPUS_H
#define TESTS_UNIT_CORPUS_H

#include <stddef.h>
#include <stdint.h>

typedef int FuzzTarget(const uint8_t *data, size_t bytes);

/* Every file of tests/fuzz/corpus/NAME, in memory of exactly its size, so that sanitizers see a
 * byte too many. */
void corpus_replay(FuzzTarget *target, const char *name);

#endif
