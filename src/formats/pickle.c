/* The pickle machine: a stack of values, marks on it, and a memo. Each opcode takes values from the
 * stack and pushes one; so no pickle, however nested, makes this code recurse. Values are made in
 * an arena whose growth is held to the bytes read. Opcodes as Lib/pickletools.py describes them. */
#include "formats/pickle.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "formats/pickle_machine.h"

enum { FREE_BYTES = 64 * 1024, BYTES_PER_BYTE = 256, MAX_OPS = 1 << 24, MAX_LINE = 1 << 20 };

Status machine_fail(Machine *m, Status status, const char *format, ...) {
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (m->status == STATUS_OK)
        m->status = fail(m->err, status, "%.400s: pickle, byte %zu: %s", m->path, m->op_at, text);
    return m->status;
}

/* --- Values ----------------------------------------------------------------------------------- */

void *machine_alloc(Machine *m, size_t bytes) {
    size_t allowed = FREE_BYTES + BYTES_PER_BYTE * m->at;
    if (bytes > allowed || m->spent > allowed - bytes) {
        machine_fail(
            m, STATUS_FORMAT,
            "its values grow beyond what a file of this size can hold; damaged or hostile");
        return NULL;
    }
    m->spent += bytes;
    void *p = arena_alloc(m->arena, bytes);
    if (p == NULL) machine_fail(m, STATUS_MEMORY, "not enough memory");
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

static PickleValue *new_float(Machine *m, double value) {
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

static PickleValue *new_list(Machine *m, PickleKind kind, PickleValue *const *item, size_t n) {
    PickleValue *v = machine_value(m, kind);
    if (v == NULL || n == 0) return v;
    v->list.item = machine_alloc(m, n * sizeof(PickleValue *));
    if (v->list.item == NULL) return NULL;
    memcpy(v->list.item, item, n * sizeof(PickleValue *));
    v->list.n = v->list.capacity = n;
    return v;
}

/* --- Bytes of the pickle ---------------------------------------------------------------------- */

static const uint8_t *take(Machine *m, uint64_t bytes) {
    if (bytes > m->bytes - m->at) {
        machine_fail(m, STATUS_FORMAT, "ends in the middle of a value; the file is cut off");
        return NULL;
    }
    const uint8_t *p = m->data + m->at;
    m->at += (size_t)bytes;
    return p;
}

/* Little-endian; false after a failure. */
static bool take_number(Machine *m, int bytes, uint64_t *out) {
    const uint8_t *p = take(m, (uint64_t)bytes);
    *out = 0;
    for (int i = 0; p != NULL && i < bytes; i++) *out |= (uint64_t)p[i] << (8 * i);
    return p != NULL;
}

/* Up to the newline, which is passed over. */
static const char *take_line(Machine *m, size_t *bytes) {
    size_t left = m->bytes - m->at;
    const uint8_t *start = m->data + m->at;
    const uint8_t *end = left > 0 ? memchr(start, '\n', left < MAX_LINE ? left : MAX_LINE) : NULL;
    if (end == NULL) {
        machine_fail(m, STATUS_FORMAT, "a line without an end; the file is damaged");
        return NULL;
    }
    *bytes = (size_t)(end - start);
    m->at += *bytes + 1;
    return (const char *)start;
}

/* --- Stack and memo --------------------------------------------------------------------------- */

static bool grow(Machine *m, void **array, size_t *capacity, size_t needed, size_t size) {
    if (needed <= *capacity) return true;
    size_t wanted = *capacity * 2 > needed ? *capacity * 2 : needed + 64;
    void *grown = mem_realloc(*array, *capacity * size, wanted * size);
    if (grown == NULL) {
        machine_fail(m, STATUS_MEMORY, "not enough memory");
        return false;
    }
    memset((char *)grown + *capacity * size, 0, (wanted - *capacity) * size);
    *array = grown;
    *capacity = wanted;
    return true;
}

/* Takes what a maker returned: NULL means that it failed. */
static Status push(Machine *m, PickleValue *v) {
    void *stack = m->stack;
    if (v == NULL) return m->status;
    if (!grow(m, &stack, &m->stack_capacity, m->n_stack + 1, sizeof(PickleValue *)))
        return m->status;
    m->stack = stack;
    m->stack[m->n_stack++] = v;
    return STATUS_OK;
}

/* What is under the last mark is out of reach. */
static PickleValue *top(Machine *m) {
    size_t floor = m->n_marks > 0 ? m->marks[m->n_marks - 1] : 0;
    if (m->n_stack > floor) return m->stack[m->n_stack - 1];
    machine_fail(m, STATUS_FORMAT, "takes a value where there is none; the file is damaged");
    return NULL;
}

static PickleValue *pop(Machine *m) {
    PickleValue *v = top(m);
    if (v != NULL) m->n_stack--;
    return v;
}

static Status push_mark(Machine *m) {
    void *marks = m->marks;
    if (!grow(m, &marks, &m->marks_capacity, m->n_marks + 1, sizeof(size_t))) return m->status;
    m->marks = marks;
    m->marks[m->n_marks++] = m->n_stack;
    return STATUS_OK;
}

/* The values above the last mark, which stay readable until the next push. */
static PickleValue **pop_marked(Machine *m, size_t *n) {
    if (m->n_marks == 0) {
        machine_fail(m, STATUS_FORMAT, "asks for a mark that is not there; the file is damaged");
        return NULL;
    }
    size_t height = m->marks[--m->n_marks];
    *n = m->n_stack - height;
    m->n_stack = height;
    return m->stack + height;
}

/* Pythons count memo entries up from 0 or 1, so an index far beyond the opcodes seen is damage. */
static Status memo_put(Machine *m, uint64_t index) {
    void *memo = m->memo;
    PickleValue *v = top(m);
    if (v == NULL) return m->status;
    if (index > 2 * (uint64_t)m->n_ops + 1024)
        return machine_fail(m, STATUS_FORMAT, "memo entry %llu is out of order; damaged",
                            (unsigned long long)index);
    if (!grow(m, &memo, &m->memo_capacity, (size_t)index + 1, sizeof(PickleValue *)))
        return m->status;
    m->memo = memo;
    if (m->memo[index] == NULL) m->n_memo++;
    m->memo[index] = v;
    return STATUS_OK;
}

static Status memo_get(Machine *m, uint64_t index) {
    if (index >= m->memo_capacity || m->memo[index] == NULL)
        return machine_fail(m, STATUS_FORMAT, "memo entry %llu was never stored; damaged",
                            (unsigned long long)index);
    return push(m, m->memo[index]);
}

/* --- Opcodes: numbers and text ---------------------------------------------------------------- */

static Status push_int(Machine *m, int bytes, bool is_signed) {
    uint64_t bits;
    if (!take_number(m, bytes, &bits)) return m->status;
    return push(m, machine_int(m, is_signed ? (int64_t)(int32_t)(uint32_t)bits : (int64_t)bits));
}

/* Two's complement of any length. */
static Status push_long(Machine *m, int length_bytes) {
    uint64_t n, bits = 0;
    if (!take_number(m, length_bytes, &n)) return m->status;
    const uint8_t *p = take(m, n);
    if (p == NULL) return m->status;
    if (n > 8) return push(m, machine_text(m, PICKLE_BIG, p, (size_t)n));
    if (n > 0 && (p[n - 1] & 0x80) != 0) bits = UINT64_MAX;
    for (size_t i = 0; i < n; i++)
        bits = (bits & ~((uint64_t)0xFF << (8 * i))) | (uint64_t)p[i] << (8 * i);
    return push(m, machine_int(m, (int64_t)bits));
}

static Status push_double(Machine *m) {
    const uint8_t *p = take(m, 8);
    uint64_t bits = 0;
    double value;
    for (int i = 0; p != NULL && i < 8; i++) bits = bits << 8 | p[i];
    memcpy(&value, &bits, sizeof value);
    return p != NULL ? push(m, new_float(m, value)) : m->status;
}

static Status push_text(Machine *m, PickleKind kind, int length_bytes) {
    uint64_t n;
    if (!take_number(m, length_bytes, &n)) return m->status;
    const uint8_t *p = take(m, n);
    return p != NULL ? push(m, machine_text(m, kind, p, (size_t)n)) : m->status;
}

/* Numbers in decimal, of protocol 0: "12", "01" (a bool), "12L", "0.5". */
static Status push_decimal(Machine *m, char op) {
    size_t n;
    char text[64], *end;
    const char *line = take_line(m, &n);
    if (line == NULL) return m->status;
    if (n > 0 && op == 'L' && line[n - 1] == 'L') n--;
    if (n == 0 || n >= sizeof text || memchr(line, 0, n) != NULL)
        return machine_fail(m, STATUS_FORMAT, "a number of %zu characters", n);
    memcpy(text, line, n);
    text[n] = 0;
    if (op == 'I' && strcmp(text, "01") == 0) return push(m, m->yes);
    if (op == 'I' && strcmp(text, "00") == 0) return push(m, m->no);
    errno = 0;
    double real = op == 'F' ? strtod(text, &end) : 0;
    long long integer = op == 'F' ? 0 : strtoll(text, &end, 10);
    if (*end != 0) return machine_fail(m, STATUS_FORMAT, "'%s' is no number", text);
    if (op != 'F' && errno == ERANGE) /* its digits say it as well */
        return push(m, machine_text(m, PICKLE_OTHER, line, n));
    return push(m, op == 'F' ? new_float(m, real) : machine_int(m, integer));
}

static int hex_digits(const char *p, size_t left, int n, uint32_t *out) {
    *out = 0;
    if (left < (size_t)n) return 0;
    for (int i = 0; i < n; i++) {
        char c = p[i];
        int digit = c >= '0' && c <= '9'   ? c - '0'
                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                    : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                           : -1;
        if (digit < 0) return 0;
        *out = *out << 4 | (uint32_t)digit;
    }
    return n;
}

static char *put_utf8(char *out, uint32_t c) {
    if (c < 0x80) {
        *out++ = (char)c;
        return out;
    }
    int more = c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
    static const uint8_t lead[] = {0, 0xC0, 0xE0, 0xF0};
    *out++ = (char)(lead[more] | c >> (6 * more));
    while (more-- > 0) *out++ = (char)(0x80 | (c >> (6 * more) & 0x3F));
    return out;
}

/* Escapes of the text opcodes: \uXXXX and \UXXXXXXXX in 'V'; \n, \xXX, \' and the like in 'S'. */
static size_t take_escape(char op, const char *p, size_t left, uint32_t *c) {
    static const char names[] = "n\nr\rt\t\\\\'\'\"\"";
    if (left < 2 || p[0] != '\\') return 0;
    if (op == 'V' && p[1] == 'u' && hex_digits(p + 2, left - 2, 4, c)) return 6;
    if (op == 'V' && p[1] == 'U' && hex_digits(p + 2, left - 2, 8, c) && *c < 0x110000) return 10;
    if (op == 'V') return 0;
    if (p[1] == 'x' && hex_digits(p + 2, left - 2, 2, c)) return 4;
    for (size_t i = 0; i + 1 < sizeof names; i += 2)
        if (names[i] == p[1]) {
            *c = (uint8_t)names[i + 1];
            return 2;
        }
    return 0;
}

/* The text opcodes of protocol 0; bytes over 127 become UTF-8. */
static Status push_line(Machine *m, char op) {
    size_t n;
    const char *line = take_line(m, &n);
    if (line == NULL) return m->status;
    if (op == 'S') {
        if (n < 2 || line[0] != line[n - 1] || (line[0] != '\'' && line[0] != '"'))
            return machine_fail(m, STATUS_FORMAT, "a text without quotes");
        line++;
        n -= 2;
    }
    char *text = machine_alloc(m, 2 * n + 4), *end = text;
    if (text == NULL) return m->status;
    for (size_t i = 0; i < n;) {
        uint32_t c = (uint8_t)line[i];
        size_t step = take_escape(op, line + i, n - i, &c);
        if (step == 0) c = (uint8_t)line[i];
        end = put_utf8(end, c);
        i += step > 0 ? step : 1;
    }
    return push(m, machine_text(m, PICKLE_TEXT, text, (size_t)(end - text)));
}

/* --- Opcodes: containers ---------------------------------------------------------------------- */

static Status push_marked(Machine *m, PickleKind kind) {
    size_t n;
    PickleValue **item = pop_marked(m, &n);
    if (item == NULL) return m->status;
    if (kind == PICKLE_DICT && n % 2 != 0)
        return machine_fail(m, STATUS_FORMAT, "a key without a value");
    return push(m, new_list(m, kind, item, n));
}

static Status push_tuple(Machine *m, size_t n) {
    PickleValue *item[3];
    for (size_t i = n; i-- > 0;)
        if ((item[i] = pop(m)) == NULL) return m->status;
    return push(m, new_list(m, PICKLE_TUPLE, item, n));
}

/* Appends to the list, set or dict under them. The items lie above the stack's end meanwhile, where
 * nothing is pushed until they are stored. */
static Status store(Machine *m, PickleKind kind, PickleValue **item, size_t n) {
    PickleValue *into = top(m);
    if (into == NULL) return m->status;
    if (into->kind != kind || (kind == PICKLE_DICT && n % 2 != 0))
        return machine_fail(m, STATUS_FORMAT, "puts items into something that holds none; damaged");
    for (size_t i = 0; i < n; i++)
        if (!machine_append(m, into, item[i])) return m->status;
    return STATUS_OK;
}

static Status store_marked(Machine *m, PickleKind kind) {
    size_t n;
    PickleValue **item = pop_marked(m, &n);
    return item != NULL ? store(m, kind, item, n) : m->status;
}

static Status store_popped(Machine *m, PickleKind kind, size_t n) {
    PickleValue *item[2] = {NULL, NULL};
    for (size_t i = n; i-- > 0;)
        if ((item[i] = pop(m)) == NULL) return m->status;
    return store(m, kind, item, n);
}

static Status drop(Machine *m) {
    size_t n, floor = m->n_marks > 0 ? m->marks[m->n_marks - 1] : 0;
    if (m->n_marks > 0 && m->n_stack == floor) return pop_marked(m, &n), STATUS_OK;
    return pop(m) != NULL ? STATUS_OK : m->status;
}

/* --- Opcodes: names and calls ----------------------------------------------------------------- */

static PickleValue *line_global(Machine *m) {
    size_t n_module = 0, n_name = 0;
    const char *module = take_line(m, &n_module);
    const char *name = module != NULL ? take_line(m, &n_name) : NULL;
    return name != NULL ? object_global(m, module, n_module, name, n_name) : NULL;
}

static Status stack_global(Machine *m) {
    const PickleValue *name = pop(m), *module = name != NULL ? pop(m) : NULL;
    if (module == NULL) return m->status;
    if (name->kind != PICKLE_TEXT || module->kind != PICKLE_TEXT)
        return machine_fail(m, STATUS_FORMAT, "a name that is no text");
    return push(m, object_global(m, module->text.data, module->text.bytes, name->text.data,
                                 name->text.bytes));
}

/* REDUCE, NEWOBJ and (extra) NEWOBJ_EX, whose keyword arguments must be none. */
static Status call(Machine *m, bool extra) {
    const PickleValue *keywords = extra ? pop(m) : NULL;
    if (extra && keywords == NULL) return m->status;
    if (extra && (keywords->kind != PICKLE_DICT || keywords->list.n > 0))
        return machine_fail(m, STATUS_FORMAT,
                            "calls with keyword arguments, which plain data never do");
    const PickleValue *args = pop(m), *callee = args != NULL ? pop(m) : NULL;
    return callee != NULL ? push(m, object_call(m, callee, args)) : m->status;
}

/* INST names the callee in two lines, OBJ has it as the first value above the mark. */
static Status call_marked(Machine *m, bool named) {
    size_t n;
    PickleValue *callee = named ? line_global(m) : NULL;
    if (named && callee == NULL) return m->status;
    PickleValue **item = pop_marked(m, &n);
    if (item == NULL) return m->status;
    if (!named && n == 0) return machine_fail(m, STATUS_FORMAT, "a call of nothing; damaged");
    if (!named) callee = item[0];
    PickleValue *args = new_list(m, PICKLE_TUPLE, named ? item : item + 1, named ? n : n - 1);
    return args != NULL ? push(m, object_call(m, callee, args)) : m->status;
}

static Status build(Machine *m) {
    const PickleValue *state = pop(m);
    PickleValue *object = state != NULL ? top(m) : NULL;
    if (object == NULL) return m->status;
    return object_build(m, object, state) ? STATUS_OK : m->status;
}

static Status persistent(Machine *m) {
    const PickleValue *id = pop(m);
    return id != NULL ? push(m, object_persistent(m, id)) : m->status;
}

/* --- The machine ------------------------------------------------------------------------------ */

static Status check_protocol(Machine *m) {
    uint64_t version;
    if (!take_number(m, 1, &version)) return m->status;
    if (version <= 5) return STATUS_OK;
    return machine_fail(m, STATUS_UNSUPPORTED, "protocol %llu; 0 to 5 are read",
                        (unsigned long long)version);
}

static Status memo_numbered(Machine *m, int bytes, Status (*use)(Machine *, uint64_t)) {
    uint64_t index;
    return take_number(m, bytes, &index) ? use(m, index) : m->status;
}

static Status memo_line(Machine *m, Status (*use)(Machine *, uint64_t)) {
    size_t n;
    uint64_t index = 0;
    const char *line = take_line(m, &n);
    if (line == NULL) return m->status;
    for (size_t i = 0; i < n; i++) {
        if (n > 12 || line[i] < '0' || line[i] > '9')
            return machine_fail(m, STATUS_FORMAT, "a memo entry that is no number");
        index = index * 10 + (uint64_t)(line[i] - '0');
    }
    return use(m, index);
}

/* One line an opcode, so the length is that of the list. STOP is the caller's. */
static Status step(Machine *m, uint8_t op) {
    uint64_t frame;
    size_t n;
    switch (op) {
    case 0x80: return check_protocol(m);
    case 0x95: return take_number(m, 8, &frame) ? STATUS_OK : m->status; /* FRAME: a hint */
    case '(': return push_mark(m);
    case '0': return drop(m);
    case '1': return pop_marked(m, &n) != NULL ? STATUS_OK : m->status;
    case '2': return push(m, top(m));
    case 'N': return push(m, m->none);
    case 0x88: return push(m, m->yes);
    case 0x89: return push(m, m->no);
    case 'K': return push_int(m, 1, false);
    case 'M': return push_int(m, 2, false);
    case 'J': return push_int(m, 4, true);
    case 0x8a: return push_long(m, 1);
    case 0x8b: return push_long(m, 4);
    case 'G': return push_double(m);
    case 'I':
    case 'L':
    case 'F': return push_decimal(m, (char)op);
    case 'S':
    case 'V': return push_line(m, (char)op);
    case 'X': return push_text(m, PICKLE_TEXT, 4);
    case 0x8c: return push_text(m, PICKLE_TEXT, 1);
    case 0x8d: return push_text(m, PICKLE_TEXT, 8);
    case 'U': return push_text(m, PICKLE_TEXT, 1); /* Python 2 texts */
    case 'T': return push_text(m, PICKLE_TEXT, 4);
    case 'C': return push_text(m, PICKLE_BYTES, 1);
    case 'B': return push_text(m, PICKLE_BYTES, 4);
    case 0x8e:
    case 0x96: return push_text(m, PICKLE_BYTES, 8); /* bytes, bytearray */
    case ')': return push(m, machine_value(m, PICKLE_TUPLE));
    case ']': return push(m, machine_value(m, PICKLE_LIST));
    case '}': return push(m, machine_value(m, PICKLE_DICT));
    case 0x8f: return push(m, machine_value(m, PICKLE_SET));
    case 0x85: return push_tuple(m, 1);
    case 0x86: return push_tuple(m, 2);
    case 0x87: return push_tuple(m, 3);
    case 't': return push_marked(m, PICKLE_TUPLE);
    case 'l': return push_marked(m, PICKLE_LIST);
    case 'd': return push_marked(m, PICKLE_DICT);
    case 0x91: return push_marked(m, PICKLE_SET); /* frozenset */
    case 'a': return store_popped(m, PICKLE_LIST, 1);
    case 'e': return store_marked(m, PICKLE_LIST);
    case 's': return store_popped(m, PICKLE_DICT, 2);
    case 'u': return store_marked(m, PICKLE_DICT);
    case 0x90: return store_marked(m, PICKLE_SET);
    case 'q': return memo_numbered(m, 1, memo_put);
    case 'r': return memo_numbered(m, 4, memo_put);
    case 'h': return memo_numbered(m, 1, memo_get);
    case 'j': return memo_numbered(m, 4, memo_get);
    case 'p': return memo_line(m, memo_put);
    case 'g': return memo_line(m, memo_get);
    case 0x94: return memo_put(m, m->n_memo); /* MEMOIZE */
    case 'c': return push(m, line_global(m));
    case 0x93: return stack_global(m);
    case 'R':
    case 0x81: return call(m, false);
    case 0x92: return call(m, true);
    case 'i': return call_marked(m, true);
    case 'o': return call_marked(m, false);
    case 'b': return build(m);
    case 'Q': return persistent(m);
    case 0x98: return STATUS_OK; /* READONLY_BUFFER */
    default: break;
    }
    return machine_fail(m, STATUS_FORMAT,
                        "opcode 0x%02x is unknown or has no place in a checkpoint; damaged?", op);
}

static Status run(Machine *m, Pickle *out) {
    void *stack = NULL;
    if (!grow(m, &stack, &m->stack_capacity, 1, sizeof(PickleValue *))) return m->status;
    m->stack = stack;
    m->none = machine_value(m, PICKLE_NONE);
    m->yes = machine_value(m, PICKLE_BOOL);
    m->no = machine_value(m, PICKLE_BOOL);
    if (m->status != STATUS_OK) return m->status;
    m->yes->flag = true;
    for (;;) {
        m->op_at = m->at;
        if (++m->n_ops > MAX_OPS)
            return machine_fail(m, STATUS_UNSUPPORTED, "more than %d opcodes", (int)MAX_OPS);
        const uint8_t *op = take(m, 1);
        if (op == NULL) return m->status;
        if (*op == '.') break;
        Status status = step(m, *op);
        if (status != STATUS_OK) return status;
    }
    out->root = pop(m);
    out->bytes = m->at;
    out->storages = m->storages;
    out->n_storages = m->n_storages;
    return m->status;
}

Status pickle_parse(const char *path, const uint8_t *data, size_t bytes, Arena *arena, Pickle *out,
                    Error *err) {
    Machine m = {.path = path, .data = data, .bytes = bytes, .arena = arena, .err = err};
    *out = (Pickle){0};
    Status status = run(&m, out);
    mem_free(m.stack);
    mem_free(m.marks);
    mem_free(m.memo);
    return status;
}
