/* What the library has to say goes to the listener of the call that it works for (listener.h); the
 * library itself never prints. Lines carry no newline. Safe from any thread. */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>

#include "base/status.h"

typedef enum LogLevel { LOG_ERROR, LOG_WARNING, LOG_INFO } LogLevel;

/* Dropped where nobody listens. */
void log_line(LogLevel level, const char *format, ...) PRINTF_LIKE(2, 3);
/* A line that every process of a job has to say alike: heard from the root alone. */
void log_shared(LogLevel level, const char *format, ...) PRINTF_LIKE(2, 3);
/* Is this process the one that speaks for all? It is until somebody says otherwise. */
void log_set_root(bool is_root);

#endif
