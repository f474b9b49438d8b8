/* What a job tells the listener of the public interface, also while a graph runs, and when it is to
 * stop. events may be NULL everywhere. */
#ifndef TRAIN_EVENTS_H
#define TRAIN_EVENTS_H

#include <stdbool.h>

#include "data/loader.h"
#include "graph/graph.h"
#include "mae.h"

bool events_stop(const MaeEvents *events);
/* What says so; NULL: nothing ever does. */
const volatile int *events_stop_flag(const MaeEvents *events);

/* --- a graph's passes ------------------------------------------------------------------------- */

/* How far the passes of a graph are, by the FLOPs of its ops; told a few dozen times. */
typedef struct PassWatch {
    Graph *graph;
    double flops, all; /* done, and of all */
    double next;       /* the share at which it is told again */
    void (*tell)(void *user, double share);
    void *user;
} PassWatch;

/* all: FLOPs of the passes that are 1 together. Takes the graph's observer until watch_end. */
void watch_passes(PassWatch *w, Graph *g, double all, void (*tell)(void *user, double share),
                  void *user);
void watch_restart(PassWatch *w); /* the share is 0 again */
void watch_end(PassWatch *w);     /* accepts one that was never begun */

/* --- images that go through a graph ----------------------------------------------------------- */

typedef struct ImageWatch {
    PassWatch pass;
    Graph *graph;
    const MaeEvents *events;
    const char *phase;
    int64_t batch, done, total;
    double start;
} ImageWatch;

/* total images will go through g, batch of them at a time; NULL: through no graph, and nothing is
 * told between batches. Until watch_images_end their number is
 * told as it grows, and passes are given up when a stop is asked for. */
void watch_images(ImageWatch *w, Graph *g, const MaeEvents *events, const char *phase,
                  int64_t batch, int64_t total);
/* The loader's next batch; INTERRUPTED says how many images are through. */
Status watch_images_next(const ImageWatch *w, Loader *l, Batch *b, Error *err);
/* n images are through, or, when their pass was not whole, nothing more will be: INTERRUPTED. */
Status watch_images_add(ImageWatch *w, bool whole, int64_t n, Error *err);
void watch_images_end(ImageWatch *w);

#endif
