/* safetensors: u64 little-endian header length, JSON header, data. Reading maps the file and trusts
 * nothing: header size, JSON, every dtype, shape and byte range are checked, ranges may not overlap
 * or leave the file. Writing streams through a FileWriter (temporary name, fsync, rename). No
 * knowledge of models. Format: huggingface/safetensors README. */
#ifndef FORMATS_SAFETENSORS_H
#define FORMATS_SAFETENSORS_H

#include "base/file.h"
#include "base/status.h"
#include "base/tensor.h"

typedef struct NamedTensor {
    const char *name;
    DType dtype;
    Shape shape;
    const void *data; /* host memory; when reading: inside the map, may be unaligned */
    size_t bytes;
} NamedTensor;

typedef struct MetaEntry {
    const char *key, *value;
} MetaEntry;

typedef struct SafeTensors SafeTensors;

Status safetensors_open(const char *path, SafeTensors **out, Error *err);
/* From memory that outlives the object (fuzzing, tests); `path` only names it in messages. */
Status safetensors_parse(const char *path, const void *data, size_t bytes, SafeTensors **out,
                         Error *err);
void safetensors_close(SafeTensors *s); /* accepts NULL */
const char *safetensors_path(const SafeTensors *s);
size_t safetensors_count(const SafeTensors *s);
const NamedTensor *safetensors_at(const SafeTensors *s, size_t i); /* in file order of data */
const NamedTensor *safetensors_find(const SafeTensors *s, const char *name); /* NULL: absent */
size_t safetensors_meta_count(const SafeTensors *s);
MetaEntry safetensors_meta_at(const SafeTensors *s, size_t i);
const char *safetensors_meta(const SafeTensors *s, const char *key); /* NULL: absent */
/* Find or fail with a message that names file, tensor, and both shapes or types. */
Status safetensors_require(const SafeTensors *s, const char *name, DType dtype, Shape shape,
                           const NamedTensor **out, Error *err);

/* Writes all tensors, 8-byte aligned header, data ordered by element size (largest first) and then
 * as given; metadata values are strings. The same input gives the same bytes. */
Status safetensors_write(const char *path, const NamedTensor *tensors, size_t n_tensors,
                         const MetaEntry *meta, size_t n_meta, Error *err);
/* The bytes of tensor i, asked for one after the other, so that only one of them is in memory. */
typedef Status (*TensorFill)(void *user, size_t i, void *out, Error *err);
/* The same; data of the tensors is not looked at unless fill is NULL. *digest (may be NULL): of the
 * file. */
Status safetensors_write_filled(const char *path, const NamedTensor *tensors, size_t n_tensors,
                                const MetaEntry *meta, size_t n_meta, TensorFill fill, void *user,
                                FileDigest *digest, Error *err);

#endif
