/* What pickle.c (the opcodes) and pickle_objects.c (what the names in a pickle stand for) share. */
#ifndef FORMATS_PICKLE_PICKLE_MACHINE_H
#define FORMATS_PICKLE_PICKLE_MACHINE_H

#include "formats/pickle/pickle.h"

/* What is done about a name when it is called. */
typedef enum Role {
    ROLE_NAME,    /* only ever a value */
    ROLE_UNKNOWN, /* not in the list */
    ROLE_DTYPE,
    ROLE_STORAGE,
    ROLE_REBUILD, /* (storage, offset, size, stride, ...) */
    ROLE_REBUILD_TYPED,
    ROLE_FIRST,     /* the first argument: a parameter is its tensor */
    ROLE_FROM_TYPE, /* (function, type, arguments, state) */
    ROLE_DICT,
    ROLE_DEFAULT_DICT,
    ROLE_NAMESPACE,
    ROLE_RECONSTRUCT, /* copyreg._reconstructor(class, base, value of the base or None) */
    ROLE_NEW,         /* copyreg.__newobj__(class, ...) */
    ROLE_ATTRIBUTE,   /* getattr(class, name) */
    ROLE_LIST,
    ROLE_TUPLE,
    ROLE_SET,
    ROLE_BYTES,
    ROLE_DEVICE,
    ROLE_PATH,
    ROLE_WINDOWS_PATH,
    ROLE_ENCODE,
    ROLE_NUMPY_TYPE,
    ROLE_NUMPY_SCALAR,
    ROLE_NUMPY_ARRAY,
    ROLE_NUMPY_BUFFER
} Role;

struct PickleGlobal {
    const char *module, *name;
    Role role;
    int dtype; /* negative: minus the width of a type that this library does not have */
};

typedef struct Machine {
    const ByteSource *source;
    uint64_t start;       /* of the pickle in the source */
    size_t bytes, at;     /* of the pickle; of it, taken */
    const uint8_t *next;  /* what is taken next, in the arena */
    size_t ready, loaded; /* bytes there; bytes read so far */
    size_t op_at, n_ops;
    Arena *arena;
    size_t spent; /* bytes taken from the arena */
    PickleValue **stack;
    size_t n_stack, stack_capacity;
    size_t *marks; /* heights of the stack */
    size_t n_marks, marks_capacity;
    PickleValue **memo;
    size_t memo_capacity, n_memo;
    const PickleStorage *storages;
    size_t n_storages;
    PickleValue *none, *yes, *no;
    Status status; /* of the first failure */
    Error *err;
} Machine;

/* Records the first failure, with file and byte; returns its status. */
Status machine_fail(Machine *m, Status status, const char *format, ...) PRINTF_LIKE(3, 4);

Status machine_start(Machine *m);
void machine_free(Machine *m); /* also after a failure; the values stay in the arena */

/* Those that return a pointer return NULL, and those that return a bool false, after machine_fail.
 */
void *machine_alloc(Machine *m, size_t bytes);
PickleValue *machine_value(Machine *m, PickleKind kind);
PickleValue *machine_text(Machine *m, PickleKind kind, const void *data, size_t bytes);
PickleValue *machine_int(Machine *m, int64_t value);
PickleValue *machine_float(Machine *m, double value);
PickleValue *machine_list(Machine *m, PickleKind kind, PickleValue *const *item, size_t n);
bool machine_append(Machine *m, PickleValue *list, PickleValue *item);

/* The next bytes of the pickle; a little-endian number of so many bytes; a line without its end. */
const uint8_t *machine_take(Machine *m, uint64_t bytes);
bool machine_take_number(Machine *m, int bytes, uint64_t *out);
const char *machine_take_line(Machine *m, size_t *bytes);

/* The next bytes, left where they are. */
PickleValue *machine_skip(Machine *m, uint64_t bytes);

/* Pushes what a maker returned: NULL means that the maker failed, and its status is passed on. */
Status machine_push(Machine *m, PickleValue *v);
PickleValue *machine_top(Machine *m); /* what is under the last mark is out of reach */
PickleValue *machine_pop(Machine *m);
Status machine_mark(Machine *m);
/* The values above the last mark, which stay readable until the next push. */
PickleValue **machine_pop_marked(Machine *m, size_t *n);
Status machine_memo_put(Machine *m, uint64_t index);
Status machine_memo_get(Machine *m, uint64_t index);

/* The four places where Python would run code, here a look into the list. NULL after a failure. */
PickleValue *object_global(Machine *m, const char *module, size_t module_bytes, const char *name,
                           size_t name_bytes);
PickleValue *object_call(Machine *m, const PickleValue *callee, PickleValue *args);
PickleValue *object_persistent(Machine *m, const PickleValue *id);
bool object_build(Machine *m, PickleValue *object, PickleValue *state);

/* numpy, in pickle_numpy.c. NULL without a failure: the arguments are not understood. */
PickleValue *numpy_type(Machine *m, const PickleValue *args);
bool numpy_build_type(Machine *m, PickleValue *type, PickleValue *state);
PickleValue *numpy_scalar(Machine *m, const PickleValue *args);
PickleValue *numpy_array(Machine *m, const PickleValue *args);
bool numpy_build_array(Machine *m, PickleValue *array, PickleValue *state);
PickleValue *numpy_from_buffer(Machine *m, const PickleValue *args);

/* What is not in the list, in pickle_opaque.c. The name is shown, so only plain characters of it
 * are kept. */
PickleValue *opaque_global(Machine *m, const char *module, size_t module_bytes, const char *name,
                           size_t name_bytes);
PickleValue *opaque_object(Machine *m, const PickleGlobal *class, PickleValue *args);
/* One that is known by what it is only: "a persistent id". */
PickleValue *opaque_thing(Machine *m, const char *what);
/* The call of a name that is not in the list, or with arguments that are not understood. */
PickleValue *opaque_call(Machine *m, const PickleGlobal *callee, PickleValue *args);
PickleValue *opaque_reconstruct(Machine *m, const PickleValue *args);
/* The list or dict (made when there is none) that takes what is put into an object. */
PickleValue *opaque_content(Machine *m, PickleObject *o, PickleKind kind);
/* A tensor of this shape that is refused: `why` is a format with one %s for the name. */
PickleValue *opaque_tensor(Machine *m, const PickleValue *sizes, const char *why, const char *name);

/* The i-th item of a tuple or list; NULL when there is none. */
const PickleValue *pickle_item(const PickleValue *v, size_t i);
bool pickle_integer(const PickleValue *v, int64_t *out); /* also of a bool */
bool pickle_is_text(const PickleValue *v, const char *text);
bool pickle_is_sequence(const PickleValue *v); /* tuple or list */
bool pickle_has_role(const PickleValue *v, Role role);

/* Sizes of a tuple or list; false after machine_fail. The
 * product with the element size fits into int64_t. */
bool tensor_shape(Machine *m, const PickleValue *sizes, size_t width, Shape *out);

/* From (storage, offset, size, stride, ...); typed: with a torch.dtype as the seventh. NULL without
 * a failure: the arguments are not understood. */
PickleValue *tensor_rebuild(Machine *m, const PickleValue *args, bool typed);

#endif
