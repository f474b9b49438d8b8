/* See log.h. */
#include "base/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>

#include "base/listener.h"

static atomic_bool is_quiet; /* the root speaks */

void log_set_root(bool is_root) {
    is_quiet = !is_root;
}

static void say(LogLevel level, const char *format, va_list args) {
    char line[2048];
    vsnprintf(line, sizeof line, format, args);
    call_log((int)level, line);
}

void log_line(LogLevel level, const char *format, ...) {
    va_list args;
    va_start(args, format);
    say(level, format, args);
    va_end(args);
}

void log_shared(LogLevel level, const char *format, ...) {
    va_list args;
    if (is_quiet) return;
    va_start(args, format);
    say(level, format, args);
    va_end(args);
}
