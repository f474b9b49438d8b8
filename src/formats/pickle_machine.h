/* What pickle.c (the opcodes) and pickle_objects.c (what the names in a pickle stand for) share. */
#ifndef FORMATS_PICKLE_MACHINE_H
#define FORMATS_PICKLE_MACHINE_H

#include "formats/pickle.h"

typedef struct Machine {
    const char *path;
    const uint8_t *data;
    size_t bytes, at, op_at, n_ops;
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

/* These return NULL after machine_fail. */
void *machine_alloc(Machine *m, size_t bytes);
PickleValue *machine_value(Machine *m, PickleKind kind);
PickleValue *machine_text(Machine *m, PickleKind kind, const void *data, size_t bytes);
PickleValue *machine_int(Machine *m, int64_t value);
bool machine_append(Machine *m, PickleValue *list, PickleValue *item);

/* The four places where Python would run code, here a look into the list. NULL after a failure. */
PickleValue *object_global(Machine *m, const char *module, size_t module_bytes, const char *name,
                           size_t name_bytes);
PickleValue *object_call(Machine *m, const PickleValue *callee, const PickleValue *args);
PickleValue *object_persistent(Machine *m, const PickleValue *id);
bool object_build(Machine *m, PickleValue *object, const PickleValue *state);

/* numpy, in pickle_numpy.c. */
PickleValue *numpy_type(Machine *m, const PickleValue *args);
bool numpy_build_type(Machine *m, PickleValue *type, const PickleValue *state);
PickleValue *numpy_scalar(Machine *m, const PickleValue *args);
PickleValue *numpy_array(Machine *m);
bool numpy_build_array(Machine *m, PickleValue *array, const PickleValue *state);
PickleValue *numpy_from_buffer(Machine *m, const PickleValue *args);

/* The i-th item of a tuple or list; NULL when there is none. */
const PickleValue *pickle_item(const PickleValue *v, size_t i);
bool pickle_integer(const PickleValue *v, int64_t *out); /* also of a bool */
bool pickle_is_text(const PickleValue *v, const char *text);
bool pickle_is_sequence(const PickleValue *v); /* tuple or list */

/* Sizes of a tuple or list into shape and, when given, strides; false after machine_fail. The
 * product with the element size fits into int64_t. */
bool tensor_shape(Machine *m, const PickleValue *sizes, DType dtype, Shape *out);

#endif
