/* A run's state small enough to be saved hundreds of times: a model, moments, averages, all of them
 * numbers that follow from the step. Functions abort on failure. */
#ifndef TESTS_UNIT_SMALL_RUN_H
#define TESTS_UNIT_SMALL_RUN_H

#include "run/checkpoint_writer.h"
#include "run/run_state.h"

typedef struct SmallRun {
    Device *device;
    RunState state;
    Progress progress;
    CheckpointNotes notes;
} SmallRun;

void small_run_make(SmallRun *r);
void small_run_free(SmallRun *r);
/* What training would have brought it to. */
void small_run_set(SmallRun *r, int64_t step);
/* Is everything as small_run_set leaves it? */
bool small_run_is(const SmallRun *r, int64_t step);
/* The step of the checkpoint in the folder after recovery, 0 when there is none; its tensors must
 * be those of that step. */
int64_t small_run_on_disk(const char *folder);
CheckpointWriter *small_run_writer(const SmallRun *r, const char *folder, bool asynchronous);
/* Sets the step, saves it as checkpoint-STEP too, and waits. */
Status small_run_save(SmallRun *r, CheckpointWriter *w, int64_t step, Error *err);

#endif
