/* Checkpoints: weights under the published names, with metadata that say what the model is. The
 * training state of a run lies in other files (run_state.h). */
#ifndef CHECKPOINT_CHECKPOINT_H
#define CHECKPOINT_CHECKPOINT_H

#include "base/metrics.h"
#include "checkpoint/classes.h"
#include "checkpoint/dialect.h"
#include "checkpoint/inventory.h"
#include "formats/safetensors.h"
#include "model/autoencoder.h"

/* The weights of a run, in its folder. */
#define WEIGHTS_NAME "last.safetensors"

/* What the metadata says besides the configuration. Free with checkpoint_notes_free. */
typedef struct CheckpointNotes {
    char preset[32];
    MaskKind mask;
    double mask_ratio;
    int64_t epochs, step;
    bool averaged;       /* the weights are the moving average */
    Metrics metrics;     /* of the weights on the validation images, as far as known */
    ClassNames *classes; /* NULL: not known */
} CheckpointNotes;
void checkpoint_notes_free(CheckpointNotes *n);

Status checkpoint_write(const char *path, const Vit *v, const CheckpointNotes *notes, Error *err);

/* What a person can add about a file that does not say it. 0, -1 and NULL add nothing. */
typedef struct CheckpointHints {
    int64_t heads, decoder_heads;
    ReadTarget target;
    const char *prefix;     /* chooses one of several models in a file; NULL: the first */
    const char *mean, *std; /* lists that count more than what the file says */
    bool describe_only;     /* unknown heads stay 0, a refusal goes into `refused` */
    bool said;              /* nothing is logged: the file was opened before */
} CheckpointHints;

/* An open checkpoint of this or another project, with what it says about its model. */
typedef struct CheckpointFile {
    TensorFile *file;
    bool native;
    DialectFile dialect;
    DialectModels models;    /* of the file */
    TensorVerdict *verdicts; /* what becomes of each of its tensors */
    ModelConfig config;      /* embed_dim 0: refused before sizes were known */
    CheckpointNotes notes;
    char unknown[1024]; /* what a foreign file does not say, with the assumptions; "" */
    bool doubtful;      /* results may depend on the assumptions */
    bool target_assumed;
    char done[512];     /* what reading chose and put together, "" */
    char refused[1024]; /* why it cannot be used, "" */
} CheckpointFile;

/* path is a file, a folder of weights of another tool, or a run folder. Of a run folder it opens
 * best.safetensors where there is one (of a classifier), else last.safetensors, and the log says
 * which. hints may be NULL. The log says what had to be assumed, which of several models was
 * chosen, and what was put together. FORMAT: the file is no model, or it says too little and hints
 * do not help. UNSUPPORTED: this library does not compute or understand what it holds. USAGE: no
 * model has the prefix. */
Status checkpoint_open(const char *path, const CheckpointHints *hints, CheckpointFile **out,
                       Error *err);
void checkpoint_close(CheckpointFile *c); /* accepts NULL */
/* Reads every parameter of v. A missing tensor or another shape is an error that names it and both
 * shapes. In a file of this project a tensor that v does not have is an error, too. */
Status checkpoint_read(const CheckpointFile *c, Vit *v, Error *err);
/* Reads the encoder into a classifier that has been initialised, for fine-tuning. A decoder is left
 * out. Positions are interpolated to another grid. rows: for each class of v, the row of the file's
 * head that it begins with; NULL: the head stays as it is. */
Status checkpoint_read_encoder(const CheckpointFile *c, Vit *v, const int *rows, Error *err);
/* Reads what pre-training goes on from into an autoencoder that has been initialised. What the file
 * lacks stays fresh: the decoder of an encoder, the final norm of a mean-pooled classifier.
 * Positions of another grid stay new sin-cos positions. A head is left out. The log says each of
 * these. */
Status checkpoint_read_autoencoder(const CheckpointFile *c, Vit *v, Error *err);

/* Finds the file that a path to a checkpoint means: in a run folder the best or the last weights,
 * otherwise the path itself. *out: mem_free. EMPTY: the folder holds neither a run nor weights of
 * another tool. */
Status checkpoint_find(const char *path, char **out, Error *err);

#endif
