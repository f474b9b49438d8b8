/* Parameters in two slabs, values and gradients; the trainable ones lie in front, so that the
 * gradient slab holds nothing else. */
#include <string.h>

#include "base/memory.h"
#include "graph/graph.h"

#define ALIGN 64

struct Params {
    Device *device;
    Arena *arena;
    Param **list;
    int64_t count;
    size_t capacity;
    ParamGradients gradients;
    void *data, *grad; /* grad: SUMMED ones */
    size_t data_bytes, grad_bytes, trained_bytes;
};

Params *params_new(Device *d) {
    Params *p = mem_alloc(sizeof *p);
    if (!p) return NULL;
    p->device = d;
    p->arena = arena_new();
    if (p->arena) return p;
    mem_free(p);
    return NULL;
}

void params_free(Params *p) {
    if (!p) return;
    device_free(p->device, p->data, p->data_bytes);
    device_free(p->device, p->grad, p->grad_bytes);
    mem_free(p->list);
    arena_free(p->arena);
    mem_free(p);
}

Param *params_add(Params *p, const char *name, Shape shape, bool trainable) {
    ASSERT(!p->data, "parameter %s added after params_alloc", name);
    void *list = mem_room(p->list, (size_t)p->count, &p->capacity, sizeof *p->list);
    if (!list) return NULL;
    p->list = list;
    Param *q = arena_alloc(p->arena, sizeof *q);
    char *copy = arena_strdup(p->arena, name);
    if (!q || !copy) return NULL;
    *q = (Param){.name = copy,
                 .shape = shape,
                 .numel = shape_numel(shape),
                 .index = p->count,
                 .trainable = trainable};
    p->list[p->count++] = q;
    return q;
}

static size_t place(Params *p, bool trainable, size_t offset) {
    for (int64_t i = 0; i < p->count; i++) {
        Param *q = p->list[i];
        if (q->trainable != trainable) continue;
        q->offset = offset;
        size_t bytes = device_bytes(p->device, NUMBER_WIDE, q->numel);
        offset += (bytes + ALIGN - 1) / ALIGN * ALIGN;
    }
    return offset;
}

void params_place(Params *p, ParamGradients gradients) {
    size_t trainable = place(p, true, 0);
    p->data_bytes = place(p, false, trainable);
    p->gradients = gradients;
    p->grad_bytes = gradients == GRADIENTS_SUMMED ? trainable : 0;
    p->trained_bytes = trainable;
    for (int64_t i = 0; i < p->count; i++) {
        p->list[i]->placed = true;
        p->list[i]->needs_grad = gradients != GRADIENTS_NONE && p->list[i]->trainable;
    }
}

ParamGradients params_gradients(const Params *p) {
    return p->gradients;
}

size_t params_trained_bytes(const Params *p) {
    return p->trained_bytes;
}

size_t params_bytes(const Params *p) {
    return p->data_bytes + p->grad_bytes;
}

Status params_alloc(Params *p, ParamGradients gradients, Error *err) {
    bool summed = gradients == GRADIENTS_SUMMED;
    params_place(p, gradients);
    p->data = device_alloc(p->device, p->data_bytes);
    if (p->data && summed) p->grad = device_alloc(p->device, p->grad_bytes);
    if (!p->data || (summed && !p->grad))
        return error_set(
            err, MAE_MEMORY,
            "no memory for %.1f MB of parameters and gradients; choose a smaller model",
            (double)(p->data_bytes + p->grad_bytes) / 1e6);
    for (int64_t i = 0; i < p->count; i++) {
        Param *q = p->list[i];
        q->data = device_at(p->data, q->offset);
        if (p->grad && q->needs_grad) q->grad = device_at(p->grad, q->offset);
    }
    return MAE_OK;
}

Param *params_find(const Params *p, const char *name) {
    for (int64_t i = 0; i < p->count; i++)
        if (strcmp(p->list[i]->name, name) == 0) return p->list[i];
    return NULL;
}

int64_t params_count(const Params *p) {
    return p->count;
}

Param *params_at(const Params *p, int64_t i) {
    ASSERT(i >= 0 && i < p->count, "parameter %lld of %lld", (long long)i, (long long)p->count);
    return p->list[i];
}

void params_set(Params *p, Param *q, const float *host) {
    device_upload_floats(p->device, q->data, NUMBER_WIDE, host, q->numel);
}

void params_get(const Params *p, const Param *q, float *host) {
    device_download_floats(p->device, host, q->data, NUMBER_WIDE, q->numel);
}

void params_zero_grad(Params *p) {
    if (p->grad) device_zero(p->device, p->grad, p->grad_bytes);
}
