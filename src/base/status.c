/* Failures as values, and the one way to abort. fail() keeps the first message: it was made where
 * the fact was known, later ones only know that something below went wrong. */
#include "base/status.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

const char *status_name(Status s) {
    static const char *const names[] = {
#define X(name, text) text,
        STATUS_LIST(X)
#undef X
    };
    size_t i = (size_t)s;
    return i < sizeof names / sizeof names[0] ? names[i] : "unknown";
}

Status fail(Error *err, Status status, const char *format, ...) {
    if (err == NULL || err->status != STATUS_OK) return status;
    va_list args;
    va_start(args, format);
    vsnprintf(err->message, sizeof err->message, format, args);
    va_end(args);
    err->status = status;
    return status;
}

/* The only place that writes to standard error: after a bug there is no caller to report to. */
_Noreturn void assert_failed(const char *file, int line, const char *condition, const char *format,
                             ...) {
    fprintf(stderr, "%s:%d: bug: %s does not hold: ", file, line, condition);
    va_list args;
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    fflush(stderr);
    abort();
}
