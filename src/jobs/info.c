/* mae info: what a checkpoint holds, as JSON, also of a file that no model can be made from. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/memory.h"
#include "checkpoint/statistics.h"
#include "jobs/jobs.h"
#include "jobs/setup.h"

/* With what becomes of each, where the file could be described. */
static json_t *tensor_list(const CheckpointFile *c, const TensorFile *f, int64_t *total) {
    bool known = c && c->config.embed_dim > 0;
    json_t *list = json_array();
    for (size_t i = 0; i < tensorfile_count(f); i++) {
        const TensorEntry *t = tensorfile_at(f, i);
        json_t *shape = json_array();
        for (int k = 0; k < t->shape.n_dims; k++)
            json_array_append_new(shape, json_integer((json_int_t)t->shape.dim[k]));
        json_t *entry = json_pack("{so ss so}", "name", json_name(t->name), "dtype",
                                  tensorfile_type(t), "shape", shape);
        if (known)
            json_object_set_new(entry, "use", json_string(tensor_use_words[c->verdicts[i].use]));
        if (known && c->verdicts[i].why)
            json_object_set_new(entry, "why", json_string(c->verdicts[i].why));
        json_array_append_new(list, entry);
        if (t->refusal == NULL) *total += shape_numel(t->shape);
    }
    return list;
}

/* How many are read, ignored, refused and outside of the model. */
static json_t *use_counts(const CheckpointFile *c) {
    int64_t n[TENSOR_USES] = {0};
    json_t *counts = json_object();
    for (size_t i = 0; i < tensorfile_count(c->file); i++) n[c->verdicts[i].use]++;
    for (int k = 0; k < TENSOR_USES; k++)
        json_object_set_new(counts, tensor_use_words[k], json_integer((json_int_t)n[k]));
    return counts;
}

/* The models of a file that holds several; the first is read by default. */
static json_t *model_list(const DialectModels *m) {
    json_t *list = json_array();
    for (size_t i = 0; i < m->n; i++)
        json_array_append_new(list, json_pack("{so ss}", "prefix", json_name(m->model[i].prefix),
                                              "dialect", dialect_words[m->model[i].dialect]));
    return list;
}

static json_t *metadata(const TensorFile *f) {
    json_t *meta = json_object();
    for (size_t i = 0; i < tensorfile_meta_count(f); i++) {
        MetaEntry e = tensorfile_meta_at(f, i);
        json_object_set_new(meta, e.key, json_string(e.value));
    }
    return meta;
}

/* 0.485, not 0.48500001430511475 */
static json_t *float_list(const float *v, int64_t n) {
    json_t *list = json_array();
    for (int64_t i = 0; i < n; i++) {
        char text[STATISTICS_TEXT_BYTES];
        statistics_print(v + i, 1, text);
        json_array_append_new(list, json_real(strtod(text, NULL)));
    }
    return list;
}

static json_t *model_json(const CheckpointFile *c) {
    const ModelConfig *m = &c->config;
    json_t *o = json_pack(
        "{sI sI sI sI sI sI sI sf sf}", "image_height", (json_int_t)m->image_height, "image_width",
        (json_int_t)m->image_width, "channels", (json_int_t)m->channels, "patch",
        (json_int_t)m->patch, "embed_dim", (json_int_t)m->embed_dim, "depth", (json_int_t)m->depth,
        "heads", (json_int_t)m->heads, "mlp_ratio", m->mlp_ratio, "norm_eps", m->norm_eps);
    if (m->channels <= MAX_CHANNELS) {
        json_object_set_new(o, "pixel_mean", float_list(m->mean, m->channels));
        json_object_set_new(o, "pixel_std", float_list(m->std, m->channels));
    }
    json_object_set_new(o, "decoder", json_boolean(m->decoder_depth > 0));
    if (m->decoder_depth > 0) {
        json_object_set_new(o, "decoder_embed_dim", json_integer((json_int_t)m->decoder_embed_dim));
        json_object_set_new(o, "decoder_depth", json_integer((json_int_t)m->decoder_depth));
        json_object_set_new(o, "decoder_heads", json_integer((json_int_t)m->decoder_heads));
        json_object_set_new(o, "target", json_string(target_words[m->target]));
        json_object_set_new(o, "mask_ratio", json_real(c->notes.mask_ratio));
    }
    json_object_set_new(o, "head", json_string(head_words[m->head]));
    if (m->head != HEAD_NONE) {
        json_object_set_new(o, "classes", json_integer((json_int_t)m->classes));
        json_object_set_new(o, "pool", json_string(m->pool == POOL_MEAN ? "mean" : "cls"));
    }
    return o;
}

static void set_text(json_t *o, const char *key, const char *text) {
    if (*text) json_object_set_new(o, key, json_name(text));
}

static void describe_model(json_t *root, const CheckpointFile *c) {
    json_object_set_new(root, "dialect",
                        json_string(c->native ? "mae.c" : dialect_words[c->dialect.dialect]));
    if (c->config.embed_dim > 0) {
        json_object_set_new(root, "model", json_string(c->notes.preset));
        json_object_set_new(root, "config", model_json(c));
        json_object_set_new(root, "tensor_use", use_counts(c));
    }
    set_text(root, "prefix", c->dialect.prefix);
    if (c->models.n > 1) json_object_set_new(root, "models", model_list(&c->models));
    set_text(root, "refused", c->refused);
    set_text(root, "done", c->done);
    set_text(root, "note", c->unknown);
}

/* A file that is no model is described all the same: what it holds may say what it is. */
static Status describe(const CheckpointFile *c, const TensorFile *f, const Error *why, char **json,
                       Error *err) {
    int64_t total = 0;
    json_t *root = json_object(), *tensors = tensor_list(c, f, &total);
    json_object_set_new(root, "file", json_name(tensorfile_path(f)));
    json_object_set_new(root, "format", json_string(tensorfile_format(f)));
    if (c) {
        describe_model(root, c);
    } else {
        json_object_set_new(root, "dialect", json_string("unknown"));
        set_text(root, "refused", why->message);
    }
    json_object_set_new(root, "n_tensors", json_integer((json_int_t)json_array_size(tensors)));
    json_object_set_new(root, "n_values", json_integer((json_int_t)total));
    json_object_set_new(root, "metadata", metadata(f));
    json_object_set_new(root, "tensors", tensors);
    char *text = json_dumps(root, JSON_INDENT(2));
    *json = text ? mem_strdup(text) : NULL;
    free(text);
    json_decref(root);
    return *json ? MAE_OK
                 : error_set(err, MAE_MEMORY, "no memory to describe %s", tensorfile_path(f));
}

Status file_info(const char *path, const MaeOptions *o, char **json, Error *err) {
    Status status = MAE_OK;
    CheckpointHints hints = o ? setup_hints(o) : (CheckpointHints){0};
    CheckpointFile *c = NULL;
    TensorFile *f = NULL;
    char *file = NULL;
    Error why = {0};
    *json = NULL;
    hints.describe_only = true;
    Status opened = checkpoint_open(path, &hints, &c, &why);
    if (opened == MAE_USAGE) TRY(error_set(err, opened, "%s", why.message)); /* a wrong --prefix */
    if (opened != MAE_OK) {
        TRY(checkpoint_find(path, &file, err));
        TRY(tensorfile_open(file, &f, err));
    }
    TRY(describe(c, c ? c->file : f, &why, json, err));
done:
    mem_free(file);
    checkpoint_close(c);
    tensorfile_close(f);
    return status;
}
