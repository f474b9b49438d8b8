/* The public header, implemented by calling down: a fresh error for the call, log lines to its
 * listener, and nothing else. */
#include "mae.h"

#include <stdio.h>

#include "base/file.h"
#include "base/fork.h"
#include "base/listener.h"
#include "base/memory.h"
#include "base/name.h"
#include "data/image/image.h"
#include "jobs/jobs.h"

const char *mae_version(void) {
    return MAE_VERSION;
}

int mae_version_number(void) {
    return MAE_VERSION_MAJOR * 10000 + MAE_VERSION_MINOR * 100 + MAE_VERSION_PATCH;
}

MaeStatus mae_build_info(MaeResult **out, MaeError *err) {
    bool failed;
    Result all = result_start(&failed);
    build_describe(all);
    return result_end(all, out, error_clear(err));
}

int mae_name_distance(const char *written, const char *name) {
    return name_distance(written, name);
}

/* A call and who listens to it. */
typedef struct Job {
    Listener listener;
    Call call;
} Job;

/* Every call that computes begins with it. */
static Status job_begin(Job *j, const MaeEvents *events, Error *err) {
    listener_open(&j->listener, events);
    Status status = call_begin(&j->call, &j->listener, error_clear(err));
    if (status != MAE_OK) listener_close(&j->listener);
    return status;
}

static void job_end(Job *j) {
    call_end(&j->call);
    listener_close(&j->listener);
}

MaeStatus mae_run(const MaeOptions *o, const MaeEvents *events, MaeResult **result, MaeError *err) {
    Job call;
    bool failed;
    JobFunction *job = job_find(o->command);
    if (result) *result = NULL;
    error_clear(err);
    if (!job)
        return error_set(err, MAE_USAGE, "%s is no command", command_row(o->command)->command.name);
    Status status = job_begin(&call, events, err);
    if (status != MAE_OK) return status;
    Result out = result_start(&failed);
    status = job(o, out, err);
    job_end(&call);
    if (status == MAE_OK) return result_end(out, result, err);
    result_drop(out);
    return status;
}

void mae_free(void *memory) {
    mem_free(memory);
}

MaeStatus mae_join(int *rank, int *size, MaeError *err) {
    Comm *c = NULL;
    Status status = comm_world(&c, error_clear(err));
    *rank = comm_rank(c);
    *size = comm_size(c);
    return status;
}

MaeStatus mae_model_load(const char *path, const MaeOptions *o, const MaeEvents *events,
                         MaeModel **out, MaeError *err) {
    MaeOptions defaults;
    Job job;
    *out = NULL;
    Status status = job_begin(&job, events, err);
    if (status != MAE_OK) return status;
    options_default(COMMAND_MODEL, &defaults);
    status = model_open_path(path, o ? o : &defaults, out, err);
    if (status == MAE_OK) model_listen(*out, events);
    options_clear(&defaults);
    job_end(&job);
    return status;
}

MaeStatus mae_model_new(const MaeOptions *o, const MaeEvents *events, MaeModel **out,
                        MaeError *err) {
    MaeOptions defaults;
    Job job;
    *out = NULL;
    Status status = job_begin(&job, events, err);
    if (status != MAE_OK) return status;
    options_default(COMMAND_PRETRAIN, &defaults);
    status = model_new(o ? o : &defaults, out, err);
    if (status == MAE_OK) model_listen(*out, events);
    options_clear(&defaults);
    job_end(&job);
    return status;
}

void mae_model_free(MaeModel *m) {
    model_free(m);
}

MaeStatus mae_nearest(const MaeModel *model, const float *bank, int64_t n, const float *queries,
                      int64_t m, int64_t width, int64_t k, int64_t *rows, float *cosines,
                      MaeError *err) {
    Status status = fork_check(error_clear(err));
    return status == MAE_OK ? nearest_rows(model, bank, n, queries, m, width, k, rows, cosines, err)
                            : status;
}

int mae_output_is_stdout(const char *path) {
    return file_is_standard_output(path);
}
