/* Where a run stands, and its place in the metadata of the training state. */
#ifndef RUN_PROGRESS_H
#define RUN_PROGRESS_H

#include "checkpoint/checkpoint_meta.h"

/* Where a run stands: all that a resumed run needs beside weights and moments. */
typedef struct Progress {
    int64_t step, epoch, batch; /* updates done; position in the data: next batch of epoch */
    int64_t skipped;            /* updates skipped because something was not finite */
    uint64_t seed;
    double log_loss, epoch_loss, log_norm; /* sums since the last line of each kind */
    int64_t log_count, epoch_count;
    double last_lr, last_norm; /* of the last update */
    bool epoch_open;           /* the epoch is over, but not yet measured and logged */
    /* Images of all processes: in a batch as `batch` counts, in an update; 0: not said. */
    int64_t batch_images, update_images;
    /* Of the whole run: the images of all updates. seconds are written to the manifest and not to
     * the state, so that the same training writes the same state. */
    int64_t images;
    double seconds;
    int64_t data_images, val_images; /* of the sources, 0: not said */
    double mean_loss;                /* over the mean_count updates of the last epoch that ended */
    int64_t mean_count;
    /* The last measurement, of metrics that the task names. Of the first metric also the last value
     * of averaged weights, and the best of the run. NAN: not measured. */
    Metrics measured;
    double averaged, best;
    int64_t best_epoch;
} Progress;

void progress_put(Meta *m, const Progress *p, int64_t updates);
/* p->measured names the metrics to look for. FORMAT: not the state of a run. */
Status progress_get(const TensorFile *f, Progress *p, int64_t *updates, Error *err);

#endif
