/* Fine-tuning (whole, partial, from scratch) and linear probing: tasks of the training loop. */
#ifndef JOBS_FINETUNE_H
#define JOBS_FINETUNE_H

#include "run/run.h"

Status finetune_run(const MaeOptions *o, const MaeEvents *events, MaeSummary *out, Error *err);
Status probe_run(const MaeOptions *o, const MaeEvents *events, MaeSummary *out, Error *err);
/* command: FINETUNE or PROBE. */
Status finetune_plan(MaeCommand command, const MaeOptions *o, MaePlan *out, Error *err);
const Task *finetune_task(MaeCommand command);

#endif
