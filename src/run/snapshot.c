/* See snapshot.h. */
#include "run/snapshot.h"

#include <stdio.h>

#include "base/memory.h"
#include "checkpoint/tensor_list.h"
#include "run/manifest.h"
#include "run/progress.h"
#include "run/run_state.h"

enum { WEIGHTS, STATE, N_FILES };

struct Snapshot {
    RunState run;
    int rank, size;
    TensorList list[N_FILES];
    void *copy; /* NULL: none */
    size_t copy_bytes;
    /* of the state taken last: */
    Meta meta[N_FILES];
    Arena *arena; /* texts of meta */
    int64_t step, epoch;
    double seconds;
    char numbered[MANIFEST_NAME];
    FileDigest digest[N_FILES]; /* once they are written */
};

/* --- what belongs to a checkpoint ------------------------------------------------------------- */

static Status list_weights(TensorList *l, const Vit *v, Error *err) {
    Status status = MAE_OK;
    TRY(tensor_list_new(l, v->device, (size_t)params_count(v->params), err));
    for (int64_t i = 0; i < params_count(v->params); i++) {
        const Param *p = params_at(v->params, i);
        TRY(tensor_list_add(l, NULL, p, p->data, err));
    }
done:
    return status;
}

static Status list_state(TensorList *l, const RunState *s, Error *err) {
    Status status = MAE_OK;
    Optimizer *o = s->optimizer;
    size_t per_param = (size_t)optimizer_n_moments(o) + (s->ema ? 1 : 0);
    TRY(tensor_list_new(l, s->model->device, per_param * (size_t)params_count(s->model->params),
                        err));
    for (int64_t i = 0; i < params_count(s->model->params); i++) {
        const Param *q = params_at(s->model->params, i);
        if (!q->trainable || !optimizer_moment(o, 0, q)) continue;
        for (int k = 0; k < optimizer_n_moments(o); k++)
            TRY(tensor_list_add(l, optimizer_moment_name(o, k), q, optimizer_moment(o, k, q), err));
        if (s->ema) TRY(tensor_list_add(l, "ema", q, ema_average(s->ema, q), err));
    }
done:
    return status;
}

Status snapshot_new(const RunState *run, int rank, int size, Snapshot **out, Error *err) {
    Status status = MAE_OK;
    Snapshot *s = mem_alloc(sizeof *s);
    *out = NULL;
    if (!s) return error_set(err, MAE_MEMORY, "no memory to write checkpoints");
    s->run = *run;
    s->rank = rank;
    s->size = size;
    if (rank == 0) TRY(list_weights(&s->list[WEIGHTS], run->model, err));
    TRY(list_state(&s->list[STATE], run, err));
    *out = s;
    s = NULL;
done:
    snapshot_free(s);
    return status;
}

void snapshot_free(Snapshot *s) {
    if (!s) return;
    device_free_host(s->run.model->device, s->copy, s->copy_bytes);
    for (int i = 0; i < N_FILES; i++) tensor_list_free(&s->list[i]);
    arena_free(s->arena);
    mem_free(s);
}

size_t snapshot_bytes(const Snapshot *s) {
    return tensor_list_bytes(&s->list[WEIGHTS]) + tensor_list_bytes(&s->list[STATE]);
}

size_t snapshot_bytes_planned(const Params *p, size_t moment_bytes, bool averages) {
    size_t bytes = moment_bytes + (averages ? params_trained_bytes(p) : 0);
    for (int64_t i = 0; i < params_count(p); i++)
        bytes += (size_t)params_at(p, i)->numel * sizeof(float);
    return bytes;
}

bool snapshot_reserve(Snapshot *s) {
    size_t bytes = snapshot_bytes(s);
    if (s->copy) return true;
    s->copy = device_alloc_host(s->run.model->device, bytes);
    if (!s->copy) return false;
    s->copy_bytes = bytes;
    tensor_list_use(&s->list[WEIGHTS], s->copy);
    tensor_list_use(&s->list[STATE], (char *)s->copy + tensor_list_bytes(&s->list[WEIGHTS]));
    return true;
}

/* --- now -------------------------------------------------------------------------------------- */

Status snapshot_take(Snapshot *s, const Progress *p, const CheckpointNotes *notes,
                     const char *numbered, Error *err) {
    arena_free(s->arena);
    s->arena = arena_new();
    if (!s->arena) return error_set(err, MAE_MEMORY, "no memory for the metadata of a checkpoint");
    for (int i = 0; i < N_FILES; i++) s->meta[i] = (Meta){.arena = s->arena, .ok = true};
    meta_put_model(&s->meta[WEIGHTS], &s->run.model->config, notes);
    progress_put(&s->meta[STATE], p, optimizer_updates(s->run.optimizer));
    s->step = p->step;
    s->epoch = p->epoch;
    s->seconds = p->seconds;
    snprintf(s->numbered, sizeof s->numbered, "%s", numbered ? numbered : "");
    for (int i = 0; i < N_FILES && s->copy; i++) tensor_list_copy(&s->list[i]);
    return MAE_OK;
}

/* Of the state of a process: the only one, or one of several. */
static void state_name(int rank, int size, char name[MANIFEST_NAME]) {
    if (size == 1)
        snprintf(name, MANIFEST_NAME, "%s", STATE_NAME);
    else
        snprintf(name, MANIFEST_NAME, "last.state-%d-of-%d.safetensors", rank + 1, size);
}

static Status write_file(Snapshot *s, const char *run, const char *name, int i, Error *err) {
    char *path = NULL;
    Status status = manifest_next_path(run, name, &path, err);
    if (status == MAE_OK)
        status = tensor_list_write(&s->list[i], path, &s->meta[i], &s->digest[i], err);
    mem_free(path);
    return status;
}

Status snapshot_write_files(Snapshot *s, const char *run, Error *err) {
    Status status = MAE_OK;
    char name[MANIFEST_NAME];
    state_name(s->rank, s->size, name);
    if (s->rank == 0) TRY(write_file(s, run, WEIGHTS_NAME, WEIGHTS, err));
    TRY(write_file(s, run, name, STATE, err));
done:
    return status;
}

FileDigest snapshot_state_digest(const Snapshot *s) {
    return s->digest[STATE];
}

Status snapshot_commit(const Snapshot *s, const char *run, const FileDigest *states, Error *err) {
    Status status = MAE_OK;
    Manifest m = {.step = s->step, .epoch = s->epoch, .seconds = s->seconds};
    snprintf(m.numbered, sizeof m.numbered, "%s", s->numbered);
    TRY(manifest_add(&m, WEIGHTS_NAME, s->digest[WEIGHTS], err));
    for (int i = 0; i < s->size; i++) {
        char name[MANIFEST_NAME];
        state_name(i, s->size, name);
        TRY(manifest_add(&m, name, states[i], err));
    }
    TRY(manifest_commit(run, &m, err));
done:
    manifest_free(&m);
    return status;
}

/* After a failure the disk may be full: what was written goes, or is completed. */
Status snapshot_write(Snapshot *s, const char *run, Error *err) {
    Status status = MAE_OK;
    ASSERT(s->size == 1, "one of %d parts", s->size);
    TRY(manifest_recover(run, err));
    TRY(snapshot_write_files(s, run, err));
    TRY(snapshot_commit(s, run, &s->digest[STATE], err));
done:
    if (status != MAE_OK) (void)manifest_recover(run, NULL);
    return status;
}
