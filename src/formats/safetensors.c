/* Reading safetensors. The header is parsed by jansson, then every entry is checked on its own,
 * then all byte ranges together: sorted by offset they must tile the data exactly, which rules out
 * overlaps, holes (where something else could hide) and trailing bytes at once. Numbers in the file
 * are little-endian, as is every host this library is built for. */
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

struct SafeTensors {
    Arena *arena; /* names and metadata */
    char *path;
    FileMap map;          /* empty when parsed from memory */
    NamedTensor *tensors; /* by offset */
    const NamedTensor **by_name;
    size_t n_tensors;
    MetaEntry *meta;
    size_t n_meta;
};

/* What is being read: the data that follows the header, and how to name it. */
typedef struct Source {
    const char *path;
    const uint8_t *data;
    size_t bytes;
} Source;

/* --- One entry -------------------------------------------------------------------------------- */

static Status read_dtype(const Source *in, const char *name, const json_t *entry, DType *out,
                         Error *err) {
    const char *text = json_string_value(json_object_get(entry, "dtype"));
    if (text == NULL)
        return fail(err, STATUS_FORMAT, "%s: tensor '%.200s' has no dtype", in->path, name);
    int type = dtype_from_name(text);
    if (type < 0)
        return fail(err, STATUS_UNSUPPORTED, "%s: tensor '%.200s' has the unknown dtype '%.40s'",
                    in->path, name, text);
    *out = (DType)type;
    return STATUS_OK;
}

/* A non-negative integer of the array, or -1. */
static int64_t array_integer(const json_t *array, size_t i) {
    const json_t *value = json_array_get(array, i);
    if (!json_is_integer(value) || json_integer_value(value) < 0) return -1;
    return (int64_t)json_integer_value(value);
}

/* Also the bytes that dtype and shape ask for, with overflow checked before shape_numel asserts. */
static Status read_shape(const Source *in, const char *name, const json_t *entry, DType dtype,
                         Shape *out, int64_t *bytes, Error *err) {
    const json_t *array = json_object_get(entry, "shape");
    if (!json_is_array(array) || json_array_size(array) > MAX_DIMS)
        return fail(err, STATUS_FORMAT,
                    "%s: tensor '%.200s' has no shape, or more than %d dimensions", in->path, name,
                    MAX_DIMS);
    *out = (Shape){.n_dims = (int)json_array_size(array)};
    int64_t product = (int64_t)dtype_bytes(dtype);
    for (int i = 0; i < out->n_dims; i++) {
        int64_t dim = array_integer(array, (size_t)i);
        if (dim < 0 || (dim > 0 && product > INT64_MAX / dim))
            return fail(err, STATUS_FORMAT, "%s: tensor '%.200s' has an impossible shape", in->path,
                        name);
        out->dim[i] = dim;
        product *= dim;
    }
    *bytes = product;
    return STATUS_OK;
}

static Status read_range(const Source *in, const char *name, const json_t *entry, int64_t bytes,
                         NamedTensor *out, Error *err) {
    const json_t *array = json_object_get(entry, "data_offsets");
    if (!json_is_array(array) || json_array_size(array) != 2)
        return fail(err, STATUS_FORMAT, "%s: tensor '%.200s' has no data_offsets", in->path, name);
    int64_t begin = array_integer(array, 0), end = array_integer(array, 1);
    if (begin < 0 || end < begin || (uint64_t)end > in->bytes)
        return fail(err, STATUS_FORMAT,
                    "%s: tensor '%.200s' lies at bytes [%" PRId64 ",%" PRId64
                    ") of %zu; the file is damaged or cut off",
                    in->path, name, begin, end, in->bytes);
    if (end - begin != bytes)
        return fail(err, STATUS_FORMAT,
                    "%s: tensor '%.200s' has %" PRId64 " bytes, its dtype and shape need %" PRId64,
                    in->path, name, end - begin, bytes);
    out->data = in->data + begin;
    out->bytes = (size_t)bytes;
    return STATUS_OK;
}

static Status read_tensor(SafeTensors *s, const Source *in, const char *name, const json_t *entry,
                          Error *err) {
    Status status = STATUS_OK;
    NamedTensor *t = &s->tensors[s->n_tensors];
    int64_t bytes = 0;
    if (!json_is_object(entry))
        return fail(err, STATUS_FORMAT, "%s: tensor '%.200s' is not described by an object",
                    in->path, name);
    TRY(read_dtype(in, name, entry, &t->dtype, err));
    TRY(read_shape(in, name, entry, t->dtype, &t->shape, &bytes, err));
    TRY(read_range(in, name, entry, bytes, t, err));
    t->name = arena_strdup(s->arena, name);
    if (t->name == NULL) return fail(err, STATUS_MEMORY, "%s: not enough memory", in->path);
    s->n_tensors++;
done:
    return status;
}

static Status read_metadata(SafeTensors *s, json_t *object, Error *err) {
    if (!json_is_object(object))
        return fail(err, STATUS_FORMAT, "%s: __metadata__ is not an object", s->path);
    s->meta = mem_alloc_array(json_object_size(object), sizeof *s->meta);
    if (s->meta == NULL) goto no_memory;
    const char *key;
    json_t *value;
    json_object_foreach(object, key, value) {
        if (!json_is_string(value))
            return fail(err, STATUS_FORMAT, "%s: __metadata__ '%.200s' is not a string", s->path,
                        key);
        MetaEntry *m = &s->meta[s->n_meta++];
        m->key = arena_strdup(s->arena, key);
        m->value = arena_strdup(s->arena, json_string_value(value));
        if (m->key == NULL || m->value == NULL) goto no_memory;
    }
    return STATUS_OK;
no_memory:
    return fail(err, STATUS_MEMORY, "%s: not enough memory", s->path);
}

/* --- All of them ------------------------------------------------------------------------------ */

/* Empty tensors come before what starts at the same byte; names settle the rest. */
static int compare_places(const void *left, const void *right) {
    const NamedTensor *a = left, *b = right;
    uintptr_t start_a = (uintptr_t)a->data, start_b = (uintptr_t)b->data;
    if (start_a != start_b) return start_a < start_b ? -1 : 1;
    if ((a->bytes == 0) != (b->bytes == 0)) return a->bytes == 0 ? -1 : 1;
    return strcmp(a->name, b->name);
}

static int compare_names(const void *left, const void *right) {
    const NamedTensor *const *a = left, *const *b = right;
    return strcmp((*a)->name, (*b)->name);
}

static Status check_tiling(const SafeTensors *s, const Source *in, Error *err) {
    size_t end = 0;
    for (size_t i = 0; i < s->n_tensors; i++) {
        const NamedTensor *t = &s->tensors[i];
        size_t begin = (size_t)((const uint8_t *)t->data - in->data);
        if (begin < end)
            return fail(err, STATUS_FORMAT, "%s: tensor '%.200s' overlaps '%.200s'", s->path,
                        t->name, s->tensors[i - 1].name);
        if (begin > end)
            return fail(err, STATUS_FORMAT,
                        "%s: %zu bytes before tensor '%.200s' belong to no tensor", s->path,
                        begin - end, t->name);
        end = begin + t->bytes;
    }
    if (end != in->bytes)
        return fail(err, STATUS_FORMAT, "%s: the last %zu bytes belong to no tensor", s->path,
                    in->bytes - end);
    return STATUS_OK;
}

static Status read_entries(SafeTensors *s, const Source *in, json_t *root, Error *err) {
    Status status = STATUS_OK;
    const char *key;
    json_t *value;
    size_t n = json_object_size(root);
    s->tensors = mem_alloc_array(n, sizeof *s->tensors);
    s->by_name = mem_alloc_array(n, sizeof *s->by_name);
    if (s->tensors == NULL || s->by_name == NULL)
        return fail(err, STATUS_MEMORY, "%s: not enough memory", s->path);
    json_object_foreach(root, key, value) {
        if (strcmp(key, "__metadata__") == 0)
            TRY(read_metadata(s, value, err));
        else
            TRY(read_tensor(s, in, key, value, err));
    }
    qsort(s->tensors, s->n_tensors, sizeof *s->tensors, compare_places);
    for (size_t i = 0; i < s->n_tensors; i++) s->by_name[i] = &s->tensors[i];
    qsort(s->by_name, s->n_tensors, sizeof *s->by_name, compare_names);
    TRY(check_tiling(s, in, err));
done:
    return status;
}

static Status parse_header(const char *path, const uint8_t *data, size_t bytes, size_t *header,
                           json_t **root, Error *err) {
    uint64_t n = 0;
    if (bytes < 8)
        return fail(err, STATUS_FORMAT, "%s: %zu bytes are too few for a safetensors file", path,
                    bytes);
    for (int i = 0; i < 8; i++) n |= (uint64_t)data[i] << (8 * i);
    if (n > MAX_HEADER_BYTES || n > bytes - 8)
        return fail(err, STATUS_FORMAT,
                    "%s: a header of %" PRIu64 " bytes in a file of %zu (at most %" PRIu64
                    " are read); cut off, or not safetensors",
                    path, n, bytes, MAX_HEADER_BYTES);
    json_error_t problem;
    *root = json_parse(data + 8, (size_t)n, &problem);
    if (*root == NULL)
        return fail(err, STATUS_FORMAT, "%s: header, byte %d: %s", path, problem.position,
                    problem.text);
    if (!json_is_object(*root))
        return fail(err, STATUS_FORMAT, "%s: the header is not a JSON object", path);
    *header = (size_t)n;
    return STATUS_OK;
}

Status safetensors_parse(const char *path, const void *data, size_t bytes, SafeTensors **out,
                         Error *err) {
    Status status = STATUS_OK;
    json_t *root = NULL;
    size_t header = 0;
    *out = NULL;
    SafeTensors *s = mem_alloc(sizeof *s);
    if (s == NULL || (s->arena = arena_new()) == NULL ||
        (s->path = arena_strdup(s->arena, path)) == NULL) {
        status = fail(err, STATUS_MEMORY, "%s: not enough memory", path);
        goto done;
    }
    TRY(parse_header(path, data, bytes, &header, &root, err));
    Source in = {path, (const uint8_t *)data + 8 + header, bytes - 8 - header};
    TRY(read_entries(s, &in, root, err));
    *out = s;
done:
    json_decref(root);
    if (status != STATUS_OK) safetensors_close(s);
    return status;
}

Status safetensors_open(const char *path, SafeTensors **out, Error *err) {
    Status status = STATUS_OK;
    FileMap map;
    *out = NULL;
    TRY(file_map(path, &map, err));
    status = safetensors_parse(path, map.data, map.bytes, out, err);
    if (status == STATUS_OK)
        (*out)->map = map;
    else
        file_unmap(&map);
done:
    return status;
}

void safetensors_close(SafeTensors *s) {
    if (s == NULL) return;
    file_unmap(&s->map);
    mem_free(s->tensors);
    mem_free(s->by_name);
    mem_free(s->meta);
    arena_free(s->arena);
    mem_free(s);
}

/* --- Looking things up ------------------------------------------------------------------------ */

const char *safetensors_path(const SafeTensors *s) {
    return s->path;
}

size_t safetensors_count(const SafeTensors *s) {
    return s->n_tensors;
}

const NamedTensor *safetensors_at(const SafeTensors *s, size_t i) {
    ASSERT(i < s->n_tensors, "tensor %zu of %zu", i, s->n_tensors);
    return &s->tensors[i];
}

const NamedTensor *safetensors_find(const SafeTensors *s, const char *name) {
    const NamedTensor key = {.name = name}, *wanted = &key;
    const NamedTensor **found =
        bsearch(&wanted, s->by_name, s->n_tensors, sizeof *s->by_name, compare_names);
    return found != NULL ? *found : NULL;
}

size_t safetensors_meta_count(const SafeTensors *s) {
    return s->n_meta;
}

MetaEntry safetensors_meta_at(const SafeTensors *s, size_t i) {
    ASSERT(i < s->n_meta, "entry %zu of %zu", i, s->n_meta);
    return s->meta[i];
}

const char *safetensors_meta(const SafeTensors *s, const char *key) {
    for (size_t i = 0; i < s->n_meta; i++)
        if (strcmp(s->meta[i].key, key) == 0) return s->meta[i].value;
    return NULL;
}

Status safetensors_require(const SafeTensors *s, const char *name, DType dtype, Shape shape,
                           const NamedTensor **out, Error *err) {
    char have[200], want[200];
    shape_text(shape, want, sizeof want);
    *out = NULL;
    const NamedTensor *t = safetensors_find(s, name);
    if (t == NULL)
        return fail(err, STATUS_FORMAT, "%s: tensor '%.200s' (%s %s) is missing", s->path, name,
                    dtype_name(dtype), want);
    if (t->dtype != dtype || !shape_equal(t->shape, shape))
        return fail(err, STATUS_SHAPE, "%s: tensor '%.200s' is %s %s, %s %s is needed", s->path,
                    name, dtype_name(t->dtype), shape_text(t->shape, have, sizeof have),
                    dtype_name(dtype), want);
    *out = t;
    return STATUS_OK;
}
