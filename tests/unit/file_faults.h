/* Faults of the disk, for tests: the operations that change files (write, fsync, rename, link,
 * unlink) go through here, and a planned one kills the process or fails. Every program that links
 * this gets them; without a plan they do what they always do, but that fsync does not wait. */
#ifndef TESTS_UNIT_FILE_FAULTS_H
#define TESTS_UNIT_FILE_FAULTS_H

#include <stdbool.h>
#include <stdint.h>

/* From now on the n-th operation (1 = the next) does not happen: the process is killed, as by
 * kill -9. 0: no plan. */
void faults_kill_at(int64_t n);
/* The n-th operation fails with this errno, once. */
void faults_fail_at(int64_t n, int error);
bool faults_pending(void); /* has that operation not come yet? */
/* Every link() fails with this errno; 0: none does. */
void faults_fail_links(int error);
/* Every operation takes this much longer. */
void faults_delay(int64_t microseconds);
/* While closed, operations of every thread but the caller's wait. */
void faults_gate(bool closed);

#endif
