/* A device for tests that is as lazy as a GPU may be, and as strict. Every row, copy, zero and swap
 * waits in a queue until something has to wait (device.h says what); then `ref` does the work.
 * Meanwhile host code cannot touch device memory: an access ends the process by SIGSEGV, after a
 * line that says so.
 *
 * Tests open it by the name "deferred"; they are linked with --wrap=device_open. With the
 * environment variable TEST_DEVICE=deferred, "cpu" and "ref" are it, too: a suite that was written
 * for one of them runs on it. All handles share one queue, and may be used from several threads. */
#ifndef TESTS_DEVICE_DEFERRED_H
#define TESTS_DEVICE_DEFERRED_H

#include "kernels/device.h"

/* The next download or device_sync does not wait: what a caller gets who leaves a wait out. */
void deferred_leave_out_wait(void);

/* All that device_open of a test program knows: device_words and "deferred". */
extern const char *const test_device_words[];
#define X(kind, word) +1
enum { TEST_DEVICES = 1 DEVICE_WORDS(X) };
#undef X

#endif
