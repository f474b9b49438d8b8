/* See checkpoint.h; what the metadata says is the business of checkpoint_meta.c. */
#include "train/checkpoint.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "train/checkpoint_meta.h"
#include "train/foreign.h"

/* --- tensors out ------------------------------------------------------------------------------ */

/* What is written, and where it lies on the device; it is downloaded one by one while writing. */
typedef struct TensorList {
    Device *device;
    NamedTensor *tensor; /* data: device address */
    size_t n;
    Arena *arena;
} TensorList;

static Status list_new(TensorList *l, Device *d, const Params *p, int per_param, Error *err) {
    *l = (TensorList){.device = d, .arena = arena_new()};
    l->tensor = mem_alloc_array((size_t)params_count(p) * (size_t)per_param, sizeof *l->tensor);
    if (l->arena && l->tensor) return STATUS_OK;
    return fail(err, STATUS_MEMORY, "no memory to write a checkpoint");
}

static void list_free(TensorList *l) {
    mem_free(l->tensor);
    arena_free(l->arena);
}

/* kind: "exp_avg", or NULL for the parameter itself. */
static Status list_add(TensorList *l, const char *kind, const Param *p, const void *address,
                       Error *err) {
    const char *name = kind ? arena_printf(l->arena, "%s.%s", kind, p->name) : p->name;
    if (!name) return fail(err, STATUS_MEMORY, "no memory to write %s", p->name);
    l->tensor[l->n++] =
        (NamedTensor){name, DTYPE_F32, p->shape, address, (size_t)p->numel * sizeof(float)};
    return STATUS_OK;
}

static Status download(void *user, size_t i, void *out, Error *err) {
    const TensorList *l = user;
    (void)err;
    device_download_real(l->device, out, l->tensor[i].data, shape_numel(l->tensor[i].shape));
    return STATUS_OK;
}

static Status write_list(const char *path, TensorList *l, const Meta *meta, Error *err) {
    if (!meta->ok) return fail(err, STATUS_MEMORY, "no memory for the metadata of %s", path);
    return safetensors_write_filled(path, l->tensor, l->n, meta->entry, meta->n, download, l, err);
}

Status checkpoint_write(const char *path, const Vit *v, const CheckpointNotes *notes, Error *err) {
    Status status = STATUS_OK;
    TensorList list = {0};
    TRY(list_new(&list, v->device, v->params, 1, err));
    for (int64_t i = 0; i < params_count(v->params); i++) {
        const Param *p = params_at(v->params, i);
        TRY(list_add(&list, NULL, p, p->data, err));
    }
    Meta meta = {.arena = list.arena, .ok = true};
    meta_put_model(&meta, &v->config, notes);
    TRY(write_list(path, &list, &meta, err));
done:
    list_free(&list);
    return status;
}

static Status write_state(const char *path, const RunState *s, Error *err) {
    Status status = STATUS_OK;
    TensorList list = {0};
    Optimizer *o = s->optimizer;
    TRY(list_new(&list, s->model->device, s->model->params, 3, err));
    for (int64_t i = 0; i < params_count(s->model->params); i++) {
        const Param *q = params_at(s->model->params, i);
        if (!q->trainable) continue;
        for (int k = 0; k < optimizer_n_moments(o); k++)
            TRY(list_add(&list, optimizer_moment_name(o, k), q, optimizer_moment(o, k, q), err));
        if (s->ema) TRY(list_add(&list, "ema", q, ema_average(s->ema, q), err));
    }
    Meta meta = {.arena = list.arena, .ok = true};
    meta_put_progress(&meta, s->progress, optimizer_updates(s->optimizer));
    TRY(write_list(path, &list, &meta, err));
done:
    list_free(&list);
    return status;
}

/* --- tensors in ------------------------------------------------------------------------------- */

/* A file of this project says all in its metadata; for others foreign.c has to look around. */
Status checkpoint_open(const char *path, const CheckpointHints *hints, CheckpointFile **out,
                       Error *err) {
    Status status = STATUS_OK;
    CheckpointFile *c = mem_alloc(sizeof *c);
    *out = NULL;
    if (!c) return fail(err, STATUS_MEMORY, "no memory to open %s", path);
    TRY(tensorfile_open(path, &c->file, err));
    c->native = meta_is_native(c->file);
    if (c->native) {
        c->dialect = (DialectFile){.file = c->file, .dialect = DIALECT_OFFICIAL};
        TRY(meta_get_model(c->file, &c->config, &c->notes, err));
    } else {
        TRY(foreign_describe(c, hints, err));
    }
    *out = c;
    c = NULL;
done:
    checkpoint_close(c);
    return status;
}

void checkpoint_close(CheckpointFile *c) {
    if (!c) return;
    checkpoint_notes_free(&c->notes);
    tensorfile_close(c->file);
    mem_free(c);
}

void checkpoint_notes_free(CheckpointNotes *n) {
    classes_free(n->classes);
    n->classes = NULL;
}

static Status read_param(const CheckpointFile *c, Vit *v, Param *p, Error *err) {
    float *host = mem_alloc_array((size_t)p->numel, sizeof *host);
    if (!host) return fail(err, STATUS_MEMORY, "no memory to read %s", p->name);
    Status status = dialect_read(&c->dialect, p, host, err);
    if (status == STATUS_OK) params_set(v->params, p, host);
    mem_free(host);
    return status;
}

static Status refuse_foreign_tensors(const CheckpointFile *c, const Vit *v, Error *err) {
    for (size_t i = 0; i < tensorfile_count(c->file) && c->native; i++) {
        char shape[96];
        const TensorEntry *t = tensorfile_at(c->file, i);
        if (!params_find(v->params, t->name))
            return fail(err, STATUS_SHAPE, "%s: tensor %s of shape %s does not belong to the model",
                        tensorfile_path(c->file), t->name,
                        shape_text(t->shape, shape, sizeof shape));
    }
    return STATUS_OK;
}

Status checkpoint_read(const CheckpointFile *c, Vit *v, Error *err) {
    Status status = refuse_foreign_tensors(c, v, err);
    for (int64_t i = 0; i < params_count(v->params) && status == STATUS_OK; i++)
        status = read_param(c, v, params_at(v->params, i), err);
    return status;
}

/* The positions of the file on the grid of the model. */
static Status read_positions(const CheckpointFile *c, Vit *v, Param *p, Error *err) {
    const ModelConfig *there = &c->config, *here = &v->config;
    int64_t D = here->embed_dim, n = model_patches(there) + 1;
    if (model_grid_height(there) == model_grid_height(here) &&
        model_grid_width(there) == model_grid_width(here))
        return read_param(c, v, p, err);
    Param file = {.name = p->name, .shape = SHAPE(1, n, D), .numel = n * D};
    float *in = mem_alloc_array((size_t)(n * D), sizeof *in);
    float *out = mem_alloc_array((size_t)p->numel, sizeof *out);
    Status status = in && out ? dialect_read(&c->dialect, &file, in, err)
                              : fail(err, STATUS_MEMORY, "no memory to interpolate positions");
    if (status == STATUS_OK) {
        pos_embed_interpolate(out, model_grid_height(here), model_grid_width(here), in,
                              model_grid_height(there), model_grid_width(there), D);
        params_set(v->params, p, out);
        log_line(LOG_INFO,
                 "positions were interpolated from %" PRId64 "x%" PRId64 " to %" PRId64 "x%" PRId64
                 " patches",
                 model_grid_height(there), model_grid_width(there), model_grid_height(here),
                 model_grid_width(here));
    }
    mem_free(in);
    mem_free(out);
    return status;
}

static bool same_head(const ModelConfig *a, const ModelConfig *b) {
    return a->head == b->head && a->pool == b->pool && a->classes == b->classes;
}

Status checkpoint_read_encoder(const CheckpointFile *c, Vit *v, Error *err) {
    bool with_head = same_head(&c->config, &v->config);
    if (c->config.head != HEAD_NONE && c->config.pool != v->config.pool)
        return fail(err, STATUS_USAGE,
                    "%s is a classifier that pools otherwise (%s); use --pool %s with it",
                    tensorfile_path(c->file), c->config.pool == POOL_CLS ? "cls" : "mean",
                    c->config.pool == POOL_CLS ? "cls" : "mean");
    for (int64_t i = 0; i < params_count(v->params); i++) {
        Param *p = params_at(v->params, i);
        if (vit_is_head(p->name) && !with_head) continue;
        Status status = strcmp(p->name, "pos_embed") == 0 ? read_positions(c, v, p, err)
                                                          : read_param(c, v, p, err);
        if (status != STATUS_OK) return status;
    }
    if (with_head) log_line(LOG_INFO, "the head of %s is kept", tensorfile_path(c->file));
    return STATUS_OK;
}

/* --- run folders ------------------------------------------------------------------------------ */

#define WEIGHTS ".safetensors"
#define STATE ".state.safetensors"

static Status run_path(const char *run, const char *stem, const char *end, char **out, Error *err) {
    *out = mem_printf("%s/%s%s", run, stem, end);
    return *out ? STATUS_OK : fail(err, STATUS_MEMORY, "no memory for a path in %s", run);
}

static Status move(const char *from, const char *to, Error *err) {
    if (rename(from, to) == 0) return STATUS_OK;
    return fail(err, STATUS_IO, "%s: cannot be renamed to %s: %s", from, to, strerror(errno));
}

Status checkpoint_save_run(const char *run, const RunState *s, const CheckpointNotes *notes,
                           Error *err) {
    Status status = STATUS_OK;
    char *next = NULL, *next_state = NULL, *last = NULL, *last_state = NULL;
    TRY(run_path(run, "next", WEIGHTS, &next, err));
    TRY(run_path(run, "next", STATE, &next_state, err));
    TRY(run_path(run, "last", WEIGHTS, &last, err));
    TRY(run_path(run, "last", STATE, &last_state, err));
    TRY(checkpoint_write(next, s->model, notes, err));
    TRY(write_state(next_state, s, err));
    TRY(move(next, last, err));
    TRY(move(next_state, last_state, err));
done:
    mem_free(next);
    mem_free(next_state);
    mem_free(last);
    mem_free(last_state);
    return status;
}

/* -1 when the file cannot be read or says nothing. */
static int64_t step_of(const char *path) {
    TensorFile *f = NULL;
    Error ignored = {0};
    int64_t step = -1;
    if (file_exists(path) && tensorfile_open(path, &f, &ignored) == STATUS_OK &&
        meta_get_int(f, "step", &step, &ignored) != STATUS_OK)
        step = -1;
    tensorfile_close(f);
    return step;
}

/* A crash between the renames leaves new weights beside old state, the new state still under its
 * first name; finishing the replacement makes them a pair. */
static void repair(const char *run) {
    Error ignored = {0};
    char *last = NULL, *state = NULL, *next = NULL;
    if (run_path(run, "last", WEIGHTS, &last, &ignored) == STATUS_OK &&
        run_path(run, "last", STATE, &state, &ignored) == STATUS_OK &&
        run_path(run, "next", STATE, &next, &ignored) == STATUS_OK) {
        int64_t step = step_of(last);
        if (step >= 0 && step_of(state) != step && step_of(next) == step &&
            move(next, state, &ignored) == STATUS_OK)
            log_line(LOG_WARNING, "%s: an interrupted save was completed (step %" PRId64 ")", run,
                     step);
    }
    mem_free(last);
    mem_free(state);
    mem_free(next);
}

bool checkpoint_run_exists(const char *run) {
    Error ignored = {0};
    char *last = NULL;
    repair(run);
    bool there = run_path(run, "last", WEIGHTS, &last, &ignored) == STATUS_OK && file_exists(last);
    mem_free(last);
    return there;
}

static Status read_state(const TensorFile *f, const RunState *s, const char *prefix, const Param *p,
                         void *address, Error *err) {
    char name[160];
    Param named = *p;
    DialectFile d = {.file = f, .dialect = DIALECT_OFFICIAL};
    snprintf(name, sizeof name, "%s.%s", prefix, p->name);
    named.name = name;
    float *host = mem_alloc_array((size_t)p->numel, sizeof *host);
    if (!host) return fail(err, STATUS_MEMORY, "no memory to read %s", name);
    Status status = dialect_read(&d, &named, host, err);
    if (status == STATUS_OK) device_upload_real(s->model->device, address, host, p->numel);
    mem_free(host);
    return status;
}

static Status read_states(const TensorFile *f, const RunState *s, Error *err) {
    Status status = STATUS_OK;
    Optimizer *o = s->optimizer;
    for (int64_t i = 0; i < params_count(s->model->params); i++) {
        const Param *p = params_at(s->model->params, i);
        if (!p->trainable) continue;
        for (int k = 0; k < optimizer_n_moments(o); k++)
            TRY(read_state(f, s, optimizer_moment_name(o, k), p, optimizer_moment(o, k, p), err));
        if (s->ema) TRY(read_state(f, s, "ema", p, ema_average(s->ema, p), err));
    }
done:
    return status;
}

Status checkpoint_load_run(const char *run, const RunState *s, Error *err) {
    Status status = STATUS_OK;
    char *last = NULL, *state = NULL;
    CheckpointFile *weights = NULL;
    TensorFile *moments = NULL;
    int64_t updates = 0, step = 0;
    TRY(run_path(run, "last", WEIGHTS, &last, err));
    TRY(run_path(run, "last", STATE, &state, err));
    TRY(checkpoint_open(last, NULL, &weights, err));
    TRY(tensorfile_open(state, &moments, err));
    TRY(meta_get_progress(moments, s->progress, &updates, err));
    TRY(meta_get_int(weights->file, "step", &step, err));
    if (step != s->progress->step) {
        status = fail(err, STATUS_FORMAT,
                      "%s is of step %" PRId64 " but %s of step %" PRId64
                      "; put a matching pair there, or use --restart",
                      last, step, state, s->progress->step);
        goto done;
    }
    TRY(checkpoint_read(weights, s->model, err));
    TRY(read_states(moments, s, err));
    optimizer_set_updates(s->optimizer, updates);
done:
    checkpoint_close(weights);
    tensorfile_close(moments);
    mem_free(last);
    mem_free(state);
    return status;
}
