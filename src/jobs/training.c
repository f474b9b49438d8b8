/* mae pretrain, finetune and probe, and mae plan of each. */
#include "jobs/jobs.h"

const Task *training_task(CommandId command) {
    return command == COMMAND_PRETRAIN ? &pretrain_task
           : command == COMMAND_PROBE  ? &probe_task
                                       : &finetune_task;
}

Status train_job(const MaeOptions *o, Result out, Error *err) {
    const Task *task = training_task(o->command);
    return o->plans ? run_plan(task, o, out, err) : run_train(task, o, out, err);
}
