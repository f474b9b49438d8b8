/* mae convert: a checkpoint as another project writes it. The tensors of the other side are listed
 * first (names, shapes, which parameter or part of one they are), then written one by one, then
 * read back. */
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "checkpoint/checkpoint_meta.h"
#include "export/convert_hf.h"
#include "export/export_onnx.h"
#include "formats/torch_write.h"
#include "jobs/jobs.h"
#include "jobs/setup.h"
#include "jobs/verify.h"

#define FOLD_EPS 1e-6 /* of the probe's batch norm */

/* A tensor that is written. */
typedef struct Item {
    const Param *param;
    int part, n_parts; /* query, key, value of qkv */
    bool folded;       /* the linear layer of a probe with its batch norm in it */
} Item;

static const DType TYPES[] = {[STORE_F32] = DTYPE_F32,
                              [STORE_F16] = DTYPE_F16,
                              [STORE_BF16] = DTYPE_BF16,
                              [STORE_I8] = DTYPE_I8};

typedef struct Conversion {
    const MaeOptions *options;
    Destination to;
    Dialect dialect; /* of what is written */
    CheckpointFile *in;
    Vit *model; /* described, without memory of its own */
    Device *device;
    Arena *arena;
    Item *items;
    NamedTensor *tensors;
    size_t n, capacity;
    float *values;       /* of the largest parameter */
    double change, size; /* sums of squares: rounding, weights */
    int64_t bytes;       /* written, of tensors */
    bool compared;       /* what was written was read back */
    char note[1280];     /* what was assumed, folded or left out */
} Conversion;

static void note(Conversion *c, const char *format, ...) PRINTF_LIKE(2, 3);
static void note(Conversion *c, const char *format, ...) {
    char *text = c->note;
    size_t n = strlen(text), room = sizeof c->note;
    va_list args;
    if (n && n + 3 < room) n += (size_t)snprintf(text + n, 3, "; ");
    va_start(args, format);
    if (n < room) vsnprintf(text + n, room - n, format, args);
    va_end(args);
}

/* --- what is written -------------------------------------------------------------------------- */

static DType stored_type(const Conversion *c, const char *name) {
    return text_ends_with(name, "num_batches_tracked") ? DTYPE_I64 : TYPES[c->options->dtype];
}

static Status add(Conversion *c, const char *name, Item item, Error *err) {
    if (c->n == c->capacity) {
        size_t capacity = c->capacity ? 2 * c->capacity : 256;
        void *items = mem_realloc(c->items, c->n * sizeof *c->items, capacity * sizeof *c->items);
        if (items) c->items = items;
        void *tensors =
            mem_realloc(c->tensors, c->n * sizeof *c->tensors, capacity * sizeof *c->tensors);
        if (tensors) c->tensors = tensors;
        if (!items || !tensors)
            return error_set(err, MAE_MEMORY, "no memory for a list of tensors");
        c->capacity = capacity;
    }
    const char *copy = arena_strdup(c->arena, name);
    if (!copy) return error_set(err, MAE_MEMORY, "no memory for the name of a tensor");
    DType type = stored_type(c, name);
    Shape shape = item.param->shape;
    if (type == DTYPE_I64) shape.n_dims = 0;
    if (item.n_parts > 1) shape.dim[0] /= item.n_parts;
    c->items[c->n] = item;
    c->tensors[c->n++] =
        (NamedTensor){copy, type, shape, NULL, (size_t)shape_numel(shape) * dtype_bytes(type)};
    return MAE_OK;
}

/* Parameters that have no place on the other side. */
static bool is_left_out(const Conversion *c, const Param *p) {
    if (c->to == TO_MAE) return false;
    if (p->role.start == START_GIVEN) return true;
    if (c->to == TO_TIMM) return p->role.part == PART_DECODER;
    return strcmp(p->name, "encoder_mask_token") == 0 && c->to == TO_HF;
}

static bool folds(const Conversion *c) {
    return c->model->config.head == HEAD_PROBE && (c->to == TO_TIMM || c->to == TO_HF);
}

static Status list_param(Conversion *c, const Param *p, Error *err) {
    char names[3][DIALECT_NAME_BYTES];
    char plain[DIALECT_NAME_BYTES];
    bool folded = folds(c) && strncmp(p->name, "head.1.", 7) == 0;
    if (is_left_out(c, p) || (folds(c) && strncmp(p->name, "head.0.", 7) == 0)) return MAE_OK;
    snprintf(plain, sizeof plain, "%s%s", folded ? "head." : "", folded ? p->name + 7 : p->name);
    int n = dialect_spell(c->dialect, plain, names);
    if (n == 0)
        return error_set(err, MAE_UNSUPPORTED, "%s has no place for %s", dialect_words[c->dialect],
                         p->name);
    for (int i = 0; i < n; i++) {
        /* The models of transformers that are only an encoder save without "vit.". */
        bool bare = c->to == TO_HF && c->model->config.decoder_depth == 0 &&
                    c->model->config.head == HEAD_NONE && strncmp(names[i], "vit.", 4) == 0;
        Status status = add(c, bare ? names[i] + 4 : names[i], (Item){p, i, n, folded}, err);
        if (status != MAE_OK) return status;
    }
    return MAE_OK;
}

static Status check_expressible(Conversion *c, Error *err) {
    const ModelConfig *m = &c->model->config;
    if (c->to == TO_HF && m->head != HEAD_NONE && m->pool == POOL_MEAN)
        return error_set(
            err, MAE_UNSUPPORTED,
            "transformers' ViTForImageClassification classifies the cls token; this model "
            "takes the mean of the patches. Use --to timm or --to onnx");
    if (c->to == TO_HF && m->decoder_depth > 0 &&
        (m->mask_token_in_encoder || m->target == TARGET_PCA))
        return error_set(
            err, MAE_UNSUPPORTED,
            "ViTMAEForPreTraining has no %s; use --to official, or --to timm for the encoder",
            m->target == TARGET_PCA ? "PCA target" : "mask token in the encoder");
    if (c->to != TO_MAE && c->to != TO_ONNX && m->target == TARGET_PCA && m->decoder_depth > 0)
        note(c, "the PCA components are left out: they have no place there");
    if (c->to == TO_TIMM && m->decoder_depth > 0) note(c, "the decoder is left out: timm has none");
    if (folds(c)) note(c, "the probe's batch norm is folded into its linear layer");
    return MAE_OK;
}

/* --- values ----------------------------------------------------------------------------------- */

static Status read_values(Conversion *c, const char *name, float *out, Error *err) {
    const Param *p = params_find(c->model->params, name);
    return dialect_read(&c->in->dialect, p, out, err);
}

/* W (x - mean) / sqrt(var + eps) + b = W' x + b' with W' = W / sqrt(var + eps), b' = b - W' mean.
 */
static Status fold(Conversion *c, const Param *p, float *out, Error *err) {
    Status status = MAE_OK;
    int64_t D = c->model->config.embed_dim, C = c->model->config.classes;
    float *w = mem_alloc_array((size_t)(C * D), sizeof *w);
    float *mean = mem_alloc_array((size_t)D, sizeof *mean);
    float *var = mem_alloc_array((size_t)D, sizeof *var);
    if (!w || !mean || !var) {
        status = error_set(err, MAE_MEMORY, "no memory to fold a batch norm");
        goto done;
    }
    TRY(read_values(c, "head.1.weight", w, err));
    TRY(read_values(c, "head.0.running_mean", mean, err));
    TRY(read_values(c, "head.0.running_var", var, err));
    if (text_ends_with(p->name, ".bias")) TRY(read_values(c, "head.1.bias", out, err));
    for (int64_t k = 0; k < C; k++) {
        double shift = 0;
        for (int64_t i = 0; i < D; i++) {
            double scaled = (double)w[k * D + i] / sqrt((double)var[i] + FOLD_EPS);
            shift += scaled * (double)mean[i];
            if (!text_ends_with(p->name, ".bias")) out[k * D + i] = (float)scaled;
        }
        if (text_ends_with(p->name, ".bias")) out[k] = (float)((double)out[k] - shift);
    }
done:
    mem_free(w);
    mem_free(mean);
    mem_free(var);
    return status;
}

static Status item_values(Conversion *c, size_t i, const float **out, int64_t *n, Error *err) {
    const Item *item = &c->items[i];
    Status status = item->folded ? fold(c, item->param, c->values, err)
                                 : dialect_read(&c->in->dialect, item->param, c->values, err);
    *n = item->param->numel / item->n_parts;
    *out = c->values + item->part * *n;
    return status;
}

static Status fill(void *user, size_t i, void *out, Error *err) {
    Conversion *c = user;
    const float *values;
    int64_t n;
    DType type = c->tensors[i].dtype;
    Status status = item_values(c, i, &values, &n, err);
    if (status != MAE_OK) return status;
    if (type == DTYPE_I64)
        for (int64_t k = 0; k < n; k++) ((int64_t *)out)[k] = (int64_t)values[k];
    else
        dtype_from_f32(out, values, type, n);
    return MAE_OK;
}

/* --- writing and reading back ----------------------------------------------------------------- */

static Status make_list(Conversion *c, Error *err) {
    Status status = MAE_OK;
    int64_t largest = 1;
    TRY(check_expressible(c, err));
    for (int64_t i = 0; i < params_count(c->model->params); i++) {
        const Param *p = params_at(c->model->params, i);
        if (p->numel > largest) largest = p->numel;
        TRY(list_param(c, p, err));
    }
    c->values = mem_alloc_array((size_t)largest, sizeof *c->values);
    if (!c->values) status = error_set(err, MAE_MEMORY, "no memory for the largest tensor");
done:
    return status;
}

static Status write_tensors(Conversion *c, const char *path, Error *err) {
    Meta meta = {.arena = c->arena, .ok = true};
    if (c->to == TO_MAE)
        meta_put_model(&meta, &c->in->config, &c->in->notes);
    else
        meta_put_facts(&meta, &c->in->config, &c->in->notes);
    if (!meta.ok) return error_set(err, MAE_MEMORY, "no memory for the metadata of %s", path);
    bool torch =
        text_ends_with(path, ".pth") || text_ends_with(path, ".pt") || text_ends_with(path, ".bin");
    if (torch) return torch_write(path, c->tensors, c->n, meta.entry, meta.n, fill, c, err);
    return safetensors_write(path, c->tensors, c->n, meta.entry, meta.n, fill, c, NULL, err);
}

static void add_change(Conversion *c, const float *values, const void *stored, DType type,
                       int64_t n, float *scratch) {
    if (type == DTYPE_I64) return;
    dtype_to_f32(scratch, stored, type, n);
    for (int64_t k = 0; k < n; k++) {
        double d = (double)scratch[k] - (double)values[k];
        c->change += d * d;
        c->size += (double)values[k] * (double)values[k];
    }
}

/* Every tensor of the new file, byte by byte. */
static Status read_back(Conversion *c, const char *path, Error *err) {
    Status status = MAE_OK;
    TensorFile *f = NULL;
    void *want = NULL, *have = NULL;
    float *scratch = NULL;
    size_t largest = 1;
    for (size_t i = 0; i < c->n; i++)
        if (c->tensors[i].bytes > largest) largest = c->tensors[i].bytes;
    want = mem_alloc(largest);
    have = mem_alloc(largest);
    scratch = mem_alloc(4 * largest);
    if (!want || !have || !scratch) {
        status = error_set(err, MAE_MEMORY, "no memory to read %s back", path);
        goto done;
    }
    TRY(tensorfile_open(path, &f, err));
    for (size_t i = 0; i < c->n; i++) {
        const NamedTensor *t = &c->tensors[i];
        char name[DIALECT_NAME_BYTES + 16];
        const TensorEntry *e = tensorfile_find(f, t->name);
        snprintf(name, sizeof name, "model.%s", t->name);
        if (!e) e = tensorfile_find(f, name);
        TRY(fill(c, i, want, err));
        if (e && e->dtype == t->dtype && shape_equal(e->shape, t->shape))
            TRY(tensorfile_read_raw(f, e, have, err));
        if (!e || memcmp(want, have, t->bytes) != 0) {
            status = error_set(err, MAE_IO, "%s: tensor %s does not read back as it was written",
                               path, t->name);
            goto done;
        }
        add_change(c, c->values + c->items[i].part * shape_numel(t->shape), have, t->dtype,
                   shape_numel(t->shape), scratch);
    }
done:
    tensorfile_close(f);
    mem_free(want);
    mem_free(have);
    mem_free(scratch);
    return status;
}

/* --- the destinations ------------------------------------------------------------------------- */

static Status convert_tensors(Conversion *c, const char *out, Error *err) {
    Status status = MAE_OK;
    char *path = NULL;
    TRY(make_list(c, err));
    if (c->to == TO_HF) {
        TRY(convert_hf_check_folder(out, err));
        TRY(file_make_directories(out, err));
        TRY(convert_hf_configs(out, c->in, TYPES[c->options->dtype], err));
    }
    if (c->to == TO_HF)
        TRY(file_path(out, "model.safetensors", &path, err));
    else if (!(path = mem_strdup(out))) {
        status = error_set(err, MAE_MEMORY, "no memory for a path");
        goto done;
    }
    TRY(write_tensors(c, path, err));
    c->compared = !file_is_stream(path);
    if (c->compared)
        TRY(read_back(c, path, err));
    else
        note(c, "not read back: it went into a stream");
    for (size_t i = 0; i < c->n; i++) c->bytes += (int64_t)c->tensors[i].bytes;
done:
    mem_free(path);
    return status;
}

static Status convert_onnx(Conversion *c, const char *out, Error *err) {
    Status status = MAE_OK;
    Vit *v = NULL;
    const ModelConfig *m = &c->in->config;
    OnnxKind kind = m->head != HEAD_NONE ? ONNX_CLASSIFIER : ONNX_ENCODER;
    if (c->options->part == PART_ENCODER) kind = ONNX_ENCODER;
    if (c->options->part == PART_CLASSIFIER) kind = ONNX_CLASSIFIER;
    if (c->options->part == PART_RECONSTRUCTION) kind = ONNX_RECONSTRUCTION;
    OnnxOptions x = {.kind = kind,
                     .batch = c->options->fixed_batch,
                     .dtype = TYPES[c->options->dtype],
                     .mask_ratio = c->in->notes.mask_ratio};
    TRY(vit_new(c->device, m, GRADIENTS_NONE, TUNE_ALL, &v, err));
    TRY(checkpoint_read(c->in, v, err));
    TRY(export_onnx(v, &c->in->notes, &x, out, err));
    c->n = (size_t)params_count(v->params);
done:
    vit_free(v);
    return status;
}

/* What of the file is no part of the model. */
static void note_left_out(Conversion *c) {
    size_t n[TENSOR_USES] = {0}, first = 0;
    for (size_t i = tensorfile_count(c->in->file); i-- > 0;) {
        n[c->in->verdicts[i].use]++;
        if (c->in->verdicts[i].use == TENSOR_IGNORED) first = i;
    }
    if (n[TENSOR_IGNORED])
        note(c, "%zu tensors are left out (mae info names them): %.100s, %s", n[TENSOR_IGNORED],
             tensorfile_at(c->in->file, first)->name, c->in->verdicts[first].why);
    if (n[TENSOR_OUTSIDE]) note(c, "%zu tensors beside the model are left out", n[TENSOR_OUTSIDE]);
}

static Status open_conversion(Conversion *c, const char *in, Error *err) {
    Status status = MAE_OK;
    CheckpointHints hints = setup_hints(c->options);
    c->arena = arena_new();
    if (!c->arena) return error_set(err, MAE_MEMORY, "no memory to convert %s", in);
    TRY(device_open(device_words[DEVICE_CPU], (int)c->options->threads, NULL, &c->device, err));
    TRY(checkpoint_open(in, &hints, &c->in, err));
    TRY(vit_describe(c->device, &c->in->config, GRADIENTS_NONE, TUNE_ALL, &c->model, err));
    note_left_out(c);
    if (*c->in->done) note(c, "%s", c->in->done);
    if (*c->in->unknown) note(c, "%s", c->in->unknown);
done:
    return status;
}

static void close_conversion(Conversion *c) {
    checkpoint_close(c->in);
    vit_free(c->model);
    device_close(c->device);
    arena_free(c->arena);
    mem_free(c->items);
    mem_free(c->tensors);
    mem_free(c->values);
}

/* Before anything is read. */
static Status check_destination(const Conversion *c, const char *out, Error *err) {
    static const char weights[] = ".safetensors .pth .pt .bin";
    Status status = MAE_OK;
    bool stream = file_is_stream(out);
    if (c->to == TO_MAE && !stream && !text_ends_with(out, ".safetensors"))
        return error_set(err, MAE_USAGE, "%s: checkpoints of mae.c end in .safetensors", out);
    if (c->to == TO_HF && (stream || (file_exists(out) && !file_is_directory(out))))
        return error_set(err, MAE_USAGE, "%s: is no folder, and --to hf writes one", out);
    if (c->to == TO_HF)
        return file_exists(out) ? MAE_OK : file_check_ending(out, "a folder", "", err);
    if (stream && c->options->verify)
        return error_set(err, MAE_USAGE, "--verify reads the new file, and %s is none",
                         file_is_standard_output(out) ? "standard output" : out);
    TRY(c->to == TO_ONNX ? file_check_ending(out, "a model for ONNX", ".onnx", err)
                         : file_check_ending(out, "a checkpoint", weights, err));
    TRY(file_check_output(out, err));
done:
    return status;
}

static void tell(const Conversion *c, Result out) {
    result_text(out, "from", c->in->native ? "mae.c" : dialect_words[c->in->dialect.dialect]);
    result_text(out, "to", c->to == TO_MAE ? "mae.c" : destination_words[c->to]);
    result_count(out, "tensors", (int64_t)c->n);
    result_count(out, "bytes", c->bytes);
    if (c->compared)
        result_number(out, "weight_change", c->size > 0 ? sqrt(c->change / c->size) : 0);
}

static Status verify(Conversion *c, Result out, Error *err) {
    const MaeOptions *o = c->options;
    if (!o->verify) return MAE_OK;
    if (c->to != TO_ONNX) return verify_conversion(o->in, o->out, o, &c->in->config, out, err);
    note(c, "--verify needs a runtime for ONNX; tools/check_interop.sh runs one");
    return MAE_OK;
}

Status convert_job(const MaeOptions *o, Result out, Error *err) {
    Status status = MAE_OK;
    const char *in = o->in, *path = o->out;
    Conversion c = {.options = o, .to = (Destination)o->to};
    c.dialect = c.to != TO_HF                ? DIALECT_OFFICIAL
                : o->hf_names == HF_NAMES_V5 ? DIALECT_HF5
                                             : DIALECT_HF4;
    if (!in || !path) return error_set(err, MAE_USAGE, "convert needs IN and OUT");
    if (o->dtype == STORE_I8 && c.to != TO_ONNX)
        return error_set(err, MAE_USAGE, "--dtype i8: 8-bit weights are for --to onnx only");
    TRY(check_destination(&c, path, err));
    TRY(open_conversion(&c, in, err));
    TRY(c.to == TO_ONNX ? convert_onnx(&c, path, err) : convert_tensors(&c, path, err));
    tell(&c, out);
    TRY(verify(&c, out, err));
    result_text(out, "note", c.note);
done:
    close_conversion(&c);
    return status;
}
