/* The table of jobs, by command. */
#include "jobs/jobs.h"

static const struct {
    CommandId command;
    JobFunction *run;
} jobs[] = {
    {COMMAND_PRETRAIN, train_job},
    {COMMAND_RECONSTRUCT, reconstruct_job},
    {COMMAND_FINETUNE, train_job},
    {COMMAND_PROBE, train_job},
    {COMMAND_EVAL, eval_job},
    {COMMAND_CLASSIFY, classify_job},
    {COMMAND_KNN, knn_job},
    {COMMAND_FEATURES, features_job},
    {COMMAND_NEIGHBOURS, neighbours_job},
    {COMMAND_CONVERT, convert_job},
    {COMMAND_INFO, info_job},
    {COMMAND_BENCH, bench_job},
};

JobFunction *job_find(CommandId command) {
    for (size_t i = 0; i < sizeof jobs / sizeof *jobs; i++)
        if (jobs[i].command == command) return jobs[i].run;
    return NULL;
}
