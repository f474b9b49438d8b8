/* The jobs behind mae_run: a file each, with its name. */
#ifndef JOBS_JOBS_H
#define JOBS_JOBS_H

#include "base/result.h"
#include "jobs/model.h"
#include "run/run.h"

/* What a command does: checks its options, opens what it needs, works, and says in `out` what came
 * out. */
typedef Status JobFunction(const MaeOptions *o, Result out, Error *err);

JobFunction *job_find(CommandId command); /* NULL: there is none */

/* Trains, or with o->plans says what that would need. */
JobFunction train_job;
JobFunction reconstruct_job, eval_job, classify_job, knn_job, features_job, neighbours_job;
JobFunction convert_job, info_job, bench_job;
/* With a model that is there. */
Status eval_model(MaeModel *m, const MaeOptions *o, Result out, Error *err);

/* Training, for run_train and run_plan. */
extern const Task pretrain_task, finetune_task, probe_task;
const Task *training_task(CommandId command); /* which of them */
/* Sets the options of fine-tuning that were not given. Sources: FINETUNE.md of the published code
 * (--init a checkpoint), Table 11 of the paper (from scratch). */
Status finetune_recipe(MaeOptions *o, const ModelConfig *c, bool scratch, Error *err);

/* With a model. */
Status nearest_rows(const MaeModel *model, const float *bank, int64_t n, const float *queries,
                    int64_t m, int64_t width, int64_t k, int64_t *rows, float *cosines, Error *err);

/* The parts of the library, for mae --version. */
void build_describe(Result out);

#endif
