/* The thread that beats (watch.h), beside a program that calls MPI from another thread: whoever
 * calls MPI holds `lock`. Linked with `make MPI=1` only. */
#ifndef DIST_HEART_MPI_H
#define DIST_HEART_MPI_H

#include <mpi.h>
#include <pthread.h>

#include "base/threads.h"
#include "dist/watch.h"

typedef struct Heart {
    pthread_mutex_t lock; /* of MPI, and of what follows */
    Beat beat;            /* the next one */
    double timeout_s;
    bool beats, leaving;
    bool ended; /* the job is being ended: nothing may wait for it */
    int rank, size;
    MPI_Comm comm;
    MPI_Request *request; /* of the beat that was last sent to each */
    Beat *sent;
    Watch *watch;
    Thread thread;
    pthread_cond_t changed;
    pthread_mutex_t speech; /* held while the thread looks at the others and tells */
    Call *call;             /* who hears it: of the job under way; NULL: nobody */
} Heart;

/* All processes of `comm` call it together; MPI must allow more than one thread. */
Status heart_start(Heart *h, MPI_Comm comm, double timeout_s, Error *err);
/* Who hears from now on which process does not answer. NULL before the call ends. */
void heart_tell(Heart *h, Call *call);
/* Once nobody waits for anybody any more. Nothing, when it was never started. */
void heart_stop(Heart *h);

#endif
