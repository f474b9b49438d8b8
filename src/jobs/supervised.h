/* What fine-tuning and probing share. A classifier is made on the encoder of a checkpoint, or on
 * fresh weights. The training loop trains it and validates it after an epoch. The functions from
 * supervised_make on are rows of a Task. */
#ifndef JOBS_SUPERVISED_H
#define JOBS_SUPERVISED_H

#include "infer/cached_features.h"
#include "infer/evaluate.h"
#include "run/run.h"
#include "train/labelled_batch.h"

/* The task_data of their runs. */
typedef struct Supervised {
    LabelledBatch *batch;
    Dataset *val;
    int *train_map, *val_map;                      /* classes of the data to classes of the model */
    SessionJob val_images;                         /* the pass of a validation */
    Session *session;                              /* to validate, and for the caches */
    CachedFeatures *train_features, *val_features; /* NULL: the encoder runs */
    GraphPeers peers;                              /* share the statistics of a batch norm */
} Supervised;

/* The batch of the options. The caller sets what depends on loader and processes. */
LabelledOptions supervised_batch(const MaeOptions *o);
/* Is it --init none? */
bool supervised_from_scratch(const MaeOptions *o);
/* Configures the encoder from the run itself, from the checkpoint, or from the options. A resumed
 * run keeps the classes that it began with, in their order. */
Status supervised_configure_encoder(Run *r, Error *err);
/* Configures all: the encoder, training images, classes, and a head of that kind. */
Status supervised_configure(Run *r, HeadKind head, Error *err);
Status supervised_make(Run *r, Error *err);
Status supervised_start(Run *r, Error *err);
Status supervised_open(Run *r, Error *err);
Status supervised_set_batch(Run *r, Batch *b, Error *err);
Status supervised_end_epoch(Run *r, LogLine *line, Error *err);
void supervised_close(Run *r);
Status supervised_describe(Run *r, Vit *v, GraphCost *out, Error *err);

#endif
