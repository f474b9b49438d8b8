/* A machine that fails, for tests of the command. Preloaded (LD_PRELOAD), it stands between the
 * program and the C library. The environment variable FAULTS holds rules, separated by `;`:
 *
 *     write PATTERN BYTES ERROR    writes to matching paths after BYTES bytes; a last one is short
 *     read PATTERN CALLS ERROR     reads after so many that succeed; likewise fsync, rename (by
 *                                  the new name), open
 *     data PATTERN BYTES ERROR     reads after BYTES bytes; a last one is short
 *     clock NAME CALLS SECONDS     realtime or monotonic, after so many readings, jumps
 *     malloc - CALLS ENOMEM        the one allocation after so many, once (not under sanitizers)
 *     number FUNCTION CALLS TIMES  logf or erfc, after so many calls, is NaN so many times
 *
 * PATTERN is one of the shell's, for the whole path. ERROR is ENOSPC, EIO, ENOENT or ENOMEM. A rule
 * that has struck appends a line to the file FAULTS_LOG, so that a test knows it has tested
 * something. With FAULTS_RANK, only that process of an MPI job has the rules. FILE streams of
 * matching paths go through write here as well. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <math.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { MAX_RULES = 8 };

typedef struct Rule {
    char call[16], pattern[256];
    long long after, error; /* error: of a clock, seconds; of a number, times */
    atomic_llong count;
    atomic_bool struck;
} Rule;

static Rule rules[MAX_RULES];
static int n_rules;

static const struct {
    const char *name;
    int number;
} errors[] = {{"ENOSPC", ENOSPC}, {"EIO", EIO}, {"ENOENT", ENOENT}, {"ENOMEM", ENOMEM}};

#define NEXT(function) ((__typeof__(&function))dlsym(RTLD_NEXT, #function))

static void complain(const char *what) {
    fprintf(stderr, "faults: cannot read the rule %s\n", what);
    _exit(99);
}

static long long error_number(const char *text) {
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++)
        if (strcmp(text, errors[i].name) == 0) return errors[i].number;
    return strtoll(text, NULL, 10);
}

/* Open MPI and MPICH say who a process is before it asks. */
static bool is_spared(void) {
    static const char *const names[] = {"OMPI_COMM_WORLD_RANK", "PMI_RANK"};
    const char *struck = getenv("FAULTS_RANK");
    for (size_t i = 0; struck && i < sizeof names / sizeof *names; i++) {
        const char *rank = getenv(names[i]);
        if (rank) return strcmp(rank, struck) != 0;
    }
    return false;
}

__attribute__((constructor)) static void read_rules(void) {
    const char *text = is_spared() ? NULL : getenv("FAULTS");
    while (text && *text) {
        Rule *r = &rules[n_rules];
        char error[16];
        if (n_rules == MAX_RULES ||
            sscanf(text, " %15s %255s %lld %15[^; ]", r->call, r->pattern, &r->after, error) != 4)
            complain(text);
        r->error = error_number(error);
        n_rules++;
        text = strchr(text, ';');
        if (text) text++;
    }
}

static void note(Rule *r) {
    const char *path = getenv("FAULTS_LOG");
    if (atomic_exchange(&r->struck, true) || !path) return;
    int fd = NEXT(open)(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    char line[320];
    int n = snprintf(line, sizeof line, "%s %s\n", r->call, r->pattern);
    if (fd >= 0) (void)!NEXT(write)(fd, line, (size_t)n);
    if (fd >= 0) close(fd);
}

static Rule *find(const char *call, const char *path) {
    for (int i = 0; i < n_rules; i++)
        if (strcmp(rules[i].call, call) == 0 && fnmatch(rules[i].pattern, path, 0) == 0)
            return &rules[i];
    return NULL;
}

static Rule *find_fd(const char *call, int fd) {
    char link[64], path[4096];
    if (n_rules == 0) return NULL;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof path - 1);
    if (n < 0) return NULL;
    path[n] = '\0';
    return find(call, path);
}

/* Counts a call; true: it fails, and errno says how. */
static bool fails(Rule *r) {
    if (!r || atomic_fetch_add(&r->count, 1) < r->after) return false;
    note(r);
    errno = (int)r->error;
    return true;
}

/* How many of the bytes still fit; -1: none. */
static ssize_t room(Rule *r, size_t bytes) {
    if (!r) return (ssize_t)bytes;
    long long before = atomic_fetch_add(&r->count, (long long)bytes), left = r->after - before;
    if (left >= (long long)bytes || bytes == 0) return (ssize_t)bytes;
    note(r);
    if (left > 0) return (ssize_t)left;
    errno = (int)r->error;
    return -1;
}

/* --- writing ---------------------------------------------------------------------------------- */

ssize_t write(int fd, const void *data, size_t bytes) {
    ssize_t n = room(find_fd("write", fd), bytes);
    return n < 0 ? n : NEXT(write)(fd, data, (size_t)n);
}

ssize_t pwrite(int fd, const void *data, size_t bytes, off_t offset) {
    ssize_t n = room(find_fd("write", fd), bytes);
    return n < 0 ? n : NEXT(pwrite)(fd, data, (size_t)n, offset);
}

int fsync(int fd) {
    return fails(find_fd("fsync", fd)) ? -1 : NEXT(fsync)(fd);
}

int rename(const char *from, const char *to) {
    return fails(find("rename", to)) ? -1 : NEXT(rename)(from, to);
}

/* --- opening and reading ---------------------------------------------------------------------- */

#define OPEN(name)                                                                                 \
    int name(const char *path, int flags, ...) {                                                   \
        va_list args;                                                                              \
        va_start(args, flags);                                                                     \
        mode_t mode = flags & O_CREAT ? va_arg(args, mode_t) : 0;                                  \
        va_end(args);                                                                              \
        return fails(find("open", path)) ? -1 : NEXT(name)(path, flags, mode);                     \
    }
OPEN(open)
OPEN(open64)

/* How many bytes a read may ask for; -1: it fails. */
static ssize_t readable(int fd, size_t bytes) {
    return fails(find_fd("read", fd)) ? -1 : room(find_fd("data", fd), bytes);
}

ssize_t read(int fd, void *data, size_t bytes) {
    ssize_t n = readable(fd, bytes);
    return n < 0 ? n : NEXT(read)(fd, data, (size_t)n);
}

ssize_t pread(int fd, void *data, size_t bytes, off_t offset) {
    ssize_t n = readable(fd, bytes);
    return n < 0 ? n : NEXT(pread)(fd, data, (size_t)n, offset);
}

/* What they become where compilers check bounds (_FORTIFY_SOURCE, as on Ubuntu). */
ssize_t __read_chk(int fd, void *data, size_t bytes, size_t size);
ssize_t __pread_chk(int fd, void *data, size_t bytes, off_t offset, size_t size);

ssize_t __read_chk(int fd, void *data, size_t bytes, size_t size) {
    return bytes <= size ? read(fd, data, bytes) : (abort(), -1);
}

ssize_t __pread_chk(int fd, void *data, size_t bytes, off_t offset, size_t size) {
    return bytes <= size ? pread(fd, data, bytes, offset) : (abort(), -1);
}

/* --- streams ---------------------------------------------------------------------------------- */

static ssize_t stream_write(void *cookie, const char *data, size_t bytes) {
    size_t done = 0;
    while (done < bytes) {
        ssize_t n = write((int)(intptr_t)cookie, data + done, bytes - done);
        if (n < 0) return done ? (ssize_t)done : 0; /* 0: failed */
        done += (size_t)n;
    }
    return (ssize_t)done;
}

static int stream_close(void *cookie) {
    return close((int)(intptr_t)cookie);
}

FILE *fopen(const char *path, const char *mode) {
    if (fails(find("open", path))) return NULL;
    if (!find("write", path) || mode[0] == 'r') return NEXT(fopen)(path, mode);
    int flags = mode[0] == 'a' ? O_APPEND : O_TRUNC;
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | flags, 0666);
    cookie_io_functions_t io = {.write = stream_write, .close = stream_close};
    return fd < 0 ? NULL : fopencookie((void *)(intptr_t)fd, mode, io);
}

/* --- clocks ----------------------------------------------------------------------------------- */

int clock_gettime(clockid_t clock, struct timespec *t) {
    int status = NEXT(clock_gettime)(clock, t);
    Rule *r = find("clock", clock == CLOCK_REALTIME ? "realtime" : "monotonic");
    if (!r || atomic_fetch_add(&r->count, 1) < r->after) return status;
    note(r);
    t->tv_sec += r->error;
    return status;
}

/* --- numbers ---------------------------------------------------------------------------------- */

static bool spoils(Rule *r) {
    if (!r) return false;
    long long calls = atomic_fetch_add(&r->count, 1) - r->after;
    if (calls < 0 || calls >= r->error) return false;
    note(r);
    return true;
}

float logf(float x) {
    return spoils(find("number", "logf")) ? NAN : NEXT(logf)(x);
}

double erfc(double x) {
    return spoils(find("number", "erfc")) ? NAN : NEXT(erfc)(x);
}

/* --- memory of other libraries ---------------------------------------------------------------- */

#ifndef FAULTS_UNDER_SANITIZER
extern void *__libc_malloc(size_t), *__libc_calloc(size_t, size_t), *__libc_realloc(void *, size_t);

/* Before the rules are read there are none; finding one takes no memory. */
static bool out_of_memory(void) {
    for (int i = 0; i < n_rules; i++) {
        Rule *r = &rules[i];
        if (strcmp(r->call, "malloc") != 0 || atomic_fetch_add(&r->count, 1) != r->after) continue;
        note(r);
        errno = ENOMEM;
        return true;
    }
    return false;
}

void *malloc(size_t bytes) {
    return out_of_memory() ? NULL : __libc_malloc(bytes);
}

void *calloc(size_t count, size_t size) {
    return out_of_memory() ? NULL : __libc_calloc(count, size);
}

void *realloc(void *p, size_t bytes) {
    return out_of_memory() ? NULL : __libc_realloc(p, bytes);
}
#endif
