/* Which task of the training loop a command is. */
#include "jobs/jobs.h"

const Task *training_task(CommandId command) {
    return command == COMMAND_PRETRAIN ? &pretrain_task
           : command == COMMAND_PROBE  ? &probe_task
                                       : &finetune_task;
}
