/* The pre-training driver: opens or resumes a run folder and goes through the epochs. */
#ifndef TRAIN_PRETRAIN_H
#define TRAIN_PRETRAIN_H

#include "base/status.h"
#include "mae.h"

Status pretrain_plan(const MaeOptions *o, MaePlan *out, Error *err);
Status pretrain_run(const MaeOptions *o, const MaeEvents *events, MaeSummary *out, Error *err);

#endif
