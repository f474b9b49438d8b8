/* Threads, and what the system says about time and memory of this process (Linux). */
#include "base/threads.h"

#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/processors.h"

static void *begin(void *user) {
    Thread *t = user;
    processors_unbind_thread();
    call_set_of_thread(t->call);
    t->run(t->user);
    return NULL;
}

int thread_start(Thread *t, void (*run)(void *user), void *user) {
    sigset_t all, before;
    *t = (Thread){.run = run, .user = user, .call = call_of_thread()};
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = pthread_create(&t->id, NULL, begin, t);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return rc;
}

void thread_join(Thread *t) {
    pthread_join(t->id, NULL);
}

/* The system's clock should not go back, but some virtual ones do: then time stands still for one
 * reading and goes on from there. */
double clock_seconds(void) {
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static double latest, behind;
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    double now = (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
    pthread_mutex_lock(&lock);
    if (now + behind < latest) behind = latest - now;
    latest = now = now + behind;
    pthread_mutex_unlock(&lock);
    return now;
}

int64_t process_rss_bytes(void) {
    FILE *f = fopen("/proc/self/statm", "re");
    if (f == NULL) return 0;
    long long total = 0, resident = 0;
    int n = fscanf(f, "%lld %lld", &total, &resident);
    fclose(f);
    return n == 2 ? (int64_t)resident * (int64_t)sysconf(_SC_PAGESIZE) : 0;
}

int64_t process_peak_rss_bytes(void) {
    struct rusage usage;
    return getrusage(RUSAGE_SELF, &usage) == 0 ? (int64_t)usage.ru_maxrss * 1024 : 0;
}

int64_t system_free_bytes(void) {
    FILE *f = fopen("/proc/meminfo", "re");
    if (f == NULL) return 0;
    long long kilobytes = 0;
    int n = fscanf(f, "MemTotal: %*d kB MemFree: %*d kB MemAvailable: %lld", &kilobytes);
    fclose(f);
    return n == 1 ? (int64_t)kilobytes * 1024 : 0;
}
