/* Private to file*.c: how they fail. */
#ifndef BASE_FILE_INTERNAL_H
#define BASE_FILE_INTERNAL_H

#include "base/status.h"

/* IO: "PATH: cannot WHAT: " and what errno says. */
Status file_fail(Error *err, const char *path, const char *what);
Status file_fail_memory(Error *err, const char *path);

#endif
