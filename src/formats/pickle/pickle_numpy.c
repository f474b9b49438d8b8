/* numpy's part of a pickle: types, scalars and arrays, whose elements lie inside the pickle.
 * Element types that this library does not have (texts, dates, unsigned) are an error only for a
 * reader that needs them. They come with the state of random generators, and nobody wants to lose a
 * checkpoint over that. */
#include <stdio.h>
#include <string.h>

#include "formats/pickle/pickle_machine.h"

static PickleValue *described_scalar(Machine *m, const PickleValue *type) {
    char *text = machine_alloc(m, 64);
    if (text == NULL) return NULL;
    snprintf(text, 64, "numpy scalar of %c%d, not read", type->numpy.code, type->numpy.bytes);
    return machine_text(m, PICKLE_OTHER, text, strlen(text));
}

static PickleValue *refused_array(Machine *m, const PickleValue *sizes, const PickleValue *type) {
    char *name = machine_alloc(m, 40);
    if (name == NULL) return NULL;
    snprintf(name, 40, "numpy %s%c%d", type->numpy.order == '>' ? ">" : "", type->numpy.code,
             type->numpy.bytes);
    return opaque_tensor(m, sizes, "is an array of %s, which is not read; save it as float32",
                         name);
}

/* -1: a type that is not read, as anything in big-endian order is. */
static int dtype_of(const PickleValue *type) {
    static const struct {
        char code;
        int32_t bytes;
        DType dtype;
    } rows[] = {
        {'f', 4, DTYPE_F32}, {'f', 8, DTYPE_F64}, {'f', 2, DTYPE_F16},
        {'i', 8, DTYPE_I64}, {'i', 4, DTYPE_I32}, {'i', 2, DTYPE_I16},
        {'i', 1, DTYPE_I8},  {'u', 1, DTYPE_U8},  {'b', 1, DTYPE_BOOL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (rows[i].code == type->numpy.code && rows[i].bytes == type->numpy.bytes &&
            (type->numpy.order != '>' || rows[i].bytes == 1))
            return (int)rows[i].dtype;
    return -1;
}

/* dtype('f8', False, True), perhaps with the order in front: '<f8'. */
PickleValue *numpy_type(Machine *m, const PickleValue *args) {
    const PickleValue *text = pickle_item(args, 0);
    PickleValue *v = machine_value(m, PICKLE_NUMPY_TYPE);
    if (v == NULL) return NULL;
    size_t n = text != NULL && text->kind == PICKLE_TEXT ? text->text.bytes : 0, at = 0;
    const char *p = n > 0 ? text->text.data : NULL;
    if (n > 1 && memchr("<>|=", p[0], 4) != NULL) v->numpy.order = p[at++];
    int32_t bytes = 0;
    for (size_t i = at + 1; i < n; i++) {
        if (p[i] < '0' || p[i] > '9' || bytes > 100000) n = 0;
        if (n > 0) bytes = bytes * 10 + (p[i] - '0');
    }
    if (at >= n || p[at] < 'A' || p[at] > 'z') return NULL;
    v->numpy.code = p[at];
    v->numpy.bytes = bytes;
    return v;
}

/* (version, order, ...). */
bool numpy_build_type(Machine *m, PickleValue *type, PickleValue *state) {
    const PickleValue *order = pickle_item(state, 1);
    if (order != NULL && order->kind == PICKLE_TEXT && order->text.bytes == 1) {
        type->numpy.order = order->text.data[0];
        return true;
    }
    PickleValue *v = opaque_thing(m, "a numpy type");
    if (v == NULL) return false;
    v->object->state = state;
    *type = *v;
    return true;
}

static bool is_numpy_type(const PickleValue *v) {
    return v != NULL && v->kind == PICKLE_NUMPY_TYPE;
}

/* Python 2 wrote its bytes as text. */
static bool has_bytes(const PickleValue *v) {
    return v != NULL &&
           (v->kind == PICKLE_BYTES || v->kind == PICKLE_TEXT || v->kind == PICKLE_FAR);
}

PickleValue *numpy_scalar(Machine *m, const PickleValue *args) {
    const PickleValue *type = pickle_item(args, 0), *data = pickle_item(args, 1);
    if (!is_numpy_type(type)) return NULL;
    int dtype = dtype_of(type);
    if (dtype < 0) return described_scalar(m, type);
    if (!has_bytes(data) || data->kind == PICKLE_FAR ||
        data->text.bytes != dtype_bytes((DType)dtype))
        return NULL;
    bool real = dtype == DTYPE_F64 || dtype == DTYPE_F32 || dtype == DTYPE_F16;
    PickleValue *v = machine_value(m, real                  ? PICKLE_FLOAT
                                      : dtype == DTYPE_BOOL ? PICKLE_BOOL
                                                            : PICKLE_INT);
    if (v == NULL) return NULL;
    if (dtype == DTYPE_F64) {
        memcpy(&v->real, data->text.data, 8);
    } else if (real) {
        float value;
        dtype_to_f32(&value, data->text.data, (DType)dtype, 1);
        v->real = (double)value;
    } else if (dtype == DTYPE_BOOL) {
        v->flag = data->text.data[0] != 0;
    } else {
        /* Little-endian with the sign in the last byte; U8 has none. */
        const uint8_t *p = (const uint8_t *)data->text.data;
        size_t n = data->text.bytes;
        uint64_t bits = dtype != DTYPE_U8 && (p[n - 1] & 0x80) != 0 ? UINT64_MAX : 0;
        for (size_t i = n; i-- > 0;) bits = bits << 8 | p[i];
        v->integer = (int64_t)bits;
    }
    return v;
}

static PickleValue *empty_array(Machine *m) {
    PickleTensor *t = machine_alloc(m, sizeof *t);
    PickleValue *v = machine_value(m, PICKLE_TENSOR);
    if (t == NULL || v == NULL) return NULL;
    *t = (PickleTensor){.dtype = DTYPE_F32, .shape = SHAPE(0)};
    v->tensor = t;
    return v;
}

/* An empty array, of a class (an argument) of numpy's; its state follows in a BUILD. */
PickleValue *numpy_array(Machine *m, const PickleValue *args) {
    const PickleValue *class = pickle_item(args, 0);
    bool foreign = class != NULL && (class->kind != PICKLE_GLOBAL ||
                                     strncmp(pickle_global_module(class->global), "numpy", 5) != 0);
    return foreign ? NULL : empty_array(m);
}

static void set_array_strides(PickleTensor *t, bool fortran) {
    int64_t stride = 1;
    for (int i = 0; i < t->shape.n_dims; i++) {
        int d = fortran ? i : t->shape.n_dims - 1 - i;
        t->stride[d] = stride;
        stride *= t->shape.dim[d];
    }
}

/* NULL without a failure: it is no plain array. */
static PickleValue *fill_array(Machine *m, PickleValue *array, const PickleValue *sizes,
                               const PickleValue *type, bool fortran, const PickleValue *data) {
    PickleTensor *t = array->tensor;
    if (!is_numpy_type(type)) return NULL;
    int dtype = dtype_of(type);
    if (dtype < 0) return refused_array(m, sizes, type);
    if (!pickle_is_sequence(sizes) || sizes->list.n > MAX_DIMS || !has_bytes(data)) return NULL;
    t->dtype = (DType)dtype;
    if (!tensor_shape(m, sizes, dtype_bytes(t->dtype), &t->shape)) return NULL;
    int64_t numel = shape_numel(t->shape);
    if (data->text.bytes != (size_t)numel * dtype_bytes(t->dtype)) {
        machine_fail(m, MAE_FORMAT, "a numpy array whose bytes do not fit its shape");
        return NULL;
    }
    if (numel > 0) set_array_strides(t, fortran);
    t->data = (const uint8_t *)data->text.data;
    t->at = data->text.at;
    return array;
}

static PickleValue *odd_array(Machine *m, PickleValue *state) {
    PickleValue *v = opaque_thing(m, "a numpy array");
    if (v != NULL) v->object->state = state;
    return v;
}

/* (version, shape, type, fortran order, bytes); the version may be missing. The state of a torch
 * tensor is of no use. An array that is not read becomes in its place what it is. */
bool numpy_build_array(Machine *m, PickleValue *array, PickleValue *state) {
    if (array->tensor->storage != NULL || array->tensor->refusal != NULL) return true;
    size_t skip = pickle_is_sequence(state) && state->list.n == 5 ? 1 : 0;
    int64_t fortran = 0;
    PickleValue *v = NULL;
    if (pickle_is_sequence(state) && state->list.n - skip == 4 &&
        pickle_integer(pickle_item(state, skip + 2), &fortran))
        v = fill_array(m, array, pickle_item(state, skip), pickle_item(state, skip + 1),
                       fortran != 0, pickle_item(state, skip + 3));
    if (v == NULL && m->status == MAE_OK) v = odd_array(m, state);
    if (v != NULL && v != array) *array = *v;
    return v != NULL;
}

/* (bytes, type, shape, order). */
PickleValue *numpy_from_buffer(Machine *m, const PickleValue *args) {
    PickleValue *v = empty_array(m);
    if (v == NULL) return NULL;
    return fill_array(m, v, pickle_item(args, 2), pickle_item(args, 1),
                      pickle_is_text(pickle_item(args, 3), "F"), pickle_item(args, 0));
}
