/* Checkpoints: weights under the published names with metadata that says what the model is;
 * training state (moments, counters) in a second file. Both are replaced together: written as
 * next.*, then renamed; a crash between the two renames is repaired when resuming. */
#ifndef TRAIN_CHECKPOINT_H
#define TRAIN_CHECKPOINT_H

#include "formats/safetensors.h"
#include "model/autoencoder.h"
#include "train/classes.h"
#include "train/ema.h"
#include "train/optimizer.h"

/* Where a run stands; everything that a resumed run needs besides weights and moments. */
typedef struct Progress {
    int64_t step, epoch, batch; /* updates done; position in the data: next batch of epoch */
    int64_t skipped;            /* updates skipped because something was not finite */
    uint64_t seed;
    double log_loss, epoch_loss, log_norm; /* sums since the last line of each kind */
    int64_t log_count, epoch_count;
    double last_lr, last_norm; /* of the last update */
    bool epoch_open;           /* the epoch is over, but not yet measured and logged */
    double best_top1;          /* of classifiers, on the validation images; -1: none yet */
    int64_t best_epoch;
} Progress;

/* What a run is made of; ema may be NULL. */
typedef struct RunState {
    Vit *model;
    Optimizer *optimizer;
    Ema *ema;
    Progress *progress;
} RunState;

/* What the metadata says besides the configuration. Free with checkpoint_notes_free. */
typedef struct CheckpointNotes {
    char preset[32];
    MaskKind mask;
    double mask_ratio;
    int64_t epochs, step;
    bool averaged;       /* the weights are the moving average */
    double top1;         /* of the weights on the validation images, -1: not known */
    ClassNames *classes; /* NULL: not known */
} CheckpointNotes;
void checkpoint_notes_free(CheckpointNotes *n);

Status checkpoint_write(const char *path, const Vit *v, const CheckpointNotes *notes, Error *err);
/* Model description of an open file, from the metadata of this project. */
Status checkpoint_config(const SafeTensors *file, ModelConfig *c, CheckpointNotes *notes,
                         Error *err);
/* Every parameter of v from the file (F32, F16 or BF16). A missing or foreign tensor, or another
 * shape, is an error that names it and both shapes. */
Status checkpoint_load_weights(const SafeTensors *file, Vit *v, Error *err);
/* What fine-tuning starts from: the encoder of the file (a model of config `there`) into a
 * classifier that has been initialised. A decoder is left out, positions are interpolated to
 * another grid, the head is taken over when it is the same. */
Status checkpoint_load_encoder(const SafeTensors *file, const ModelConfig *there, Vit *v,
                               Error *err);
/* Opens, describes, makes and fills a model. */
Status checkpoint_load(const char *path, Device *d, Vit **out, CheckpointNotes *notes, Error *err);

/* RUN/last.safetensors and RUN/last.state.safetensors, together. */
Status checkpoint_save_run(const char *run, const RunState *s, const CheckpointNotes *notes,
                           Error *err);
/* Does RUN hold a run that can be continued? Repairs an interrupted replacement. */
bool checkpoint_run_exists(const char *run);
Status checkpoint_load_run(const char *run, const RunState *s, Error *err);

#endif
