/* What the names in a pickle stand for. Checkpoints name a few dozen classes and functions. Each
 * has a row here with a role, and the role is all that is done about it: take tensors apart, or
 * make a container out of another. A name without a row makes an opaque object (pickle_opaque.c),
 * and so does one that is called in a way its role does not know. The functions here therefore
 * return NULL without a failure when they do not understand their arguments. */
#include <stdio.h>
#include <string.h>

#include "formats/pickle/pickle_machine.h"

/* Modules that only moved are written as the first of their names: see same_module. */
static const PickleGlobal globals[] = {
    {"collections", "OrderedDict", ROLE_DICT, 0},
    {"collections", "defaultdict", ROLE_DEFAULT_DICT, 0},
    {"collections", "Counter", ROLE_DICT, 0},
    {"argparse", "Namespace", ROLE_NAMESPACE, 0},
    {"types", "SimpleNamespace", ROLE_NAMESPACE, 0},
    {"copyreg", "_reconstructor", ROLE_RECONSTRUCT, 0},
    {"copyreg", "__newobj__", ROLE_NEW, 0},
    {"builtins", "getattr", ROLE_ATTRIBUTE, 0},
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
    {"torch", "ComplexFloatStorage", ROLE_STORAGE, -8},
    {"torch", "ComplexDoubleStorage", ROLE_STORAGE, -16},
    {"torch", "QInt8Storage", ROLE_STORAGE, -1},
    {"torch", "QUInt8Storage", ROLE_STORAGE, -1},
    {"torch", "QInt32Storage", ROLE_STORAGE, -4},
    {"torch", "QUInt4x2Storage", ROLE_STORAGE, -1},
    {"torch", "QUInt2x4Storage", ROLE_STORAGE, -1},
    {"torch.storage", "UntypedStorage", ROLE_STORAGE, DTYPE_U8},
    {"torch.storage", "_UntypedStorage", ROLE_STORAGE, DTYPE_U8},
    {"torch", "UntypedStorage", ROLE_STORAGE, DTYPE_U8},
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
    for (size_t i = 0; i < sizeof globals / sizeof globals[0]; i++) {
        if (!equals(globals[i].name, name, name_bytes)) continue;
        if (!same_module(globals[i].module, module, module_bytes)) continue;
        PickleValue *v = machine_value(m, PICKLE_GLOBAL);
        if (v != NULL) v->global = &globals[i];
        return v;
    }
    return opaque_global(m, module, module_bytes, name, name_bytes);
}

/* --- Containers and small things -------------------------------------------------------------- */

/* The new one shares the items of the old: appending to either copies them first. */
static PickleValue *container(Machine *m, PickleKind kind, const PickleValue *from) {
    PickleValue *v = machine_value(m, kind);
    if (v == NULL || from == NULL) return v;
    if (!pickle_is_sequence(from) && from->kind != PICKLE_SET) return NULL;
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
    return pickle_is_sequence(from) && v->list.n == 2 * from->list.n ? v : NULL;
}

/* torch.device('cuda', 0) as the text "cuda:0". */
static PickleValue *device(Machine *m, const PickleValue *args) {
    const PickleValue *type = pickle_item(args, 0);
    int64_t index;
    if (type == NULL || type->kind != PICKLE_TEXT || type->text.bytes > 64) return NULL;
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
        if (args->list.item[i]->kind != PICKLE_TEXT) return NULL;
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
         !pickle_is_text(pickle_item(args, 1), "latin-1")))
        return NULL;
    const uint8_t *p = (const uint8_t *)text->text.data, *end = p + text->text.bytes;
    uint8_t *out = machine_alloc(m, text->text.bytes + 1);
    while (out != NULL && p < end) {
        bool wide = *p >= 0x80;
        if (wide && ((*p & 0xFC) != 0xC0 || end - p < 2 || (p[1] & 0xC0) != 0x80)) return NULL;
        out[n++] = wide ? (uint8_t)(p[0] << 6 | (p[1] & 0x3F)) : *p;
        p += wide ? 2 : 1;
    }
    return machine_text(m, PICKLE_BYTES, out, n);
}

static PickleValue *bytes_of(Machine *m, const PickleValue *args) {
    const PickleValue *from = pickle_item(args, 0);
    if (from == NULL) return machine_text(m, PICKLE_BYTES, "", 0);
    if (from->kind == PICKLE_BYTES || from->kind == PICKLE_FAR) return args->list.item[0];
    return from->kind == PICKLE_TEXT ? encode(m, args) : NULL;
}

/* --- Calls ------------------------------------------------------------------------------------ */

static PickleValue *first_tensor(const PickleValue *args) {
    const PickleValue *v = pickle_item(args, 0);
    return v != NULL && v->kind == PICKLE_TENSOR ? args->list.item[0] : NULL;
}

/* Tensors of a class of their own, which must be torch's: another program's might mean its elements
 * otherwise. The function among the arguments must rebuild plain ones. */
static PickleValue *from_type(Machine *m, const PickleValue *args) {
    const PickleValue *function = pickle_item(args, 0), *type = pickle_item(args, 1);
    const PickleValue *own = pickle_item(args, 2);
    bool typed = pickle_has_role(function, ROLE_REBUILD_TYPED);
    if (!typed && !pickle_has_role(function, ROLE_REBUILD)) return NULL;
    if (type == NULL || type->kind != PICKLE_GLOBAL || !pickle_is_sequence(own)) return NULL;
    if (type->global->role == ROLE_UNKNOWN)
        return opaque_tensor(m, pickle_item(own, 2),
                             "is of the class %s, which is not read; save it as a plain tensor",
                             type->global->name);
    return tensor_rebuild(m, own, typed);
}

static PickleValue *new_namespace(Machine *m) {
    PickleValue *v = machine_value(m, PICKLE_DICT);
    if (v != NULL) v->attributes = true;
    return v;
}

static PickleValue *reconstruct(Machine *m, const PickleValue *args) {
    if (pickle_has_role(pickle_item(args, 0), ROLE_NAMESPACE)) return new_namespace(m);
    return opaque_reconstruct(m, args);
}

/* A class with arguments of its own behind it. */
static PickleValue *new_of(Machine *m, const PickleValue *args) {
    const PickleValue *class = pickle_item(args, 0);
    if (class == NULL || class->kind != PICKLE_GLOBAL || class->global->role == ROLE_NEW)
        return NULL;
    PickleValue *rest = machine_list(m, PICKLE_TUPLE, args->list.item + 1, args->list.n - 1);
    return rest != NULL ? object_call(m, class, rest) : NULL;
}

/* A class inside another, of protocols without names for such. */
static PickleValue *attribute(Machine *m, const PickleValue *args) {
    const PickleValue *of = pickle_item(args, 0), *name = pickle_item(args, 1);
    char text[256];
    if (of == NULL || of->kind != PICKLE_GLOBAL || name == NULL || name->kind != PICKLE_TEXT)
        return NULL;
    int n = snprintf(text, sizeof text, "%.160s.%.*s", of->global->name,
                     (int)(name->text.bytes < 64 ? name->text.bytes : 64), name->text.data);
    return opaque_global(m, of->global->module, strlen(of->global->module), text, (size_t)n);
}

/* NULL without a failure: the role does not know such arguments. */
static PickleValue *call_role(Machine *m, Role role, const PickleValue *args) {
    switch (role) {
    case ROLE_REBUILD: return tensor_rebuild(m, args, false);
    case ROLE_REBUILD_TYPED: return tensor_rebuild(m, args, true);
    case ROLE_FIRST: return first_tensor(args);
    case ROLE_FROM_TYPE: return from_type(m, args);
    case ROLE_DICT: return dictionary(m, pickle_item(args, 0));
    case ROLE_DEFAULT_DICT: return dictionary(m, pickle_item(args, 1));
    case ROLE_NAMESPACE: return new_namespace(m);
    case ROLE_RECONSTRUCT: return reconstruct(m, args);
    case ROLE_NEW: return new_of(m, args);
    case ROLE_ATTRIBUTE: return attribute(m, args);
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
    case ROLE_NUMPY_ARRAY: return numpy_array(m, args);
    case ROLE_NUMPY_BUFFER: return numpy_from_buffer(m, args);
    case ROLE_NAME:
    case ROLE_UNKNOWN:
    case ROLE_DTYPE:
    case ROLE_STORAGE: break;
    }
    return NULL;
}

PickleValue *object_call(Machine *m, const PickleValue *callee, PickleValue *args) {
    bool name = callee->kind == PICKLE_GLOBAL, object = callee->kind == PICKLE_OBJECT;
    if ((!name && !object) || (args->kind != PICKLE_TUPLE && args->kind != PICKLE_OBJECT)) {
        machine_fail(m, MAE_FORMAT, "calls something that is no function; damaged");
        return NULL;
    }
    if (object) return opaque_object(m, callee->object->class, args);
    PickleValue *v = args->kind == PICKLE_TUPLE ? call_role(m, callee->global->role, args) : NULL;
    return v != NULL || m->status != MAE_OK ? v : opaque_call(m, callee->global, args);
}

/* State given to an object after it was made. A Namespace takes its attributes. An OrderedDict's
 * attributes (the versions in `_metadata`) and a tensor's are of no use here. */
bool object_build(Machine *m, PickleValue *object, PickleValue *state) {
    if (object->kind == PICKLE_NUMPY_TYPE) return numpy_build_type(m, object, state);
    if (object->kind == PICKLE_TENSOR) return numpy_build_array(m, object, state);
    if (object->kind == PICKLE_OBJECT) object->object->state = state;
    if (object->kind == PICKLE_OBJECT || object->kind == PICKLE_OTHER ||
        object->kind == PICKLE_GLOBAL)
        return true;
    if (object->kind != PICKLE_DICT) {
        machine_fail(m, MAE_FORMAT, "it sets attributes of something that has none");
        return false;
    }
    if (!object->attributes) return true;
    if (state->kind == PICKLE_TUPLE && state->list.n == 2) state = state->list.item[1];
    size_t n = state->kind == PICKLE_DICT ? state->list.n : 0; /* it may be the object itself */
    for (size_t i = 0; i < n; i++)
        if (!machine_append(m, object, state->list.item[i])) return false;
    return true;
}
