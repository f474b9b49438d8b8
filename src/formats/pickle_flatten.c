/* See pickle_flatten.h. The walk is recursive, so depth is limited; and since a pickle can refer to
 * the same value many times, the number of steps and of characters is held to its size, or a list
 * of lists of lists of one small thing would fill any memory. */
#include "formats/pickle_flatten.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { MAX_DEPTH = 100, MAX_NAME = 4096, MAX_DECIMAL_BYTES = 16 };

typedef struct Walk {
    const char *path;
    Arena *arena;
    PickleLeaves *out;
    size_t steps_left, characters_left;
    char name[MAX_NAME];
    size_t name_bytes;
    Error *err;
} Walk;

static Status no_memory(const Walk *w) {
    return fail(w->err, STATUS_MEMORY, "%s: not enough memory", w->path);
}

static Status too_much(const Walk *w) {
    return fail(
        w->err, STATUS_FORMAT,
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
                            dtype_name(v->storage->dtype));
    default: break;
    }
    ASSERT(0, "kind %d is no scalar", (int)v->kind);
}

/* --- Names ------------------------------------------------------------------------------------ */

static Status name_add(Walk *w, const char *data, size_t bytes) {
    size_t dot = w->name_bytes > 0 ? 1 : 0;
    if (bytes >= MAX_NAME - w->name_bytes - dot)
        return fail(w->err, STATUS_FORMAT, "%s: a name of more than %d characters, under '%.100s'",
                    w->path, MAX_NAME, w->name);
    if (dot > 0) w->name[w->name_bytes++] = '.';
    memcpy(w->name + w->name_bytes, data, bytes);
    w->name_bytes += bytes;
    w->name[w->name_bytes] = 0;
    return STATUS_OK;
}

static void name_cut(Walk *w, size_t bytes) {
    w->name_bytes = bytes;
    w->name[bytes] = 0;
}

/* Takes what a text will cost from the allowance. */
static Status charge(Walk *w, const PickleValue *v) {
    bool text = v->kind == PICKLE_TEXT || v->kind == PICKLE_BYTES || v->kind == PICKLE_OTHER;
    size_t cost = text ? v->text.bytes + 1 : 24;
    if (cost > w->characters_left) return too_much(w);
    w->characters_left -= cost;
    return STATUS_OK;
}

static Status name_add_key(Walk *w, const PickleValue *key) {
    if (charge(w, key) != STATUS_OK) return STATUS_FORMAT;
    switch (key->kind) {
    case PICKLE_TEXT:
        if (memchr(key->text.data, 0, key->text.bytes) != NULL ||
            !is_utf8(key->text.data, key->text.bytes))
            return fail(w->err, STATUS_FORMAT, "%s: a key under '%.100s' is no proper text",
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
    default:
        return fail(w->err, STATUS_FORMAT, "%s: a key under '%.100s' is neither text nor a number",
                    w->path, w->name);
    }
}

/* --- The walk --------------------------------------------------------------------------------- */

static Status add_leaf(Walk *w, const PickleValue *v) {
    PickleLeaves *l = w->out;
    if (l->n == l->capacity) {
        size_t capacity = l->capacity * 2 + 64;
        PickleLeaf *grown =
            mem_realloc(l->leaf, l->capacity * sizeof *grown, capacity * sizeof *grown);
        if (grown == NULL) return no_memory(w);
        l->leaf = grown;
        l->capacity = capacity;
    }
    if (w->name_bytes > w->characters_left) return too_much(w);
    w->characters_left -= w->name_bytes;
    bool tensor = v->kind == PICKLE_TENSOR;
    if (!tensor && charge(w, v) != STATUS_OK) return STATUS_FORMAT;
    PickleLeaf leaf = {.tensor = tensor ? v->tensor : NULL};
    const char *unnamed = tensor ? "tensor" : "value"; /* the root itself */
    leaf.name = arena_strdup(w->arena, w->name_bytes > 0 ? w->name : unnamed);
    leaf.text = tensor ? NULL : scalar_text(w, v);
    if (leaf.name == NULL || (!tensor && leaf.text == NULL)) return no_memory(w);
    l->leaf[l->n++] = leaf;
    return STATUS_OK;
}

static Status visit(Walk *w, PickleValue *v, int depth);

static Status visit_items(Walk *w, const PickleValue *v, int depth) {
    Status status = STATUS_OK;
    char number[32];
    bool keyed = v->kind == PICKLE_DICT;
    size_t name_bytes = w->name_bytes;
    for (size_t i = 0; i < v->list.n; i += keyed ? 2 : 1) {
        snprintf(number, sizeof number, "%zu", i);
        if (keyed)
            TRY(name_add_key(w, v->list.item[i]));
        else
            TRY(name_add(w, number, strlen(number)));
        TRY(visit(w, v->list.item[keyed ? i + 1 : i], depth + 1));
        name_cut(w, name_bytes);
    }
done:
    return status;
}

static Status visit(Walk *w, PickleValue *v, int depth) {
    if (w->steps_left-- == 0) return w->steps_left = 0, too_much(w);
    switch (v->kind) {
    case PICKLE_LIST:
    case PICKLE_TUPLE:
    case PICKLE_SET:
    case PICKLE_DICT: break;
    default: return add_leaf(w, v);
    }
    if (v->visiting)
        return fail(w->err, STATUS_FORMAT, "%s: '%.200s' contains itself", w->path, w->name);
    if (depth == MAX_DEPTH)
        return fail(w->err, STATUS_FORMAT, "%s: '%.200s' is nested deeper than %d", w->path,
                    w->name, MAX_DEPTH);
    v->visiting = true;
    Status status = visit_items(w, v, depth);
    v->visiting = false;
    return status;
}

Status pickle_flatten(const char *path, const Pickle *pickle, Arena *arena, PickleLeaves *out,
                      Error *err) {
    *out = (PickleLeaves){0};
    Walk *w = mem_alloc(sizeof *w);
    if (w == NULL) return fail(err, STATUS_MEMORY, "%s: not enough memory", path);
    *w = (Walk){.path = path,
                .arena = arena,
                .out = out,
                .steps_left = 4096 + 4 * pickle->bytes,
                .characters_left = 65536 + 64 * pickle->bytes,
                .err = err};
    Status status = visit(w, pickle->root, 0);
    mem_free(w);
    return status;
}
