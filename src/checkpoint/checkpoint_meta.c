/* See checkpoint_meta.h. */
#include "checkpoint/checkpoint_meta.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/words.h"

/* --- metadata out ----------------------------------------------------------------------------- */

void meta_put(Meta *m, const char *key, const char *value) {
    ASSERT(m->n < META_MAX, "more than %d metadata entries", META_MAX);
    if (!value) m->ok = false;
    m->entry[m->n++] = (MetaEntry){key, value};
}

void meta_put_int(Meta *m, const char *key, int64_t v) {
    meta_put(m, key, arena_printf(m->arena, "%" PRId64, v));
}

void meta_put_real(Meta *m, const char *key, double v) {
    meta_put(m, key, arena_printf(m->arena, "%.17g", v));
}

static void put_floats(Meta *m, const char *key, const float *v, int64_t n) {
    char *text = arena_strdup(m->arena, "");
    for (int64_t i = 0; i < n && text; i++)
        text = arena_printf(m->arena, "%s%s%.9g", text, i ? "," : "", (double)v[i]);
    meta_put(m, key, text);
}

static void put_config(Meta *m, const ModelConfig *c) {
    meta_put_int(m, "image_height", c->image_height);
    meta_put_int(m, "image_width", c->image_width);
    meta_put_int(m, "channels", c->channels);
    meta_put_int(m, "patch", c->patch);
    meta_put_int(m, "embed_dim", c->embed_dim);
    meta_put_int(m, "depth", c->depth);
    meta_put_int(m, "heads", c->heads);
    meta_put_int(m, "decoder_embed_dim", c->decoder_embed_dim);
    meta_put_int(m, "decoder_depth", c->decoder_depth);
    meta_put_int(m, "decoder_heads", c->decoder_heads);
    meta_put_real(m, "mlp_ratio", c->mlp_ratio);
    meta_put_real(m, "norm_eps", c->norm_eps);
    meta_put(m, "target", target_words[c->target]);
    meta_put_int(m, "pca_components", c->pca_components);
    meta_put_int(m, "mask_token_in_encoder", c->mask_token_in_encoder);
    put_floats(m, "pixel_mean", c->mean, c->channels);
    put_floats(m, "pixel_std", c->std, c->channels);
}

/* Texts of the heap are copied to the arena. */
static void put_classes(Meta *m, const ModelConfig *c, const CheckpointNotes *n) {
    meta_put(m, "head", head_words[c->head]);
    if (c->head == HEAD_NONE) return;
    meta_put(m, "pool", pool_words[c->pool]);
    meta_put_int(m, "classes", c->classes);
    meta_put_int(m, "averaged", n->averaged);
    for (int i = 0; i < n->metrics.n; i++)
        meta_put_real(m, metric_kinds[n->metrics.at[i].id].name, n->metrics.at[i].value);
    if (!n->classes) return;
    char *names = classes_to_json(n->classes);
    meta_put(m, "class_names", names ? arena_strdup(m->arena, names) : NULL);
    mem_free(names);
}

static void put_notes(Meta *m, const CheckpointNotes *n) {
    meta_put(m, "model", n->preset);
    meta_put(m, "mask", mask_words[n->mask]);
    meta_put_real(m, "mask_ratio", n->mask_ratio);
    meta_put_int(m, "epochs", n->epochs);
    meta_put_int(m, "step", n->step);
}

void meta_put_model(Meta *m, const ModelConfig *c, const CheckpointNotes *n) {
    meta_put(m, "format", META_FORMAT);
    meta_put_int(m, "format_version", META_VERSION);
    put_config(m, c);
    put_notes(m, n);
    put_classes(m, c, n);
}

/* transformers wants "format" to be "pt". */
void meta_put_facts(Meta *m, const ModelConfig *c, const CheckpointNotes *n) {
    meta_put(m, "format", "pt");
    meta_put(m, "written_by", META_FORMAT);
    put_config(m, c);
    put_notes(m, n);
    put_classes(m, c, n);
}

/* In PyTorch files the facts are a dictionary of their own. */
const char *meta_fact(const TensorFile *f, const char *key) {
    char full[96];
    const char *writer = tensorfile_meta(f, "written_by");
    if (writer && strcmp(writer, META_FORMAT) == 0) return tensorfile_meta(f, key);
    snprintf(full, sizeof full, META_FORMAT ".%s", key);
    return tensorfile_meta(f, full);
}

/* --- metadata in ------------------------------------------------------------------------------ */

static Status need(const TensorFile *f, const char *key, const char **out, Error *err) {
    *out = tensorfile_meta(f, key);
    if (*out) return MAE_OK;
    return error_set(err, MAE_FORMAT, "%s: metadata has no \"%s\"; it is not a checkpoint of mae.c",
                     tensorfile_path(f), key);
}

Status meta_get_int(const TensorFile *f, const char *key, int64_t *out, Error *err) {
    const char *text;
    Status status = need(f, key, &text, err);
    if (status != MAE_OK) return status;
    char *end;
    errno = 0;
    *out = strtoll(text, &end, 10);
    if (errno || end == text || *end)
        return error_set(err, MAE_FORMAT, "%s: metadata \"%s\" is \"%.40s\", not an integer",
                         tensorfile_path(f), key, text);
    return MAE_OK;
}

Status meta_get_real(const TensorFile *f, const char *key, double *out, Error *err) {
    const char *text;
    Status status = need(f, key, &text, err);
    if (status != MAE_OK) return status;
    char *end;
    *out = strtod(text, &end);
    if (end == text || *end || !isfinite(*out))
        return error_set(err, MAE_FORMAT, "%s: metadata \"%s\" is \"%.40s\", not a number",
                         tensorfile_path(f), key, text);
    return MAE_OK;
}

Status meta_get_metric(const TensorFile *f, const char *key, double *out, Error *err) {
    *out = NAN;
    Status status = tensorfile_meta(f, key) ? meta_get_real(f, key, out, err) : MAE_OK;
    if (*out < 0) *out = NAN;
    return status;
}

static Status get_word(const TensorFile *f, const char *key, const char *const *words, int *out,
                       Error *err) {
    const char *text;
    Status status = need(f, key, &text, err);
    if (status != MAE_OK) return status;
    *out = word_find(words, text);
    if (*out >= 0) return MAE_OK;
    return error_set(err, MAE_FORMAT, "%s: metadata \"%s\" is \"%.40s\", which is not known here",
                     tensorfile_path(f), key, text);
}

static Status get_floats(const TensorFile *f, const char *key, float *out, int64_t n, Error *err) {
    const char *text;
    Status status = need(f, key, &text, err);
    if (status != MAE_OK) return status;
    for (int64_t i = 0; i < n; i++) {
        char *end;
        out[i] = strtof(text, &end);
        if (end == text || *end != (i + 1 < n ? ',' : '\0') || !isfinite(out[i]))
            return error_set(err, MAE_FORMAT,
                             "%s: metadata \"%s\" does not hold %" PRId64 " numbers",
                             tensorfile_path(f), key, n);
        text = end + 1;
    }
    return MAE_OK;
}

static Status config_from_meta(const TensorFile *f, ModelConfig *c, Error *err) {
    Status status = MAE_OK;
    int target = 0;
    int64_t flag = 0;
    *c = (ModelConfig){0};
    TRY(meta_get_int(f, "image_height", &c->image_height, err));
    TRY(meta_get_int(f, "image_width", &c->image_width, err));
    TRY(meta_get_int(f, "channels", &c->channels, err));
    TRY(meta_get_int(f, "patch", &c->patch, err));
    TRY(meta_get_int(f, "embed_dim", &c->embed_dim, err));
    TRY(meta_get_int(f, "depth", &c->depth, err));
    TRY(meta_get_int(f, "heads", &c->heads, err));
    TRY(meta_get_int(f, "decoder_embed_dim", &c->decoder_embed_dim, err));
    TRY(meta_get_int(f, "decoder_depth", &c->decoder_depth, err));
    TRY(meta_get_int(f, "decoder_heads", &c->decoder_heads, err));
    TRY(meta_get_real(f, "mlp_ratio", &c->mlp_ratio, err));
    TRY(meta_get_real(f, "norm_eps", &c->norm_eps, err));
    TRY(get_word(f, "target", target_words, &target, err));
    TRY(meta_get_int(f, "pca_components", &c->pca_components, err));
    TRY(meta_get_int(f, "mask_token_in_encoder", &flag, err));
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

static Status metrics_from_meta(const TensorFile *f, Metrics *m, Error *err) {
    Status status = MAE_OK;
    for (int k = 0; k < METRIC_COUNT; k++) {
        Metric *metric = &m->at[m->n];
        metric->id = (MetricId)k;
        TRY(meta_get_metric(f, metric_kinds[k].name, &metric->value, err));
        m->n += !isnan(metric->value);
    }
done:
    return status;
}

/* Files of the first version say nothing of heads: they have none. */
static Status head_from_meta(const TensorFile *f, ModelConfig *c, CheckpointNotes *n, Error *err) {
    Status status = MAE_OK;
    int word = 0;
    int64_t averaged = 0;
    if (!tensorfile_meta(f, "head")) return MAE_OK;
    TRY(get_word(f, "head", head_words, &word, err));
    c->head = (HeadKind)word;
    if (c->head == HEAD_NONE) return MAE_OK;
    TRY(get_word(f, "pool", head_pool_words, &word, err));
    c->pool = (PoolKind)word;
    TRY(meta_get_int(f, "classes", &c->classes, err));
    TRY(meta_get_int(f, "averaged", &averaged, err));
    n->averaged = averaged != 0;
    TRY(metrics_from_meta(f, &n->metrics, err));
    TRY(model_check(c, err));
    const char *names = tensorfile_meta(f, "class_names");
    if (names) TRY(classes_from_json(names, tensorfile_path(f), &n->classes, err));
    if (n->classes && n->classes->n != c->classes)
        status = error_set(err, MAE_FORMAT, "%s: %" PRId64 " class names for %" PRId64 " classes",
                           tensorfile_path(f), n->classes->n, c->classes);
done:
    return status;
}

static Status notes_from_meta(const TensorFile *f, CheckpointNotes *n, Error *err) {
    Status status = MAE_OK;
    int mask = 0;
    const char *preset;
    *n = (CheckpointNotes){0};
    TRY(need(f, "model", &preset, err));
    snprintf(n->preset, sizeof n->preset, "%.31s", preset);
    TRY(get_word(f, "mask", mask_words, &mask, err));
    n->mask = (MaskKind)mask;
    TRY(meta_get_real(f, "mask_ratio", &n->mask_ratio, err));
    TRY(meta_get_int(f, "epochs", &n->epochs, err));
    TRY(meta_get_int(f, "step", &n->step, err));
done:
    return status;
}

bool meta_is_native(const TensorFile *file) {
    const char *format = tensorfile_meta(file, "format");
    return format && strcmp(format, META_FORMAT) == 0;
}

Status meta_get_model(const TensorFile *file, ModelConfig *c, CheckpointNotes *notes, Error *err) {
    const char *format = tensorfile_meta(file, "format");
    if (!format || strcmp(format, META_FORMAT) != 0)
        return error_set(
            err, MAE_FORMAT,
            "%s: not a checkpoint of mae.c (metadata \"format\" is %s); it does not say what "
            "the model is",
            tensorfile_path(file), format ? format : "missing");
    int64_t version;
    Status status = meta_get_int(file, "format_version", &version, err);
    if (status != MAE_OK) return status;
    if (version != META_VERSION)
        return error_set(err, MAE_UNSUPPORTED,
                         "%s: format version %" PRId64 ", this program reads %d",
                         tensorfile_path(file), version, META_VERSION);
    status = config_from_meta(file, c, err);
    if (status == MAE_OK) status = notes_from_meta(file, notes, err);
    return status == MAE_OK ? head_from_meta(file, c, notes, err) : status;
}
