/* torch's part of a pickle: storages, which lie outside it, and tensors, which are windows on them.
 * No window leaves what its storage is said to hold. A tensor of a type that this library does not
 * have keeps its shape and a reason (opaque_tensor): only who needs it is told. */
#include "formats/pickle/pickle_machine.h"

bool tensor_shape(Machine *m, const PickleValue *sizes, size_t width, Shape *out) {
    int64_t product = (int64_t)width;
    if (!pickle_is_sequence(sizes) || sizes->list.n > MAX_DIMS) {
        machine_fail(m, MAE_FORMAT, "a tensor without a size, or of more than %d dimensions",
                     MAX_DIMS);
        return false;
    }
    *out = (Shape){.n_dims = (int)sizes->list.n};
    for (int i = 0; i < out->n_dims; i++) {
        int64_t dim;
        if (!pickle_integer(sizes->list.item[i], &dim) || dim < 0 ||
            (dim > 0 && product > INT64_MAX / dim)) {
            machine_fail(m, MAE_FORMAT, "a tensor of an impossible size");
            return false;
        }
        out->dim[i] = dim;
        product *= dim;
    }
    return true;
}

/* Strides and offset such that no element leaves [0, limit). */
static bool check_window(Machine *m, PickleTensor *t, const PickleValue *strides, int64_t limit) {
    int64_t numel = shape_numel(t->shape), last = t->offset;
    bool inside = numel == 0 || (t->offset >= 0 && t->offset < limit);
    for (int i = 0; i < t->shape.n_dims; i++) {
        int64_t stride, steps = t->shape.dim[i] - 1;
        if (!pickle_integer(strides->list.item[i], &stride) || stride < 0) {
            machine_fail(m, MAE_FORMAT, "a tensor with an impossible stride");
            return false;
        }
        t->stride[i] = stride;
        if (numel == 0 || !inside) continue;
        inside = steps == 0 || stride <= (limit - 1 - last) / steps;
        if (inside) last += steps * stride;
    }
    if (!inside) {
        machine_fail(m, MAE_FORMAT, "a tensor reaches beyond its storage of %lld elements",
                     (long long)limit);
        return false;
    }
    if (numel == 0) t->offset = 0;
    if (numel > limit && numel > PICKLE_MAX_EXPANDED) {
        t->refusal = "repeats few stored elements more often than is read; save a copy of it";
        t->type = "expanded";
    }
    return true;
}

#define TYPE_REFUSAL "has elements of type %s, which are not read; save it as float32"

/* The type that is not read; NULL: it is. */
static const char *foreign_type(const PickleStorage *s, const PickleValue *dtype, bool typed) {
    if (typed && !pickle_has_role(dtype, ROLE_DTYPE)) return dtype->global->name;
    return s->type;
}

PickleValue *tensor_rebuild(Machine *m, const PickleValue *args, bool typed) {
    const PickleValue *storage = pickle_item(args, 0), *sizes = pickle_item(args, 2);
    const PickleValue *strides = pickle_item(args, 3), *dtype = pickle_item(args, 6);
    int64_t offset;
    if (storage == NULL || !pickle_integer(pickle_item(args, 1), &offset) ||
        !pickle_is_sequence(sizes) || !pickle_is_sequence(strides) ||
        (typed && (dtype == NULL || dtype->kind != PICKLE_GLOBAL)))
        return NULL;
    if (storage->kind == PICKLE_OBJECT)
        return opaque_tensor(m, sizes, "lies in %s, which is not read", "an unknown storage");
    if (storage->kind != PICKLE_STORAGE) return NULL;
    const PickleStorage *s = storage->storage;
    const char *foreign = foreign_type(s, dtype, typed);
    if (foreign != NULL) return opaque_tensor(m, sizes, TYPE_REFUSAL, foreign);
    if (sizes->list.n > MAX_DIMS)
        return opaque_tensor(m, NULL, "has %s, which are not read", "more than 8 dimensions");
    PickleTensor *t = machine_alloc(m, sizeof *t);
    PickleValue *v = machine_value(m, PICKLE_TENSOR);
    if (t == NULL || v == NULL) return NULL;
    *t = (PickleTensor){.storage = s, .dtype = s->dtype, .offset = offset};
    if (typed) t->dtype = (DType)dtype->global->dtype;
    int64_t limit = s->numel * (int64_t)dtype_bytes(s->dtype) / (int64_t)dtype_bytes(t->dtype);
    if (!tensor_shape(m, sizes, dtype_bytes(t->dtype), &t->shape)) return NULL;
    if (strides->list.n != (size_t)t->shape.n_dims) {
        machine_fail(m, MAE_FORMAT, "a tensor of %d dimensions with %zu strides", t->shape.n_dims,
                     strides->list.n);
        return NULL;
    }
    if (!check_window(m, t, strides, limit)) return NULL;
    /* Where the part starts, in elements of the tensor's own type. */
    t->offset += s->first * (int64_t)dtype_bytes(s->dtype) / (int64_t)dtype_bytes(t->dtype);
    v->tensor = t;
    return v;
}

/* ('storage', class, key, place, count[, None or (key, first, count)]): the last item is the old
 * format's way to share a part of another storage. */
PickleValue *object_persistent(Machine *m, const PickleValue *id) {
    const PickleValue *type = pickle_item(id, 1), *key = pickle_item(id, 2);
    const PickleValue *view = pickle_item(id, 5);
    int64_t numel, first = 0, part;
    if (!pickle_is_text(pickle_item(id, 0), "storage") || type == NULL ||
        type->kind != PICKLE_GLOBAL || key == NULL || key->kind != PICKLE_TEXT ||
        !pickle_integer(pickle_item(id, 4), &numel))
        return opaque_thing(m, "something outside of the file");
    int code = type->global->dtype;
    bool known = type->global->role != ROLE_UNKNOWN;
    DType dtype = known && code >= 0 ? (DType)code : DTYPE_U8;
    size_t width = !known ? 0 : code >= 0 ? dtype_bytes(dtype) : (size_t)-code;
    part = numel;
    bool good = numel >= 0 && (width == 0 || numel <= INT64_MAX / (int64_t)width);
    if (good && view != NULL && view->kind != PICKLE_NONE)
        good = pickle_integer(pickle_item(view, 1), &first) &&
               pickle_integer(pickle_item(view, 2), &part) && first >= 0 && part >= 0 &&
               first <= numel && part <= numel - first;
    if (!good) {
        machine_fail(m, MAE_FORMAT, "a storage of impossible size");
        return NULL;
    }
    PickleStorage *s = machine_alloc(m, sizeof *s);
    PickleValue *v = machine_value(m, PICKLE_STORAGE);
    if (s == NULL || v == NULL) return NULL;
    *s = (PickleStorage){.dtype = dtype,
                         .width = width,
                         .type = known && code >= 0 ? NULL : type->global->name,
                         .key = key->text.data,
                         .key_bytes = key->text.bytes,
                         .root_numel = numel,
                         .first = first,
                         .numel = part,
                         .next = m->storages};
    m->storages = s;
    m->n_storages++;
    v->storage = s;
    return v;
}
