/* The state of a run in its folder: weights, moments, averages and counters. manifest.h says how
 * their files are replaced together, checkpoint_writer.h who writes them. */
#ifndef RUN_RUN_STATE_H
#define RUN_RUN_STATE_H

#include "checkpoint/checkpoint.h"
#include "run/progress.h"
#include "train/ema.h"
#include "train/optimizer.h"

/* What a run is made of; ema may be NULL. */
typedef struct RunState {
    Vit *model;
    Optimizer *optimizer;
    Ema *ema;
    Progress *progress;
} RunState;

/* Does RUN hold a run? Only looks. */
bool run_state_exists(const char *run);
/* The same for a caller that will continue it or begin one there. It completes or removes what an
 * interrupted save left, and compares the files with their recorded checksums. FORMAT: a damaged or
 * exchanged file. */
Status run_state_open(const char *run, bool *there, Error *err);
/* Where the run in RUN stands, without reading a tensor. */
Status run_state_progress(const char *run, Progress *out, Error *err);
/* Reads RUN/last.safetensors and the training state beside it, one file or its parts, into s. */
Status run_state_load(const char *run, const RunState *s, Error *err);
/* Reads the training state of a published run (moments, counters) for parameters of v. */
Status run_state_read_published(const CheckpointFile *c, Vit *v, Optimizer *o, Progress *p,
                                Error *err);

#endif
