/* Checkpoints as torch.save wrote them, exactly: names, types, shapes, every byte of every tensor,
 * and the scalars beside them. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "formats/safetensors.h"
#include "formats/tensorfile.h"
#include "golden.h"

static TensorFile *open_checkpoint(Golden *g, const char *path) {
    Error err = {0};
    TensorFile *f;
    if (tensorfile_open(golden_text(g, "%s/%s", g->dir, path), &f, &err) == MAE_OK) return f;
    golden_problem(g, "%s", err.message);
    return NULL;
}

static void verdict(Golden *g, bool good, const char *what, const char *why) {
    if (good)
        g->compared++;
    else
        golden_problem(g, "%s: %s", what, why);
}

/* --- Tensors ---------------------------------------------------------------------------------- */

static NamedTensor load(Golden *g, const TensorFile *s, const TensorEntry *t) {
    size_t bytes = (size_t)shape_numel(t->shape) * dtype_bytes(t->dtype);
    return (NamedTensor){t->name, t->dtype, t->shape, golden_bytes(g, s, t), bytes};
}

/* The tensor and what it should be: type, shape, bytes, and the same read as floats. */
static void compare_tensor(Golden *g, const TensorFile *f, const char *name,
                           const NamedTensor *want) {
    Error err = {0};
    const TensorEntry *t = tensorfile_find(f, name);
    if (t == NULL || t->dtype != want->dtype || !shape_equal(t->shape, want->shape)) {
        golden_problem(g, "%s: %s", name, t == NULL ? "is missing" : "has another type or shape");
        return;
    }
    int64_t n = shape_numel(t->shape);
    void *raw = golden_memory(g, (int64_t)want->bytes + 1, 1);
    float *reals = golden_memory(g, n + 1, sizeof *reals);
    float *wanted = golden_memory(g, n + 1, sizeof *wanted);
    bool read = tensorfile_read_raw(f, t, raw, &err) == MAE_OK &&
                tensorfile_read(f, t, reals, &err) == MAE_OK;
    dtype_to_f32(wanted, want->data, want->dtype, n);
    size_t bytes = (size_t)n * sizeof(float);
    verdict(g, read, name, err.message);
    verdict(g, memcmp(raw, want->data, want->bytes) == 0, name, "other bytes");
    verdict(g, memcmp(reals, wanted, bytes) == 0, name, "other values");
}

static void compare_stored(Golden *g, const TensorFile *f, const char *name, const TensorFile *s,
                           const TensorEntry *t) {
    NamedTensor want = load(g, s, t);
    compare_tensor(g, f, name, &want);
}

/* PREFIX + name for every tensor of the safetensors file. */
static void compare_all(Golden *g, const TensorFile *f, const char *prefix, const TensorFile *s) {
    for (size_t i = 0; s != NULL && i < tensorfile_count(s); i++) {
        const TensorEntry *t = tensorfile_at(s, i);
        compare_stored(g, f, golden_text(g, "%s%s", prefix, t->name), s, t);
    }
}

/* The model's weights rounded to the type of the file. */
static void compare_rounded(Golden *g, const TensorFile *f, DType dtype, const TensorFile *s) {
    for (size_t i = 0; s != NULL && i < tensorfile_count(s); i++) {
        NamedTensor t = load(g, s, tensorfile_at(s, i));
        int64_t n = shape_numel(t.shape);
        float *values = golden_memory(g, n, sizeof *values);
        void *rounded = golden_memory(g, n, dtype_bytes(dtype));
        memcpy(values, t.data, t.bytes);
        dtype_from_f32(rounded, values, dtype, n);
        t.dtype = dtype;
        t.data = rounded;
        t.bytes = (size_t)n * dtype_bytes(dtype);
        compare_tensor(g, f, golden_text(g, "model.%s", t.name), &t);
    }
}

/* One name takes the tensor, three names its thirds: query, key and value rows. */
static void compare_renamed(Golden *g, const TensorFile *f, const TensorFile *s) {
    const char *name;
    json_t *names, *hf;
    size_t i;
    const json_t *map = golden_json(g, "checkpoint/hf_names.json");
    json_object_foreach((json_t *)(uintptr_t)map, name, names) {
        const TensorEntry *whole = s != NULL ? tensorfile_find(s, name) : NULL;
        size_t n = json_array_size(names);
        verdict(g, whole != NULL && n > 0, name, "is in no file");
        json_array_foreach(names, i, hf) {
            NamedTensor part = whole != NULL ? load(g, s, whole) : (NamedTensor){0};
            part.bytes /= n;
            part.data = (const char *)part.data + i * part.bytes;
            if (n > 1) part.shape.dim[0] /= (int64_t)n;
            if (whole != NULL) compare_tensor(g, f, json_string_value(hf), &part);
        }
    }
}

/* The same weights in a safetensors file, where the folder has that. */
static void compare_twin(Golden *g, const TensorFile *f, const char *prefix, const char *twin) {
    if (json_object_get(g->files, twin) != NULL) compare_all(g, f, prefix, golden_tensors(g, twin));
}

void check_half(Golden *g, const char *path, const json_t *entry) {
    (void)entry;
    bool brain = strstr(path, "bf16") != NULL;
    TensorFile *f = open_checkpoint(g, path);
    const TensorFile *s = golden_tensors(g, "checkpoint/model.safetensors");
    if (f != NULL && s != NULL) {
        compare_rounded(g, f, brain ? DTYPE_BF16 : DTYPE_F16, s);
        compare_number(g, "tensors", (double)tensorfile_count(f), (double)tensorfile_count(s), 0);
        compare_twin(g, f, "model.",
                     brain ? "checkpoint/model_bf16.safetensors"
                           : "checkpoint/model_half.safetensors");
    }
    tensorfile_close(f);
}

void check_renamed(Golden *g, const char *path, const json_t *entry) {
    (void)entry;
    TensorFile *f = open_checkpoint(g, path);
    const TensorFile *s = golden_tensors(g, "checkpoint/model.safetensors");
    if (f != NULL) {
        compare_renamed(g, f, s);
        compare_twin(g, f, "", "checkpoint/hf_model.safetensors");
    }
    tensorfile_close(f);
}

/* Every tensor of the encoder is one of the whole model, under the same name. */
void check_encoder_only(Golden *g, const char *path, const json_t *entry) {
    (void)entry;
    TensorFile *f = open_checkpoint(g, path);
    const TensorFile *s = golden_tensors(g, "checkpoint/model.safetensors");
    for (size_t i = 0; f != NULL && s != NULL && i < tensorfile_count(f); i++) {
        const char *name = tensorfile_at(f, i)->name;
        bool model = strncmp(name, "model.", 6) == 0;
        const TensorEntry *t = model ? tensorfile_find(s, name + 6) : NULL;
        verdict(g, t != NULL, name, "is no tensor of the model");
        if (t != NULL) compare_stored(g, f, name, s, t);
    }
    tensorfile_close(f);
}

/* --- Scalars ---------------------------------------------------------------------------------- */

/* A number must read back to the same bits. */
static void compare_text(Golden *g, const TensorFile *f, const char *name, const json_t *want) {
    const char *got = tensorfile_meta(f, name), *text = json_string_value(want);
    char *end = NULL;
    if (json_is_null(want)) text = "null";
    if (json_is_boolean(want)) text = json_is_true(want) ? "true" : "false";
    if (got == NULL)
        golden_problem(g, "%s is missing", name);
    else if (text != NULL)
        verdict(g, strcmp(got, text) == 0, name, got);
    else
        verdict(g,
                !(strtod(got, &end) < json_number_value(want)) &&
                    !(strtod(got, &end) > json_number_value(want)) && *end == 0 && end != got,
                name, got);
}

static void compare_texts(Golden *g, const TensorFile *f, const char *name, const json_t *want) {
    const char *key;
    json_t *value;
    size_t i;
    json_object_foreach((json_t *)(uintptr_t)want, key, value)
        compare_texts(g, f, golden_text(g, "%s.%s", name, key), value);
    json_array_foreach(want, i, value)
        compare_texts(g, f, golden_text(g, "%s.%zu", name, i), value);
    if (!json_is_object(want) && !json_is_array(want)) compare_text(g, f, name, want);
}

/* The step is an integer in old files and a tensor of rank 0 in newer ones. */
static void compare_step(Golden *g, const TensorFile *f, const char *name, const json_t *want) {
    float step = -1;
    const TensorEntry *t = tensorfile_find(f, name);
    if (t == NULL) {
        compare_text(g, f, name, want);
    } else if (t->shape.n_dims != 0 || tensorfile_read(f, t, &step, NULL) != MAE_OK) {
        golden_problem(g, "%s is no number", name);
    } else {
        compare_number(g, name, (double)step, json_number_value(want), 0);
    }
}

static double sum_of(Golden *g, const TensorFile *f, const char *name) {
    double sum = 0;
    const TensorEntry *t = tensorfile_find(f, name);
    if (t == NULL) return (double)NAN;
    int64_t n = shape_numel(t->shape);
    float *v = golden_memory(g, n, sizeof *v);
    if (tensorfile_read(f, t, v, NULL) != MAE_OK) return (double)NAN;
    for (int64_t i = 0; i < n; i++) sum += (double)v[i];
    return sum;
}

static void compare_state(Golden *g, const TensorFile *f, const json_t *notes) {
    const char *index;
    json_t *row;
    const json_t *sums = json_object_get(notes, "exp_avg_sq_sums");
    const TensorFile *moments = golden_tensors(g, "checkpoint/optimizer_exp_avg.safetensors");
    json_object_foreach(json_object_get(notes, "index_to_param"), index, row) {
        const char *param = json_string_value(json_object_get(row, "name"));
        const char *prefix = golden_text(g, "optimizer.state.%s", index);
        const char *name = golden_text(g, "exp_avg.%s", param);
        const TensorEntry *t = moments != NULL ? tensorfile_find(moments, name) : NULL;
        verdict(g, t != NULL, name, "is not in the golden file");
        if (t != NULL) compare_stored(g, f, golden_text(g, "%s.exp_avg", prefix), moments, t);
        compare_step(g, f, golden_text(g, "%s.step", prefix), json_object_get(notes, "steps_done"));
        double want = golden_number(sums, param);
        name = golden_text(g, "%s.exp_avg_sq", prefix);
        /* Both sums are of the same floats, in double but perhaps in another order. */
        compare_number(g, name, sum_of(g, f, name), want, 1e-9 * fabs(want));
    }
}

void check_training_file(Golden *g, const char *path, const json_t *entry) {
    (void)entry;
    TensorFile *f = open_checkpoint(g, path);
    const json_t *notes = golden_json(g, "checkpoint/optimizer.json");
    if (f != NULL && notes != NULL) {
        compare_all(g, f, "model.", golden_tensors(g, "checkpoint/model.safetensors"));
        compare_state(g, f, notes);
        compare_texts(g, f, "optimizer.param_groups", json_object_get(notes, "param_groups"));
        compare_texts(g, f, "epoch", json_object_get(notes, "epoch"));
        compare_texts(g, f, "scaler", json_object_get(notes, "scaler"));
        compare_texts(g, f, "args", json_object_get(notes, "args"));
    }
    tensorfile_close(f);
}

/* --- Odd content ------------------------------------------------------------------------------ */

/* "float32" of torch as "F32" here. */
static const char *type_name(const char *torch) {
    static const char *const names[][2] = {
        {"float32", "F32"}, {"float64", "F64"}, {"float16", "F16"}, {"bfloat16", "BF16"},
        {"int64", "I64"},   {"int32", "I32"},   {"int16", "I16"},   {"int8", "I8"},
        {"uint8", "U8"},    {"bool", "BOOL"},
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(names[i][0], torch) == 0) return names[i][1];
    return "?";
}

/* Shapes and types come from the JSON file; values are stored widened, and all small enough for
 * floats but those of F64, whose bytes are compared. */
static void compare_odd(Golden *g, const TensorFile *f, const NamedTensor *want) {
    const TensorEntry *t = tensorfile_find(f, want->name);
    if (t != NULL && t->dtype == want->dtype) {
        compare_tensor(g, f, want->name, want);
        return;
    }
    bool same = t != NULL && shape_equal(t->shape, want->shape);
    verdict(g, same, want->name, "is missing or of another shape");
    if (!same) return;
    int64_t n = shape_numel(t->shape);
    float *got = golden_memory(g, n + 1, sizeof *got),
          *wanted = golden_memory(g, n + 1, sizeof *got);
    dtype_to_f32(wanted, want->data, want->dtype, n);
    bool read = tensorfile_read(f, t, got, NULL) == MAE_OK;
    verdict(g, read && memcmp(got, wanted, (size_t)n * sizeof *got) == 0, want->name,
            "other values");
}

static void compare_odd_types(Golden *g, const TensorFile *f, const json_t *notes) {
    const char *name;
    json_t *dtype, *dim;
    size_t i;
    json_object_foreach(json_object_get(notes, "dtypes"), name, dtype) {
        const TensorEntry *t = tensorfile_find(f, golden_text(g, "model.%s", name));
        const json_t *shape = json_object_get(json_object_get(notes, "shapes"), name);
        verdict(g,
                t != NULL && strcmp(dtype_name(t->dtype), type_name(json_string_value(dtype))) == 0,
                name, "another type");
        bool same = t != NULL && (size_t)t->shape.n_dims == json_array_size(shape);
        json_array_foreach(shape, i, dim) same =
            same && t->shape.dim[i] == (int64_t)json_integer_value(dim);
        verdict(g, same, name, "another shape");
    }
}

void check_odd(Golden *g, const char *path, const json_t *entry) {
    (void)entry;
    TensorFile *f = open_checkpoint(g, path);
    const TensorFile *s = golden_tensors(g, "checkpoint/odd_expected.safetensors");
    const json_t *notes = golden_json(g, "checkpoint/odd_expected.json");
    if (f != NULL && s != NULL && notes != NULL) {
        for (size_t i = 0; i < tensorfile_count(s); i++) {
            NamedTensor want = load(g, s, tensorfile_at(s, i));
            compare_odd(g, f, &want);
        }
        compare_number(g, "tensors", (double)tensorfile_count(f), (double)tensorfile_count(s), 0);
        compare_odd_types(g, f, notes);
        compare_texts(g, f, "epoch", json_object_get(notes, "epoch"));
    }
    tensorfile_close(f);
}
