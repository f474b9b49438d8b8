/* What the opcodes are made of: values in the arena, whose growth is held to the bytes read, the
 * bytes still to read, the stack with its marks, and the memo. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "formats/pickle/pickle_machine.h"

enum {
    FREE_BYTES = 64 * 1024,
    BYTES_PER_BYTE = 256,
    MAX_LINE = 1 << 20,
    BLOCK_BYTES = 64 * 1024,
    MAX_LOADED = 1 << 30
};

Status machine_fail(Machine *m, Status status, const char *format, ...) {
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (m->status == MAE_OK)
        m->status = error_set(m->err, status, "%.400s: pickle, byte %zu: %s", m->source->path,
                              m->op_at, text);
    return m->status;
}

/* --- Values ----------------------------------------------------------------------------------- */

void *machine_alloc(Machine *m, size_t bytes) {
    size_t allowed = FREE_BYTES + BYTES_PER_BYTE * m->at;
    if (bytes > allowed || m->spent > allowed - bytes) {
        machine_fail(
            m, MAE_FORMAT,
            "its values grow beyond what a file of this size can hold; damaged or hostile");
        return NULL;
    }
    m->spent += bytes;
    void *p = arena_alloc(m->arena, bytes);
    if (p == NULL) machine_fail(m, MAE_MEMORY, "not enough memory");
    return p;
}

PickleValue *machine_value(Machine *m, PickleKind kind) {
    PickleValue *v = machine_alloc(m, sizeof *v);
    if (v != NULL) v->kind = kind;
    return v;
}

PickleValue *machine_text(Machine *m, PickleKind kind, const void *data, size_t bytes) {
    PickleValue *v = data != NULL ? machine_value(m, kind) : NULL;
    if (v == NULL) return NULL;
    v->text.data = data;
    v->text.bytes = bytes;
    return v;
}

PickleValue *machine_int(Machine *m, int64_t value) {
    PickleValue *v = machine_value(m, PICKLE_INT);
    if (v != NULL) v->integer = value;
    return v;
}

PickleValue *machine_float(Machine *m, double value) {
    PickleValue *v = machine_value(m, PICKLE_FLOAT);
    if (v != NULL) v->real = value;
    return v;
}

bool machine_append(Machine *m, PickleValue *list, PickleValue *item) {
    if (list->list.n == list->list.capacity) {
        size_t capacity = list->list.capacity < 4 ? 4 : list->list.capacity * 2;
        PickleValue **grown = machine_alloc(m, capacity * sizeof(PickleValue *));
        if (grown == NULL) return false;
        if (list->list.n > 0) memcpy(grown, list->list.item, list->list.n * sizeof *grown);
        list->list.item = grown;
        list->list.capacity = capacity;
    }
    list->list.item[list->list.n++] = item;
    return true;
}

PickleValue *machine_list(Machine *m, PickleKind kind, PickleValue *const *item, size_t n) {
    PickleValue *v = machine_value(m, kind);
    if (v == NULL || n == 0) return v;
    v->list.item = machine_alloc(m, n * sizeof(PickleValue *));
    if (v->list.item == NULL) return NULL;
    memcpy(v->list.item, item, n * sizeof(PickleValue *));
    v->list.n = v->list.capacity = n;
    return v;
}

/* --- Bytes of the pickle ---------------------------------------------------------------------- */

static bool check_left(Machine *m, uint64_t bytes) {
    if (bytes <= m->bytes - m->at) return true;
    machine_fail(m, MAE_FORMAT, "ends in the middle of a value; the file is cut off");
    return false;
}

/* So many of the bytes left, in one piece. Blocks stay in the arena, because values point into
 * them; what a block holds of the next value is read again with the whole of it. */
static bool load(Machine *m, size_t bytes) {
    if (bytes <= m->ready) return true;
    size_t left = m->bytes - m->at, block = left < BLOCK_BYTES ? left : BLOCK_BYTES;
    if (block < bytes) block = bytes;
    if (block > MAX_LOADED - m->loaded) {
        machine_fail(m, MAE_UNSUPPORTED, "more than %d MB of texts", MAX_LOADED >> 20);
        return false;
    }
    uint8_t *p = arena_alloc(m->arena, block);
    if (p == NULL) {
        machine_fail(m, MAE_MEMORY, "not enough memory");
        return false;
    }
    m->status = byte_source_read(m->source, m->start + m->at, p, block, "the pickle", m->err);
    if (m->status != MAE_OK) return false;
    m->next = p;
    m->ready = block;
    m->loaded += block;
    return true;
}

/* Takes bytes that are ready. */
static const uint8_t *advance(Machine *m, size_t bytes) {
    const uint8_t *p = m->next;
    m->next += bytes;
    m->ready -= bytes;
    m->at += bytes;
    return p;
}

const uint8_t *machine_take(Machine *m, uint64_t bytes) {
    if (!check_left(m, bytes) || !load(m, (size_t)bytes)) return NULL;
    return advance(m, (size_t)bytes);
}

PickleValue *machine_skip(Machine *m, uint64_t bytes) {
    PickleValue *v = check_left(m, bytes) ? machine_value(m, PICKLE_FAR) : NULL;
    if (v == NULL) return NULL;
    v->text.bytes = (size_t)bytes;
    v->text.at = m->start + m->at;
    m->at += (size_t)bytes;
    m->ready = 0;
    return v;
}

/* Little-endian; false after a failure. */
bool machine_take_number(Machine *m, int bytes, uint64_t *out) {
    const uint8_t *p = machine_take(m, (uint64_t)bytes);
    *out = 0;
    for (int i = 0; p != NULL && i < bytes; i++) *out |= (uint64_t)p[i] << (8 * i);
    return p != NULL;
}

static const uint8_t *find_newline(const Machine *m, size_t reach) {
    if (reach > m->ready) reach = m->ready;
    return reach > 0 ? memchr(m->next, '\n', reach) : NULL;
}

/* Up to the newline, which is passed over. */
const char *machine_take_line(Machine *m, size_t *bytes) {
    size_t left = m->bytes - m->at, reach = left < MAX_LINE ? left : MAX_LINE;
    const uint8_t *end = find_newline(m, reach);
    if (end == NULL) {
        if (!load(m, reach)) return NULL;
        end = find_newline(m, reach);
    }
    if (end == NULL) {
        machine_fail(m, MAE_FORMAT, "a line without an end; the file is damaged");
        return NULL;
    }
    *bytes = (size_t)(end - m->next);
    return (const char *)advance(m, *bytes + 1);
}

/* --- Stack and memo --------------------------------------------------------------------------- */

static bool grow(Machine *m, void **array, size_t *capacity, size_t needed, size_t size) {
    if (needed <= *capacity) return true;
    size_t wanted = *capacity * 2 > needed ? *capacity * 2 : needed + 64;
    void *grown = mem_realloc(*array, *capacity * size, wanted * size);
    if (grown == NULL) {
        machine_fail(m, MAE_MEMORY, "not enough memory");
        return false;
    }
    memset((char *)grown + *capacity * size, 0, (wanted - *capacity) * size);
    *array = grown;
    *capacity = wanted;
    return true;
}

/* Takes what a maker returned: NULL means that it failed. */
Status machine_push(Machine *m, PickleValue *v) {
    void *stack = m->stack;
    if (v == NULL) return m->status;
    if (!grow(m, &stack, &m->stack_capacity, m->n_stack + 1, sizeof(PickleValue *)))
        return m->status;
    m->stack = stack;
    m->stack[m->n_stack++] = v;
    return MAE_OK;
}

/* What is under the last mark is out of reach. */
PickleValue *machine_top(Machine *m) {
    size_t floor = m->n_marks > 0 ? m->marks[m->n_marks - 1] : 0;
    if (m->n_stack > floor) return m->stack[m->n_stack - 1];
    machine_fail(m, MAE_FORMAT, "takes a value where there is none; the file is damaged");
    return NULL;
}

PickleValue *machine_pop(Machine *m) {
    PickleValue *v = machine_top(m);
    if (v != NULL) m->n_stack--;
    return v;
}

Status machine_mark(Machine *m) {
    void *marks = m->marks;
    if (!grow(m, &marks, &m->marks_capacity, m->n_marks + 1, sizeof(size_t))) return m->status;
    m->marks = marks;
    m->marks[m->n_marks++] = m->n_stack;
    return MAE_OK;
}

/* The values above the last mark, which stay readable until the next push. */
PickleValue **machine_pop_marked(Machine *m, size_t *n) {
    if (m->n_marks == 0) {
        machine_fail(m, MAE_FORMAT, "asks for a mark that is not there; the file is damaged");
        return NULL;
    }
    size_t height = m->marks[--m->n_marks];
    *n = m->n_stack - height;
    m->n_stack = height;
    return m->stack + height;
}

/* Pythons count memo entries up from 0 or 1, so an index far beyond the opcodes seen is damage. */
Status machine_memo_put(Machine *m, uint64_t index) {
    void *memo = m->memo;
    PickleValue *v = machine_top(m);
    if (v == NULL) return m->status;
    if (index > 2 * (uint64_t)m->n_ops + 1024)
        return machine_fail(m, MAE_FORMAT, "memo entry %llu is out of order; damaged",
                            (unsigned long long)index);
    if (!grow(m, &memo, &m->memo_capacity, (size_t)index + 1, sizeof(PickleValue *)))
        return m->status;
    m->memo = memo;
    if (m->memo[index] == NULL) m->n_memo++;
    m->memo[index] = v;
    return MAE_OK;
}

Status machine_memo_get(Machine *m, uint64_t index) {
    if (index >= m->memo_capacity || m->memo[index] == NULL)
        return machine_fail(m, MAE_FORMAT, "memo entry %llu was never stored; damaged",
                            (unsigned long long)index);
    return machine_push(m, m->memo[index]);
}

Status machine_start(Machine *m) {
    void *stack = NULL;
    if (!grow(m, &stack, &m->stack_capacity, 1, sizeof(PickleValue *))) return m->status;
    m->stack = stack;
    m->none = machine_value(m, PICKLE_NONE);
    m->yes = machine_value(m, PICKLE_BOOL);
    m->no = machine_value(m, PICKLE_BOOL);
    if (m->status == MAE_OK) m->yes->flag = true;
    return m->status;
}

void machine_free(Machine *m) {
    mem_free(m->stack);
    mem_free(m->marks);
    mem_free(m->memo);
}
