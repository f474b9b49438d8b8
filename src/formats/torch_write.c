/* See torch_write.h. */
#include "formats/torch_write.h"

#include <stdio.h>
#include <string.h>
#include <zlib.h>

#include "base/file.h"
#include "base/memory.h"

#define ALIGN 64

/* --- bytes that grow -------------------------------------------------------------------------- */

typedef struct Bytes {
    uint8_t *data;
    size_t n, capacity;
    bool ok;
} Bytes;

static void put(Bytes *b, const void *data, size_t n) {
    if (b->ok && b->n + n > b->capacity) {
        size_t capacity = 2 * b->capacity + n + 4096;
        void *grown = mem_realloc(b->data, b->capacity, capacity);
        b->ok = grown != NULL;
        if (grown) {
            b->data = grown;
            b->capacity = capacity;
        }
    }
    if (!b->ok) return;
    memcpy(b->data + b->n, data, n);
    b->n += n;
}

/* n bytes, the least significant first. */
static void put_int(Bytes *b, uint64_t v, int n) {
    uint8_t bytes[8];
    for (int i = 0; i < n; i++) bytes[i] = (uint8_t)(v >> (8 * i));
    put(b, bytes, (size_t)n);
}

static void put_text(Bytes *b, const char *s) {
    put(b, s, strlen(s));
}

/* --- the pickle, protocol 2 ------------------------------------------------------------------- */

/* Opcodes by their names in Python's pickletools. */
enum {
    MARK = '(',
    STOP = '.',
    BININT = 'J',
    LONG1 = 0x8a,
    BINUNICODE = 'X',
    EMPTY_DICT = '}',
    SETITEMS = 'u',
    GLOBAL = 'c',
    REDUCE = 'R',
    TUPLE = 't',
    EMPTY_TUPLE = ')',
    NEWFALSE = 0x89,
    BINPERSID = 'Q',
    PROTO = 0x80
};

static void op(Bytes *b, int code) {
    put_int(b, (uint64_t)code, 1);
}

static void pickle_text(Bytes *b, const char *s) {
    op(b, BINUNICODE);
    put_int(b, strlen(s), 4);
    put_text(b, s);
}

static void pickle_int(Bytes *b, int64_t v) {
    if (v >= 0 && v <= INT32_MAX) {
        op(b, BININT);
        put_int(b, (uint64_t)v, 4);
    } else {
        op(b, LONG1);
        put_int(b, 8, 1);
        put_int(b, (uint64_t)v, 8);
    }
}

static void pickle_global(Bytes *b, const char *module, const char *name) {
    op(b, GLOBAL);
    put_text(b, module);
    put_text(b, "\n");
    put_text(b, name);
    put_text(b, "\n");
}

static const char *storage_class(DType t) {
    switch (t) {
    case DTYPE_F16: return "HalfStorage";
    case DTYPE_BF16: return "BFloat16Storage";
    case DTYPE_F64: return "DoubleStorage";
    case DTYPE_I64: return "LongStorage";
    default: return "FloatStorage";
    }
}

/* Strides of a contiguous tensor. */
static void pickle_strides(Bytes *b, Shape s) {
    op(b, MARK);
    for (int i = 0; i < s.n_dims; i++) {
        int64_t stride = 1;
        for (int k = i + 1; k < s.n_dims; k++) stride *= s.dim[k];
        pickle_int(b, stride);
    }
    op(b, TUPLE);
}

/* torch._utils._rebuild_tensor_v2(storage, 0, shape, strides, False, OrderedDict()) */
static void pickle_tensor(Bytes *b, const NamedTensor *t, size_t number) {
    char key[32];
    snprintf(key, sizeof key, "%zu", number);
    pickle_global(b, "torch._utils", "_rebuild_tensor_v2");
    op(b, MARK);
    op(b, MARK);
    pickle_text(b, "storage");
    pickle_global(b, "torch", storage_class(t->dtype));
    pickle_text(b, key);
    pickle_text(b, "cpu");
    pickle_int(b, shape_numel(t->shape));
    op(b, TUPLE);
    op(b, BINPERSID);
    pickle_int(b, 0);
    op(b, MARK);
    for (int i = 0; i < t->shape.n_dims; i++) pickle_int(b, t->shape.dim[i]);
    op(b, TUPLE);
    pickle_strides(b, t->shape);
    op(b, NEWFALSE);
    pickle_global(b, "collections", "OrderedDict");
    op(b, EMPTY_TUPLE);
    op(b, REDUCE);
    op(b, TUPLE);
    op(b, REDUCE);
}

static void pickle_all(Bytes *b, const NamedTensor *tensors, size_t n, const MetaEntry *meta,
                       size_t n_meta) {
    op(b, PROTO);
    put_int(b, 2, 1);
    op(b, EMPTY_DICT);
    op(b, MARK);
    pickle_text(b, "model");
    op(b, EMPTY_DICT);
    op(b, MARK);
    for (size_t i = 0; i < n; i++) {
        pickle_text(b, tensors[i].name);
        pickle_tensor(b, &tensors[i], i);
    }
    op(b, SETITEMS);
    pickle_text(b, "mae.c");
    op(b, EMPTY_DICT);
    op(b, MARK);
    for (size_t i = 0; i < n_meta; i++) {
        pickle_text(b, meta[i].key);
        pickle_text(b, meta[i].value);
    }
    op(b, SETITEMS);
    op(b, SETITEMS);
    op(b, STOP);
}

/* --- the archive ------------------------------------------------------------------------------ */

typedef struct Zip {
    FileWriter *writer;
    uint64_t offset;
    Bytes directory; /* central directory */
    uint64_t n_files;
} Zip;

/* The zip64 extra field: sizes, and in the directory the offset. */
static void put_zip64(Bytes *b, uint64_t size, const uint64_t *offset) {
    put_int(b, 1, 2);
    put_int(b, offset ? 24 : 16, 2);
    put_int(b, size, 8);
    put_int(b, size, 8);
    if (offset) put_int(b, *offset, 8);
}

/* What the two headers of a file share: flags 0x800 (UTF-8 names), stored, no time. */
static void put_common(Bytes *b, uint32_t crc, size_t name_bytes, size_t extra_bytes) {
    put_int(b, 45, 2);
    put_int(b, 0x800, 2);
    put_int(b, 0, 2);
    put_int(b, 0, 4);
    put_int(b, crc, 4);
    put_int(b, UINT32_MAX, 4); /* sizes: see zip64 */
    put_int(b, UINT32_MAX, 4);
    put_int(b, name_bytes, 2);
    put_int(b, extra_bytes, 2);
}

static Status zip_add(Zip *z, const char *name, const void *data, size_t bytes, Error *err) {
    Status status = MAE_OK;
    Bytes local = {.ok = true};
    size_t name_bytes = strlen(name), before = 30 + name_bytes + 20 + 4;
    size_t padding = (ALIGN - (z->offset + before) % ALIGN) % ALIGN;
    uint32_t crc = (uint32_t)crc32_z(0, data, bytes);
    put_int(&local, 0x04034b50, 4);
    put_common(&local, crc, name_bytes, 20 + 4 + padding);
    put_text(&local, name);
    put_zip64(&local, bytes, NULL);
    put_int(&local, 0x4246, 2); /* "FB": padding, as torch writes it */
    put_int(&local, padding, 2);
    for (size_t i = 0; i < padding; i++) put(&local, "Z", 1);
    put_int(&z->directory, 0x02014b50, 4);
    put_int(&z->directory, 45, 2);
    put_common(&z->directory, crc, name_bytes, 28);
    put_int(&z->directory, 0, 2 + 2 + 2); /* comment, disk, internal attributes */
    put_int(&z->directory, 0, 4);
    put_int(&z->directory, UINT32_MAX, 4);
    put_text(&z->directory, name);
    put_zip64(&z->directory, bytes, &z->offset);
    if (!local.ok || !z->directory.ok) {
        status = error_set(err, MAE_MEMORY, "no memory for a zip header");
        goto done;
    }
    TRY(file_writer_write(z->writer, local.data, local.n, err));
    TRY(file_writer_write(z->writer, data, bytes, err));
    z->offset += local.n + bytes;
    z->n_files++;
done:
    mem_free(local.data);
    return status;
}

static Status zip_end(Zip *z, Error *err) {
    Bytes *d = &z->directory;
    uint64_t start = z->offset, bytes = d->n;
    put_int(d, 0x06064b50, 4); /* zip64 end of central directory */
    put_int(d, 44, 8);
    put_int(d, 45, 2);
    put_int(d, 45, 2);
    put_int(d, 0, 8);
    put_int(d, z->n_files, 8);
    put_int(d, z->n_files, 8);
    put_int(d, bytes, 8);
    put_int(d, start, 8);
    put_int(d, 0x07064b50, 4); /* its locator */
    put_int(d, 0, 4);
    put_int(d, start + bytes, 8);
    put_int(d, 1, 4);
    put_int(d, 0x06054b50, 4); /* end of central directory */
    put_int(d, 0, 4);
    put_int(d, UINT16_MAX, 2);
    put_int(d, UINT16_MAX, 2);
    put_int(d, UINT32_MAX, 4);
    put_int(d, UINT32_MAX, 4);
    put_int(d, 0, 2);
    if (!d->ok) return error_set(err, MAE_MEMORY, "no memory for a zip directory");
    return file_writer_write(z->writer, d->data, d->n, err);
}

static Status add_tensors(Zip *z, const NamedTensor *tensors, size_t n, TensorFill fill, void *user,
                          Error *err) {
    Status status = MAE_OK;
    size_t largest = 0;
    for (size_t i = 0; i < n; i++)
        if (tensors[i].bytes > largest) largest = tensors[i].bytes;
    void *buffer = mem_alloc(largest + 1);
    if (!buffer) return error_set(err, MAE_MEMORY, "no memory for %zu bytes", largest);
    for (size_t i = 0; i < n; i++) {
        char name[64];
        snprintf(name, sizeof name, "archive/data/%zu", i);
        TRY(fill(user, i, buffer, err));
        TRY(zip_add(z, name, buffer, tensors[i].bytes, err));
    }
done:
    mem_free(buffer);
    return status;
}

Status torch_write(const char *path, const NamedTensor *tensors, size_t n_tensors,
                   const MetaEntry *meta, size_t n_meta, TensorFill fill, void *user, Error *err) {
    Status status = MAE_OK;
    Bytes pickle = {.ok = true};
    Zip z = {.directory = {.ok = true}};
    pickle_all(&pickle, tensors, n_tensors, meta, n_meta);
    if (!pickle.ok) {
        status = error_set(err, MAE_MEMORY, "%s: not enough memory", path);
        goto done;
    }
    TRY(file_writer_open(path, &z.writer, err));
    TRY(zip_add(&z, "archive/data.pkl", pickle.data, pickle.n, err));
    TRY(zip_add(&z, "archive/byteorder", "little", 6, err));
    TRY(add_tensors(&z, tensors, n_tensors, fill, user, err));
    TRY(zip_add(&z, "archive/version", "3\n", 2, err));
    TRY(zip_end(&z, err));
    TRY(file_writer_commit(z.writer, err));
done:
    file_writer_close(z.writer);
    mem_free(pickle.data);
    mem_free(z.directory.data);
    return status;
}
