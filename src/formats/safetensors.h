/* safetensors: header length (u64, little-endian), JSON header, data. Reading trusts nothing:
 * header size, JSON, every dtype, shape and byte range are checked, and ranges may not overlap or
 * leave the file. Writing streams through a FileWriter (temporary name, fsync, rename). This file
 * knows nothing of models. Format: huggingface/safetensors README. */
#ifndef FORMATS_SAFETENSORS_H
#define FORMATS_SAFETENSORS_H

#include "base/file.h"
#include "base/status.h"
#include "base/tensor.h"
#include "formats/tensor_table.h"

/* A tensor to be written. */
typedef struct NamedTensor {
    const char *name;
    DType dtype;
    Shape shape;
    const void *data; /* host memory */
    size_t bytes;
} NamedTensor;

/* Tensors in the order of their data. `source` must outlive the table, which is left empty by a
 * failure. FORMAT: damaged or cut off; UNSUPPORTED: an element type that this library does not
 * have; IO; MEMORY. */
Status safetensors_parse(const ByteSource *source, TensorTable *out, Error *err);

/* The bytes of tensor i, asked for one after the other, so that only one of them is in memory. */
typedef Status (*TensorFill)(void *user, size_t i, void *out, Error *err);
/* Writes all tensors, 8-byte aligned header, data ordered by element size (largest first) and then
 * as given; metadata values are strings. The same input gives the same bytes. data of the tensors
 * is not looked at unless fill is NULL. *digest (may be NULL): of the file. */
Status safetensors_write(const char *path, const NamedTensor *tensors, size_t n_tensors,
                         const MetaEntry *meta, size_t n_meta, TensorFill fill, void *user,
                         FileDigest *digest, Error *err);

#endif
