/* numpy's part of a pickle: types, scalars and arrays, whose elements lie inside the pickle.
 * Element types that this library does not have (texts, dates, unsigned) become a description,
 * because they come with the state of random generators, which nobody wants to lose a checkpoint
 * over. */
#include <stdio.h>
#include <string.h>

#include "formats/pickle_machine.h"

static PickleValue *described(Machine *m, const char *what, const PickleValue *type) {
    char *text = machine_alloc(m, 64);
    if (text == NULL) return NULL;
    snprintf(text, 64, "numpy %s of %c%d, not read", what, type->numpy.code, type->numpy.bytes);
    return machine_text(m, PICKLE_OTHER, text, strlen(text));
}

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
        if (rows[i].code == type->numpy.code && rows[i].bytes == type->numpy.bytes)
            return (int)rows[i].dtype;
    return -1;
}

static bool set_order(Machine *m, PickleValue *type, char order) {
    if (order == '>') {
        machine_fail(m, STATUS_UNSUPPORTED, "numpy values in big-endian order, which are not read");
        return false;
    }
    type->numpy.order = order;
    return true;
}

/* dtype('f8', False, True), perhaps with the order in front: '<f8'. */
PickleValue *numpy_type(Machine *m, const PickleValue *args) {
    const PickleValue *text = pickle_item(args, 0);
    PickleValue *v = machine_value(m, PICKLE_NUMPY_TYPE);
    if (v == NULL) return NULL;
    size_t n = text != NULL && text->kind == PICKLE_TEXT ? text->text.bytes : 0, at = 0;
    const char *p = n > 0 ? text->text.data : NULL;
    if (n > 1 && memchr("<>|=", p[0], 4) != NULL && !set_order(m, v, p[at++])) return NULL;
    int32_t bytes = 0;
    for (size_t i = at + 1; i < n; i++) {
        if (p[i] < '0' || p[i] > '9' || bytes > 100000) n = 0;
        if (n > 0) bytes = bytes * 10 + (p[i] - '0');
    }
    if (at >= n || p[at] < 'A' || p[at] > 'z') {
        machine_fail(m, STATUS_FORMAT, "a numpy type without a name");
        return NULL;
    }
    v->numpy.code = p[at];
    v->numpy.bytes = bytes;
    return v;
}

/* (version, order, ...). */
bool numpy_build_type(Machine *m, PickleValue *type, const PickleValue *state) {
    const PickleValue *order = pickle_item(state, 1);
    if (order != NULL && order->kind == PICKLE_TEXT && order->text.bytes == 1)
        return set_order(m, type, order->text.data[0]);
    machine_fail(m, STATUS_FORMAT, "a numpy type without a byte order");
    return false;
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
    if (!is_numpy_type(type)) {
        machine_fail(m, STATUS_FORMAT, "a numpy scalar without a type");
        return NULL;
    }
    int dtype = dtype_of(type);
    if (dtype < 0) return described(m, "scalar", type);
    if (!has_bytes(data) || data->text.bytes != dtype_bytes((DType)dtype)) {
        machine_fail(m, STATUS_FORMAT, "a numpy scalar without its bytes");
        return NULL;
    }
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

/* An empty array; its state follows in a BUILD. */
PickleValue *numpy_array(Machine *m) {
    PickleTensor *t = machine_alloc(m, sizeof *t);
    PickleValue *v = machine_value(m, PICKLE_TENSOR);
    if (t == NULL || v == NULL) return NULL;
    *t = (PickleTensor){.dtype = DTYPE_F32, .shape = SHAPE(0)};
    v->tensor = t;
    return v;
}

static bool fill_array(Machine *m, PickleValue *array, const PickleValue *sizes,
                       const PickleValue *type, bool fortran, const PickleValue *data) {
    PickleTensor *t = array->tensor;
    int dtype = is_numpy_type(type) ? dtype_of(type) : -1;
    if (!is_numpy_type(type)) {
        machine_fail(m, STATUS_FORMAT, "a numpy array without a type");
        return false;
    }
    if (dtype < 0) {
        PickleValue *text = described(m, "array", type);
        if (text != NULL) *array = *text;
        return text != NULL;
    }
    t->dtype = (DType)dtype;
    if (!tensor_shape(m, sizes, t->dtype, &t->shape)) return false;
    int64_t numel = shape_numel(t->shape), stride = 1;
    if (!has_bytes(data) || data->text.bytes != (size_t)numel * dtype_bytes(t->dtype)) {
        machine_fail(m, STATUS_FORMAT, "a numpy array whose bytes do not fit its shape");
        return false;
    }
    for (int i = 0; numel > 0 && i < t->shape.n_dims; i++) {
        int d = fortran ? i : t->shape.n_dims - 1 - i;
        t->stride[d] = stride;
        stride *= t->shape.dim[d];
    }
    t->data = (const uint8_t *)data->text.data;
    t->at = data->text.at;
    return true;
}

/* (version, shape, type, fortran order, bytes); the version may be missing. The state of a torch
 * tensor is of no use. */
bool numpy_build_array(Machine *m, PickleValue *array, const PickleValue *state) {
    if (array->tensor->storage != NULL) return true;
    size_t skip = pickle_is_sequence(state) && state->list.n == 5 ? 1 : 0;
    int64_t fortran = 0;
    if (!pickle_is_sequence(state) || state->list.n - skip != 4 ||
        !pickle_integer(pickle_item(state, skip + 2), &fortran)) {
        machine_fail(m, STATUS_FORMAT, "a numpy array without its state");
        return false;
    }
    return fill_array(m, array, pickle_item(state, skip), pickle_item(state, skip + 1),
                      fortran != 0, pickle_item(state, skip + 3));
}

/* (bytes, type, shape, order). */
PickleValue *numpy_from_buffer(Machine *m, const PickleValue *args) {
    PickleValue *v = numpy_array(m);
    if (v == NULL || !fill_array(m, v, pickle_item(args, 2), pickle_item(args, 1),
                                 pickle_is_text(pickle_item(args, 3), "F"), pickle_item(args, 0)))
        return NULL;
    return v;
}
