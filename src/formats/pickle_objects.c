/* What the names in a pickle stand for. Checkpoints name a few dozen classes and functions; each
 * has a row here with a role, and a role is all that is done about it: take tensors apart, make a
 * container of another. A name without a row ends the reading. */
#include <stdio.h>
#include <string.h>

#include "formats/pickle_machine.h"

/* Modules that only moved are written as the first of their names: see same_module. */
static const PickleGlobal globals[] = {
    {"collections", "OrderedDict", ROLE_DICT, 0},
    {"collections", "defaultdict", ROLE_DEFAULT_DICT, 0},
    {"collections", "Counter", ROLE_DICT, 0},
    {"argparse", "Namespace", ROLE_NAMESPACE, 0},
    {"types", "SimpleNamespace", ROLE_NAMESPACE, 0},
    {"copyreg", "_reconstructor", ROLE_RECONSTRUCT, 0},
    {"_codecs", "encode", ROLE_ENCODE, 0},
    {"pathlib", "PosixPath", ROLE_PATH, 0},
    {"pathlib", "PurePosixPath", ROLE_PATH, 0},
    {"pathlib", "WindowsPath", ROLE_WINDOWS_PATH, 0},
    {"pathlib", "PureWindowsPath", ROLE_WINDOWS_PATH, 0},
    {"builtins", "dict", ROLE_DICT, 0},
    {"builtins", "list", ROLE_LIST, 0},
    {"builtins", "tuple", ROLE_TUPLE, 0},
    {"builtins", "set", ROLE_SET, 0},
    {"builtins", "frozenset", ROLE_SET, 0},
    {"builtins", "bytes", ROLE_BYTES, 0},
    {"builtins", "bytearray", ROLE_BYTES, 0},
    {"builtins", "int", ROLE_NAME, 0},
    {"builtins", "float", ROLE_NAME, 0},
    {"builtins", "bool", ROLE_NAME, 0},
    {"builtins", "str", ROLE_NAME, 0},
    {"builtins", "object", ROLE_NAME, 0},
    {"torch._utils", "_rebuild_tensor_v2", ROLE_REBUILD, 0},
    {"torch._utils", "_rebuild_tensor", ROLE_REBUILD, 0},
    {"torch._utils", "_rebuild_tensor_v3", ROLE_REBUILD_TYPED, 0},
    {"torch._utils", "_rebuild_parameter", ROLE_FIRST, 0},
    {"torch._utils", "_rebuild_parameter_with_state", ROLE_FIRST, 0},
    {"torch._tensor", "_rebuild_from_type_v2", ROLE_FROM_TYPE, 0},
    {"torch", "Tensor", ROLE_NAME, 0},
    {"torch.nn.parameter", "Parameter", ROLE_FIRST, 0},
    {"torch.nn.parameter", "Buffer", ROLE_FIRST, 0},
    {"torch", "Size", ROLE_TUPLE, 0},
    {"torch", "device", ROLE_DEVICE, 0},
    {"torch", "FloatStorage", ROLE_STORAGE, DTYPE_F32},
    {"torch", "DoubleStorage", ROLE_STORAGE, DTYPE_F64},
    {"torch", "HalfStorage", ROLE_STORAGE, DTYPE_F16},
    {"torch", "BFloat16Storage", ROLE_STORAGE, DTYPE_BF16},
    {"torch", "LongStorage", ROLE_STORAGE, DTYPE_I64},
    {"torch", "IntStorage", ROLE_STORAGE, DTYPE_I32},
    {"torch", "ShortStorage", ROLE_STORAGE, DTYPE_I16},
    {"torch", "CharStorage", ROLE_STORAGE, DTYPE_I8},
    {"torch", "ByteStorage", ROLE_STORAGE, DTYPE_U8},
    {"torch", "BoolStorage", ROLE_STORAGE, DTYPE_BOOL},
    {"torch", "ComplexFloatStorage", ROLE_STORAGE, -1},
    {"torch", "ComplexDoubleStorage", ROLE_STORAGE, -1},
    {"torch", "QInt8Storage", ROLE_STORAGE, -1},
    {"torch", "QUInt8Storage", ROLE_STORAGE, -1},
    {"torch", "QInt32Storage", ROLE_STORAGE, -1},
    {"torch.storage", "UntypedStorage", ROLE_UNTYPED_STORAGE, DTYPE_U8},
    {"torch.storage", "_UntypedStorage", ROLE_UNTYPED_STORAGE, DTYPE_U8},
    {"torch", "UntypedStorage", ROLE_UNTYPED_STORAGE, DTYPE_U8},
    {"torch", "float32", ROLE_DTYPE, DTYPE_F32},
    {"torch", "float64", ROLE_DTYPE, DTYPE_F64},
    {"torch", "float16", ROLE_DTYPE, DTYPE_F16},
    {"torch", "bfloat16", ROLE_DTYPE, DTYPE_BF16},
    {"torch", "int64", ROLE_DTYPE, DTYPE_I64},
    {"torch", "int32", ROLE_DTYPE, DTYPE_I32},
    {"torch", "int16", ROLE_DTYPE, DTYPE_I16},
    {"torch", "int8", ROLE_DTYPE, DTYPE_I8},
    {"torch", "uint8", ROLE_DTYPE, DTYPE_U8},
    {"torch", "bool", ROLE_DTYPE, DTYPE_BOOL},
    {"torch", "uint16", ROLE_DTYPE, -1},
    {"torch", "uint32", ROLE_DTYPE, -1},
    {"torch", "uint64", ROLE_DTYPE, -1},
    {"torch", "complex64", ROLE_DTYPE, -1},
    {"torch", "complex128", ROLE_DTYPE, -1},
    {"torch", "float8_e4m3fn", ROLE_DTYPE, -1},
    {"torch", "float8_e5m2", ROLE_DTYPE, -1},
    {"torch", "contiguous_format", ROLE_NAME, 0},
    {"torch", "channels_last", ROLE_NAME, 0},
    {"numpy", "dtype", ROLE_NUMPY_TYPE, 0},
    {"numpy", "ndarray", ROLE_NAME, 0},
    {"numpy.core.multiarray", "scalar", ROLE_NUMPY_SCALAR, 0},
    {"numpy.core.multiarray", "_reconstruct", ROLE_NUMPY_ARRAY, 0},
    {"numpy.core.numeric", "_frombuffer", ROLE_NUMPY_BUFFER, 0},
};

const char *pickle_global_module(const PickleGlobal *g) {
    return g->module;
}

const char *pickle_global_name(const PickleGlobal *g) {
    return g->name;
}

/* --- Values ----------------------------------------------------------------------------------- */

bool pickle_is_sequence(const PickleValue *v) {
    return v != NULL && (v->kind == PICKLE_TUPLE || v->kind == PICKLE_LIST);
}

const PickleValue *pickle_item(const PickleValue *v, size_t i) {
    return pickle_is_sequence(v) && i < v->list.n ? v->list.item[i] : NULL;
}

bool pickle_integer(const PickleValue *v, int64_t *out) {
    if (v == NULL || (v->kind != PICKLE_INT && v->kind != PICKLE_BOOL)) return false;
    *out = v->kind == PICKLE_INT ? v->integer : v->flag;
    return true;
}

static bool equals(const char *text, const char *data, size_t bytes) {
    return strlen(text) == bytes && memcmp(text, data, bytes) == 0;
}

bool pickle_is_text(const PickleValue *v, const char *text) {
    return v != NULL && v->kind == PICKLE_TEXT && equals(text, v->text.data, v->text.bytes);
}

bool pickle_has_role(const PickleValue *v, Role role) {
    return v != NULL && v->kind == PICKLE_GLOBAL && v->global->role == role;
}

/* Printable ASCII only: the name comes from a file that is under suspicion. */
static const char *plain(char *out, size_t room, const char *data, size_t bytes) {
    size_t n = bytes < room - 1 ? bytes : room - 1;
    for (size_t i = 0; i < n; i++) out[i] = data[i] >= ' ' && data[i] <= '~' ? data[i] : '?';
    out[n] = 0;
    return out;
}

/* --- Names ------------------------------------------------------------------------------------ */

static bool same_module(const char *ours, const char *data, size_t bytes) {
    static const char *const moved[][2] = {
        {"__builtin__", "builtins"},
        {"copy_reg", "copyreg"},
        {"pathlib._local", "pathlib"},
        {"torch.cuda", "torch"},
        {"numpy._core.multiarray", "numpy.core.multiarray"},
        {"numpy._core.numeric", "numpy.core.numeric"},
    };
    if (equals(ours, data, bytes)) return true;
    for (size_t i = 0; i < sizeof moved / sizeof moved[0]; i++)
        if (equals(moved[i][0], data, bytes)) return strcmp(moved[i][1], ours) == 0;
    return false;
}

PickleValue *object_global(Machine *m, const char *module, size_t module_bytes, const char *name,
                           size_t name_bytes) {
    char shown_module[80], shown_name[80];
    for (size_t i = 0; i < sizeof globals / sizeof globals[0]; i++) {
        if (!equals(globals[i].name, name, name_bytes)) continue;
        if (!same_module(globals[i].module, module, module_bytes)) continue;
        PickleValue *v = machine_value(m, PICKLE_GLOBAL);
        if (v != NULL) v->global = &globals[i];
        return v;
    }
    machine_fail(m, STATUS_FORMAT,
                 "it names %s.%s, which is not plain data: loading this file in Python would run "
                 "code. Only tensors, containers, numbers and text are read; save the state_dict "
                 "alone",
                 plain(shown_module, sizeof shown_module, module, module_bytes),
                 plain(shown_name, sizeof shown_name, name, name_bytes));
    return NULL;
}

/* --- Containers and small things -------------------------------------------------------------- */

/* The new one shares the items of the old: appending to either copies them first. */
static PickleValue *container(Machine *m, PickleKind kind, const PickleValue *from) {
    PickleValue *v = machine_value(m, kind);
    if (v == NULL || from == NULL) return v;
    if (!pickle_is_sequence(from) && from->kind != PICKLE_SET) {
        machine_fail(m, STATUS_FORMAT, "a container is made of something that is none");
        return NULL;
    }
    v->list.item = from->list.item;
    v->list.n = v->list.capacity = from->list.n;
    return v;
}

/* Of nothing, of another dict, or of pairs. */
static PickleValue *dictionary(Machine *m, const PickleValue *from) {
    PickleValue *v = machine_value(m, PICKLE_DICT);
    if (v == NULL || from == NULL) return v;
    if (from->kind == PICKLE_DICT) {
        v->list = from->list;
        v->list.capacity = v->list.n;
        return v;
    }
    for (size_t i = 0; pickle_is_sequence(from) && i < from->list.n; i++) {
        const PickleValue *pair = from->list.item[i];
        if (!pickle_is_sequence(pair) || pair->list.n != 2) break;
        if (!machine_append(m, v, pair->list.item[0])) return NULL;
        if (!machine_append(m, v, pair->list.item[1])) return NULL;
    }
    if (pickle_is_sequence(from) && v->list.n == 2 * from->list.n) return v;
    machine_fail(m, STATUS_FORMAT, "a dictionary is made of something that is no list of pairs");
    return NULL;
}

/* torch.device('cuda', 0) as the text "cuda:0". */
static PickleValue *device(Machine *m, const PickleValue *args) {
    const PickleValue *type = pickle_item(args, 0);
    int64_t index;
    if (type == NULL || type->kind != PICKLE_TEXT || type->text.bytes > 64) {
        machine_fail(m, STATUS_FORMAT, "a device without a name");
        return NULL;
    }
    if (!pickle_integer(pickle_item(args, 1), &index))
        return machine_text(m, PICKLE_TEXT, type->text.data, type->text.bytes);
    char *text = machine_alloc(m, 96);
    if (text == NULL) return NULL;
    snprintf(text, 96, "%.*s:%lld", (int)type->text.bytes, type->text.data, (long long)index);
    return machine_text(m, PICKLE_TEXT, text, strlen(text));
}

/* ('/', 'data', 'x') as "/data/x". */
static PickleValue *joined_path(Machine *m, const PickleValue *args, char separator) {
    size_t bytes = 1, n = 0;
    for (size_t i = 0; i < args->list.n; i++) {
        if (args->list.item[i]->kind != PICKLE_TEXT) {
            machine_fail(m, STATUS_FORMAT, "a path that is not made of texts");
            return NULL;
        }
        bytes += args->list.item[i]->text.bytes + 1;
    }
    char *text = machine_alloc(m, bytes);
    for (size_t i = 0; text != NULL && i < args->list.n; i++) {
        const PickleValue *part = args->list.item[i];
        if (n > 0 && text[n - 1] != separator) text[n++] = separator;
        memcpy(text + n, part->text.data, part->text.bytes);
        n += part->text.bytes;
    }
    return machine_text(m, PICKLE_TEXT, text, n);
}

/* _codecs.encode(text, 'latin1'), which is how old protocols write bytes: each character is a byte.
 */
static PickleValue *encode(Machine *m, const PickleValue *args) {
    const PickleValue *text = pickle_item(args, 0);
    size_t n = 0;
    if (text == NULL || text->kind != PICKLE_TEXT ||
        (!pickle_is_text(pickle_item(args, 1), "latin1") &&
         !pickle_is_text(pickle_item(args, 1), "latin-1"))) {
        machine_fail(m, STATUS_FORMAT, "bytes in another encoding than latin1");
        return NULL;
    }
    const uint8_t *p = (const uint8_t *)text->text.data, *end = p + text->text.bytes;
    uint8_t *out = machine_alloc(m, text->text.bytes + 1);
    while (out != NULL && p < end) {
        bool wide = *p >= 0x80;
        if (wide && ((*p & 0xFC) != 0xC0 || end - p < 2 || (p[1] & 0xC0) != 0x80)) {
            machine_fail(m, STATUS_FORMAT, "bytes with a character beyond latin1");
            return NULL;
        }
        out[n++] = wide ? (uint8_t)(p[0] << 6 | (p[1] & 0x3F)) : *p;
        p += wide ? 2 : 1;
    }
    return machine_text(m, PICKLE_BYTES, out, n);
}

static PickleValue *bytes_of(Machine *m, const PickleValue *args) {
    const PickleValue *from = pickle_item(args, 0);
    if (from == NULL) return machine_text(m, PICKLE_BYTES, "", 0);
    if (from->kind == PICKLE_BYTES || from->kind == PICKLE_FAR) return args->list.item[0];
    if (from->kind == PICKLE_TEXT) return encode(m, args);
    machine_fail(m, STATUS_FORMAT, "bytes are made of something that is none");
    return NULL;
}

/* --- Calls ------------------------------------------------------------------------------------ */

static PickleValue *first_tensor(Machine *m, const PickleValue *args) {
    const PickleValue *v = pickle_item(args, 0);
    if (v != NULL && v->kind == PICKLE_TENSOR) return args->list.item[0];
    machine_fail(m, STATUS_FORMAT, "a parameter without a tensor");
    return NULL;
}

/* Tensors of a class of their own: the function among the arguments must rebuild plain ones. */
static PickleValue *from_type(Machine *m, const PickleValue *args) {
    const PickleValue *function = pickle_item(args, 0), *own = pickle_item(args, 2);
    bool typed = pickle_has_role(function, ROLE_REBUILD_TYPED);
    if ((typed || pickle_has_role(function, ROLE_REBUILD)) && pickle_is_sequence(own))
        return tensor_rebuild(m, own, typed);
    machine_fail(m, STATUS_FORMAT, "a tensor of an unknown class");
    return NULL;
}

static PickleValue *new_namespace(Machine *m) {
    PickleValue *v = machine_value(m, PICKLE_DICT);
    if (v != NULL) v->attributes = true;
    return v;
}

static PickleValue *reconstruct(Machine *m, const PickleValue *args) {
    const PickleValue *type = pickle_item(args, 0);
    if (pickle_has_role(type, ROLE_NAMESPACE)) return new_namespace(m);
    machine_fail(m, STATUS_FORMAT, "an object of a class that is not read");
    return NULL;
}

PickleValue *object_call(Machine *m, const PickleValue *callee, const PickleValue *args) {
    if (callee->kind != PICKLE_GLOBAL || args->kind != PICKLE_TUPLE) {
        machine_fail(m, STATUS_FORMAT, "calls something that is no function; damaged");
        return NULL;
    }
    switch (callee->global->role) {
    case ROLE_REBUILD: return tensor_rebuild(m, args, false);
    case ROLE_REBUILD_TYPED: return tensor_rebuild(m, args, true);
    case ROLE_FIRST: return first_tensor(m, args);
    case ROLE_FROM_TYPE: return from_type(m, args);
    case ROLE_DICT: return dictionary(m, pickle_item(args, 0));
    case ROLE_DEFAULT_DICT: return dictionary(m, pickle_item(args, 1));
    case ROLE_NAMESPACE: return new_namespace(m);
    case ROLE_RECONSTRUCT: return reconstruct(m, args);
    case ROLE_LIST: return container(m, PICKLE_LIST, pickle_item(args, 0));
    case ROLE_TUPLE: return container(m, PICKLE_TUPLE, pickle_item(args, 0));
    case ROLE_SET: return container(m, PICKLE_SET, pickle_item(args, 0));
    case ROLE_BYTES: return bytes_of(m, args);
    case ROLE_DEVICE: return device(m, args);
    case ROLE_PATH: return joined_path(m, args, '/');
    case ROLE_WINDOWS_PATH: return joined_path(m, args, '\\');
    case ROLE_ENCODE: return encode(m, args);
    case ROLE_NUMPY_TYPE: return numpy_type(m, args);
    case ROLE_NUMPY_SCALAR: return numpy_scalar(m, args);
    case ROLE_NUMPY_ARRAY: return numpy_array(m);
    case ROLE_NUMPY_BUFFER: return numpy_from_buffer(m, args);
    case ROLE_NAME:
    case ROLE_DTYPE:
    case ROLE_STORAGE:
    case ROLE_UNTYPED_STORAGE: break;
    }
    machine_fail(m, STATUS_FORMAT, "it makes a %s.%s of its own, which is not read",
                 callee->global->module, callee->global->name);
    return NULL;
}

/* State given to an object after it was made. A Namespace takes its attributes. An OrderedDict's
 * attributes (the versions in `_metadata`) and a tensor's are of no use here. */
bool object_build(Machine *m, PickleValue *object, const PickleValue *state) {
    if (object->kind == PICKLE_NUMPY_TYPE) return numpy_build_type(m, object, state);
    if (object->kind == PICKLE_TENSOR) return numpy_build_array(m, object, state);
    if (object->kind != PICKLE_DICT) {
        machine_fail(m, STATUS_FORMAT, "it sets attributes of something that has none");
        return false;
    }
    if (!object->attributes) return true;
    if (state->kind == PICKLE_TUPLE && state->list.n == 2) state = state->list.item[1];
    size_t n = state->kind == PICKLE_DICT ? state->list.n : 0; /* it may be the object itself */
    for (size_t i = 0; i < n; i++)
        if (!machine_append(m, object, state->list.item[i])) return false;
    return true;
}
