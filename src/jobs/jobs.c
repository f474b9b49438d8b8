/* The table of jobs, by command. */
#include "jobs/jobs.h"

#include <string.h>

static const struct {
    const char *command;
    JobFunction *run;
} jobs[] = {
    {"eval", eval_job},
};

JobFunction *job_find(const char *command) {
    for (size_t i = 0; i < sizeof jobs / sizeof *jobs; i++)
        if (strcmp(jobs[i].command, command) == 0) return jobs[i].run;
    return NULL;
}
