/* libgomp lets a thread poll up to 300,000 times, milliseconds, at the end of every loop and
 * between two loops, before it sleeps. On a machine with other work that takes the processor from
 * the very thread that is waited for. Only the environment can say otherwise, and libgomp has read
 * it before a program's first line. But libgomp polls 100 times at most while its teams have more
 * threads than there are processors (gomp_managed_threads and gomp_available_cpus in do_spin of its
 * wait.h). So a thread of ours, the keeper, holds a team with more threads than processors, asleep,
 * while a device is open. It must be so many alone: its own threads would otherwise poll for long
 * when they wait for the first time, just when a program reads its model.
 *
 * Another libgomp may count otherwise: then waits are long, and nothing else changes. */
#include "kernels/waits.h"

#if defined(_OPENMP) && !defined(__clang__)

#include <omp.h>
#include <stdlib.h>

#include "base/fork.h"
#include "base/processors.h"
#include "base/threads.h"

static pthread_mutex_t devices = PTHREAD_MUTEX_INITIALIZER; /* held to open or close one */
static int n_devices;
static bool keeps;
static Thread keeper;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of what the keeper reads */
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int n_idle; /* threads of its team that are there; 0: not yet */
static bool leave;

/* A team stays with the thread that made it, until that ends. */
static void keep_team(void *user) {
    int size = *(const int *)user, there = 0;
#pragma omp parallel num_threads(size) reduction(+ : there)
    there += 1;
    pthread_mutex_lock(&lock);
    n_idle = there;
    pthread_cond_broadcast(&changed);
    while (!leave) pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
}

static void end_keeper(void) {
    if (!keeps) return;
    pthread_mutex_lock(&lock);
    leave = true;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
    thread_join(&keeper);
    keeps = false;
}

/* Of a team, libgomp counts all threads but one, and one for the program. */
static void start_keeper(void) {
    int size = omp_get_num_procs() + 1;
    n_idle = 0;
    leave = false;
    keeps = thread_start(&keeper, keep_team, &size) == 0;
    pthread_mutex_lock(&lock);
    while (keeps && n_idle == 0) pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
}

static bool is_decided(void) {
    return getenv("OMP_WAIT_POLICY") || getenv("GOMP_SPINCOUNT") || processors_are_bound();
}

void waits_shorten(int n_threads) {
    if (n_threads < 2) return;
    pthread_mutex_lock(&devices);
    if (n_devices++ == 0 && !is_decided()) start_keeper();
    pthread_mutex_unlock(&devices);
}

void waits_restore(int n_threads) {
    if (n_threads < 2 || fork_is_child()) return;
    pthread_mutex_lock(&devices);
    if (--n_devices == 0) end_keeper();
    pthread_mutex_unlock(&devices);
}

#else

void waits_shorten(int n_threads) {
    (void)n_threads;
}

void waits_restore(int n_threads) {
    (void)n_threads;
}

#endif
