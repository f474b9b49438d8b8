/* See onnx_writer.h. A message inside another has its length in front, so the size of the graph
 * must be known before its first byte is written. Everything but the values of tensors is therefore
 * encoded first, and the values have known sizes. */
#include "formats/onnx_writer.h"

#include <inttypes.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "formats/protobuf.h"

/* Field numbers, from onnx.proto3. */
enum {
    MODEL_IR_VERSION = 1,
    MODEL_PRODUCER_NAME = 2,
    MODEL_GRAPH = 7,
    MODEL_OPSET_IMPORT = 8,
    MODEL_METADATA_PROPS = 14,
    OPSET_VERSION = 2,
    ENTRY_KEY = 1,
    ENTRY_VALUE = 2,
    GRAPH_NODE = 1,
    GRAPH_NAME = 2,
    GRAPH_INITIALIZER = 5,
    GRAPH_INPUT = 11,
    GRAPH_OUTPUT = 12,
    NODE_INPUT = 1,
    NODE_OUTPUT = 2,
    NODE_NAME = 3,
    NODE_OP_TYPE = 4,
    NODE_ATTRIBUTE = 5,
    ATTRIBUTE_NAME = 1,
    ATTRIBUTE_F = 2,
    ATTRIBUTE_I = 3,
    ATTRIBUTE_INTS = 8,
    ATTRIBUTE_TYPE = 20,
    VALUE_NAME = 1,
    VALUE_TYPE = 2,
    TYPE_TENSOR = 1,
    TENSOR_TYPE_ELEM = 1,
    TENSOR_TYPE_SHAPE = 2,
    SHAPE_DIM = 1,
    DIM_VALUE = 1,
    DIM_PARAM = 2,
    TENSOR_DIMS = 1,
    TENSOR_DATA_TYPE = 2,
    TENSOR_NAME = 8,
    TENSOR_RAW_DATA = 9,
    TENSOR_EXTERNAL_DATA = 13,
    TENSOR_DATA_LOCATION = 14
};

/* AttributeProto.AttributeType and TensorProto.DataLocation. */
enum { TYPE_FLOAT = 1, TYPE_INT = 2, TYPE_INTS = 7, LOCATION_EXTERNAL = 1 };

/* TensorProto.DataType */
static const int DTYPES[DTYPE_COUNT] = {
    [DTYPE_F32] = 1, [DTYPE_F64] = 11, [DTYPE_F16] = 10, [DTYPE_BF16] = 16, [DTYPE_I64] = 7,
    [DTYPE_I32] = 6, [DTYPE_I16] = 5,  [DTYPE_I8] = 3,   [DTYPE_U8] = 2,    [DTYPE_BOOL] = 9,
    [DTYPE_U16] = 4, [DTYPE_U32] = 12, [DTYPE_U64] = 13};

int onnx_dtype(DType t) {
    return DTYPES[t];
}

static void put_entry(Protobuf *b, int field, const char *key, const char *value) {
    size_t start = protobuf_open(b, field);
    protobuf_put_text(b, ENTRY_KEY, key);
    protobuf_put_text(b, ENTRY_VALUE, value);
    protobuf_close(b, start);
}

/* --- building --------------------------------------------------------------------------------- */

typedef struct Tensor {
    const char *name;
    DType dtype;
    Shape shape;
    size_t bytes;
    OnnxFill fill;      /* NULL: the values are the source */
    const void *source; /* of the values, for fill */
    bool external;
    uint64_t offset; /* in the second file */
} Tensor;

struct OnnxModel {
    Arena *arena;
    char *producer, *graph;
    Protobuf nodes, inputs, outputs, metadata; /* encoded, tags included */
    Tensor *tensor;
    size_t n, capacity;
    bool failed;
};

OnnxModel *onnx_new(const char *producer, const char *graph) {
    OnnxModel *m = mem_alloc(sizeof *m);
    if (!m) return NULL;
    m->arena = arena_new();
    if (m->arena) m->producer = arena_strdup(m->arena, producer);
    if (m->arena) m->graph = arena_strdup(m->arena, graph);
    if (m->producer && m->graph) return m;
    onnx_free(m);
    return NULL;
}

void onnx_free(OnnxModel *m) {
    if (!m) return;
    protobuf_free(&m->nodes);
    protobuf_free(&m->inputs);
    protobuf_free(&m->outputs);
    protobuf_free(&m->metadata);
    mem_free(m->tensor);
    arena_free(m->arena);
    mem_free(m);
}

static void put_value_info(Protobuf *b, int field, const char *name, DType t, Shape s) {
    size_t info = protobuf_open(b, field);
    protobuf_put_text(b, VALUE_NAME, name);
    size_t type = protobuf_open(b, VALUE_TYPE), tensor = protobuf_open(b, TYPE_TENSOR);
    protobuf_put_int(b, TENSOR_TYPE_ELEM, DTYPES[t]);
    size_t shape = protobuf_open(b, TENSOR_TYPE_SHAPE);
    for (int i = 0; i < s.n_dims; i++) {
        size_t dim = protobuf_open(b, SHAPE_DIM);
        if (s.dim[i] == ONNX_BATCH)
            protobuf_put_text(b, DIM_PARAM, "batch");
        else
            protobuf_put_int(b, DIM_VALUE, s.dim[i]);
        protobuf_close(b, dim);
    }
    protobuf_close(b, shape);
    protobuf_close(b, tensor);
    protobuf_close(b, type);
    protobuf_close(b, info);
}

void onnx_input(OnnxModel *m, const char *name, DType t, Shape shape) {
    put_value_info(&m->inputs, GRAPH_INPUT, name, t, shape);
}

void onnx_output(OnnxModel *m, const char *name, DType t, Shape shape) {
    put_value_info(&m->outputs, GRAPH_OUTPUT, name, t, shape);
}

void onnx_metadata(OnnxModel *m, const char *key, const char *value) {
    put_entry(&m->metadata, MODEL_METADATA_PROPS, key, value);
}

static void put_attribute(Protobuf *b, const OnnxAttribute *a) {
    static const int types[] = {
        [ONNX_INT] = TYPE_INT, [ONNX_FLOAT] = TYPE_FLOAT, [ONNX_INTS] = TYPE_INTS};
    size_t start = protobuf_open(b, NODE_ATTRIBUTE);
    protobuf_put_text(b, ATTRIBUTE_NAME, a->name);
    if (a->kind == ONNX_FLOAT) protobuf_put_float(b, ATTRIBUTE_F, a->f);
    if (a->kind == ONNX_INT) protobuf_put_int(b, ATTRIBUTE_I, a->i);
    if (a->kind == ONNX_INTS) protobuf_put_ints(b, ATTRIBUTE_INTS, a->ints, a->n_ints);
    protobuf_put_int(b, ATTRIBUTE_TYPE, types[a->kind]);
    protobuf_close(b, start);
}

void onnx_node(OnnxModel *m, const char *op, const char *name, const char *const *inputs,
               const char *const *outputs, const OnnxAttribute *attributes) {
    Protobuf *b = &m->nodes;
    size_t start = protobuf_open(b, GRAPH_NODE);
    for (; *inputs; inputs++) protobuf_put_text(b, NODE_INPUT, *inputs);
    for (; *outputs; outputs++) protobuf_put_text(b, NODE_OUTPUT, *outputs);
    protobuf_put_text(b, NODE_NAME, name);
    protobuf_put_text(b, NODE_OP_TYPE, op);
    for (; attributes && attributes->name; attributes++) put_attribute(b, attributes);
    protobuf_close(b, start);
}

static bool has_tensor(const OnnxModel *m, const char *name) {
    for (size_t i = 0; i < m->n; i++)
        if (strcmp(m->tensor[i].name, name) == 0) return true;
    return false;
}

/* A place in the list; NULL: the name is there already, or no memory. */
static Tensor *add_tensor(OnnxModel *m, const char *name, DType t, Shape shape) {
    if (has_tensor(m, name)) return NULL;
    Tensor *grown = mem_room(m->tensor, m->n, &m->capacity, sizeof *grown);
    char *copy = arena_strdup(m->arena, name);
    if (grown) m->tensor = grown;
    m->failed |= !grown || !copy;
    if (!grown || !copy) return NULL;
    m->tensor[m->n] = (Tensor){.name = copy, .dtype = t, .shape = shape};
    m->tensor[m->n].bytes = (size_t)shape_numel(shape) * dtype_bytes(t);
    return &m->tensor[m->n++];
}

void onnx_tensor(OnnxModel *m, const char *name, DType t, Shape shape, OnnxFill fill,
                 const void *source) {
    Tensor *tensor = add_tensor(m, name, t, shape);
    if (!tensor) return;
    tensor->fill = fill;
    tensor->source = source;
}

void onnx_constant(OnnxModel *m, const char *name, DType t, Shape shape, const void *data) {
    Tensor *tensor = add_tensor(m, name, t, shape);
    if (!tensor) return;
    void *copy = arena_alloc(m->arena, tensor->bytes);
    m->failed |= !copy;
    if (copy) memcpy(copy, data, tensor->bytes);
    tensor->source = copy;
}

/* --- writing ---------------------------------------------------------------------------------- */

typedef struct Output {
    OnnxModel *model;
    void *user;                  /* of fills */
    const char *path, *location; /* location: what PATH calls its second file */
    FileWriter *file, *data;     /* data NULL: there is none */
    uint8_t *values;             /* of the largest tensor */
    Protobuf head;               /* of the tensor in work */
} Output;

/* Which tensors lie in the second file, and where; how large it is. */
static bool place_tensors(OnnxModel *m, int64_t external_from) {
    uint64_t total = 0, end = 0;
    for (size_t i = 0; i < m->n; i++) total += m->tensor[i].bytes;
    bool external = total > (uint64_t)external_from;
    for (size_t i = 0; i < m->n; i++) {
        Tensor *t = &m->tensor[i];
        t->external = external && t->bytes >= ONNX_EXTERNAL_LEAST;
        if (!t->external) continue;
        t->offset = (end + ONNX_EXTERNAL_ALIGN - 1) / ONNX_EXTERNAL_ALIGN * ONNX_EXTERNAL_ALIGN;
        end = t->offset + t->bytes;
    }
    return end > 0;
}

static void put_external(Protobuf *b, const Tensor *t, const char *location) {
    char number[24];
    put_entry(b, TENSOR_EXTERNAL_DATA, "location", location);
    snprintf(number, sizeof number, "%" PRIu64, t->offset);
    put_entry(b, TENSOR_EXTERNAL_DATA, "offset", number);
    snprintf(number, sizeof number, "%zu", t->bytes);
    put_entry(b, TENSOR_EXTERNAL_DATA, "length", number);
    protobuf_put_int(b, TENSOR_DATA_LOCATION, LOCATION_EXTERNAL);
}

/* Everything of a tensor in front of its values, into o->head; how many bytes it has with them. */
static uint64_t encode_tensor(Output *o, const Tensor *t) {
    Protobuf *b = &o->head, inside = {0};
    uint64_t values = t->external ? 0 : t->bytes;
    protobuf_put_ints(&inside, TENSOR_DIMS, t->shape.dim, t->shape.n_dims);
    protobuf_put_int(&inside, TENSOR_DATA_TYPE, DTYPES[t->dtype]);
    protobuf_put_text(&inside, TENSOR_NAME, t->name);
    if (t->external) {
        put_external(&inside, t, o->location);
    } else {
        protobuf_put_length(&inside, TENSOR_RAW_DATA, t->bytes);
    }
    b->n = 0;
    protobuf_put_length(b, GRAPH_INITIALIZER, inside.n + values);
    protobuf_put_raw(b, inside.data, inside.n);
    b->failed |= inside.failed;
    protobuf_free(&inside);
    return b->n + values;
}

static Status write_values(Output *o, const Tensor *t, FileWriter *to, Error *err) {
    if (!t->fill) return file_writer_write(to, t->source, t->bytes, err);
    Status status = t->fill(o->user, t->source, t->dtype, o->values, err);
    return status == MAE_OK ? file_writer_write(to, o->values, t->bytes, err) : status;
}

static Status write_data(Output *o, Error *err) {
    static const uint8_t zeros[ONNX_EXTERNAL_ALIGN];
    Status status = MAE_OK;
    uint64_t end = 0;
    for (size_t i = 0; i < o->model->n; i++) {
        const Tensor *t = &o->model->tensor[i];
        if (!t->external) continue;
        TRY(file_writer_write(o->data, zeros, (size_t)(t->offset - end), err));
        TRY(write_values(o, t, o->data, err));
        end = t->offset + t->bytes;
    }
done:
    return status;
}

/* The fields of the model in front of the graph, or behind it. */
static void put_model_head(Protobuf *b, const OnnxModel *m, uint64_t graph_bytes) {
    protobuf_put_int(b, MODEL_IR_VERSION, ONNX_IR_VERSION);
    protobuf_put_text(b, MODEL_PRODUCER_NAME, m->producer);
    protobuf_put_length(b, MODEL_GRAPH, graph_bytes);
}

static void put_model_tail(Protobuf *b, const OnnxModel *m) {
    size_t start = protobuf_open(b, MODEL_OPSET_IMPORT);
    protobuf_put_int(b, OPSET_VERSION, ONNX_OPSET);
    protobuf_close(b, start);
    protobuf_put_raw(b, m->metadata.data, m->metadata.n);
}

static Status write_tensors(Output *o, Error *err) {
    Status status = MAE_OK;
    for (size_t i = 0; i < o->model->n; i++) {
        const Tensor *t = &o->model->tensor[i];
        encode_tensor(o, t);
        if (o->head.failed) return error_set(err, MAE_MEMORY, "%s: not enough memory", o->path);
        TRY(file_writer_write(o->file, o->head.data, o->head.n, err));
        if (!t->external) TRY(write_values(o, t, o->file, err));
    }
done:
    return status;
}

static Status write_model(Output *o, Error *err) {
    Status status = MAE_OK;
    const OnnxModel *m = o->model;
    Protobuf name = {0}, head = {0}, tail = {0};
    protobuf_put_text(&name, GRAPH_NAME, m->graph);
    uint64_t graph = m->nodes.n + name.n + m->inputs.n + m->outputs.n;
    for (size_t i = 0; i < m->n; i++) graph += encode_tensor(o, &m->tensor[i]);
    put_model_head(&head, m, graph);
    put_model_tail(&tail, m);
    if (name.failed || head.failed || tail.failed || o->head.failed) {
        status = error_set(err, MAE_MEMORY, "%s: not enough memory", o->path);
        goto done;
    }
    TRY(file_writer_write(o->file, head.data, head.n, err));
    TRY(file_writer_write(o->file, m->nodes.data, m->nodes.n, err));
    TRY(file_writer_write(o->file, name.data, name.n, err));
    TRY(write_tensors(o, err));
    TRY(file_writer_write(o->file, m->inputs.data, m->inputs.n, err));
    TRY(file_writer_write(o->file, m->outputs.data, m->outputs.n, err));
    TRY(file_writer_write(o->file, tail.data, tail.n, err));
done:
    protobuf_free(&name);
    protobuf_free(&head);
    protobuf_free(&tail);
    return status;
}

static Status write_files(Output *o, const char *data_path, bool external, Error *err) {
    Status status = MAE_OK;
    if (external) {
        TRY(file_writer_open(data_path, &o->data, err));
        TRY(write_data(o, err));
    }
    TRY(file_writer_open(o->path, &o->file, err));
    TRY(write_model(o, err));
    if (external) TRY(file_writer_commit(o->data, err));
    TRY(file_writer_commit(o->file, err));
done:
    return status;
}

Status onnx_write(OnnxModel *m, const char *path, int64_t external_from, void *user, Error *err) {
    Status status = MAE_OK;
    size_t largest = 0;
    for (size_t i = 0; i < m->n; i++)
        if (m->tensor[i].bytes > largest) largest = m->tensor[i].bytes;
    bool external = place_tensors(m, external_from);
    if (external && file_is_stream(path))
        return error_set(err, MAE_USAGE,
                         "%s: a model of this size needs a second file beside it; name a file",
                         file_is_standard_output(path) ? "standard output" : path);
    char *data_path = mem_printf("%s.data", path);
    Output o = {.model = m, .user = user, .path = path, .values = mem_alloc(largest)};
    if (!data_path || !o.values || m->failed || m->nodes.failed || m->inputs.failed ||
        m->outputs.failed || m->metadata.failed) {
        status = error_set(err, MAE_MEMORY, "%s: not enough memory", path);
        goto done;
    }
    const char *slash = strrchr(data_path, '/');
    o.location = slash ? slash + 1 : data_path;
    TRY(write_files(&o, data_path, external, err));
done:
    file_writer_close(o.data);
    file_writer_close(o.file);
    protobuf_free(&o.head);
    mem_free(o.values);
    mem_free(data_path);
    return status;
}
