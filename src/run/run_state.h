/* The state of a run in its folder: weights, moments, averages and counters. How their files are
 * replaced together is in manifest.h, who writes them in checkpoint_writer.h. */
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
/* The same for who is going to continue it or to begin one there: completes or removes what an
 * interrupted save left, and compares the files with the checksums they were written with. FORMAT:
 * a damaged or exchanged file. */
Status run_state_open(const char *run, bool *there, Error *err);
/* Where the run in RUN stands, without reading a tensor. */
Status run_state_progress(const char *run, Progress *out, Error *err);
/* RUN/last.safetensors and RUN/last.state.safetensors into the run. */
Status run_state_load(const char *run, const RunState *s, Error *err);
/* The training state of a published run (optimiser moments, counters) for parameters of v. */
Status run_state_read_published(const CheckpointFile *c, Vit *v, Optimizer *o, Progress *p,
                                Error *err);

#endif
