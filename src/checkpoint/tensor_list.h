/* Tensors on their way into a file: what they are called, where they lie on the device, and, for a
 * snapshot, where they lie in a copy in host memory. */
#ifndef CHECKPOINT_TENSOR_LIST_H
#define CHECKPOINT_TENSOR_LIST_H

#include "base/file.h"
#include "base/memory.h"
#include "checkpoint/checkpoint_meta.h"
#include "formats/safetensors.h"
#include "graph/graph.h"

typedef struct TensorList {
    Device *device;
    NamedTensor *tensor; /* data: in the copy, NULL while there is none */
    const void **source; /* device addresses */
    size_t n, capacity;
    Arena *arena; /* names */
} TensorList;

Status tensor_list_new(TensorList *l, Device *d, size_t capacity, Error *err);
void tensor_list_free(TensorList *l); /* accepts a zeroed list */
/* The numbers of a parameter at a device address, called KIND.NAME ("exp_avg.cls_token"), or like
 * the parameter when kind is NULL. */
Status tensor_list_add(TensorList *l, const char *kind, const Param *p, const void *address,
                       Error *err);

/* Bytes of a copy, and the memory that later copies go to; it outlives the list. */
size_t tensor_list_bytes(const TensorList *l);
void tensor_list_use(TensorList *l, void *memory);
/* Tensors as they are on the device now; takes no memory. */
void tensor_list_copy(TensorList *l);
/* From the copy, where there is one, otherwise from the device, one tensor after the other. The
 * bytes are the same. digest may be NULL. */
Status tensor_list_write(TensorList *l, const char *path, const Meta *meta, FileDigest *digest,
                         Error *err);

#endif
