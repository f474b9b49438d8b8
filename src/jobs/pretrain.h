/* The pre-training driver: opens or resumes a run folder and goes through the epochs. */
#ifndef JOBS_PRETRAIN_H
#define JOBS_PRETRAIN_H

#include "run/run.h"

Status pretrain_plan(const MaeOptions *o, MaePlan *out, Error *err);
Status pretrain_run(const MaeOptions *o, const MaeEvents *events, MaeSummary *out, Error *err);
/* The same as a task of run_train. */
const Task *pretrain_task(void);

#endif
