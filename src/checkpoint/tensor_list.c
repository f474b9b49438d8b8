/* See tensor_list.h. */
#include "checkpoint/tensor_list.h"

Status tensor_list_new(TensorList *l, Device *d, size_t capacity, Error *err) {
    *l = (TensorList){.device = d, .capacity = capacity, .arena = arena_new()};
    l->tensor = mem_alloc_array(capacity, sizeof *l->tensor);
    l->source = mem_alloc_array(capacity, sizeof *l->source);
    if (l->arena && l->tensor && l->source) return MAE_OK;
    tensor_list_free(l);
    return error_set(err, MAE_MEMORY, "no memory to write a checkpoint");
}

void tensor_list_free(TensorList *l) {
    mem_free(l->tensor);
    mem_free(l->source);
    arena_free(l->arena);
    *l = (TensorList){0};
}

Status tensor_list_add(TensorList *l, const char *kind, const Param *p, const void *address,
                       Error *err) {
    const char *name = kind ? arena_printf(l->arena, "%s.%s", kind, p->name) : p->name;
    if (!name) return error_set(err, MAE_MEMORY, "no memory to write %s", p->name);
    ASSERT(l->n < l->capacity, "%s: more than %zu tensors", name, l->capacity);
    l->source[l->n] = address;
    l->tensor[l->n++] =
        (NamedTensor){name, DTYPE_F32, p->shape, NULL, (size_t)p->numel * sizeof(float)};
    return MAE_OK;
}

size_t tensor_list_bytes(const TensorList *l) {
    size_t bytes = 0;
    for (size_t i = 0; i < l->n; i++) bytes += l->tensor[i].bytes;
    return bytes;
}

void tensor_list_use(TensorList *l, void *memory) {
    char *next = memory;
    for (size_t i = 0; i < l->n; i++) {
        l->tensor[i].data = next;
        next += l->tensor[i].bytes;
    }
}

static void download(const TensorList *l, size_t i, void *out) {
    device_download_floats(l->device, out, l->source[i], NUMBER_WIDE,
                           shape_numel(l->tensor[i].shape));
}

void tensor_list_copy(TensorList *l) {
    for (size_t i = 0; i < l->n; i++) download(l, i, (void *)l->tensor[i].data);
}

static Status fill(void *user, size_t i, void *out, Error *err) {
    (void)err;
    download(user, i, out);
    return MAE_OK;
}

Status tensor_list_write(TensorList *l, const char *path, const Meta *meta, FileDigest *digest,
                         Error *err) {
    bool copied = l->n > 0 && l->tensor[0].data;
    if (!meta->ok) return error_set(err, MAE_MEMORY, "no memory for the metadata of %s", path);
    return safetensors_write(path, l->tensor, l->n, meta->entry, meta->n, copied ? NULL : fill, l,
                             digest, err);
}
