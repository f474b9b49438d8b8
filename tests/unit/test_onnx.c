/* ONNX files, read back by a small reader of the wire format that knows nothing of the writer: what
 * is used is defined before, tensors have the bytes of their shapes and the values of the model,
 * large ones lie aligned in the second file, and a lack of memory leaves nothing behind. */
#include <check.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "export/export_onnx.h"
#include "export/onnx_graph.h"
#include "formats/protobuf.h"
#include "model/classifier.h"
#include "scratch.h"
#include "small_model.h"

Suite *suite_onnx(void);

/* --- reader ----------------------------------------------------------------------------------- */

typedef struct Span {
    const uint8_t *at;
    size_t n;
} Span;

typedef struct Field {
    int number, wire;
    uint64_t value; /* of a varint */
    Span bytes;     /* of a length or of four bytes */
} Field;

static uint64_t take_varint(Span *s) {
    uint64_t v = 0;
    for (int shift = 0; shift < 64; shift += 7) {
        ck_assert_uint_gt(s->n, 0);
        uint8_t byte = *s->at++;
        s->n--;
        v |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) return v;
    }
    ck_abort_msg("a varint of more than ten bytes");
}

static bool take_field(Span *s, Field *f) {
    if (s->n == 0) return false;
    uint64_t tag = take_varint(s);
    *f = (Field){.number = (int)(tag >> 3), .wire = (int)(tag & 7)};
    ck_assert(f->wire == 0 || f->wire == 2 || f->wire == 5);
    if (f->wire == 0) {
        f->value = take_varint(s);
        return true;
    }
    uint64_t n = f->wire == 5 ? 4 : take_varint(s);
    ck_assert_uint_le(n, s->n);
    f->bytes = (Span){s->at, (size_t)n};
    s->at += n;
    s->n -= (size_t)n;
    return true;
}

/* The index-th field of that number; false: there are not as many. */
static bool find_field(Span s, int number, int index, Field *f) {
    while (take_field(&s, f))
        if (f->number == number && index-- == 0) return true;
    return false;
}

static Span get_message(Span s, int number) {
    Field f;
    ck_assert(find_field(s, number, 0, &f));
    ck_assert_int_eq(f.wire, 2);
    return f.bytes;
}

static int64_t get_int(Span s, int number) {
    Field f;
    return find_field(s, number, 0, &f) ? (int64_t)f.value : 0;
}

static bool is_text(Span s, const char *text) {
    return s.n == strlen(text) && memcmp(s.at, text, s.n) == 0;
}

static bool same_text(Span a, Span b) {
    return a.n == b.n && memcmp(a.at, b.at, a.n) == 0;
}

/* --- the structure of a file ------------------------------------------------------------------ */

enum { MAX_NAMES = 4096, MAX_TENSORS = 512 };

typedef struct Stored {
    Span name, values;
    int64_t data_type, dim[MAX_DIMS], numel, offset; /* offset: in the second file, or -1 */
    int n_dims;
} Stored;

typedef struct Onnx {
    Span model, data, graph, defined[MAX_NAMES];
    bool used[MAX_NAMES];
    int n_defined, n_nodes, n_tensors;
    Stored tensor[MAX_TENSORS];
} Onnx;

static int find_name(const Onnx *o, Span name) {
    for (int i = 0; i < o->n_defined; i++)
        if (same_text(o->defined[i], name)) return i;
    return -1;
}

static void define(Onnx *o, Span name) {
    ck_assert_uint_gt(name.n, 0);
    ck_assert_msg(find_name(o, name) < 0, "%.*s is defined twice", (int)name.n,
                  (const char *)name.at);
    ck_assert_int_lt(o->n_defined, MAX_NAMES);
    o->defined[o->n_defined++] = name;
}

static void use(Onnx *o, Span name) {
    int i = find_name(o, name);
    ck_assert_msg(i >= 0, "%.*s is used and not defined", (int)name.n, (const char *)name.at);
    o->used[i] = true;
}

static size_t type_bytes(int64_t data_type) {
    switch (data_type) {
    case 1: return 4;
    case 3: return 1;
    case 7: return 8;
    case 10:
    case 16: return 2;
    default: ck_abort_msg("data type %" PRId64, data_type);
    }
}

static int64_t external_number(Span tensor, const char *key) {
    Field f;
    for (int i = 0; find_field(tensor, 13, i, &f); i++) {
        Span value = get_message(f.bytes, 2);
        if (!is_text(get_message(f.bytes, 1), key)) continue;
        char text[32] = {0};
        memcpy(text, value.at, value.n < 31 ? value.n : 31);
        return strtoll(text, NULL, 10);
    }
    ck_abort_msg("no %s", key);
}

static void read_external(Onnx *o, Span tensor, Stored *t) {
    ck_assert_int_eq(get_int(tensor, 14), 1);
    t->offset = external_number(tensor, "offset");
    int64_t length = external_number(tensor, "length");
    ck_assert_int_eq(t->offset % 4096, 0);
    ck_assert_int_le(t->offset + length, (int64_t)o->data.n);
    t->values = (Span){o->data.at + t->offset, (size_t)length};
}

static void read_tensor(Onnx *o, Span tensor) {
    Field f;
    ck_assert_int_lt(o->n_tensors, MAX_TENSORS);
    Stored *t = &o->tensor[o->n_tensors++];
    *t = (Stored){.name = get_message(tensor, 8), .numel = 1, .offset = -1};
    t->data_type = get_int(tensor, 2);
    if (find_field(tensor, 1, 0, &f))
        while (f.bytes.n > 0) {
            t->dim[t->n_dims] = (int64_t)take_varint(&f.bytes);
            t->numel *= t->dim[t->n_dims++];
        }
    if (find_field(tensor, 9, 0, &f))
        t->values = f.bytes;
    else
        read_external(o, tensor, t);
    ck_assert_uint_eq(t->values.n, (size_t)t->numel * type_bytes(t->data_type));
    define(o, t->name);
}

static void read_node(Onnx *o, Span node) {
    Field f;
    for (int i = 0; find_field(node, 1, i, &f); i++) use(o, f.bytes);
    for (int i = 0; find_field(node, 2, i, &f); i++) define(o, f.bytes);
    ck_assert_uint_gt(get_message(node, 3).n, 0);
    ck_assert_uint_gt(get_message(node, 4).n, 0);
    o->n_nodes++;
}

static Span read_span(const char *path) {
    uint8_t *data;
    size_t bytes;
    ck_assert_int_eq(file_read(path, SIZE_MAX - 1, &data, &bytes, NULL), MAE_OK);
    return (Span){data, bytes};
}

/* Opens PATH (and PATH.data when with_data) and checks everything that needs no knowledge of the
 * model. */
static Onnx *onnx_check(const char *path, bool with_data) {
    Field f;
    Onnx *o = calloc(1, sizeof *o);
    ck_assert_ptr_nonnull(o);
    o->model = read_span(path);
    ck_assert_int_eq(file_exists(scratch_path("model.onnx.data")), with_data);
    if (with_data) o->data = read_span(scratch_path("model.onnx.data"));
    o->graph = get_message(o->model, 7);
    ck_assert_int_eq(get_int(o->model, 1), 8);
    ck_assert_int_eq(get_int(get_message(o->model, 8), 2), 17);
    for (int i = 0; find_field(o->graph, 5, i, &f); i++) read_tensor(o, f.bytes);
    for (int i = 0; find_field(o->graph, 11, i, &f); i++) define(o, get_message(f.bytes, 1));
    for (int i = 0; find_field(o->graph, 1, i, &f); i++) read_node(o, f.bytes);
    for (int i = 0; find_field(o->graph, 12, i, &f); i++) use(o, get_message(f.bytes, 1));
    for (int i = 0; i < o->n_tensors; i++)
        ck_assert_msg(o->used[i], "%.*s is not used", (int)o->tensor[i].name.n,
                      (const char *)o->tensor[i].name.at);
    return o;
}

static void onnx_close(Onnx *o) {
    mem_free((void *)(uintptr_t)o->model.at);
    mem_free((void *)(uintptr_t)o->data.at);
    free(o);
}

static const Stored *find_stored(const Onnx *o, const char *name) {
    for (int i = 0; i < o->n_tensors; i++)
        if (is_text(o->tensor[i].name, name)) return &o->tensor[i];
    return NULL;
}

/* field 11 (inputs) or 12 (outputs): "name[batch,3,8]" and so on, with blanks between. */
static char *signature(const Onnx *o, int field, char *out, size_t bytes) {
    Field f, dim;
    size_t n = 0;
    out[0] = 0;
    for (int i = 0; find_field(o->graph, field, i, &f); i++) {
        Span name = get_message(f.bytes, 1), type = get_message(get_message(f.bytes, 2), 1);
        Span shape = get_message(type, 2);
        ck_assert_int_eq(get_int(type, 1), 1);
        n += (size_t)snprintf(out + n, bytes - n, "%s%.*s[", i ? " " : "", (int)name.n,
                              (const char *)name.at);
        for (int k = 0; find_field(shape, 1, k, &dim); k++) {
            Field param = {0};
            bool named = find_field(dim.bytes, 2, 0, &param);
            n += named ? (size_t)snprintf(out + n, bytes - n, "%s%.*s", k ? "," : "",
                                          (int)param.bytes.n, (const char *)param.bytes.at)
                       : (size_t)snprintf(out + n, bytes - n, "%s%" PRId64, k ? "," : "",
                                          get_int(dim.bytes, 1));
        }
        n += (size_t)snprintf(out + n, bytes - n, "]");
    }
    return out;
}

static void expect_metadata(const Onnx *o, const char *key, const char *value) {
    Field f;
    for (int i = 0; find_field(o->model, 14, i, &f); i++)
        if (is_text(get_message(f.bytes, 1), key)) {
            ck_assert_msg(is_text(get_message(f.bytes, 2), value), "%s is not %s", key, value);
            return;
        }
    ck_abort_msg("no %s", key);
}

/* --- models ----------------------------------------------------------------------------------- */

static Device *device;
static const CheckpointNotes NOTES = {.preset = "custom", .mask_ratio = 0.5};

static void enter(void) {
    scratch_make();
    ck_assert_int_eq(device_open("ref", 1, NULL, &device, NULL), MAE_OK);
}

static void leave(void) {
    device_close(device);
    scratch_remove();
}

static ModelConfig classifier_config(HeadKind head, PoolKind pool) {
    ModelConfig c = small_config(3, TARGET_PIXEL, false);
    c.decoder_depth = 0;
    c.head = head;
    c.pool = pool;
    c.classes = 5;
    return c;
}

static Vit *model_of(ModelConfig c) {
    return small_model(device, &c);
}

static const char *path_of_model(void) {
    return scratch_path("model.onnx");
}

static Onnx *export_and_check(Vit *v, OnnxOptions o) {
    Error err = {0};
    ck_assert_msg(export_onnx(v, &NOTES, &o, path_of_model(), &err) == MAE_OK, "%s", err.message);
    return onnx_check(path_of_model(), o.external_from > 0);
}

/* Every tensor that is called as a parameter has its shape, and by its type its values. */
static int expect_values(const Vit *v, const Onnx *o) {
    int found = 0;
    for (int64_t i = 0; i < params_count(v->params); i++) {
        const Param *p = params_at(v->params, i);
        const Stored *t = find_stored(o, p->name);
        if (!t) continue;
        found++;
        ck_assert_int_eq(t->n_dims, p->shape.n_dims);
        for (int k = 0; k < t->n_dims; k++) ck_assert_int_eq(t->dim[k], p->shape.dim[k]);
        float *want = malloc((size_t)p->numel * sizeof *want);
        uint8_t *rounded = malloc((size_t)p->numel * 4);
        DType type = t->data_type == 10 ? DTYPE_F16 : t->data_type == 16 ? DTYPE_BF16 : DTYPE_F32;
        params_get(v->params, p, want);
        dtype_from_f32(rounded, want, type, p->numel);
        if (t->data_type != 3) ck_assert_mem_eq(t->values.at, rounded, t->values.n);
        free(want);
        free(rounded);
    }
    return found;
}

/* --- tests ------------------------------------------------------------------------------------ */

START_TEST(encoder) {
    char text[256];
    Vit *v = model_of(small_config(3, TARGET_NORM_PIX, false));
    Onnx *o = export_and_check(v, (OnnxOptions){.kind = ONNX_ENCODER});
    ck_assert_str_eq(signature(o, 11, text, sizeof text), "pixel_values[batch,3,8,12]");
    ck_assert_str_eq(signature(o, 12, text, sizeof text),
                     "last_hidden_state[batch,7,12] pooled[batch,12]");
    ck_assert_int_eq(expect_values(v, o), 4 + 2 * 12 + 2);
    ck_assert_ptr_null(find_stored(o, "decoder_embed.weight"));
    expect_metadata(o, "image_width", "12");
    expect_metadata(o, "target", "norm-pix");
    expect_metadata(o, "pixel_std", "0.25,0.25,0.25");
    expect_metadata(o, "norm_eps", "9.9999999999999995e-07");
    expect_metadata(o, "onnx_kind", "encoder");
    onnx_close(o);
    vit_free(v);
}
END_TEST

START_TEST(classifiers) {
    char text[256];
    for (int i = 0; i < 4; i++) {
        Vit *v = model_of(
            classifier_config(i / 2 ? HEAD_PROBE : HEAD_LINEAR, i % 2 ? POOL_CLS : POOL_MEAN));
        Onnx *o = export_and_check(v, (OnnxOptions){.kind = ONNX_CLASSIFIER, .batch = 4});
        ck_assert_str_eq(signature(o, 12, text, sizeof text), "logits[4,5]");
        ck_assert_int_eq(expect_values(v, o), 4 + 2 * 12 + 2 + (i / 2 ? 4 : 2));
        expect_metadata(o, "pool", i % 2 ? "cls" : "mean");
        onnx_close(o);
        o = export_and_check(v, (OnnxOptions){.kind = ONNX_ENCODER});
        ck_assert_int_eq(expect_values(v, o), 4 + 2 * 12 + 2);
        onnx_close(o);
        vit_free(v);
    }
}
END_TEST

START_TEST(reconstruction) {
    char text[256];
    for (int i = 0; i < 6; i++) {
        TargetKind target = (TargetKind)(i % 3);
        Vit *v = model_of(small_config(1, target, i / 3));
        Onnx *o = export_and_check(v, (OnnxOptions){.kind = ONNX_RECONSTRUCTION});
        ck_assert_str_eq(signature(o, 11, text, sizeof text),
                         "pixel_values[batch,1,8,12] noise[batch,6]");
        ck_assert_str_eq(signature(o, 12, text, sizeof text),
                         target == TARGET_PCA ? "pred[batch,6,5] mask[batch,6]"
                                              : "pred[batch,6,16] mask[batch,6] loss[]");
        int64_t pca = target == TARGET_PCA ? 3 : 0;
        ck_assert_int_eq(expect_values(v, o), params_count(v->params) - pca);
        expect_metadata(o, "onnx_kept_patches", "3");
        onnx_close(o);
        vit_free(v);
    }
}
END_TEST

START_TEST(sixteen_bits) {
    Vit *v = model_of(classifier_config(HEAD_PROBE, POOL_CLS));
    for (int i = 0; i < 2; i++) {
        OnnxOptions o = {.kind = ONNX_CLASSIFIER, .dtype = i ? DTYPE_BF16 : DTYPE_F16};
        Onnx *file = export_and_check(v, o);
        ck_assert_int_eq(expect_values(v, file), 4 + 2 * 12 + 2 + 4);
        ck_assert_int_eq(find_stored(file, "pos_embed")->data_type, i ? 16 : 10);
        ck_assert_int_eq(find_stored(file, "head.0.running_var")->data_type, 1);
        onnx_close(file);
    }
    vit_free(v);
}
END_TEST

/* Each row: |w - q scale| <= scale / 2, the largest of a row is 127, a row of zeros stays. */
static void expect_quantized(const Vit *v, const Onnx *o, const Param *p, bool zeros) {
    const Stored *q = find_stored(o, p->name);
    char scales[96];
    snprintf(scales, sizeof scales, "%s.scale", p->name);
    const Stored *s = find_stored(o, scales);
    int64_t rows = p->shape.dim[0], n = p->numel / rows;
    float *w = malloc((size_t)p->numel * sizeof *w);
    params_get(v->params, p, w);
    ck_assert_int_eq(q->data_type, 3);
    ck_assert_int_eq(s->numel, rows);
    for (int64_t r = 0; r < rows; r++) {
        float scale;
        int largest = 0;
        memcpy(&scale, s->values.at + 4 * r, 4);
        for (int64_t i = r * n; i < (r + 1) * n; i++) {
            int code = (int8_t)q->values.at[i];
            ck_assert_float_le(fabsf(w[i] - (float)code * scale), scale * 0.50001f);
            if (abs(code) > largest) largest = abs(code);
        }
        ck_assert_int_eq(largest, zeros && r == 0 ? 0 : 127);
    }
    free(w);
}

START_TEST(eight_bits) {
    Vit *v = model_of(small_config(3, TARGET_PIXEL, false));
    Param *first = params_find(v->params, "patch_embed.proj.weight");
    float *w = malloc((size_t)first->numel * sizeof *w);
    params_get(v->params, first, w);
    for (int64_t i = 0; i < first->numel / first->shape.dim[0]; i++) w[i] = 0;
    params_set(v->params, first, w);
    free(w);
    Onnx *o = export_and_check(v, (OnnxOptions){.kind = ONNX_RECONSTRUCTION, .dtype = DTYPE_I8});
    ck_assert_int_eq(expect_values(v, o), params_count(v->params));
    expect_quantized(v, o, first, true);
    expect_quantized(v, o, params_find(v->params, "blocks.1.attn.qkv.weight"), false);
    expect_quantized(v, o, params_find(v->params, "decoder_pred.weight"), false);
    ck_assert_int_eq(find_stored(o, "pos_embed")->data_type, 1);
    ck_assert_int_eq(find_stored(o, "blocks.1.norm1.weight")->data_type, 1);
    onnx_close(o);
    vit_free(v);
}
END_TEST

START_TEST(second_file) {
    Vit *v = model_of(small_config(3, TARGET_PIXEL, false));
    OnnxOptions options = {.kind = ONNX_RECONSTRUCTION, .external_from = 5000};
    Onnx *o = export_and_check(v, options);
    ck_assert_int_eq(expect_values(v, o), params_count(v->params));
    for (int i = 0; i < o->n_tensors; i++)
        ck_assert_int_eq(o->tensor[i].offset >= 0, o->tensor[i].values.n >= 1024);
    ck_assert_int_ge(find_stored(o, "blocks.1.mlp.fc2.weight")->offset, 4096);
    onnx_close(o);
    ck_assert_int_eq(file_remove(scratch_path("model.onnx.data"), NULL), MAE_OK);
    options.external_from = 1 << 20; /* more than there is */
    ck_assert_int_eq(export_onnx(v, &NOTES, &options, path_of_model(), NULL), MAE_OK);
    onnx_close(onnx_check(path_of_model(), false));
    vit_free(v);
}
END_TEST

START_TEST(same_bytes_again) {
    Vit *v = model_of(small_config(3, TARGET_NORM_PIX, false));
    OnnxOptions o = {.kind = ONNX_RECONSTRUCTION, .dtype = DTYPE_BF16, .external_from = 2000};
    const char *ends[] = {"", ".data"};
    ck_assert_int_eq(export_onnx(v, &NOTES, &o, scratch_path("a/model.onnx"), NULL), MAE_IO);
    ck_assert_int_eq(file_make_directories(scratch_path("a"), NULL), MAE_OK);
    ck_assert_int_eq(export_onnx(v, &NOTES, &o, scratch_path("a/model.onnx"), NULL), MAE_OK);
    ck_assert_int_eq(export_onnx(v, &NOTES, &o, path_of_model(), NULL), MAE_OK);
    for (int i = 0; i < 2; i++) {
        Span a = read_span(scratch_path("a/model.onnx%s", ends[i]));
        Span b = read_span(scratch_path("model.onnx%s", ends[i]));
        ck_assert_uint_eq(a.n, b.n);
        ck_assert_mem_eq(a.at, b.at, a.n);
        mem_free((void *)(uintptr_t)a.at);
        mem_free((void *)(uintptr_t)b.at);
    }
    vit_free(v);
}
END_TEST

static void expect_failure(Vit *v, OnnxOptions o, Status status, const char *words) {
    Error err = {0};
    ck_assert_int_eq(export_onnx(v, &NOTES, &o, path_of_model(), &err), status);
    ck_assert_msg(strstr(err.message, words) != NULL, "%s", err.message);
    ck_assert(!file_exists(path_of_model()));
    ck_assert(!file_exists(scratch_path("model.onnx.tmp")));
}

START_TEST(what_cannot_be) {
    Vit *mae = model_of(small_config(3, TARGET_PIXEL, false));
    Vit *probe = model_of(classifier_config(HEAD_PROBE, POOL_CLS));
    float large[12] = {0, 0, 70000};
    expect_failure(mae, (OnnxOptions){.kind = ONNX_CLASSIFIER}, MAE_UNSUPPORTED, "classifier");
    expect_failure(probe, (OnnxOptions){.kind = ONNX_RECONSTRUCTION}, MAE_UNSUPPORTED, "decoder");
    expect_failure(mae, (OnnxOptions){.kind = ONNX_RECONSTRUCTION, .mask_ratio = 0.99}, MAE_USAGE,
                   "0 of 6 patches");
    expect_failure(mae, (OnnxOptions){.dtype = DTYPE_F64}, MAE_USAGE, "F64");
    expect_failure(mae, (OnnxOptions){.batch = -1}, MAE_USAGE, "-1 images");
    params_set(mae->params, params_find(mae->params, "norm.weight"), large);
    expect_failure(mae, (OnnxOptions){.dtype = DTYPE_F16}, MAE_UNSUPPORTED, "norm.weight");
    vit_free(mae);
    vit_free(probe);
}
END_TEST

/* A graph that trains: what cannot be said is named, but only where a result needs it. */
START_TEST(an_op_without_a_row) {
    Error err = {0};
    ClassifierGraph x;
    Vit *v = model_of(classifier_config(HEAD_LINEAR, POOL_MEAN));
    ClassifierOptions o = {.batch = 2, .float_images = true, .train = true};
    ck_assert_int_eq(classifier_graph(v, o, &x, NULL), MAE_OK);
    for (int i = 0; i < 2; i++) {
        OnnxGraph g = {.params = v->params, .arena = arena_new(), .model = onnx_new("a", "b")};
        onnx_bind(&g, x.encoder.images, "pixel_values");
        onnx_bind(&g, x.encoder.ids, ONNX_IN_ORDER);
        onnx_bind(&g, i ? x.loss : x.logits, "y");
        ck_assert_int_eq(onnx_ops(&g, x.graph, &err), i ? MAE_UNSUPPORTED : MAE_OK);
        onnx_free(g.model);
        arena_free(g.arena);
    }
    ck_assert_str_eq(err.message,
                     "loss: an op of kind soft_cross_entropy cannot be written as ONNX");
    classifier_graph_free(&x);
    vit_free(v);
}
END_TEST

START_TEST(every_allocation_may_fail) {
    Vit *v = model_of(small_config(1, TARGET_PIXEL, false));
    OnnxOptions o = {.kind = ONNX_RECONSTRUCTION, .external_from = 2000};
    Status status = MAE_MEMORY;
    int64_t n = 1;
    for (; status != MAE_OK; n++) {
        mem_fail_after(n);
        status = export_onnx(v, &NOTES, &o, path_of_model(), NULL);
        mem_fail_after(0);
        ck_assert(status == MAE_OK || status == MAE_MEMORY);
        ck_assert(!file_exists(scratch_path("model.onnx.tmp")));
        ck_assert(!file_exists(scratch_path("model.onnx.data.tmp")));
    }
    ck_assert_int_gt(n, 20);
    onnx_close(onnx_check(path_of_model(), true));
    vit_free(v);
}
END_TEST

/* Known bytes, by the encoding guide: 150 in field 1 is 08 96 01; "testing" in field 2. */
START_TEST(wire_format) {
    static const int64_t packed[] = {3, 270, 86942, -1};
    static const uint8_t want[] = {
        0x08, 0x96, 0x01,                                           /* 150 */
        0x12, 0x07, 't',  'e',  's',  't',  'i',  'n',  'g',        /* "testing" */
        0x1a, 0x03, 0x08, 0x96, 0x01,                               /* a message */
        0x32, 0x10, 0x03, 0x8e, 0x02, 0x9e, 0xa7, 0x05,             /* packed */
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01, /* -1 */
        0x15, 0x00, 0x00, 0x80, 0x3f,                               /* 1.0f */
        0xa2, 0x01, 0xac, 0x02};                                    /* field 20 */
    Protobuf b = {0};
    protobuf_put_int(&b, 1, 150);
    protobuf_put_text(&b, 2, "testing");
    size_t start = protobuf_open(&b, 3);
    protobuf_put_int(&b, 1, 150);
    protobuf_close(&b, start);
    protobuf_put_ints(&b, 6, packed, 4);
    protobuf_put_ints(&b, 7, packed, 0);
    protobuf_put_float(&b, 2, 1);
    protobuf_put_length(&b, 20, 300);
    ck_assert_uint_eq(b.n, sizeof want);
    ck_assert_mem_eq(b.data, want, sizeof want);
    protobuf_free(&b);
    ck_assert_ptr_null(b.data);
}
END_TEST

Suite *suite_onnx(void) {
    Suite *s = suite_create("onnx");
    TCase *t = tcase_create("onnx");
    tcase_add_checked_fixture(t, enter, leave);
    tcase_add_test(t, encoder);
    tcase_add_test(t, classifiers);
    tcase_add_test(t, reconstruction);
    tcase_add_test(t, sixteen_bits);
    tcase_add_test(t, eight_bits);
    tcase_add_test(t, second_file);
    tcase_add_test(t, same_bytes_again);
    tcase_add_test(t, what_cannot_be);
    tcase_add_test(t, an_op_without_a_row);
    tcase_add_test(t, every_allocation_may_fail);
    tcase_add_test(t, wire_format);
    suite_add_tcase(s, t);
    return s;
}
