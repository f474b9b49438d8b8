/* Checkpoints: weights under the published names with metadata that says what the model is;
 * training state (moments, counters) in a second file. Both are replaced together: written as
 * next.*, then renamed; a crash between the two renames is repaired when resuming. */
#ifndef TRAIN_CHECKPOINT_H
#define TRAIN_CHECKPOINT_H

#include "formats/safetensors.h"
#include "model/autoencoder.h"
#include "train/optimizer.h"

/* Where a run stands; everything that a resumed run needs besides weights and moments. */
typedef struct Progress {
    int64_t step, epoch, batch; /* updates done; position in the data: next batch of epoch */
    int64_t skipped;            /* updates skipped because something was not finite */
    uint64_t seed;
    double log_loss, epoch_loss, log_norm; /* sums since the last line of each kind */
    int64_t log_count, epoch_count;
} Progress;

/* What the metadata says besides the configuration. */
typedef struct CheckpointNotes {
    char preset[32];
    MaskKind mask;
    double mask_ratio;
    int64_t epochs, step;
} CheckpointNotes;

Status checkpoint_write(const char *path, const Autoencoder *a, const CheckpointNotes *notes,
                        Error *err);
/* Model description of an open file, from the metadata of this project. */
Status checkpoint_config(const SafeTensors *file, ModelConfig *c, CheckpointNotes *notes,
                         Error *err);
/* Every parameter of a from the file (F32, F16 or BF16). A missing or foreign tensor, or another
 * shape, is an error that names it and both shapes. */
Status checkpoint_load_weights(const SafeTensors *file, Autoencoder *a, Error *err);
/* Opens, describes, makes and fills a model. */
Status checkpoint_load(const char *path, Device *d, Autoencoder **out, CheckpointNotes *notes,
                       Error *err);

/* RUN/last.safetensors and RUN/last.state.safetensors, together. */
Status checkpoint_save_run(const char *run, const Autoencoder *a, const CheckpointNotes *notes,
                           Optimizer *o, const Progress *p, Error *err);
/* Does RUN hold a run that can be continued? Repairs an interrupted replacement. */
bool checkpoint_run_exists(const char *run);
Status checkpoint_load_run(const char *run, Autoencoder *a, Optimizer *o, Progress *p, Error *err);

#endif
