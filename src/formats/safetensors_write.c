/* Writing safetensors: data ordered by element size, largest first, so that every tensor of a
 * mapped file is aligned to its element; the header padded with blanks to a multiple of 8 for the
 * same reason. Nothing but the arguments decides a byte. */
#include <jansson.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "formats/safetensors.h"

/* Takes over `value`. A key is used once, and is UTF-8 or jansson refuses it. */
static Status put(json_t *object, const char *path, const char *key, json_t *value, Error *err) {
    if (json_object_get(object, key) != NULL) {
        json_decref(value);
        return error_set(err, MAE_FORMAT, "%s: '%.200s' is to be written twice", path, key);
    }
    if (json_object_set_new(object, key, value) != 0)
        return error_set(err, MAE_FORMAT, "%s: '%.200s' is not UTF-8 text, or memory is short",
                         path, key);
    return MAE_OK;
}

static json_t *describe(const NamedTensor *t, uint64_t offset) {
    json_t *shape = json_array();
    for (int i = 0; i < t->shape.n_dims; i++)
        json_array_append_new(shape, json_integer((json_int_t)t->shape.dim[i]));
    return json_pack("{s:s, s:o, s:[I, I]}", "dtype", dtype_name(t->dtype), "shape", shape,
                     "data_offsets", (json_int_t)offset, (json_int_t)(offset + t->bytes));
}

/* The order of the data: indices of tensors, stable within an element size. */
static size_t *make_order(const NamedTensor *tensors, size_t n) {
    size_t *order = mem_alloc_array(n, sizeof *order), done = 0;
    if (order == NULL) return NULL;
    for (size_t bytes = 8; bytes >= 1; bytes /= 2)
        for (size_t i = 0; i < n; i++)
            if (dtype_bytes(tensors[i].dtype) == bytes) order[done++] = i;
    ASSERT(done == n, "%zu of %zu tensors have a known element size", done, n);
    return order;
}

static Status put_metadata(json_t *root, const char *path, const MetaEntry *meta, size_t n,
                           Error *err) {
    Status status = MAE_OK;
    json_t *object = json_object();
    for (size_t i = 0; i < n; i++)
        TRY(put(object, path, meta[i].key, json_string(meta[i].value), err));
    status = put(root, path, "__metadata__", object, err);
    return status;
done:
    json_decref(object);
    return status;
}

static Status put_tensors(json_t *root, const char *path, const NamedTensor *tensors,
                          const size_t *order, size_t n, Error *err) {
    uint64_t offset = 0;
    for (size_t i = 0; i < n; i++) {
        const NamedTensor *t = &tensors[order[i]];
        ASSERT(t->bytes == (size_t)shape_numel(t->shape) * dtype_bytes(t->dtype),
               "tensor %s has %zu bytes", t->name, t->bytes);
        if (strcmp(t->name, "__metadata__") == 0)
            return error_set(err, MAE_FORMAT, "%s: no tensor may be called __metadata__", path);
        Status status = put(root, path, t->name, describe(t, offset), err);
        if (status != MAE_OK) return status;
        offset += t->bytes;
    }
    return MAE_OK;
}

static Status write_header(FileWriter *w, const char *path, const json_t *root, Error *err) {
    Status status = MAE_OK;
    size_t bytes = json_dumpb(root, NULL, 0, JSON_COMPACT);
    size_t padded = (bytes + 7) / 8 * 8;
    char *text = mem_alloc(8 + padded);
    if (bytes == 0 || text == NULL) {
        status = error_set(err, MAE_MEMORY, "%s: not enough memory for the header", path);
        goto done;
    }
    for (int i = 0; i < 8; i++) text[i] = (char)((uint64_t)padded >> (8 * i) & 0xFF);
    memset(text + 8, ' ', padded);
    json_dumpb(root, text + 8, bytes, JSON_COMPACT);
    TRY(file_writer_write(w, text, 8 + padded, err));
done:
    mem_free(text);
    return status;
}

/* Tensor by tensor through one buffer of the largest size, or from where it lies. */
static Status write_data(FileWriter *w, const NamedTensor *tensors, const size_t *order, size_t n,
                         TensorFill fill, void *user, Error *err) {
    Status status = MAE_OK;
    size_t largest = 0;
    for (size_t i = 0; i < n; i++)
        if (tensors[i].bytes > largest) largest = tensors[i].bytes;
    void *buffer = fill ? mem_alloc(largest + 1) : NULL;
    if (fill && !buffer) return error_set(err, MAE_MEMORY, "no memory for %zu bytes", largest);
    for (size_t i = 0; i < n; i++) {
        const NamedTensor *t = &tensors[order[i]];
        if (fill) TRY(fill(user, order[i], buffer, err));
        TRY(file_writer_write(w, fill ? buffer : t->data, t->bytes, err));
    }
done:
    mem_free(buffer);
    return status;
}

Status safetensors_write(const char *path, const NamedTensor *tensors, size_t n_tensors,
                         const MetaEntry *meta, size_t n_meta, TensorFill fill, void *user,
                         FileDigest *digest, Error *err) {
    Status status = MAE_OK;
    FileWriter *w = NULL;
    json_t *root = json_object();
    size_t *order = make_order(tensors, n_tensors);
    if (root == NULL || order == NULL) {
        status = error_set(err, MAE_MEMORY, "%s: not enough memory", path);
        goto done;
    }
    if (n_meta > 0) TRY(put_metadata(root, path, meta, n_meta, err));
    TRY(put_tensors(root, path, tensors, order, n_tensors, err));
    TRY(file_writer_open(path, &w, err));
    if (digest) file_writer_follow(w, digest);
    TRY(write_header(w, path, root, err));
    TRY(write_data(w, tensors, order, n_tensors, fill, user, err));
    TRY(file_writer_commit(w, err));
done:
    file_writer_close(w);
    mem_free(order);
    json_decref(root);
    return status;
}
