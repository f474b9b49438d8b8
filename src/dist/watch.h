/* Who of several processes answers. Each process beats: every few seconds, also while it computes,
 * it tells rank 0 how far it has come, and rank 0 tells it. A peer whose beats stay away does not
 * answer. A peer that beats but lets the others wait is late, and that is allowed: it has its work.
 *
 * This file decides what follows from beats, and what is said of it. The backend carries them. Rank
 * 0 watches all. The others watch rank 0, which ends the job for all that it can reach. */
#ifndef DIST_WATCH_H
#define DIST_WATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

enum { HOST_BYTES = 64 };

/* What a process says of itself. */
typedef struct Beat {
    int64_t exchanges; /* begun so far: the same number at the same place of the program */
    int64_t waits;     /* for the end of the last one; 0: it works */
} Beat;

typedef struct Watch Watch;

/* hosts[size][HOST_BYTES]: where each process runs; copied. All have answered just now. */
Status watch_new(int rank, int size, const char *hosts, double now, Watch **out, Error *err);
void watch_free(Watch *w); /* accepts NULL */

/* Seconds between beats, and of silence before it is told: 30, or half of the timeout where that is
 * less. A timeout of 0 is none. */
double watch_beat_s(double timeout_s);
double watch_notice_s(double timeout_s);

void watch_heard(Watch *w, int rank, Beat beat);
/* To be called at every beat, after watch_heard: says who does not answer, or is late, and who does
 * so again. True: a peer was silent for timeout_s, or an exchange that all have come to did not end
 * for so long; the job is to be ended, and that was said. */
bool watch_look(Watch *w, Beat mine, double timeout_s, double now);

#endif
