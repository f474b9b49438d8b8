/* mae info: what a checkpoint holds, also a file that no model can be made from. Of each tensor
 * "use" says what becomes of it on reading and "why" a reason; "tensor_use" has how many of each;
 * "models" and "prefix" are of a file that holds several models; "done" is what is done on reading,
 * "note" what the file does not say, and "refused" why other commands refuse it. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "checkpoint/statistics.h"
#include "jobs/jobs.h"
#include "jobs/setup.h"

/* With what becomes of it, where the file could be described. */
static void tell_tensor(const CheckpointFile *c, const TensorEntry *t, size_t i, Result out) {
    result_text(out, "name", t->name);
    result_text(out, "dtype", tensorfile_type(t));
    Result shape = result_list(out, "shape");
    for (int k = 0; k < t->shape.n_dims; k++) result_count(shape, NULL, t->shape.dim[k]);
    if (!c || c->config.embed_dim == 0) return;
    result_text(out, "use", tensor_use_words[c->verdicts[i].use]);
    if (c->verdicts[i].why) result_text(out, "why", c->verdicts[i].why);
}

static void tell_tensors(const CheckpointFile *c, const TensorFile *f, Result out) {
    Result list = result_list(out, "tensors");
    for (size_t i = 0; i < tensorfile_count(f); i++)
        tell_tensor(c, tensorfile_at(f, i), i, result_object(list, NULL));
}

/* Values of all tensors that can be read. */
static int64_t n_values(const TensorFile *f) {
    int64_t n = 0;
    for (size_t i = 0; i < tensorfile_count(f); i++) {
        const TensorEntry *t = tensorfile_at(f, i);
        if (t->refusal == NULL) n += shape_numel(t->shape);
    }
    return n;
}

/* How many are read, ignored, refused and outside of the model. */
static void tell_use(const CheckpointFile *c, Result out) {
    int64_t n[TENSOR_USES] = {0};
    for (size_t i = 0; i < tensorfile_count(c->file); i++) n[c->verdicts[i].use]++;
    for (int k = 0; k < TENSOR_USES; k++) result_count(out, tensor_use_words[k], n[k]);
}

/* The models of a file that holds several; the first is read by default. */
static void tell_models(const DialectModels *m, Result out) {
    for (size_t i = 0; i < m->n; i++) {
        Result model = result_object(out, NULL);
        result_text(model, "prefix", m->model[i].prefix);
        result_text(model, "dialect", dialect_words[m->model[i].dialect]);
    }
}

static void tell_metadata(const TensorFile *f, Result out) {
    for (size_t i = 0; i < tensorfile_meta_count(f); i++) {
        MetaEntry e = tensorfile_meta_at(f, i);
        result_text(out, e.key, e.value);
    }
}

/* 0.485, not 0.48500001430511475 */
static void tell_floats(const float *v, int64_t n, Result out) {
    for (int64_t i = 0; i < n; i++) {
        char text[STATISTICS_TEXT_BYTES];
        statistics_print(v + i, 1, text);
        result_number(out, NULL, strtod(text, NULL));
    }
}

static void tell_config(const CheckpointFile *c, Result out) {
    const ModelConfig *m = &c->config;
    result_count(out, "image_height", m->image_height);
    result_count(out, "image_width", m->image_width);
    result_count(out, "channels", m->channels);
    result_count(out, "patch", m->patch);
    result_count(out, "embed_dim", m->embed_dim);
    result_count(out, "depth", m->depth);
    result_count(out, "heads", m->heads);
    result_number(out, "mlp_ratio", m->mlp_ratio);
    result_number(out, "norm_eps", m->norm_eps);
    if (m->channels <= MAX_CHANNELS) {
        tell_floats(m->mean, m->channels, result_list(out, "pixel_mean"));
        tell_floats(m->std, m->channels, result_list(out, "pixel_std"));
    }
    result_switch(out, "decoder", m->decoder_depth > 0);
    if (m->decoder_depth > 0) {
        result_count(out, "decoder_embed_dim", m->decoder_embed_dim);
        result_count(out, "decoder_depth", m->decoder_depth);
        result_count(out, "decoder_heads", m->decoder_heads);
        result_text(out, "target", target_words[m->target]);
        result_number(out, "mask_ratio", c->notes.mask_ratio);
    }
    result_text(out, "head", head_words[m->head]);
    if (m->head == HEAD_NONE) return;
    result_count(out, "classes", m->classes);
    result_text(out, "pool", m->pool == POOL_MEAN ? "mean" : "cls");
}

static void tell_text(Result out, const char *key, const char *text) {
    if (*text) result_text(out, key, text);
}

static void tell_model(const CheckpointFile *c, Result out) {
    result_text(out, "dialect", c->native ? "mae.c" : dialect_words[c->dialect.dialect]);
    if (c->config.embed_dim > 0) {
        result_text(out, "model", c->notes.preset);
        tell_config(c, result_object(out, "config"));
        tell_use(c, result_object(out, "tensor_use"));
    }
    tell_text(out, "prefix", c->dialect.prefix);
    if (c->models.n > 1) tell_models(&c->models, result_list(out, "models"));
    tell_text(out, "refused", c->refused);
    tell_text(out, "done", c->done);
    tell_text(out, "note", c->unknown);
}

/* A file that is no model is described all the same: what it holds may say what it is. */
static void tell(const CheckpointFile *c, const TensorFile *f, const Error *why, Result out) {
    result_text(out, "file", tensorfile_path(f));
    result_text(out, "format", tensorfile_format(f));
    if (c) {
        tell_model(c, out);
    } else {
        result_text(out, "dialect", "unknown");
        tell_text(out, "refused", why->message);
    }
    result_count(out, "n_tensors", (int64_t)tensorfile_count(f));
    result_count(out, "n_values", n_values(f));
    tell_metadata(f, result_object(out, "metadata"));
    tell_tensors(c, f, out);
}

Status info_job(const MaeOptions *o, Result out, Error *err) {
    Status status = MAE_OK;
    const char *path = o->file;
    CheckpointHints hints = setup_hints(o);
    CheckpointFile *c = NULL;
    TensorFile *f = NULL;
    char *file = NULL;
    Error why = {0};
    if (!path) return error_set(err, MAE_USAGE, "info needs a FILE");
    hints.describe_only = true;
    Status opened = checkpoint_open(path, &hints, &c, &why);
    if (opened == MAE_USAGE) TRY(error_set(err, opened, "%s", why.message)); /* a wrong --prefix */
    if (opened != MAE_OK) {
        TRY(checkpoint_find(path, &file, err));
        TRY(tensorfile_open(file, &f, err));
    }
    tell(c, c ? c->file : f, &why, out);
done:
    mem_free(file);
    checkpoint_close(c);
    tensorfile_close(f);
    return status;
}
