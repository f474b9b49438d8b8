/* Failures as values, and the one way to abort. error_set keeps the first message: it was made
 * where the fact was known, later ones only know that something below went wrong. */
#include "base/status.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

const char *mae_status_name(MaeStatus s) {
    switch (s) {
    case MAE_OK: return "ok";
    case MAE_USAGE: return "usage";
    case MAE_IO: return "input/output";
    case MAE_FORMAT: return "format";
    case MAE_SHAPE: return "shape";
    case MAE_MEMORY: return "memory";
    case MAE_UNSUPPORTED: return "unsupported";
    case MAE_EMPTY: return "empty";
    case MAE_NONFINITE: return "non-finite";
    case MAE_INTERRUPTED: return "interrupted";
    }
    return "unknown";
}

Error *error_clear(Error *err) {
    if (err) *err = (Error){.status = MAE_OK};
    return err;
}

Status error_set(Error *err, Status status, const char *format, ...) {
    if (err == NULL || err->status != MAE_OK) return status;
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
