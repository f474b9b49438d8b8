/* Which task of the training loop a command is. */
#include "jobs/jobs.h"

const Task *training_task(MaeCommand command) {
    return command == MAE_COMMAND_PRETRAIN ? &pretrain_task
           : command == MAE_COMMAND_PROBE  ? &probe_task
                                           : &finetune_task;
}
