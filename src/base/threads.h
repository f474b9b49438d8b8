/* Threads outside the kernels, which all start here, what time it is and how much memory is in use.
 * Mutexes and conditions of pthreads are not wrapped; processors.h knows where threads may run. */
#ifndef BASE_THREADS_H
#define BASE_THREADS_H

#include <pthread.h>
#include <stdint.h>

#include "base/listener.h"

/* A thread of the library. It works for the call of the thread that starts it (listener.h), which
 * must join it before that call ends. It gets no signals, which are for the threads of the program,
 * and may run on all processors. */
typedef struct Thread {
    pthread_t id;
    void (*run)(void *user);
    void *user;
    Call *call;
} Thread;

/* 0, or an errno value. *t must stay where it is. */
int thread_start(Thread *t, void (*run)(void *user), void *user);
void thread_join(Thread *t);

double clock_seconds(void);      /* never goes back */
int64_t process_rss_bytes(void); /* resident set now, 0 when unknown */
int64_t process_peak_rss_bytes(void);
int64_t system_free_bytes(void); /* could be taken without swapping, 0 when unknown */

#endif
