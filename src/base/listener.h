/* Who hears what a call of the public interface says while it works, and whether the call is to
 * stop. Both belong to the call and never to the process: each thread knows the call it works for.
 * mae.c sets it around every call, and thread_start hands it on to the threads of the library.
 * Threads of OpenMP know none, so kernels neither log nor ask.
 *
 * A listener's functions are called one at a time, from any thread of its calls. Only the thread
 * that made a call asks whether to stop. */
#ifndef BASE_LISTENER_H
#define BASE_LISTENER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "base/status.h"

/* Who listens to one job, or to all calls with one model. */
typedef struct Listener {
    MaeEvents events;
    pthread_mutex_t lock; /* held while one of its functions runs */
} Listener;

/* Copies *events; NULL: nobody hears anything. */
void listener_open(Listener *l, const MaeEvents *events);
void listener_close(Listener *l);

/* Is something to be given up? Whoever may be stopped has a pointer to one; NULL: goes on to the
 * end. */
typedef struct Stop {
    int (*ask)(void *user); /* NULL: nobody */
    void *user;
    atomic_bool asked; /* stays; other threads than that of the call read this alone */
    double next;       /* when to ask again */
} Stop;

/* Asks, unless the last answer is younger than STOP_ASK_S. s may be NULL. Only for the thread of
 * the call. */
#define STOP_ASK_S 0.02
bool stop_asked(Stop *s);

/* What a thread works for. */
typedef struct Call {
    Listener *listener; /* NULL: nobody hears anything */
    Stop stop;
    struct Call *outer; /* a listener's function may call the library with other objects */
} Call;

/* Makes it the calling thread's until call_end. The listener, which may be NULL, must outlive it.
 * UNSUPPORTED, and nothing begun: a child of fork() (fork.h). */
Status call_begin(Call *c, Listener *l, Error *err);
void call_end(Call *c);
Call *call_of_thread(void);       /* NULL: none */
void call_set_of_thread(Call *c); /* of a thread of the library */
Stop *call_stop(void);            /* NULL: nobody can ask for one */
void call_log(int level, const char *line);
bool call_hears_progress(void);
void call_progress(const MaeProgress *p); /* and it may ask for a stop right away */
bool call_hears_plan(void);
void call_plan(const MaeResult *plan);
void call_record(const MaeResult *record);

#endif
