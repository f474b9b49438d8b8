/* How things fail. A bug aborts through ASSERT. The world (a file, a flag, memory, a device) is
 * reported as a Status that travels upward, with one message made where the fact is known: it says
 * what, where, and what to do. TRY is the only macro that changes control flow: it needs a local
 * `Status status` and a label `done:` at which everything is closed. */
#ifndef BASE_STATUS_H
#define BASE_STATUS_H

#include "mae.h"

/* One message per failure. Zero-initialise an Error; the first failure wins. */
typedef MaeStatus Status;
typedef MaeError Error;

#if defined(__GNUC__)
#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))
#else
#define PRINTF_LIKE(fmt, args)
#endif

/* For public functions, whose callers may use one MaeError again: *err as it was before the first
 * failure. Returns err, which may be NULL. */
Error *error_clear(Error *err);

/* Records the message in *err (err may be NULL) unless one is there already; returns status. */
Status error_set(Error *err, Status status, const char *format, ...) PRINTF_LIKE(3, 4);

#define TRY(call)                                                                                  \
    do {                                                                                           \
        status = (call);                                                                           \
        if (status != MAE_OK) goto done;                                                           \
    } while (0)

/* Aborts with file, line and message; on in every build. */
_Noreturn void assert_failed(const char *file, int line, const char *condition, const char *format,
                             ...) PRINTF_LIKE(4, 5);

#define ASSERT(condition, ...)                                                                     \
    do {                                                                                           \
        if (!(condition)) assert_failed(__FILE__, __LINE__, #condition, __VA_ARGS__);              \
    } while (0)

#endif
