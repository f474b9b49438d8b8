/* Private to loader*.c: the loader and the slots of its ring. loader_place.c knows where in the
 * data a batch and its items are, loader_sample.c makes one item, loader_ring.c has workers make
 * them in order and hands batches out, loader.c opens and closes. */
#ifndef DATA_LOADER_INTERNAL_H
#define DATA_LOADER_INTERNAL_H

#include <pthread.h>

#include "base/threads.h"
#include "data/loader.h"

typedef struct Slot {
    int64_t epoch, index, n;
    int64_t n_done;
    uint8_t *pixels;
    float *images;    /* NULL: not wanted */
    int64_t *samples; /* -1: left out */
    Label *labels;
    int64_t failed_item; /* -1: none; otherwise the first item that failed, and why */
    Error error;
} Slot;

struct Loader {
    Dataset *dataset;
    LoaderOptions options;
    float mean[IMAGE_MAX_CHANNELS], std[IMAGE_MAX_CHANNELS];
    int64_t count;     /* images */
    int64_t total;     /* virtual samples in an epoch */
    int64_t per_epoch; /* batches */
    int64_t n_batches; /* until the end, counted from the first one; INT64_MAX: no end */
    size_t sample_values, sample_bytes; /* of the pixels of an image */
    Slot *slots;
    int64_t n_slots;
    ResampleScratch scratch; /* for n_workers 0 */

    pthread_mutex_t lock;          /* guards everything below and the counters of the slots */
    pthread_cond_t room;           /* a slot was given back, or stop */
    pthread_cond_t ready;          /* a batch is complete */
    int64_t next_batch, next_item; /* the sample that the next free worker takes */
    int64_t taken;                 /* batches handed to the consumer */
    int64_t returned;              /* batches it has given back, taken or taken - 1 */
    bool stop;
    uint8_t *unreadable; /* [count] */
    int64_t n_unreadable;
    char fault[600]; /* of the first unreadable image */

    Thread *threads;
    int n_threads;
};

/* --- loader_place.c: arithmetic --------------------------------------------------------------- */

/* Fills total, per_epoch and n_batches from count and options. EMPTY, UNSUPPORTED. */
Status loader_count_batches(Loader *l, Error *err);
/* Epoch, index and length of a batch, counted from the start of this loader, into its slot. */
void loader_place_batch(const Loader *l, int64_t batch, Slot *slot);
/* Where an item of a batch is in the epoch's order, and the virtual sample at such a place. */
int64_t loader_position(const Loader *l, const Slot *slot, int64_t item);
int64_t loader_virtual_sample(const Loader *l, int64_t epoch, int64_t position);

/* --- loader_sample.c: one item ---------------------------------------------------------------- */

/* Sample number, label, pixels and normalised image of one item into its slot. Called without the
 * lock; scratch belongs to the thread. */
Status loader_make_sample(Loader *l, Slot *slot, int64_t item, ResampleScratch *scratch,
                          Error *err);

/* --- loader_ring.c: workers ------------------------------------------------------------------- */

Status loader_start_workers(Loader *l, Error *err);
void loader_stop_workers(Loader *l); /* joins them */

/* --- loader.c --------------------------------------------------------------------------------- */

Status loader_no_memory(Error *err);
void loader_free_labels(const Loader *l, Slot *slot); /* what a LabelKind made for it */

#endif
