/* See fork.h. */
#include "base/fork.h"

#include <pthread.h>
#include <stdatomic.h>

static atomic_bool is_child;

static void on_fork(void) {
    is_child = true;
}

static void watch_forks(void) {
    pthread_atfork(NULL, NULL, on_fork);
}

Status fork_check(Error *err) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, watch_forks);
    if (!is_child) return MAE_OK;
    return error_set(err, MAE_UNSUPPORTED,
                     "this process was forked from one that had used the library, and the threads "
                     "stayed there; fork before the first call, or start a program (exec, "
                     "posix_spawn; in Python multiprocessing.get_context(\"spawn\"))");
}

bool fork_is_child(void) {
    return is_child;
}
