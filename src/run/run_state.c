/* See run_state.h: finds what there is to continue, and reads it. */
#include <inttypes.h>
#include <stdio.h>

#include "run/run_state.h"
#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/checkpoint_meta.h"
#include "run/manifest.h"

bool run_state_exists(const char *run) {
    Error ignored = {0};
    bool weights, manifest;
    (void)file_is_in(run, WEIGHTS_NAME, &weights, &ignored);
    (void)file_is_in(run, MANIFEST_FILE, &manifest, &ignored);
    return weights || manifest;
}

/* -1 when the file is not there, cannot be read or says nothing. */
static Status step_of(const char *path, int64_t *step, Error *err) {
    TensorFile *f = NULL;
    Error reason = {0};
    *step = -1;
    if (!file_exists(path)) return MAE_OK;
    Status status = tensorfile_open(path, &f, &reason);
    if (status == MAE_OK && meta_get_int(f, "step", step, &reason) != MAE_OK) *step = -1;
    tensorfile_close(f);
    return status == MAE_MEMORY ? error_set(err, status, "%s", reason.message) : MAE_OK;
}

/* For runs of versions without manifests. A crash between their renames leaves new weights beside
 * old state, and the new state under its first name. Completing the renames makes them a pair. */
static Status repair_pair(const char *run, Error *err) {
    Status status = MAE_OK;
    char *last = NULL, *state = NULL, *next = NULL;
    int64_t weights_step, state_step, next_step;
    TRY(file_path(run, WEIGHTS_NAME, &last, err));
    TRY(file_path(run, STATE_NAME, &state, err));
    TRY(manifest_next_path(run, STATE_NAME, &next, err));
    TRY(step_of(last, &weights_step, err));
    TRY(step_of(state, &state_step, err));
    TRY(step_of(next, &next_step, err));
    if (weights_step < 0 || state_step == weights_step || next_step != weights_step) goto done;
    TRY(file_rename(next, state, err));
    log_line(LOG_WARNING, "%s: an interrupted save was completed (step %" PRId64 ")", run,
             weights_step);
done:
    mem_free(last);
    mem_free(state);
    mem_free(next);
    return status;
}

Status run_state_open(const char *run, bool *there, Error *err) {
    Status status = MAE_OK;
    bool listed, weights, last, next;
    *there = false;
    TRY(file_is_in(run, MANIFEST_FILE, &last, err));
    TRY(file_is_in(run, NEXT_MANIFEST_FILE, &next, err));
    if (!last && !next) TRY(repair_pair(run, err));
    TRY(manifest_recover(run, err));
    TRY(manifest_verify(run, &listed, err));
    TRY(file_is_in(run, WEIGHTS_NAME, &weights, err));
    *there = listed || weights;
done:
    return status;
}

/* --- reading ---------------------------------------------------------------------------------- */

/* The training state: one file, or the parts that several processes wrote. */
typedef struct States {
    TensorFile **file;
    size_t n;
} States;

static void close_states(States *s) {
    for (size_t i = 0; s->file && i < s->n; i++) tensorfile_close(s->file[i]);
    mem_free(s->file);
}

static Status open_states(const char *run, States *s, Error *err) {
    Status status = MAE_OK;
    Manifest names = {0};
    char *path = NULL;
    TRY(manifest_find_states(run, &names, err));
    if (names.n == 0) {
        status = error_set(err, MAE_IO, "%s: there is no " STATE_NAME "; use --restart", run);
        goto done;
    }
    s->file = mem_alloc_array(names.n, sizeof *s->file);
    if (!s->file) {
        status = error_set(err, MAE_MEMORY, "no memory to read %s", run);
        goto done;
    }
    for (s->n = 0; s->n < names.n; s->n++) {
        TRY(file_path(run, names.file[s->n].name, &path, err));
        TRY(tensorfile_open(path, &s->file[s->n], err));
        mem_free(path);
        path = NULL;
    }
done:
    mem_free(path);
    manifest_free(&names);
    return status;
}

/* The file that has a tensor; when none has it, any, whose reader says what is missing. */
static const TensorFile *file_of(const States *s, const char *name) {
    for (size_t i = 0; i < s->n; i++)
        if (tensorfile_find(s->file[i], name)) return s->file[i];
    return s->file[0];
}

static Status read_state(const States *states, const RunState *s, const char *prefix,
                         const Param *p, void *address, Error *err) {
    char name[160];
    Param named = *p;
    snprintf(name, sizeof name, "%s.%s", prefix, p->name);
    named.name = name;
    DialectFile d = {.file = file_of(states, name), .dialect = DIALECT_OFFICIAL};
    float *host = mem_alloc_array((size_t)p->numel, sizeof *host);
    if (!host) return error_set(err, MAE_MEMORY, "no memory to read %s", name);
    Status status = dialect_read(&d, &named, host, err);
    if (status == MAE_OK)
        device_upload_floats(s->model->device, address, NUMBER_WIDE, host, p->numel);
    mem_free(host);
    return status;
}

/* Moments that another process keeps have no place here. */
static Status read_states(const States *states, const RunState *s, Error *err) {
    Status status = MAE_OK;
    Optimizer *o = s->optimizer;
    for (int64_t i = 0; i < params_count(s->model->params); i++) {
        const Param *p = params_at(s->model->params, i);
        if (!p->trainable) continue;
        for (int k = 0; k < optimizer_n_moments(o) && optimizer_moment(o, k, p); k++)
            TRY(read_state(states, s, optimizer_moment_name(o, k), p, optimizer_moment(o, k, p),
                           err));
        if (s->ema) TRY(read_state(states, s, "ema", p, ema_average(s->ema, p), err));
    }
done:
    return status;
}

/* What the manifest knows; folders of older versions have none. */
static Status read_seconds(const char *run, Progress *p, Error *err) {
    Status status = MAE_OK;
    Manifest m = {0};
    char *path = NULL;
    TRY(file_path(run, MANIFEST_FILE, &path, err));
    if (file_exists(path)) TRY(manifest_read(path, &m, err));
    p->seconds = m.seconds;
done:
    manifest_free(&m);
    mem_free(path);
    return status;
}

static Status read_progress(const char *run, const States *states, Progress *p, int64_t *updates,
                            Error *err) {
    Status status = progress_get(states->file[0], p, updates, err);
    return status == MAE_OK ? read_seconds(run, p, err) : status;
}

Status run_state_progress(const char *run, Progress *out, Error *err) {
    States states = {0};
    int64_t updates;
    Status status = open_states(run, &states, err);
    if (status == MAE_OK) status = read_progress(run, &states, out, &updates, err);
    close_states(&states);
    return status;
}

/* Weights and all parts of the state are of one step. */
static Status check_steps(const CheckpointFile *weights, const States *states, Error *err) {
    Status status = MAE_OK;
    int64_t step = 0, other = 0;
    TRY(meta_get_int(weights->file, "step", &step, err));
    for (size_t i = 0; i < states->n; i++) {
        TRY(meta_get_int(states->file[i], "step", &other, err));
        if (step != other)
            return error_set(err, MAE_FORMAT,
                             "%s is of step %" PRId64 " but %s of step %" PRId64
                             "; put a matching pair there, or use --restart",
                             tensorfile_path(weights->file), step, tensorfile_path(states->file[i]),
                             other);
    }
done:
    return status;
}

Status run_state_load(const char *run, const RunState *s, Error *err) {
    Status status = MAE_OK;
    char *last = NULL;
    CheckpointFile *weights = NULL;
    States states = {0};
    int64_t updates = 0;
    TRY(file_path(run, WEIGHTS_NAME, &last, err));
    TRY(checkpoint_open(last, NULL, &weights, err));
    TRY(open_states(run, &states, err));
    TRY(check_steps(weights, &states, err));
    TRY(read_progress(run, &states, s->progress, &updates, err));
    TRY(checkpoint_read(weights, s->model, err));
    TRY(read_states(&states, s, err));
    optimizer_set_updates(s->optimizer, updates);
done:
    checkpoint_close(weights);
    close_states(&states);
    mem_free(last);
    return status;
}
