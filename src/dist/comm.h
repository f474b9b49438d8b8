/* Many processes as one. A launcher (mpirun, srun) starts the same program several times. Each copy
 * has a rank, and all copies call the functions below in the same order. A Comm that is NULL is a
 * process alone: every function accepts it and then costs nothing.
 *
 * A CommBackend carries the messages. One of two is linked: comm_none.c (always alone) or
 * comm_mpi.c (`make MPI=1`). When a process dies, the launcher notices and ends the others. When a
 * process does not answer, comm_watch notices (watch.h). */
#ifndef DIST_COMM_H
#define DIST_COMM_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

typedef struct Comm Comm;

/* The processes that were started together with this one; joined at the first call, left when the
 * program exits. NULL: alone. */
Status comm_world(Comm **out, Error *err);
int comm_rank(const Comm *c); /* 0, 1, ... */
int comm_size(const Comm *c);
bool comm_is_root(const Comm *c); /* rank 0: the one that writes and talks */
/* From now on rank 0 says which process does not answer, and after so many seconds (0: never) the
 * job is ended with one message. All call it; again, to change the time. */
Status comm_watch(Comm *c, double timeout_s, Error *err);
void comm_watch_unheard(Comm *c); /* the call that it told ends; watching goes on */
/* Processors that this process may use without taking those of others on its machine. */
int comm_processors(const Comm *c);

/* Which MPI this is linked with, "no" without one. It need not have been started. */
void comm_library(char *text, size_t bytes);

/* --- together, waiting --- */

/* x[n] becomes the sum over all processes, the same bits in each. */
void comm_sum(Comm *c, double *x, int64_t n);
/* Everyone gets what rank 0 has. */
void comm_broadcast(Comm *c, void *x, size_t bytes);
/* all[size * bytes]: what each process has, in order of rank; mine must not overlap. */
void comm_gather(Comm *c, void *all, const void *mine, size_t bytes);
/* A step that may fail on some of them: all get the status and message of the lowest rank that
 * failed, with its rank in front. Nobody goes on before everybody is there. */
Status comm_agree(Comm *c, Status status, Error *err);

/* --- together, in the background, between comm_start and comm_wait --- */

/* root < 0: everyone gets the sum of x[n] (of float or double, by number_bytes); otherwise root
 * alone, and x of the others is left undefined. */
void comm_start_sum(Comm *c, void *x, int64_t n, size_t number_bytes, int root);
void comm_start_broadcast(Comm *c, void *x, size_t bytes, int root);
void comm_progress(Comm *c); /* lets what was started go on; call it now and then */
void comm_wait(Comm *c);     /* until all that was started is done */

#endif
