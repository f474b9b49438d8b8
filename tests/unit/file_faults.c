/* See file_faults.h. The functions of the C library are replaced by system calls of the same name;
 * what the C library writes by itself (stdio) does not come here. */
#include "file_faults.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

static atomic_int_least64_t countdown; /* to the operation that does not happen; <= 0: no plan */
static atomic_int planned;             /* its errno, 0: the end */
static atomic_int link_error;
static atomic_int_least64_t delay_us;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t opened = PTHREAD_COND_INITIALIZER;
static bool closed;
static pthread_t keeper;

void faults_kill_at(int64_t n) {
    atomic_store(&planned, 0);
    atomic_store(&countdown, n);
}

void faults_fail_at(int64_t n, int error) {
    atomic_store(&planned, error);
    atomic_store(&countdown, n);
}

bool faults_pending(void) {
    return atomic_load(&countdown) > 0;
}

void faults_fail_links(int error) {
    atomic_store(&link_error, error);
}

void faults_delay(int64_t microseconds) {
    atomic_store(&delay_us, microseconds);
}

void faults_gate(bool now_closed) {
    pthread_mutex_lock(&lock);
    closed = now_closed;
    keeper = pthread_self();
    pthread_cond_broadcast(&opened);
    pthread_mutex_unlock(&lock);
}

/* True: the operation is to fail, errno says how. */
static bool falls(void) {
    pthread_mutex_lock(&lock);
    while (closed && !pthread_equal(keeper, pthread_self())) pthread_cond_wait(&opened, &lock);
    pthread_mutex_unlock(&lock);
    if (atomic_load(&delay_us) > 0) usleep((useconds_t)atomic_load(&delay_us));
    if (atomic_load(&countdown) <= 0 || atomic_fetch_sub(&countdown, 1) != 1) return false;
    if (atomic_load(&planned) == 0) kill(getpid(), SIGKILL);
    errno = atomic_load(&planned);
    return true;
}

ssize_t write(int fd, const void *data, size_t bytes) {
    return fd > 2 && falls() ? -1 : syscall(SYS_write, fd, data, bytes);
}

/* A killed process loses nothing that it has written, and waiting for the disk takes most of the
 * time of a small save: without effect. */
int fsync(int fd) {
    (void)fd;
    return falls() ? -1 : 0;
}

int rename(const char *from, const char *to) {
    return falls() ? -1 : (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
}

int link(const char *from, const char *to) {
    if (falls()) return -1;
    if (atomic_load(&link_error) == 0)
        return (int)syscall(SYS_linkat, AT_FDCWD, from, AT_FDCWD, to, 0);
    errno = atomic_load(&link_error);
    return -1;
}

int unlink(const char *path) {
    return falls() ? -1 : (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0);
}
