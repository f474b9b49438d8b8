/* Values of a parameter out of the tensors of a file: see dialect.h. */
#include <string.h>

#include "base/memory.h"
#include "checkpoint/dialect.h"

/* The bias of qkv, in a file that has none for that stack at all (models without qkv_bias). */
bool dialect_is_zero(const DialectFile *d, const char *param) {
    size_t n = strlen(param);
    bool decoder = strncmp(param, "decoder_blocks.", 15) == 0;
    if (!decoder && strncmp(param, "blocks.", 7) != 0) return false;
    if (n < 14 || strcmp(param + n - 14, ".attn.qkv.bias") != 0) return false;
    return !dialect_find(d, decoder ? "decoder_blocks.0.attn.qkv.bias" : "blocks.0.attn.qkv.bias");
}

/* Positions that are there for the patches alone, without a row for the cls token. */
static bool lacks_cls_row(const TensorEntry *t, const Param *p) {
    return strcmp(p->name, "pos_embed") == 0 && t->shape.n_dims == 3 && p->shape.dim[1] > 1 &&
           shape_equal(t->shape, SHAPE(1, p->shape.dim[1] - 1, p->shape.dim[2]));
}

static bool is_float(DType t) {
    return t == DTYPE_F32 || t == DTYPE_F64 || t == DTYPE_F16 || t == DTYPE_BF16;
}

static Status check_float(const DialectFile *d, const TensorEntry *t, Error *err) {
    if (is_float(t->dtype)) return MAE_OK;
    return error_set(err, MAE_UNSUPPORTED,
                     "%s: tensor %s has elements of type %s, which are no weights as they are "
                     "(quantised?); save it as float32",
                     tensorfile_path(d->file), t->name, tensorfile_type(t));
}

/* One of n equal parts along the first dimension of the parameter; without a name zeros. */
static Status read_part(const DialectFile *d, const Param *p, const char *name, int n, float *out,
                        Error *err) {
    char want[96], have[96];
    Shape shape = p->shape;
    if (n > 1) shape.dim[0] /= n;
    if (!*name) {
        memset(out, 0, (size_t)shape_numel(shape) * sizeof *out);
        return MAE_OK;
    }
    const TensorEntry *t = tensorfile_find(d->file, name);
    if (t->refusal != NULL) return tensorfile_check(d->file, t, err);
    if (lacks_cls_row(t, p)) {
        memset(out, 0, (size_t)p->shape.dim[2] * sizeof *out);
        Status status = check_float(d, t, err);
        return status == MAE_OK ? tensorfile_read(d->file, t, out + p->shape.dim[2], err) : status;
    }
    bool scalar = t->shape.n_dims == 0 && shape_numel(shape) == 1; /* num_batches_tracked */
    if (!scalar && !shape_equal(t->shape, shape))
        return error_set(err, MAE_SHAPE, "%s: tensor %s has shape %s, the model needs %s",
                         tensorfile_path(d->file), t->name, shape_text(t->shape, have, sizeof have),
                         shape_text(shape, want, sizeof want));
    Status status = scalar ? MAE_OK : check_float(d, t, err);
    return status == MAE_OK ? tensorfile_read(d->file, t, out, err) : status;
}

/* s * (W x + b) = (s W) x + s b: a row of the linear layer in front takes its factor. */
static Status multiply_scale(const DialectFile *d, const Param *p, float *out, Error *err) {
    const TensorEntry *t = dialect_scale(d, p->name);
    int64_t rows = p->shape.dim[0], columns = p->numel / (rows > 0 ? rows : 1);
    char have[96];
    if (!t) return MAE_OK;
    if (t->refusal != NULL) return tensorfile_check(d->file, t, err);
    if (shape_numel(t->shape) != rows)
        return error_set(err, MAE_SHAPE,
                         "%s: tensor %s (layer scale) has shape %s, %s needs %lld values",
                         tensorfile_path(d->file), t->name, shape_text(t->shape, have, sizeof have),
                         p->name, (long long)rows);
    Status status = check_float(d, t, err);
    if (status != MAE_OK) return status;
    float *scale = mem_alloc_array((size_t)rows, sizeof *scale);
    if (!scale) return error_set(err, MAE_MEMORY, "no memory to read %s", t->name);
    status = tensorfile_read(d->file, t, scale, err);
    for (int64_t i = 0; status == MAE_OK && i < rows; i++)
        for (int64_t k = 0; k < columns; k++) out[i * columns + k] *= scale[i];
    mem_free(scale);
    return status;
}

Status dialect_read(const DialectFile *d, const Param *p, float *out, Error *err) {
    char names[3][DIALECT_NAME_BYTES], name[256], want[96];
    int n = dialect_sources(d, p->name, names);
    if (n == 0 && dialect_is_zero(d, p->name)) {
        memset(out, 0, (size_t)p->numel * sizeof *out);
        return MAE_OK;
    }
    if (n == 0)
        return error_set(err, MAE_SHAPE, "%s: tensor %s of shape %s is missing",
                         tensorfile_path(d->file), dialect_wanted(d, p->name, name, sizeof name),
                         shape_text(p->shape, want, sizeof want));
    for (int i = 0; i < n; i++) {
        Status status = read_part(d, p, names[i], n, out + i * (p->numel / n), err);
        if (status != MAE_OK) return status;
    }
    return multiply_scale(d, p, out, err);
}
