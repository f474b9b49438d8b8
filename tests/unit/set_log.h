/* Who hears the log of the calling thread and of the threads that the library starts for it, as if
 * the test were one call. log NULL: nobody any more. */
#ifndef TESTS_UNIT_SET_LOG_H
#define TESTS_UNIT_SET_LOG_H

#include "base/log.h"

void set_log(void (*log)(void *user, int level, const char *line), void *user);

#endif
