/* Objects of other programs: what a pickle asks Python to make and nobody here knows. Nothing of
 * them is executed. An object keeps its name and what it was given, so that a walk can look for
 * plain settings in it (pickle_flatten.c). A tensor that cannot be read keeps its shape and the
 * reason. */
#include <stdio.h>
#include <string.h>

#include "formats/pickle/pickle_machine.h"

enum { MAX_SHOWN = 160, MAX_DEPTH = 4, MAX_LOOKS = 64 };

/* --- Names ------------------------------------------------------------------------------------ */

/* Printable ASCII only: the name comes from a file that is under suspicion. */
static char *plain(Machine *m, const char *data, size_t bytes) {
    size_t n = bytes < MAX_SHOWN ? bytes : MAX_SHOWN;
    char *out = machine_alloc(m, n + 1);
    for (size_t i = 0; out != NULL && i < n; i++)
        out[i] = data[i] >= ' ' && data[i] <= '~' ? data[i] : '?';
    return out;
}

PickleValue *opaque_global(Machine *m, const char *module, size_t module_bytes, const char *name,
                           size_t name_bytes) {
    PickleValue *v = machine_value(m, PICKLE_GLOBAL);
    PickleGlobal *g = machine_alloc(m, sizeof *g);
    if (v == NULL || g == NULL) return NULL;
    *g =
        (PickleGlobal){plain(m, module, module_bytes), plain(m, name, name_bytes), ROLE_UNKNOWN, 0};
    v->global = g;
    return g->module != NULL && g->name != NULL ? v : NULL;
}

/* --- Objects ---------------------------------------------------------------------------------- */

PickleValue *opaque_object(Machine *m, const PickleGlobal *class, PickleValue *args) {
    PickleValue *v = machine_value(m, PICKLE_OBJECT);
    PickleObject *o = machine_alloc(m, sizeof *o);
    if (v == NULL || o == NULL) return NULL;
    *o = (PickleObject){.class = class, .args = args};
    v->object = o;
    return v;
}

PickleValue *opaque_thing(Machine *m, const char *what) {
    PickleGlobal *g = machine_alloc(m, sizeof *g);
    if (g == NULL) return NULL;
    *g = (PickleGlobal){"", what, ROLE_UNKNOWN, 0};
    return opaque_object(m, g, NULL);
}

PickleValue *opaque_content(Machine *m, PickleObject *o, PickleKind kind) {
    PickleValue **place = kind == PICKLE_DICT ? &o->pairs : &o->items;
    if (*place == NULL) *place = machine_value(m, kind == PICKLE_DICT ? PICKLE_DICT : PICKLE_LIST);
    return *place;
}

/* Of old protocols, for any object: (class, base, value). A subclass of dict or list comes with
 * what it holds. */
PickleValue *opaque_reconstruct(Machine *m, const PickleValue *args) {
    const PickleValue *class = pickle_item(args, 0), *base = pickle_item(args, 1);
    const PickleValue *value = pickle_item(args, 2);
    if (class == NULL || class->kind != PICKLE_GLOBAL) return NULL;
    PickleValue *v = opaque_object(m, class->global, NULL);
    if (v == NULL || value == NULL) return v;
    if (pickle_has_role(base, ROLE_DICT) && value->kind == PICKLE_DICT)
        v->object->pairs = args->list.item[2];
    else if (pickle_has_role(base, ROLE_LIST) && value->kind == PICKLE_LIST)
        v->object->items = args->list.item[2];
    return v;
}

/* --- Tensors ---------------------------------------------------------------------------------- */

/* No dimensions when the sizes are none, or too many. A product of them fits into int64_t. */
static Shape lenient_shape(const PickleValue *sizes) {
    int64_t product = 16; /* the widest element */
    Shape shape = {0};
    if (!pickle_is_sequence(sizes) || sizes->list.n > MAX_DIMS) return shape;
    for (size_t i = 0; i < sizes->list.n; i++) {
        int64_t dim;
        if (!pickle_integer(sizes->list.item[i], &dim) || dim < 0) return (Shape){0};
        if (dim > 0 && product > INT64_MAX / dim) return (Shape){0};
        shape.dim[shape.n_dims++] = dim;
        product *= dim > 0 ? dim : 1;
    }
    return shape;
}

PickleValue *opaque_tensor(Machine *m, const PickleValue *sizes, const char *why,
                           const char *name) {
    PickleTensor *t = machine_alloc(m, sizeof *t);
    PickleValue *v = machine_value(m, PICKLE_TENSOR);
    size_t room = strlen(why) + strlen(name) + 1;
    char *text = machine_alloc(m, room);
    if (t == NULL || v == NULL || text == NULL) return NULL;
    snprintf(text, room, why, name);
    *t = (PickleTensor){
        .dtype = DTYPE_U8, .shape = lenient_shape(sizes), .refusal = text, .type = name};
    v->tensor = t;
    return v;
}

/* The first sequence of integers, which is the size in all that torch rebuilds tensors from. Looks
 * are counted, because a value may be in many places. */
static const PickleValue *find_sizes(const PickleValue *v, int depth, int *looks) {
    bool integers = pickle_is_sequence(v) && v->list.n > 0;
    int64_t ignored;
    if (!integers || depth == MAX_DEPTH) return NULL;
    for (size_t i = 0; i < v->list.n && integers; i++)
        integers = pickle_integer(v->list.item[i], &ignored);
    if (integers) return v;
    const PickleValue *found = NULL;
    for (size_t i = 0; i < v->list.n && found == NULL && (*looks)++ < MAX_LOOKS; i++)
        found = find_sizes(v->list.item[i], depth + 1, looks);
    return found;
}

static const PickleTensor *find_tensor(const PickleValue *v, int depth, int *looks) {
    if (v == NULL || depth == MAX_DEPTH) return NULL;
    if (v->kind == PICKLE_TENSOR) return v->tensor;
    if (v->kind == PICKLE_OBJECT) return find_tensor(v->object->args, depth + 1, looks);
    const PickleTensor *found = NULL;
    size_t n = pickle_is_sequence(v) ? v->list.n : 0;
    for (size_t i = 0; i < n && found == NULL && (*looks)++ < MAX_LOOKS; i++)
        found = find_tensor(v->list.item[i], depth + 1, looks);
    return found;
}

const PickleTensor *pickle_object_tensor(const PickleObject *o) {
    int looks = 0;
    return find_tensor(o->args, 0, &looks);
}

/* --- Calls ------------------------------------------------------------------------------------ */

static bool begins(const char *text, const char *with) {
    return strncmp(text, with, strlen(with)) == 0;
}

PickleValue *opaque_call(Machine *m, const PickleGlobal *callee, PickleValue *args) {
    int looks = 0;
    if (begins(callee->module, "torch.") && begins(callee->name, "_rebuild_"))
        return opaque_tensor(m, find_sizes(args, 0, &looks),
                             "is made by torch's %s, which is not read; save it as a plain tensor",
                             callee->name);
    return opaque_object(m, callee, args);
}
