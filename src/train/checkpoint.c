/* See checkpoint.h. Metadata values are strings; numbers are printed so that reading gives the same
 * number back. */
#include "train/checkpoint.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"

#define FORMAT_NAME "mae.c"
#define FORMAT_VERSION 1
#define MAX_META 48

static const char *const TARGETS[] = {"pixel", "norm-pix", "pca"};
static const char *const MASKS[] = {"random", "block", "grid"};

/* --- metadata out ----------------------------------------------------------------------------- */

typedef struct Meta {
    Arena *arena;
    MetaEntry entry[MAX_META];
    size_t n;
    bool ok;
} Meta;

static void put(Meta *m, const char *key, const char *value) {
    ASSERT(m->n < MAX_META, "more than %d metadata entries", MAX_META);
    if (!value) m->ok = false;
    m->entry[m->n++] = (MetaEntry){key, value};
}

static void put_int(Meta *m, const char *key, int64_t v) {
    put(m, key, arena_printf(m->arena, "%" PRId64, v));
}

static void put_real(Meta *m, const char *key, double v) {
    put(m, key, arena_printf(m->arena, "%.17g", v));
}

static void put_floats(Meta *m, const char *key, const float *v, int64_t n) {
    char *text = arena_strdup(m->arena, "");
    for (int64_t i = 0; i < n && text; i++)
        text = arena_printf(m->arena, "%s%s%.9g", text, i ? "," : "", (double)v[i]);
    put(m, key, text);
}

static void put_config(Meta *m, const ModelConfig *c) {
    put(m, "format", FORMAT_NAME);
    put_int(m, "format_version", FORMAT_VERSION);
    put_int(m, "image_height", c->image_height);
    put_int(m, "image_width", c->image_width);
    put_int(m, "channels", c->channels);
    put_int(m, "patch", c->patch);
    put_int(m, "embed_dim", c->embed_dim);
    put_int(m, "depth", c->depth);
    put_int(m, "heads", c->heads);
    put_int(m, "decoder_embed_dim", c->decoder_embed_dim);
    put_int(m, "decoder_depth", c->decoder_depth);
    put_int(m, "decoder_heads", c->decoder_heads);
    put_real(m, "mlp_ratio", c->mlp_ratio);
    put_real(m, "norm_eps", c->norm_eps);
    put(m, "target", TARGETS[c->target]);
    put_int(m, "pca_components", c->pca_components);
    put_int(m, "mask_token_in_encoder", c->mask_token_in_encoder);
    put_floats(m, "pixel_mean", c->mean, c->channels);
    put_floats(m, "pixel_std", c->std, c->channels);
}

static void put_notes(Meta *m, const CheckpointNotes *n) {
    put(m, "model", n->preset);
    put(m, "mask", MASKS[n->mask]);
    put_real(m, "mask_ratio", n->mask_ratio);
    put_int(m, "epochs", n->epochs);
    put_int(m, "step", n->step);
}

/* --- tensors out ------------------------------------------------------------------------------ */

typedef struct TensorList {
    NamedTensor *tensor;
    size_t n;
    Arena *arena;
} TensorList;

static Status list_new(TensorList *l, const Params *p, int per_param, Error *err) {
    *l = (TensorList){.arena = arena_new()};
    l->tensor = mem_alloc_array((size_t)params_count(p) * (size_t)per_param, sizeof *l->tensor);
    if (l->arena && l->tensor) return STATUS_OK;
    return fail(err, STATUS_MEMORY, "no memory to write a checkpoint");
}

static void list_free(TensorList *l) {
    for (size_t i = 0; i < l->n; i++) mem_free((void *)(uintptr_t)l->tensor[i].data);
    mem_free(l->tensor);
    arena_free(l->arena);
}

static Status list_add(TensorList *l, Device *d, const char *prefix, const Param *p,
                       const void *address, Error *err) {
    size_t bytes = (size_t)p->numel * sizeof(float);
    float *host = mem_alloc(bytes);
    const char *name = arena_printf(l->arena, "%s%s", prefix, p->name);
    if (!host || !name) {
        mem_free(host);
        return fail(err, STATUS_MEMORY, "no memory to write %s", p->name);
    }
    device_download_real(d, host, address, p->numel);
    l->tensor[l->n++] = (NamedTensor){name, DTYPE_F32, p->shape, host, bytes};
    return STATUS_OK;
}

Status checkpoint_write(const char *path, const Autoencoder *a, const CheckpointNotes *notes,
                        Error *err) {
    Status status = STATUS_OK;
    TensorList list = {0};
    TRY(list_new(&list, a->params, 1, err));
    for (int64_t i = 0; i < params_count(a->params); i++) {
        const Param *p = params_at(a->params, i);
        TRY(list_add(&list, a->device, "", p, p->data, err));
    }
    Meta meta = {.arena = list.arena, .ok = true};
    put_config(&meta, &a->config);
    put_notes(&meta, notes);
    if (!meta.ok) {
        status = fail(err, STATUS_MEMORY, "no memory for the metadata of %s", path);
        goto done;
    }
    TRY(safetensors_write(path, list.tensor, list.n, meta.entry, meta.n, err));
done:
    list_free(&list);
    return status;
}

static void put_progress(Meta *m, const Progress *p, int64_t updates) {
    put(m, "format", FORMAT_NAME " state");
    put_int(m, "format_version", FORMAT_VERSION);
    put_int(m, "step", p->step);
    put_int(m, "epoch", p->epoch);
    put_int(m, "batch", p->batch);
    put_int(m, "skipped", p->skipped);
    put_int(m, "updates", updates);
    put_int(m, "seed", (int64_t)p->seed);
    put_real(m, "log_loss", p->log_loss);
    put_real(m, "log_norm", p->log_norm);
    put_real(m, "epoch_loss", p->epoch_loss);
    put_int(m, "log_count", p->log_count);
    put_int(m, "epoch_count", p->epoch_count);
}

static Status write_state(const char *path, const Autoencoder *a, Optimizer *o, const Progress *p,
                          Error *err) {
    Status status = STATUS_OK;
    TensorList list = {0};
    TRY(list_new(&list, a->params, 2, err));
    for (int64_t i = 0; i < params_count(a->params); i++) {
        const Param *q = params_at(a->params, i);
        if (!q->trainable) continue;
        TRY(list_add(&list, a->device, "exp_avg.", q, optimizer_exp_avg(o, q), err));
        TRY(list_add(&list, a->device, "exp_avg_sq.", q, optimizer_exp_avg_sq(o, q), err));
    }
    Meta meta = {.arena = list.arena, .ok = true};
    put_progress(&meta, p, optimizer_updates(o));
    if (!meta.ok) {
        status = fail(err, STATUS_MEMORY, "no memory for the metadata of %s", path);
        goto done;
    }
    TRY(safetensors_write(path, list.tensor, list.n, meta.entry, meta.n, err));
done:
    list_free(&list);
    return status;
}

/* --- metadata in ------------------------------------------------------------------------------ */

static Status need(const SafeTensors *f, const char *key, const char **out, Error *err) {
    *out = safetensors_meta(f, key);
    if (*out) return STATUS_OK;
    return fail(err, STATUS_FORMAT, "%s: metadata has no \"%s\"; it is not a checkpoint of mae.c",
                safetensors_path(f), key);
}

static Status get_int(const SafeTensors *f, const char *key, int64_t *out, Error *err) {
    const char *text;
    Status status = need(f, key, &text, err);
    if (status != STATUS_OK) return status;
    char *end;
    errno = 0;
    *out = strtoll(text, &end, 10);
    if (errno || end == text || *end)
        return fail(err, STATUS_FORMAT, "%s: metadata \"%s\" is \"%.40s\", not an integer",
                    safetensors_path(f), key, text);
    return STATUS_OK;
}

static Status get_real(const SafeTensors *f, const char *key, double *out, Error *err) {
    const char *text;
    Status status = need(f, key, &text, err);
    if (status != STATUS_OK) return status;
    char *end;
    *out = strtod(text, &end);
    if (end == text || *end || !isfinite(*out))
        return fail(err, STATUS_FORMAT, "%s: metadata \"%s\" is \"%.40s\", not a number",
                    safetensors_path(f), key, text);
    return STATUS_OK;
}

static Status get_word(const SafeTensors *f, const char *key, const char *const *words, int n,
                       int *out, Error *err) {
    const char *text;
    Status status = need(f, key, &text, err);
    if (status != STATUS_OK) return status;
    for (*out = 0; *out < n; (*out)++)
        if (strcmp(words[*out], text) == 0) return STATUS_OK;
    return fail(err, STATUS_FORMAT, "%s: metadata \"%s\" is \"%.40s\", which is not known here",
                safetensors_path(f), key, text);
}

static Status get_floats(const SafeTensors *f, const char *key, float *out, int64_t n, Error *err) {
    const char *text;
    Status status = need(f, key, &text, err);
    if (status != STATUS_OK) return status;
    for (int64_t i = 0; i < n; i++) {
        char *end;
        out[i] = strtof(text, &end);
        if (end == text || *end != (i + 1 < n ? ',' : '\0') || !isfinite(out[i]))
            return fail(err, STATUS_FORMAT, "%s: metadata \"%s\" does not hold %" PRId64 " numbers",
                        safetensors_path(f), key, n);
        text = end + 1;
    }
    return STATUS_OK;
}

static Status config_from_meta(const SafeTensors *f, ModelConfig *c, Error *err) {
    Status status = STATUS_OK;
    int target = 0;
    int64_t flag = 0;
    *c = (ModelConfig){0};
    TRY(get_int(f, "image_height", &c->image_height, err));
    TRY(get_int(f, "image_width", &c->image_width, err));
    TRY(get_int(f, "channels", &c->channels, err));
    TRY(get_int(f, "patch", &c->patch, err));
    TRY(get_int(f, "embed_dim", &c->embed_dim, err));
    TRY(get_int(f, "depth", &c->depth, err));
    TRY(get_int(f, "heads", &c->heads, err));
    TRY(get_int(f, "decoder_embed_dim", &c->decoder_embed_dim, err));
    TRY(get_int(f, "decoder_depth", &c->decoder_depth, err));
    TRY(get_int(f, "decoder_heads", &c->decoder_heads, err));
    TRY(get_real(f, "mlp_ratio", &c->mlp_ratio, err));
    TRY(get_real(f, "norm_eps", &c->norm_eps, err));
    TRY(get_word(f, "target", TARGETS, 3, &target, err));
    TRY(get_int(f, "pca_components", &c->pca_components, err));
    TRY(get_int(f, "mask_token_in_encoder", &flag, err));
    c->target = (TargetKind)target;
    c->mask_token_in_encoder = flag != 0;
    for (int i = 0; i < MAX_CHANNELS; i++) c->std[i] = 1;
    if (c->channels > 0 && c->channels <= MAX_CHANNELS) {
        TRY(get_floats(f, "pixel_mean", c->mean, c->channels, err));
        TRY(get_floats(f, "pixel_std", c->std, c->channels, err));
    }
    TRY(model_check(c, err));
done:
    return status;
}

static Status notes_from_meta(const SafeTensors *f, CheckpointNotes *n, Error *err) {
    Status status = STATUS_OK;
    int mask = 0;
    const char *preset;
    *n = (CheckpointNotes){0};
    TRY(need(f, "model", &preset, err));
    snprintf(n->preset, sizeof n->preset, "%.31s", preset);
    TRY(get_word(f, "mask", MASKS, 3, &mask, err));
    n->mask = (MaskKind)mask;
    TRY(get_real(f, "mask_ratio", &n->mask_ratio, err));
    TRY(get_int(f, "epochs", &n->epochs, err));
    TRY(get_int(f, "step", &n->step, err));
done:
    return status;
}

Status checkpoint_config(const SafeTensors *file, ModelConfig *c, CheckpointNotes *notes,
                         Error *err) {
    const char *format = safetensors_meta(file, "format");
    if (!format || strcmp(format, FORMAT_NAME) != 0)
        return fail(
            err, STATUS_FORMAT,
            "%s: not a checkpoint of mae.c (metadata \"format\" is %s); it does not say what "
            "the model is",
            safetensors_path(file), format ? format : "missing");
    int64_t version;
    Status status = get_int(file, "format_version", &version, err);
    if (status != STATUS_OK) return status;
    if (version != FORMAT_VERSION)
        return fail(err, STATUS_UNSUPPORTED,
                    "%s: format version %" PRId64 ", this program reads %d", safetensors_path(file),
                    version, FORMAT_VERSION);
    status = config_from_meta(file, c, err);
    return status == STATUS_OK ? notes_from_meta(file, notes, err) : status;
}

/* --- tensors in ------------------------------------------------------------------------------- */

static bool is_float(DType t) {
    return t == DTYPE_F32 || t == DTYPE_F16 || t == DTYPE_BF16 || t == DTYPE_F64;
}

static Status read_tensor(const SafeTensors *f, const char *name, const Param *p, Device *d,
                          void *address, Error *err) {
    char want[96], have[96];
    const NamedTensor *t = safetensors_find(f, name);
    if (!t)
        return fail(err, STATUS_SHAPE, "%s: tensor %s of shape %s is missing", safetensors_path(f),
                    name, shape_text(p->shape, want, sizeof want));
    if (!shape_equal(t->shape, p->shape))
        return fail(err, STATUS_SHAPE, "%s: tensor %s has shape %s, the model needs %s",
                    safetensors_path(f), name, shape_text(t->shape, have, sizeof have),
                    shape_text(p->shape, want, sizeof want));
    if (!is_float(t->dtype))
        return fail(err, STATUS_SHAPE, "%s: tensor %s has type %s, weights are floating point",
                    safetensors_path(f), name, dtype_name(t->dtype));
    float *host = mem_alloc_array((size_t)p->numel, sizeof *host);
    if (!host) return fail(err, STATUS_MEMORY, "no memory to read %s", name);
    dtype_to_f32(host, t->data, t->dtype, p->numel);
    device_upload_real(d, address, host, p->numel);
    mem_free(host);
    return STATUS_OK;
}

Status checkpoint_load_weights(const SafeTensors *file, Autoencoder *a, Error *err) {
    for (size_t i = 0; i < safetensors_count(file); i++) {
        char shape[96];
        const NamedTensor *t = safetensors_at(file, i);
        if (!params_find(a->params, t->name))
            return fail(err, STATUS_SHAPE, "%s: tensor %s of shape %s does not belong to the model",
                        safetensors_path(file), t->name, shape_text(t->shape, shape, sizeof shape));
    }
    for (int64_t i = 0; i < params_count(a->params); i++) {
        const Param *p = params_at(a->params, i);
        Status status = read_tensor(file, p->name, p, a->device, p->data, err);
        if (status != STATUS_OK) return status;
    }
    return STATUS_OK;
}

Status checkpoint_load(const char *path, Device *d, Autoencoder **out, CheckpointNotes *notes,
                       Error *err) {
    Status status = STATUS_OK;
    SafeTensors *file = NULL;
    Autoencoder *a = NULL;
    ModelConfig c;
    *out = NULL;
    TRY(safetensors_open(path, &file, err));
    TRY(checkpoint_config(file, &c, notes, err));
    TRY(autoencoder_new(d, &c, false, &a, err));
    TRY(checkpoint_load_weights(file, a, err));
    *out = a;
    a = NULL;
done:
    autoencoder_free(a);
    safetensors_close(file);
    return status;
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

Status checkpoint_save_run(const char *run, const Autoencoder *a, const CheckpointNotes *notes,
                           Optimizer *o, const Progress *p, Error *err) {
    Status status = STATUS_OK;
    char *next = NULL, *next_state = NULL, *last = NULL, *last_state = NULL;
    TRY(run_path(run, "next", WEIGHTS, &next, err));
    TRY(run_path(run, "next", STATE, &next_state, err));
    TRY(run_path(run, "last", WEIGHTS, &last, err));
    TRY(run_path(run, "last", STATE, &last_state, err));
    TRY(checkpoint_write(next, a, notes, err));
    TRY(write_state(next_state, a, o, p, err));
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
    SafeTensors *f = NULL;
    Error ignored = {0};
    int64_t step = -1;
    if (file_exists(path) && safetensors_open(path, &f, &ignored) == STATUS_OK &&
        get_int(f, "step", &step, &ignored) != STATUS_OK)
        step = -1;
    safetensors_close(f);
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

static Status read_progress(const SafeTensors *f, Progress *p, int64_t *updates, Error *err) {
    Status status = STATUS_OK;
    int64_t seed = 0;
    *p = (Progress){0};
    TRY(get_int(f, "step", &p->step, err));
    TRY(get_int(f, "epoch", &p->epoch, err));
    TRY(get_int(f, "batch", &p->batch, err));
    TRY(get_int(f, "skipped", &p->skipped, err));
    TRY(get_int(f, "updates", updates, err));
    TRY(get_int(f, "seed", &seed, err));
    TRY(get_real(f, "log_loss", &p->log_loss, err));
    TRY(get_real(f, "log_norm", &p->log_norm, err));
    TRY(get_real(f, "epoch_loss", &p->epoch_loss, err));
    TRY(get_int(f, "log_count", &p->log_count, err));
    TRY(get_int(f, "epoch_count", &p->epoch_count, err));
    p->seed = (uint64_t)seed;
    if (p->step < 0 || p->epoch < 0 || p->batch < 0 || *updates < 0)
        status = fail(err, STATUS_FORMAT, "%s: negative counters", safetensors_path(f));
done:
    return status;
}

static Status read_moments(const SafeTensors *f, Autoencoder *a, Optimizer *o, Error *err) {
    for (int64_t i = 0; i < params_count(a->params); i++) {
        const Param *p = params_at(a->params, i);
        if (!p->trainable) continue;
        char name[160];
        snprintf(name, sizeof name, "exp_avg.%s", p->name);
        Status status = read_tensor(f, name, p, a->device, optimizer_exp_avg(o, p), err);
        if (status != STATUS_OK) return status;
        snprintf(name, sizeof name, "exp_avg_sq.%s", p->name);
        status = read_tensor(f, name, p, a->device, optimizer_exp_avg_sq(o, p), err);
        if (status != STATUS_OK) return status;
    }
    return STATUS_OK;
}

Status checkpoint_load_run(const char *run, Autoencoder *a, Optimizer *o, Progress *p, Error *err) {
    Status status = STATUS_OK;
    char *last = NULL, *state = NULL;
    SafeTensors *weights = NULL, *moments = NULL;
    int64_t updates = 0, step = 0;
    TRY(run_path(run, "last", WEIGHTS, &last, err));
    TRY(run_path(run, "last", STATE, &state, err));
    TRY(safetensors_open(last, &weights, err));
    TRY(safetensors_open(state, &moments, err));
    TRY(read_progress(moments, p, &updates, err));
    TRY(get_int(weights, "step", &step, err));
    if (step != p->step) {
        status = fail(err, STATUS_FORMAT,
                      "%s is of step %" PRId64 " but %s of step %" PRId64
                      "; put a matching pair there, or use --restart",
                      last, step, state, p->step);
        goto done;
    }
    TRY(checkpoint_load_weights(weights, a, err));
    TRY(read_moments(moments, a, o, err));
    optimizer_set_updates(o, updates);
done:
    safetensors_close(weights);
    safetensors_close(moments);
    mem_free(last);
    mem_free(state);
    return status;
}
