/* What a job tells its listener of progress while a graph runs and while images go through one. */
#ifndef TRAIN_EVENTS_H
#define TRAIN_EVENTS_H

#include <stdbool.h>

#include "data/loader.h"
#include "graph/graph.h"

/* --- a graph's passes ------------------------------------------------------------------------- */

/* How far the passes of a graph are, by the FLOPs of its ops; told about fifty times. */
typedef struct PassWatch {
    Graph *graph;
    double flops, all; /* done, and of all */
    double next;       /* the share at which it is told again */
    void (*tell)(void *user, double share);
    void *user;
} PassWatch;

/* all: FLOPs of the passes that are a share of 1. Takes the graph's observer until watch_end. */
void watch_passes(PassWatch *w, Graph *g, double all, void (*tell)(void *user, double share),
                  void *user);
void watch_restart(PassWatch *w); /* the share is 0 again */
void watch_end(PassWatch *w);     /* accepts one that was never begun */

/* --- images that go through a graph ----------------------------------------------------------- */

typedef struct ImageWatch {
    PassWatch pass;
    Graph *graph;
    const char *phase;
    int64_t batch, done, total;
    double start;
} ImageWatch;

/* Begins to watch `total` images that go through g, `batch` at a time. Until watch_images_end the
 * listener hears how many are through, and g gives a pass up when a stop is asked for. With g NULL,
 * images go through no graph and nothing is told between batches. */
void watch_images(ImageWatch *w, Graph *g, const char *phase, int64_t batch, int64_t total);
/* The loader's next batch; INTERRUPTED says how many images are through. */
Status watch_images_next(const ImageWatch *w, Loader *l, Batch *b, Error *err);
/* Counts n images more. INTERRUPTED when their pass was not whole: nothing more comes then. */
Status watch_images_add(ImageWatch *w, bool whole, int64_t n, Error *err);
void watch_images_end(ImageWatch *w);

#endif
