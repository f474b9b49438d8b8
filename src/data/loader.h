/* Samples in order. Worker threads decode and augment into a ring of batches, which the consumer
 * takes in sequence. What a sample becomes depends only on (seed, epoch, index). With n_workers 0,
 * loader_next does the work.
 *
 * An unreadable image is named once in the log and counted. The next readable image of the epoch's
 * order (wrapping) takes its place, or it is left out where every image counts once. With strict it
 * is an error. */
#ifndef DATA_LOADER_H
#define DATA_LOADER_H

#include "data/label.h"

typedef struct LoaderOptions {
    Augment augment;
    int64_t batch;
    int n_workers;
    int64_t n_ahead; /* batches in the ring, 0 = 4 */
    uint64_t seed;
    bool shuffle;   /* rng_permute per epoch; otherwise 0,1,2,... */
    bool drop_last; /* otherwise the last batch of an epoch is shorter */
    int64_t repeat; /* each epoch visits every image this often (>= 1) with other draws */
    bool strict;
    /* An unreadable image is left out: batches may be shorter, and those without an image are
     * skipped. The dataset remembers it. Not with mean. */
    bool leave_out;
    bool named;    /* somebody named each image: an unreadable one is an error in the log */
    int64_t limit; /* without shuffle: samples from this one on are left out; 0: none */
    int64_t first; /* without shuffle: samples before this one are left out */
    /* A batch of the epoch is cut among n_ranks processes (0 = 1), `batch` samples to each. The
     * i-th sample from the front of a batch and the i-th from its back go to the same process, so
     * that mixing, which pairs them, is the same for any number. Wants drop_last. */
    int64_t rank, n_ranks;
    bool indices_only;   /* samples and labels, no pixels: for features that are there already */
    int64_t start_epoch; /* resume: the first batch is batch start_batch of start_epoch */
    int64_t start_batch;
    int64_t n_epochs;        /* ends after this epoch count (exclusive epoch number); 0 = never */
    const LabelKind *labels; /* NULL: the classes of the source are all */
    Stop *stop;              /* loader_next gives no more batches, INTERRUPTED; may be NULL */
    /* [C], copied; both or neither: batches also have normalised images, augment.erase applied. */
    const float *mean, *std;
} LoaderOptions;

typedef struct Batch {
    int64_t epoch, index;   /* batch number within the epoch */
    int64_t end;            /* samples of the epoch up to here, those left out included */
    int64_t n;              /* samples here, <= options.batch */
    MaeType type;           /* of the pixels, dataset_type */
    const uint8_t *pixels;  /* [n, height, width, C] of that type */
    const int64_t *samples; /* [n] virtual sample index: position in [0, count*repeat) */
    const Label *labels;    /* [n] */
    float *images;          /* [n, C, height, width], the consumer's to change; NULL without mean */
} Batch;

typedef struct Loader Loader;
/* The place within a batch of n_ranks * batch samples of the i-th sample of a process. */
int64_t loader_place(int64_t rank, int64_t n_ranks, int64_t batch, int64_t i);
/* The dataset must outlive the loader. Fails (EMPTY) when an epoch has no batch, saying what to
 * change. */
Status loader_open(Dataset *d, LoaderOptions options, Loader **out, Error *err);
int64_t loader_batches_per_epoch(const Loader *l);
/* The next batch, valid until the next call. out->n == 0 at the end. After INTERRUPTED the loader
 * can only be closed. */
Status loader_next(Loader *l, Batch *out, Error *err);
int64_t loader_unreadable(const Loader *l); /* distinct images that could not be read so far */
/* Why the first of them could not; "" when there are none, or a loader before this one said it. */
const char *loader_fault(const Loader *l);
/* The same in detail: out[count of images used] is 1 where an image could not be read. */
int64_t loader_images(const Loader *l);
void loader_unreadable_images(const Loader *l, uint8_t *out);
void loader_close(Loader *l); /* stops and joins the workers; accepts NULL */

#endif
