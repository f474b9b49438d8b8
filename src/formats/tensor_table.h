/* What every reader of a container makes of it: where its tensors lie, and the texts beside them.
 * No tensor is loaded; tensorfile.c reads them. */
#ifndef FORMATS_TENSOR_TABLE_H
#define FORMATS_TENSOR_TABLE_H

#include "base/file.h"
#include "base/memory.h"
#include "base/tensor.h"

typedef struct StridedTensor {
    const char *name;
    DType dtype;
    Shape shape;
    int64_t stride[MAX_DIMS]; /* elements, not negative; 0 repeats */
    const ByteSource *source; /* every element lies inside */
    uint64_t at;              /* of the first element */
    uint64_t bytes;           /* of safetensors: how many there are of it */
    /* Why it cannot be read, NULL when it can; then only name and shape count, and its type is of
     * this name. "has elements of type U16, which are not read". */
    const char *refusal, *type;
} StridedTensor;

typedef struct MetaEntry {
    const char *key, *value;
} MetaEntry;

typedef struct TensorTable {
    const char *format; /* "safetensors", "torch zip", "torch legacy", "pickle" */
    StridedTensor *tensor;
    size_t n_tensors;
    MetaEntry *meta;
    size_t n_meta;
    Arena *arena; /* names and texts */
} TensorTable;

static inline void tensor_table_free(TensorTable *t) { /* accepts a zeroed one */
    mem_free(t->tensor);
    mem_free(t->meta);
    arena_free(t->arena);
    *t = (TensorTable){0};
}

#endif
