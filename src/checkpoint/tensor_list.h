/* Tensors on their way into a file: their names, their places on the device, and, for a snapshot,
 * their places in a copy in host memory. */
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
/* Adds the numbers of a parameter at a device address. They are called KIND.NAME
 * ("exp_avg.cls_token"), or like the parameter when kind is NULL. */
Status tensor_list_add(TensorList *l, const char *kind, const Param *p, const void *address,
                       Error *err);

/* The bytes of a copy, and the memory of later copies, which outlives the list. */
size_t tensor_list_bytes(const TensorList *l);
void tensor_list_use(TensorList *l, void *memory);
/* Copies the tensors as they are on the device now; takes no memory. */
void tensor_list_copy(TensorList *l);
/* Writes from the copy if there is one, otherwise from the device, one tensor after the other. Both
 * give the same bytes. digest may be NULL. */
Status tensor_list_write(TensorList *l, const char *path, const Meta *meta, FileDigest *digest,
                         Error *err);

#endif
