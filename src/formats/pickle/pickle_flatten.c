/* See pickle_flatten.h. The walk is recursive, so its depth is limited. A pickle can refer to the
 * same value many times, so the number of steps and of characters is bound to its size; otherwise
 * lists of lists of one small thing would fill any memory.
 *
 * Inside the objects of other programs nothing is an error. They have an allowance of their own,
 * and each is looked into once. What is too deep, inside itself or without a name is left out. */
#include "formats/pickle/pickle_flatten.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { MAX_DEPTH = 100, MAX_NAME = 4096, MAX_DECIMAL_BYTES = 16 };

typedef struct Allowance {
    size_t steps, characters;
} Allowance;

typedef struct Walk {
    const char *path;
    Arena *arena;
    PickleLeaves *out;
    Allowance plain, opaque, *left; /* left: the one of the two that is in use */
    const char *refusal;            /* inside an object: of its tensors; NULL: outside */
    char name[MAX_NAME];
    size_t name_bytes;
    Error *err;
} Walk;

static Status no_memory(const Walk *w) {
    return error_set(w->err, MAE_MEMORY, "%s: not enough memory", w->path);
}

static Status too_much(const Walk *w) {
    return error_set(
        w->err, MAE_FORMAT,
        "%s: it unfolds into more names than a file of its size can mean; damaged or hostile",
        w->path);
}

/* --- Scalars as text -------------------------------------------------------------------------- */

/* Length of the UTF-8 character at p, 0 when there is none. */
static size_t utf8_length(const uint8_t *p, size_t left) {
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t n = p[0] < 0x80 ? 1 : p[0] < 0xC2 ? 0 : p[0] < 0xE0 ? 2 : p[0] < 0xF0 ? 3 : 4;
    if (n == 0 || n > left || p[0] > 0xF4) return 0;
    uint32_t c = n == 1 ? p[0] : p[0] & (0x7Fu >> n);
    for (size_t i = 1; i < n; i++) {
        if ((p[i] & 0xC0) != 0x80) return 0;
        c = c << 6 | (p[i] & 0x3Fu);
    }
    return c < least[n] || c > 0x10FFFF || (c >= 0xD800 && c < 0xE000) ? 0 : n;
}

static bool is_utf8(const char *data, size_t bytes) {
    const uint8_t *p = (const uint8_t *)data;
    for (size_t i = 0, n; i < bytes; i += n)
        if ((n = utf8_length(p + i, bytes - i)) == 0) return false;
    return true;
}

/* Text as it is; with a NUL or broken characters, and bytes, as Python would show bytes. */
static char *text_of(Walk *w, const PickleValue *v) {
    const char *p = v->text.data;
    size_t n = v->text.bytes, at = 0;
    bool plain = v->kind != PICKLE_BYTES && memchr(p, 0, n) == NULL && is_utf8(p, n);
    char *text = arena_alloc(w->arena, plain ? n + 1 : 4 * n + 4);
    if (text == NULL) return NULL;
    if (plain) {
        memcpy(text, p, n);
        return text;
    }
    text[at++] = 'b';
    text[at++] = '\'';
    for (size_t i = 0; i < n; i++) {
        bool shown = p[i] >= ' ' && p[i] <= '~' && p[i] != '\'' && p[i] != '\\';
        if (shown)
            text[at++] = p[i];
        else
            at += (size_t)snprintf(text + at, 5, "\\x%02x", (uint8_t)p[i]);
    }
    text[at] = '\'';
    return text;
}

/* Decimal digits by repeated division; two's complement, little-endian, of more than 8 bytes. */
static char *big_text(Walk *w, const PickleValue *v) {
    uint8_t digits[MAX_DECIMAL_BYTES];
    char text[3 * MAX_DECIMAL_BYTES];
    size_t n = v->text.bytes, at = sizeof text;
    if (n > MAX_DECIMAL_BYTES) return arena_printf(w->arena, "an integer of %zu bytes", n);
    memcpy(digits, v->text.data, n);
    bool negative = (digits[n - 1] & 0x80) != 0, more = true;
    for (size_t i = 0, carry = 1; negative && i < n; i++) {
        size_t byte = (uint8_t)~digits[i] + carry;
        digits[i] = (uint8_t)byte;
        carry = byte >> 8;
    }
    text[--at] = 0;
    while (more) {
        unsigned rest = 0;
        more = false;
        for (size_t i = n; i-- > 0;) {
            unsigned value = rest << 8 | digits[i];
            digits[i] = (uint8_t)(value / 10);
            rest = value % 10;
            more = more || digits[i] != 0;
        }
        text[--at] = (char)('0' + rest);
    }
    return arena_printf(w->arena, "%s%s", negative ? "-" : "", text + at);
}

static char *real_text(Walk *w, double value) {
    if (isnan(value)) return arena_strdup(w->arena, "nan");
    return arena_printf(w->arena, "%.17g", value);
}

static char *scalar_text(Walk *w, const PickleValue *v) {
    switch (v->kind) {
    case PICKLE_NONE: return arena_strdup(w->arena, "null");
    case PICKLE_BOOL: return arena_strdup(w->arena, v->flag ? "true" : "false");
    case PICKLE_INT: return arena_printf(w->arena, "%lld", (long long)v->integer);
    case PICKLE_FLOAT: return real_text(w, v->real);
    case PICKLE_BIG: return big_text(w, v);
    case PICKLE_TEXT:
    case PICKLE_BYTES:
    case PICKLE_OTHER: return text_of(w, v);
    case PICKLE_FAR: return arena_printf(w->arena, "%zu bytes", v->text.bytes);
    case PICKLE_GLOBAL:
        return arena_printf(w->arena, "%s.%s", pickle_global_module(v->global),
                            pickle_global_name(v->global));
    case PICKLE_NUMPY_TYPE:
        return arena_printf(w->arena, "numpy.%c%d", v->numpy.code, v->numpy.bytes);
    case PICKLE_STORAGE:
        return arena_printf(w->arena, "storage of %lld %s", (long long)v->storage->numel,
                            v->storage->type != NULL ? v->storage->type
                                                     : dtype_name(v->storage->dtype));
    default: break;
    }
    ASSERT(0, "kind %d is no scalar", (int)v->kind);
}

/* --- Names ------------------------------------------------------------------------------------ */

static Status name_add(Walk *w, const char *data, size_t bytes) {
    size_t dot = w->name_bytes > 0 ? 1 : 0;
    if (bytes >= MAX_NAME - w->name_bytes - dot)
        return error_set(w->err, MAE_FORMAT,
                         "%s: a name of more than %d characters, under '%.100s'", w->path, MAX_NAME,
                         w->name);
    if (dot > 0) w->name[w->name_bytes++] = '.';
    memcpy(w->name + w->name_bytes, data, bytes);
    w->name_bytes += bytes;
    w->name[w->name_bytes] = 0;
    return MAE_OK;
}

static void name_cut(Walk *w, size_t bytes) {
    w->name_bytes = bytes;
    w->name[bytes] = 0;
}

/* Takes what a text will cost from the allowance. */
static bool charge(Walk *w, const PickleValue *v) {
    bool text = v->kind == PICKLE_TEXT || v->kind == PICKLE_BYTES || v->kind == PICKLE_OTHER;
    size_t cost = text ? v->text.bytes + 1 : 24;
    if (cost > w->left->characters) return false;
    w->left->characters -= cost;
    return true;
}

/* A key that is an object or a tuple: what it is, and which of the dictionary it is. */
static Status name_add_place(Walk *w, const PickleValue *key, size_t place) {
    char text[256];
    const char *what =
        key->kind == PICKLE_OBJECT ? pickle_global_name(key->object->class) : "tuple";
    int n = snprintf(text, sizeof text, "%.200s#%zu", what, place);
    return name_add(w, text, (size_t)n);
}

static Status name_add_key(Walk *w, const PickleValue *key, size_t place) {
    if (!charge(w, key)) return too_much(w);
    switch (key->kind) {
    case PICKLE_TEXT:
        if (memchr(key->text.data, 0, key->text.bytes) != NULL ||
            !is_utf8(key->text.data, key->text.bytes))
            return error_set(w->err, MAE_FORMAT, "%s: a key under '%.100s' is no proper text",
                             w->path, w->name);
        return name_add(w, key->text.data, key->text.bytes);
    case PICKLE_NONE:
    case PICKLE_BOOL:
    case PICKLE_INT:
    case PICKLE_BIG:
    case PICKLE_FLOAT:
    case PICKLE_BYTES:
    case PICKLE_GLOBAL: {
        const char *text = scalar_text(w, key);
        return text != NULL ? name_add(w, text, strlen(text)) : no_memory(w);
    }
    case PICKLE_TUPLE:
    case PICKLE_OBJECT: return name_add_place(w, key, place);
    default:
        return error_set(w->err, MAE_FORMAT,
                         "%s: a key under '%.100s' is neither text nor a number", w->path, w->name);
    }
}

/* --- The walk --------------------------------------------------------------------------------- */

static Status add_leaf(Walk *w, PickleLeaf leaf) {
    PickleLeaves *l = w->out;
    const char *unnamed = leaf.tensor != NULL ? "tensor" : "value"; /* the root itself */
    PickleLeaf *grown = mem_room(l->leaf, l->n, &l->capacity, sizeof *grown);
    if (grown == NULL) return no_memory(w);
    l->leaf = grown;
    leaf.name = arena_strdup(w->arena, w->name_bytes > 0 ? w->name : unnamed);
    if (leaf.name == NULL || (leaf.tensor == NULL && leaf.text == NULL)) return no_memory(w);
    l->leaf[l->n++] = leaf;
    return MAE_OK;
}

/* So many characters more; false: the allowance is at its end. */
static bool pay(Walk *w, size_t characters) {
    if (characters > w->left->characters) return false;
    w->left->characters -= characters;
    return true;
}

/* What becomes too much inside an object is left out. */
static Status out_of_allowance(const Walk *w) {
    return w->refusal != NULL ? MAE_OK : too_much(w);
}

static Status leaf_of_tensor(Walk *w, const PickleTensor *t) {
    if (!pay(w, w->name_bytes)) return out_of_allowance(w);
    const char *refusal = w->refusal != NULL ? w->refusal : t->refusal;
    return add_leaf(w, (PickleLeaf){.tensor = t, .refusal = refusal});
}

static Status leaf_of_scalar(Walk *w, const PickleValue *v) {
    if (!pay(w, w->name_bytes) || !charge(w, v)) return out_of_allowance(w);
    return add_leaf(w, (PickleLeaf){.text = scalar_text(w, v)});
}

static Status visit(Walk *w, PickleValue *v, int depth);

/* Inside an object, what has no name is left out. */
static Status add_name_of(Walk *w, const PickleValue *v, size_t i, bool *named) {
    char number[32];
    Error ignored = {0}, *err = w->err;
    if (w->refusal != NULL) w->err = &ignored;
    snprintf(number, sizeof number, "%zu", i);
    Status status = v->kind == PICKLE_DICT ? name_add_key(w, v->list.item[i], i / 2)
                                           : name_add(w, number, strlen(number));
    w->err = err;
    *named = status == MAE_OK;
    if (w->refusal == NULL || *named) return status;
    return status == MAE_MEMORY ? no_memory(w) : MAE_OK;
}

static Status visit_items(Walk *w, const PickleValue *v, int depth) {
    Status status = MAE_OK;
    bool keyed = v->kind == PICKLE_DICT, named;
    size_t name_bytes = w->name_bytes;
    for (size_t i = 0; i < v->list.n; i += keyed ? 2 : 1) {
        TRY(add_name_of(w, v, i, &named));
        if (named) TRY(visit(w, v->list.item[keyed ? i + 1 : i], depth + 1));
        name_cut(w, name_bytes);
    }
done:
    return status;
}

/* --- Objects of other programs ---------------------------------------------------------------- */

static const PickleValue *first_argument(const PickleValue *args) {
    return args != NULL && args->kind == PICKLE_TUPLE && args->list.n > 0 ? args->list.item[0]
                                                                          : NULL;
}

static bool has_settings(const PickleValue *v) {
    if (v->kind != PICKLE_OBJECT) return v->kind == PICKLE_DICT;
    const PickleObject *o = v->object;
    const PickleValue *first = first_argument(o->args);
    return o->pairs != NULL || o->state != NULL || (first != NULL && first->kind == PICKLE_DICT);
}

/* Attributes that hold what the object stands for: they add no name. */
static const char *content_of(const PickleObject *o, const PickleValue *key) {
    static const char *const rows[][2] = {
        {"omegaconf.", "_content"}, {"omegaconf.", "_val"}, {"ml_collections.", "_fields"}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (strncmp(pickle_global_module(o->class), rows[i][0], strlen(rows[i][0])) == 0 &&
            key->kind == PICKLE_TEXT && key->text.bytes == strlen(rows[i][1]) &&
            memcmp(key->text.data, rows[i][1], key->text.bytes) == 0)
            return rows[i][1];
    return NULL;
}

/* The attributes under their names, or only what the object stands for. */
static Status visit_attributes(Walk *w, const PickleObject *o, PickleValue *dict, int depth) {
    for (size_t i = 0; dict->kind == PICKLE_DICT && i < dict->list.n; i += 2)
        if (content_of(o, dict->list.item[i]) != NULL)
            return visit(w, dict->list.item[i + 1], depth + 1);
    return visit(w, dict, depth + 1);
}

/* A dictionary of attributes; a pair of such; or what __getstate__ made of them. */
static Status visit_state(Walk *w, const PickleObject *o, int depth) {
    Status status = MAE_OK;
    PickleValue *state = o->state;
    if (state != NULL && state->kind == PICKLE_DICT) return visit_attributes(w, o, state, depth);
    size_t n = state != NULL && state->kind == PICKLE_TUPLE ? state->list.n : 0;
    for (size_t i = 0; i < n; i++)
        if (has_settings(state->list.item[i]))
            TRY(visit_attributes(w, o, state->list.item[i], depth));
done:
    return status;
}

static Status visit_parts(Walk *w, PickleObject *o, int depth) {
    Status status = MAE_OK;
    const PickleTensor *own = pickle_object_tensor(o);
    size_t n = o->args != NULL && o->args->kind == PICKLE_TUPLE ? o->args->list.n : 0;
    if (own != NULL) TRY(leaf_of_tensor(w, own));
    for (size_t i = 0; i < n; i++)
        if (has_settings(o->args->list.item[i])) TRY(visit(w, o->args->list.item[i], depth + 1));
    if (o->pairs != NULL) TRY(visit(w, o->pairs, depth + 1));
    if (o->items != NULL) TRY(visit(w, o->items, depth + 1));
    TRY(visit_state(w, o, depth));
done:
    return status;
}

/* "an object of mmengine.config.ConfigDict". */
static char *object_text(Walk *w, const PickleObject *o) {
    const char *module = pickle_global_module(o->class), *name = pickle_global_name(o->class);
    return *module == 0 ? arena_strdup(w->arena, name)
                        : arena_printf(w->arena, "an object of %s.%s", module, name);
}

static Status leaf_of_object(Walk *w, const PickleObject *o) {
    size_t cost = w->name_bytes + strlen(pickle_global_module(o->class)) +
                  strlen(pickle_global_name(o->class)) + 24;
    if (!pay(w, cost)) return out_of_allowance(w);
    return add_leaf(w, (PickleLeaf){.text = object_text(w, o)});
}

/* Tensors in the outermost object are refused in its name. */
static Status look_into_outermost(Walk *w, PickleObject *o, int depth) {
    const char *text = object_text(w, o), *at = w->name_bytes > 0 ? w->name : "the top";
    if (text != NULL)
        w->refusal = arena_printf(w->arena,
                                  "comes out of %s at '%.100s', which is never made here: save "
                                  "its state_dict, with plain tensors",
                                  text, at);
    if (w->refusal == NULL) return no_memory(w);
    w->left = &w->opaque;
    Status status = visit_parts(w, o, depth);
    w->left = &w->plain;
    w->refusal = NULL;
    return status;
}

/* Once, because objects refer to each other in all directions. */
static Status visit_object(Walk *w, PickleObject *o, int depth) {
    Status status = MAE_OK;
    size_t before = w->out->n;
    bool look = !o->seen && depth < MAX_DEPTH;
    o->seen = true;
    if (look && w->refusal != NULL) TRY(visit_parts(w, o, depth));
    if (look && w->refusal == NULL) TRY(look_into_outermost(w, o, depth));
    if (w->out->n == before) TRY(leaf_of_object(w, o));
done:
    return status;
}

/* --- Everything ------------------------------------------------------------------------------- */

static Status visit_container(Walk *w, PickleValue *v, int depth) {
    bool lenient = w->refusal != NULL;
    if (v->visiting)
        return lenient ? MAE_OK
                       : error_set(w->err, MAE_FORMAT, "%s: '%.200s' contains itself", w->path,
                                   w->name);
    if (depth >= MAX_DEPTH)
        return lenient ? MAE_OK
                       : error_set(w->err, MAE_FORMAT, "%s: '%.200s' is nested deeper than %d",
                                   w->path, w->name, MAX_DEPTH);
    v->visiting = true;
    Status status = visit_items(w, v, depth);
    v->visiting = false;
    return status;
}

static Status visit(Walk *w, PickleValue *v, int depth) {
    if (w->left->steps == 0) return out_of_allowance(w);
    w->left->steps--;
    switch (v->kind) {
    case PICKLE_LIST:
    case PICKLE_TUPLE:
    case PICKLE_SET:
    case PICKLE_DICT: return visit_container(w, v, depth);
    case PICKLE_OBJECT: return visit_object(w, v->object, depth);
    case PICKLE_TENSOR: return leaf_of_tensor(w, v->tensor);
    default: return leaf_of_scalar(w, v);
    }
}

Status pickle_flatten(const char *path, const Pickle *pickle, Arena *arena, PickleLeaves *out,
                      Error *err) {
    *out = (PickleLeaves){0};
    Walk *w = mem_alloc(sizeof *w);
    if (w == NULL) return error_set(err, MAE_MEMORY, "%s: not enough memory", path);
    *w = (Walk){.path = path, .arena = arena, .out = out, .err = err};
    w->plain = w->opaque = (Allowance){4096 + 4 * pickle->bytes, 65536 + 64 * pickle->bytes};
    w->left = &w->plain;
    Status status = visit(w, pickle->root, 0);
    mem_free(w);
    return status;
}
