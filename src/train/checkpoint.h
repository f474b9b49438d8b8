/* Checkpoints: weights under the published names with metadata that says what the model is;
 * training state (moments, counters) in a second file. How the two of a run are replaced together
 * is in manifest.h, who writes them in checkpoint_writer.h. */
#ifndef TRAIN_CHECKPOINT_H
#define TRAIN_CHECKPOINT_H

#include "formats/safetensors.h"
#include "model/autoencoder.h"
#include "model/dialect.h"
#include "model/inventory.h"
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
    /* Of all processes: images of what `batch` counts, and of an update; 0: not said. */
    int64_t batch_images, update_images;
    /* Of the whole run: images of updates. seconds stand in the manifest: the same training writes
     * the same state. */
    int64_t images;
    double seconds;
    int64_t data_images, val_images; /* of the sources, 0: not said */
    double mean_loss;                /* over the mean_count updates of the last epoch that ended */
    int64_t mean_count;
    double top1, top5, val_loss, ema_top1; /* measured last; -1: not */
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

/* What a person can add about a file that does not say it; 0 and -1: nothing. */
typedef struct CheckpointHints {
    int64_t heads, decoder_heads;
    int target;             /* a TargetKind, -1 */
    const char *prefix;     /* which model of a file that holds several; NULL: the first */
    const char *mean, *std; /* lists that count more than what the file says; NULL */
    bool describe_only;     /* heads that nobody says are 0, what is refused is said in `refused` */
    bool said;              /* nothing goes into the log: it was opened before */
} CheckpointHints;

/* A checkpoint of this project or of another one, open, with what it says about its model. */
typedef struct CheckpointFile {
    TensorFile *file;
    bool native;
    DialectFile dialect;
    DialectModels models;    /* of the file */
    TensorVerdict *verdicts; /* what becomes of each of its tensors */
    ModelConfig config;      /* embed_dim 0: refused before sizes were known */
    CheckpointNotes notes;
    char unknown[1024]; /* what a foreign file does not say and how it was taken, "" */
    bool doubtful;      /* results depend on it */
    bool target_assumed;
    char done[512];     /* what was chosen and put together on reading it, "" */
    char refused[1024]; /* why it cannot be used, "" */
} CheckpointFile;

/* path: a file, a folder of weights of another tool, or a run folder, of which it takes
 * best.safetensors where there is one (of a classifier), else last.safetensors, and says so.
 * hints may be NULL. Says in the log what it had to assume, which of several models it chose, and
 * what it put together. FORMAT when the file is no model, or says too little and hints do not help;
 * UNSUPPORTED when it holds what this library does not compute or does not understand; USAGE for a
 * prefix that it does not have. */
Status checkpoint_open(const char *path, const CheckpointHints *hints, CheckpointFile **out,
                       Error *err);
void checkpoint_close(CheckpointFile *c); /* accepts NULL */
/* Every parameter of v from the file. A missing tensor or another shape is an error that names it
 * and both shapes; in a file of this project a foreign one, too. */
Status checkpoint_read(const CheckpointFile *c, Vit *v, Error *err);
/* What fine-tuning starts from: the encoder of the file into a classifier that has been
 * initialised. A decoder is left out, positions are interpolated to another grid. rows: the row of
 * the file's head that each class of v begins with, NULL: the head stays as it is. */
Status checkpoint_read_encoder(const CheckpointFile *c, Vit *v, const int *rows, Error *err);
/* What pre-training goes on from, into an autoencoder that has been initialised: what the file has
 * not stays fresh (the decoder of an encoder, the final norm of a mean-pooled classifier),
 * positions of another grid stay new sin-cos positions, a head is left out. Each is said. */
Status checkpoint_read_autoencoder(const CheckpointFile *c, Vit *v, Error *err);
/* The training state of a published run (optimiser moments, counters) for parameters of v. */
Status checkpoint_read_published_state(const CheckpointFile *c, Vit *v, Optimizer *o, Progress *p,
                                       Error *err);

/* The file that is meant where a checkpoint is asked for: in a run folder the best or the last
 * weights, otherwise the path itself. mem_free. EMPTY: a folder that holds neither a run nor
 * weights of another tool. */
Status checkpoint_find(const char *path, char **out, Error *err);
/* Does RUN hold a run? Only looks. */
bool checkpoint_run_exists(const char *run);
/* The same for who is going to continue it or to begin one there: completes or removes what an
 * interrupted save left, and compares the files with the checksums they were written with. FORMAT:
 * a damaged or exchanged file. */
Status checkpoint_open_run(const char *run, bool *there, Error *err);
/* Where the run in RUN stands, without reading a tensor. */
Status checkpoint_load_progress(const char *run, Progress *out, Error *err);
/* RUN/last.safetensors and RUN/last.state.safetensors into the run. */
Status checkpoint_load_run(const char *run, const RunState *s, Error *err);

#endif
