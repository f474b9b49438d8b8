/* See checkpoint.h. checkpoint_meta.c reads and writes the metadata, and checkpoint_find.c looks
 * into run folders. */
#include "checkpoint/checkpoint.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/memory.h"
#include "checkpoint/checkpoint_meta.h"
#include "checkpoint/foreign.h"
#include "checkpoint/statistics.h"
#include "checkpoint/tensor_list.h"

/* --- tensors out ------------------------------------------------------------------------------ */

Status checkpoint_write(const char *path, const Vit *v, const CheckpointNotes *notes, Error *err) {
    Status status = MAE_OK;
    TensorList list = {0};
    TRY(tensor_list_new(&list, v->device, (size_t)params_count(v->params), err));
    for (int64_t i = 0; i < params_count(v->params); i++) {
        const Param *p = params_at(v->params, i);
        TRY(tensor_list_add(&list, NULL, p, p->data, err));
    }
    Meta meta = {.arena = list.arena, .ok = true};
    meta_put_model(&meta, &v->config, notes);
    TRY(tensor_list_write(&list, path, &meta, NULL, err));
done:
    tensor_list_free(&list);
    return status;
}

/* --- tensors in ------------------------------------------------------------------------------- */

/* --mean and --std count more than what a file says. */
static Status override_statistics(CheckpointFile *c, const CheckpointHints *hints, Error *err) {
    ModelConfig said = c->config;
    char mean[STATISTICS_TEXT_BYTES], std[STATISTICS_TEXT_BYTES];
    bool known = c->config.embed_dim > 0;
    if (!known || !hints || (!hints->mean && !hints->std)) return MAE_OK;
    Status status = statistics_set(hints->mean, hints->std, &c->config, err);
    if (status != MAE_OK || hints->said || statistics_equal(&said, &c->config)) return status;
    statistics_print(c->config.mean, said.channels, mean);
    statistics_print(c->config.std, said.channels, std);
    log_line(LOG_INFO, "%s: pixels are normalised with mean %s, deviation %s, as told",
             tensorfile_path(c->file), mean, std);
    return MAE_OK;
}

/* Nothing else is in a file of this project than its model. */
static Status refuse_strangers(CheckpointFile *c, bool describe_only, Error *err) {
    for (size_t i = 0; i < tensorfile_count(c->file); i++) {
        char shape[96];
        const TensorEntry *t = tensorfile_at(c->file, i);
        if (c->verdicts[i].use == TENSOR_READ) continue;
        c->verdicts[i] = (TensorVerdict){TENSOR_REFUSED, "does not belong to the model"};
        shape_text(t->shape, shape, sizeof shape);
        if (*c->refused) continue;
        snprintf(c->refused, sizeof c->refused,
                 "tensor %.200s of shape %s does not belong to the model", t->name, shape);
    }
    return *c->refused && !describe_only
               ? error_set(err, MAE_SHAPE, "%s: %s", tensorfile_path(c->file), c->refused)
               : MAE_OK;
}

/* A file of this project says all in its metadata, and holds one model. */
static Status open_native(CheckpointFile *c, const CheckpointHints *hints, Error *err) {
    char missing[INVENTORY_NAME_BYTES]; /* an error of reading */
    c->dialect = (DialectFile){.file = c->file, .dialect = DIALECT_OFFICIAL};
    c->models = (DialectModels){.model = {c->dialect}, .n = 1};
    if (hints && hints->prefix)
        return error_set(
            err, MAE_USAGE,
            "--prefix %s: %s is a checkpoint of mae.c and holds one model; leave it out",
            hints->prefix, tensorfile_path(c->file));
    Status status = meta_get_model(c->file, &c->config, &c->notes, err);
    if (status != MAE_OK) return status;
    inventory_make(&c->dialect, &c->models, &c->config, c->verdicts, missing);
    return refuse_strangers(c, hints && hints->describe_only, err);
}

/* For files of others foreign.c has to look around. */
Status checkpoint_open(const char *path, const CheckpointHints *hints, CheckpointFile **out,
                       Error *err) {
    Status status = MAE_OK;
    CheckpointFile *c = mem_alloc(sizeof *c);
    char *file = NULL;
    *out = NULL;
    if (!c) return error_set(err, MAE_MEMORY, "no memory to open %s", path);
    TRY(checkpoint_find(path, &file, err));
    TRY(tensorfile_open(file, &c->file, err));
    if ((!hints || !hints->said) && strcmp(file, path) != 0)
        log_line(LOG_INFO, "%s is a run folder: %s is taken", path, file);
    c->verdicts = mem_alloc_array(tensorfile_count(c->file) + 1, sizeof *c->verdicts);
    if (!c->verdicts) {
        status = error_set(err, MAE_MEMORY, "no memory to open %s", path);
        goto done;
    }
    c->native = meta_is_native(c->file);
    TRY(c->native ? open_native(c, hints, err) : foreign_describe(c, hints, err));
    TRY(override_statistics(c, hints, err));
    *out = c;
    c = NULL;
done:
    mem_free(file);
    checkpoint_close(c);
    return status;
}

void checkpoint_close(CheckpointFile *c) {
    if (!c) return;
    checkpoint_notes_free(&c->notes);
    mem_free(c->verdicts);
    tensorfile_close(c->file);
    mem_free(c);
}

void checkpoint_notes_free(CheckpointNotes *n) {
    classes_free(n->classes);
    n->classes = NULL;
}

static Status read_param(const CheckpointFile *c, Vit *v, Param *p, Error *err) {
    float *host = mem_alloc_array((size_t)p->numel, sizeof *host);
    if (!host) return error_set(err, MAE_MEMORY, "no memory to read %s", p->name);
    Status status = dialect_read(&c->dialect, p, host, err);
    if (status == MAE_OK) params_set(v->params, p, host);
    mem_free(host);
    return status;
}

static Status refuse_foreign_tensors(const CheckpointFile *c, const Vit *v, Error *err) {
    for (size_t i = 0; i < tensorfile_count(c->file) && c->native; i++) {
        char shape[96];
        const TensorEntry *t = tensorfile_at(c->file, i);
        if (!params_find(v->params, t->name))
            return error_set(
                err, MAE_SHAPE, "%s: tensor %s of shape %s does not belong to the model",
                tensorfile_path(c->file), t->name, shape_text(t->shape, shape, sizeof shape));
    }
    return MAE_OK;
}

Status checkpoint_read(const CheckpointFile *c, Vit *v, Error *err) {
    Status status = refuse_foreign_tensors(c, v, err);
    for (int64_t i = 0; i < params_count(v->params) && status == MAE_OK; i++)
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
                              : error_set(err, MAE_MEMORY, "no memory to interpolate positions");
    if (status == MAE_OK) {
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

/* A parameter of the head, its rows in the order of the classes of v. */
static Status read_head(const CheckpointFile *c, Vit *v, Param *p, const int *rows, Error *err) {
    int64_t O = v->config.classes, n = p->numel / O;
    if (!p->role.per_class) return read_param(c, v, p, err);
    float *there = mem_alloc_array((size_t)p->numel, sizeof *there);
    float *here = mem_alloc_array((size_t)p->numel, sizeof *here);
    Status status = there && here ? dialect_read(&c->dialect, p, there, err)
                                  : error_set(err, MAE_MEMORY, "no memory to read %s", p->name);
    for (int64_t i = 0; i < O && status == MAE_OK; i++)
        memcpy(here + i * n, there + rows[i] * n, (size_t)n * sizeof *here);
    if (status == MAE_OK) params_set(v->params, p, here);
    mem_free(there);
    mem_free(here);
    return status;
}

Status checkpoint_read_encoder(const CheckpointFile *c, Vit *v, const int *rows, Error *err) {
    if (c->config.head != HEAD_NONE && c->config.pool != v->config.pool)
        return error_set(err, MAE_USAGE,
                         "%s is a classifier that pools otherwise (%s); use --pool %s with it",
                         tensorfile_path(c->file), c->config.pool == POOL_CLS ? "cls" : "mean",
                         c->config.pool == POOL_CLS ? "cls" : "mean");
    for (int64_t i = 0; i < params_count(v->params); i++) {
        Param *p = params_at(v->params, i);
        if (p->role.part == PART_HEAD && !rows) continue;
        Status status = p->role.part == PART_HEAD       ? read_head(c, v, p, rows, err)
                        : p->role.start == START_SINCOS ? read_positions(c, v, p, err)
                                                        : read_param(c, v, p, err);
        if (status != MAE_OK) return status;
    }
    return MAE_OK;
}

/* --- what pre-training goes on from ----------------------------------------------------------- */

static bool same_grid(const ModelConfig *a, const ModelConfig *b) {
    return model_grid_height(a) == model_grid_height(b) &&
           model_grid_width(a) == model_grid_width(b);
}

/* Parts that a file of another kind of model does not have. */
static bool stays_fresh(const CheckpointFile *c, const Vit *v, const Param *p) {
    if (p->role.part == PART_DECODER && c->config.decoder_depth == 0) return true;
    if (p->role.start == START_SINCOS && !same_grid(&c->config, &v->config)) return true;
    if (strcmp(p->name, "encoder_mask_token") == 0) return !c->config.mask_token_in_encoder;
    return p->role.part == PART_NORM && c->config.head != HEAD_NONE &&
           !dialect_find(&c->dialect, p->name);
}

static void say_what_is_fresh(const CheckpointFile *c, const Vit *v) {
    const char *path = tensorfile_path(c->file);
    const ModelConfig *there = &c->config, *here = &v->config;
    if (there->decoder_depth == 0)
        log_line(LOG_INFO,
                 "%s has no decoder: a new one, width %" PRId64 ", depth %" PRId64
                 ", heads %" PRId64,
                 path, here->decoder_embed_dim, here->decoder_depth, here->decoder_heads);
    if (!same_grid(there, here))
        log_line(LOG_INFO,
                 "positions of %" PRId64 "x%" PRId64 " patches in %s make way for new sin-cos "
                 "positions of %" PRId64 "x%" PRId64,
                 model_grid_height(there), model_grid_width(there), path, model_grid_height(here),
                 model_grid_width(here));
    if (there->head != HEAD_NONE) log_line(LOG_INFO, "the head of %s is left out", path);
    if (stays_fresh(c, v, params_find(v->params, "norm.weight")))
        log_line(LOG_INFO, "%s has no norm behind its blocks: a new one", path);
    if (here->mask_token_in_encoder && !there->mask_token_in_encoder)
        log_line(LOG_INFO, "%s has no mask token in the encoder: a new one", path);
}

Status checkpoint_read_autoencoder(const CheckpointFile *c, Vit *v, Error *err) {
    Status status = c->config.head == HEAD_NONE ? refuse_foreign_tensors(c, v, err) : MAE_OK;
    for (int64_t i = 0; i < params_count(v->params) && status == MAE_OK; i++) {
        Param *p = params_at(v->params, i);
        if (!stays_fresh(c, v, p)) status = read_param(c, v, p, err);
    }
    if (status == MAE_OK) say_what_is_fresh(c, v);
    return status;
}
