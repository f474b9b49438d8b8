/* A child of fork() has a copy of the memory, but only the thread that forked. Locks that other
 * threads held stay locked, and libgomp waits for a team that is not there. */
#ifndef BASE_FORK_H
#define BASE_FORK_H

#include <stdbool.h>

#include "base/status.h"

/* Notes that this process uses the library. UNSUPPORTED: its parent did, before it forked. */
Status fork_check(Error *err);
/* Is this the child of a process that had used the library? Then there is nothing to wait for, and
 * no lock to take. */
bool fork_is_child(void);

#endif
