/* One sink for all lines. A mutex keeps lines of different threads whole and in sequence, so a sink
 * need not be thread-safe itself; it must not log. */
#include "base/log.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static LogSink current_sink;
static void *current_user;
static bool speaks = true;

void log_set_sink(LogSink sink, void *user) {
    pthread_mutex_lock(&lock);
    current_sink = sink;
    current_user = user;
    pthread_mutex_unlock(&lock);
}

void log_set_root(bool is_root) {
    pthread_mutex_lock(&lock);
    speaks = is_root;
    pthread_mutex_unlock(&lock);
}

static void say(bool shared, LogLevel level, const char *format, va_list args) {
    char line[2048];
    vsnprintf(line, sizeof line, format, args);
    pthread_mutex_lock(&lock);
    if (current_sink != NULL && (speaks || !shared)) current_sink(current_user, level, line);
    pthread_mutex_unlock(&lock);
}

void log_line(LogLevel level, const char *format, ...) {
    va_list args;
    va_start(args, format);
    say(false, level, format, args);
    va_end(args);
}

void log_shared(LogLevel level, const char *format, ...) {
    va_list args;
    va_start(args, format);
    say(true, level, format, args);
    va_end(args);
}
