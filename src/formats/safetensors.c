/* Reading safetensors. jansson parses the header. Then every entry is checked on its own, and all
 * byte ranges together: sorted by offset they must tile the data exactly. That rules out overlaps,
 * holes (where something else could hide) and trailing bytes at once. Numbers in the file are
 * little-endian, as is every host this library is built for. */
#include "formats/safetensors.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "base/memory.h"

/* As the published implementation; enough for a million tensors. */
#define MAX_HEADER_BYTES ((uint64_t)100000000)

/* What is being read. */
typedef struct Reader {
    const char *path;
    const ByteSource *source;
    uint64_t start, bytes; /* of the data, which follow the header */
    TensorTable *out;
} Reader;

/* --- One entry -------------------------------------------------------------------------------- */

/* Types of the format that this library does not have, and the bits of an element. */
static int foreign_bits(const char *type) {
    static const struct {
        const char *name;
        int bits;
    } rows[] = {{"C64", 64}, {"F8_E4M3", 8}, {"F8_E5M2", 8},     {"F8_E8M0", 8}, {"F8_E4M3FNUZ", 8},
                {"F4", 4},   {"F6_E2M3", 6}, {"F8_E5M2FNUZ", 8}, {"F6_E3M2", 6}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (strcmp(rows[i].name, type) == 0) return rows[i].bits;
    return 0;
}

/* Also the bits of an element. A type that is not read is only refused to who needs the tensor. */
static Status read_dtype(const Reader *r, const char *name, const json_t *entry, StridedTensor *t,
                         int *bits, Error *err) {
    const char *text = json_string_value(json_object_get(entry, "dtype"));
    if (text == NULL)
        return error_set(err, MAE_FORMAT, "%s: tensor '%.200s' has no dtype", r->path, name);
    int type = dtype_from_name(text);
    t->dtype = type < 0 ? DTYPE_U8 : (DType)type;
    *bits = type < 0 ? foreign_bits(text) : (int)(8 * dtype_bytes(t->dtype));
    if (*bits == 0)
        return error_set(err, MAE_UNSUPPORTED, "%s: tensor '%.200s' has the unknown dtype '%.40s'",
                         r->path, name, text);
    if (type >= 0) return MAE_OK;
    t->type = arena_strdup(r->out->arena, text);
    t->refusal = arena_printf(r->out->arena,
                              "has elements of type %s, which are not read; save it as F32", text);
    if (t->type != NULL && t->refusal != NULL) return MAE_OK;
    return error_set(err, MAE_MEMORY, "%s: not enough memory", r->path);
}

/* A non-negative integer of the array, or -1. */
static int64_t array_integer(const json_t *array, size_t i) {
    const json_t *value = json_array_get(array, i);
    if (!json_is_integer(value) || json_integer_value(value) < 0) return -1;
    return (int64_t)json_integer_value(value);
}

/* Also the bytes that shape and bits of an element ask for, with overflow checked before
 * shape_numel asserts. */
static Status read_shape(const Reader *r, const char *name, const json_t *entry, int bits,
                         Shape *out, int64_t *bytes, Error *err) {
    const json_t *array = json_object_get(entry, "shape");
    if (!json_is_array(array) || json_array_size(array) > MAX_DIMS)
        return error_set(err, MAE_FORMAT,
                         "%s: tensor '%.200s' has no shape, or more than %d dimensions", r->path,
                         name, MAX_DIMS);
    *out = (Shape){.n_dims = (int)json_array_size(array)};
    int64_t product = bits;
    for (int i = 0; i < out->n_dims; i++) {
        int64_t dim = array_integer(array, (size_t)i);
        if (dim < 0 || (dim > 0 && product > INT64_MAX / dim))
            return error_set(err, MAE_FORMAT, "%s: tensor '%.200s' has an impossible shape",
                             r->path, name);
        out->dim[i] = dim;
        product *= dim;
    }
    *bytes = product / 8 + (product % 8 != 0);
    return MAE_OK;
}

static Status read_range(const Reader *r, const char *name, const json_t *entry, int64_t bytes,
                         StridedTensor *out, Error *err) {
    const json_t *array = json_object_get(entry, "data_offsets");
    if (!json_is_array(array) || json_array_size(array) != 2)
        return error_set(err, MAE_FORMAT, "%s: tensor '%.200s' has no data_offsets", r->path, name);
    int64_t begin = array_integer(array, 0), end = array_integer(array, 1);
    if (begin < 0 || end < begin || (uint64_t)end > r->bytes)
        return error_set(err, MAE_FORMAT,
                         "%s: tensor '%.200s' lies at bytes [%" PRId64 ",%" PRId64 ") of %" PRIu64
                         "; the file is damaged or cut off",
                         r->path, name, begin, end, r->bytes);
    if (end - begin != bytes)
        return error_set(err, MAE_FORMAT,
                         "%s: tensor '%.200s' has %" PRId64
                         " bytes, its dtype and shape need %" PRId64,
                         r->path, name, end - begin, bytes);
    out->source = r->source;
    out->at = r->start + (uint64_t)begin;
    return MAE_OK;
}

/* Of elements without gaps, in C order. */
static void set_strides(StridedTensor *t, int64_t bytes) {
    int64_t stride = 1;
    for (int d = t->shape.n_dims; bytes > 0 && d-- > 0;) {
        t->stride[d] = stride;
        stride *= t->shape.dim[d];
    }
}

static Status read_tensor(const Reader *r, const char *name, const json_t *entry, Error *err) {
    Status status = MAE_OK;
    StridedTensor *t = &r->out->tensor[r->out->n_tensors];
    int64_t bytes = 0;
    int bits = 0;
    if (!json_is_object(entry))
        return error_set(err, MAE_FORMAT, "%s: tensor '%.200s' is not described by an object",
                         r->path, name);
    TRY(read_dtype(r, name, entry, t, &bits, err));
    TRY(read_shape(r, name, entry, bits, &t->shape, &bytes, err));
    t->bytes = (uint64_t)bytes;
    TRY(read_range(r, name, entry, bytes, t, err));
    set_strides(t, bytes);
    t->name = arena_strdup(r->out->arena, name);
    if (t->name == NULL) return error_set(err, MAE_MEMORY, "%s: not enough memory", r->path);
    r->out->n_tensors++;
done:
    return status;
}

static Status read_metadata(const Reader *r, json_t *object, Error *err) {
    if (!json_is_object(object))
        return error_set(err, MAE_FORMAT, "%s: __metadata__ is not an object", r->path);
    TensorTable *out = r->out;
    out->meta = mem_alloc_array(json_object_size(object), sizeof *out->meta);
    if (out->meta == NULL) goto no_memory;
    const char *key;
    json_t *value;
    json_object_foreach(object, key, value) {
        if (!json_is_string(value))
            return error_set(err, MAE_FORMAT, "%s: __metadata__ '%.200s' is not a string", r->path,
                             key);
        MetaEntry *m = &out->meta[out->n_meta++];
        m->key = arena_strdup(out->arena, key);
        m->value = arena_strdup(out->arena, json_string_value(value));
        if (m->key == NULL || m->value == NULL) goto no_memory;
    }
    return MAE_OK;
no_memory:
    return error_set(err, MAE_MEMORY, "%s: not enough memory", r->path);
}

/* --- All of them ------------------------------------------------------------------------------ */

/* Empty tensors come before what starts at the same byte; names settle the rest. */
static int compare_places(const void *left, const void *right) {
    const StridedTensor *a = left, *b = right;
    if (a->at != b->at) return a->at < b->at ? -1 : 1;
    bool empty_a = a->bytes == 0, empty_b = b->bytes == 0;
    if (empty_a != empty_b) return empty_a ? -1 : 1;
    return strcmp(a->name, b->name);
}

static Status check_tiling(const Reader *r, Error *err) {
    uint64_t end = r->start;
    for (size_t i = 0; i < r->out->n_tensors; i++) {
        const StridedTensor *t = &r->out->tensor[i];
        if (t->at < end)
            return error_set(err, MAE_FORMAT, "%s: tensor '%.200s' overlaps '%.200s'", r->path,
                             t->name, t[-1].name);
        if (t->at > end)
            return error_set(err, MAE_FORMAT,
                             "%s: %" PRIu64 " bytes before tensor '%.200s' belong to no tensor",
                             r->path, t->at - end, t->name);
        end += t->bytes;
    }
    if (end != r->source->bytes)
        return error_set(err, MAE_FORMAT, "%s: the last %" PRIu64 " bytes belong to no tensor",
                         r->path, r->source->bytes - end);
    return MAE_OK;
}

static Status read_entries(const Reader *r, json_t *root, Error *err) {
    Status status = MAE_OK;
    const char *key;
    json_t *value;
    TensorTable *out = r->out;
    out->tensor = mem_alloc_array(json_object_size(root), sizeof *out->tensor);
    if (out->tensor == NULL) return error_set(err, MAE_MEMORY, "%s: not enough memory", r->path);
    json_object_foreach(root, key, value) {
        if (strcmp(key, "__metadata__") == 0)
            TRY(read_metadata(r, value, err));
        else
            TRY(read_tensor(r, key, value, err));
    }
    qsort(out->tensor, out->n_tensors, sizeof *out->tensor, compare_places);
    TRY(check_tiling(r, err));
done:
    return status;
}

static Status header_length(const ByteSource *s, uint64_t *out, Error *err) {
    uint8_t length[8];
    *out = 0;
    if (s->bytes < sizeof length)
        return error_set(err, MAE_FORMAT,
                         "%s: %" PRIu64 " bytes are too few for a safetensors file", s->path,
                         s->bytes);
    Status status = byte_source_read(s, 0, length, sizeof length, "the header", err);
    if (status != MAE_OK) return status;
    for (int i = 0; i < 8; i++) *out |= (uint64_t)length[i] << (8 * i);
    if (*out <= MAX_HEADER_BYTES && *out <= s->bytes - sizeof length) return MAE_OK;
    return error_set(err, MAE_FORMAT,
                     "%s: a header of %" PRIu64 " bytes in a file of %" PRIu64 " (at most %" PRIu64
                     " are read); cut off, or not safetensors",
                     s->path, *out, s->bytes, MAX_HEADER_BYTES);
}

static Status read_header(const ByteSource *s, size_t bytes, json_t **root, Error *err) {
    Status status = MAE_OK;
    json_error_t problem;
    uint8_t *text = mem_alloc(bytes);
    if (text == NULL) return error_set(err, MAE_MEMORY, "%s: not enough memory", s->path);
    TRY(byte_source_read(s, 8, text, bytes, "the header", err));
    *root = json_parse(text, bytes, &problem);
    if (*root == NULL)
        status = error_set(err, MAE_FORMAT, "%s: header, byte %d: %s", s->path, problem.position,
                           problem.text);
    else if (!json_is_object(*root))
        status = error_set(err, MAE_FORMAT, "%s: the header is not a JSON object", s->path);
done:
    mem_free(text);
    return status;
}

Status safetensors_parse(const ByteSource *source, TensorTable *out, Error *err) {
    Status status = MAE_OK;
    json_t *root = NULL;
    uint64_t header;
    *out = (TensorTable){.format = "safetensors", .arena = arena_new()};
    if (out->arena == NULL)
        return error_set(err, MAE_MEMORY, "%s: not enough memory", source->path);
    TRY(header_length(source, &header, err));
    TRY(read_header(source, (size_t)header, &root, err));
    Reader r = {source->path, source, 8 + header, source->bytes - 8 - header, out};
    TRY(read_entries(&r, root, err));
done:
    json_decref(root);
    if (status != MAE_OK) tensor_table_free(out);
    return status;
}
