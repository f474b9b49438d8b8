/* The pickle machine: a stack of values, marks on it, and a memo (pickle_stack.c). Each opcode
 * takes values from the stack and pushes one; so no pickle, however nested, makes this code
 * recurse. Opcodes as Lib/pickletools.py describes them. */
#include "formats/pickle/pickle.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "formats/pickle/pickle_machine.h"

enum { MAX_OPS = 1 << 24, NEAR_BYTES = 1 << 16 };

/* --- Opcodes: numbers and text ---------------------------------------------------------------- */

static Status push_int(Machine *m, int bytes, bool is_signed) {
    uint64_t bits;
    if (!machine_take_number(m, bytes, &bits)) return m->status;
    return machine_push(
        m, machine_int(m, is_signed ? (int64_t)(int32_t)(uint32_t)bits : (int64_t)bits));
}

/* Two's complement of any length. */
static Status push_long(Machine *m, int length_bytes) {
    uint64_t n, bits = 0;
    if (!machine_take_number(m, length_bytes, &n)) return m->status;
    const uint8_t *p = machine_take(m, n);
    if (p == NULL) return m->status;
    if (n > 8) return machine_push(m, machine_text(m, PICKLE_BIG, p, (size_t)n));
    if (n > 0 && (p[n - 1] & 0x80) != 0) bits = UINT64_MAX;
    for (size_t i = 0; i < n; i++)
        bits = (bits & ~((uint64_t)0xFF << (8 * i))) | (uint64_t)p[i] << (8 * i);
    return machine_push(m, machine_int(m, (int64_t)bits));
}

static Status push_double(Machine *m) {
    const uint8_t *p = machine_take(m, 8);
    uint64_t bits = 0;
    double value;
    for (int i = 0; p != NULL && i < 8; i++) bits = bits << 8 | p[i];
    memcpy(&value, &bits, sizeof value);
    return p != NULL ? machine_push(m, machine_float(m, value)) : m->status;
}

static Status push_text(Machine *m, int length_bytes) {
    uint64_t n;
    if (!machine_take_number(m, length_bytes, &n)) return m->status;
    const uint8_t *p = machine_take(m, n);
    return p != NULL ? machine_push(m, machine_text(m, PICKLE_TEXT, p, (size_t)n)) : m->status;
}

/* Bytes, or texts of Python 2, which may be bytes: an array's, when they are many. */
static Status push_bytes(Machine *m, PickleKind kind, int length_bytes) {
    uint64_t n;
    if (!machine_take_number(m, length_bytes, &n)) return m->status;
    if (n > NEAR_BYTES) return machine_push(m, machine_skip(m, n));
    const uint8_t *p = machine_take(m, n);
    return p != NULL ? machine_push(m, machine_text(m, kind, p, (size_t)n)) : m->status;
}

static bool is_decimal(const char *p, size_t n) {
    for (size_t i = 0; i < n; i++)
        if ((p[i] < '0' || p[i] > '9') && (i > 0 || p[i] != '-')) return false;
    return true;
}

/* Numbers in decimal, of protocol 0: "12", "01" (a bool), "12L", "0.5". */
static Status push_decimal(Machine *m, char op) {
    size_t n;
    char text[64], *end;
    const char *line = machine_take_line(m, &n);
    if (line == NULL) return m->status;
    if (n > 0 && op == 'L' && line[n - 1] == 'L') n--;
    if (op == 'L' && n >= sizeof text && is_decimal(line, n))
        return machine_push(m, machine_text(m, PICKLE_OTHER, line, n));
    if (n == 0 || n >= sizeof text || memchr(line, 0, n) != NULL)
        return machine_fail(m, MAE_FORMAT, "a number of %zu characters", n);
    memcpy(text, line, n);
    text[n] = 0;
    if (op == 'I' && strcmp(text, "01") == 0) return machine_push(m, m->yes);
    if (op == 'I' && strcmp(text, "00") == 0) return machine_push(m, m->no);
    errno = 0;
    double real = op == 'F' ? strtod(text, &end) : 0;
    long long integer = op == 'F' ? 0 : strtoll(text, &end, 10);
    if (*end != 0) return machine_fail(m, MAE_FORMAT, "'%s' is no number", text);
    if (op != 'F' && errno == ERANGE) /* its digits say it as well */
        return machine_push(m, machine_text(m, PICKLE_OTHER, line, n));
    return machine_push(m, op == 'F' ? machine_float(m, real) : machine_int(m, integer));
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
    const char *line = machine_take_line(m, &n);
    if (line == NULL) return m->status;
    if (op == 'S') {
        if (n < 2 || line[0] != line[n - 1] || (line[0] != '\'' && line[0] != '"'))
            return machine_fail(m, MAE_FORMAT, "a text without quotes");
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
    return machine_push(m, machine_text(m, PICKLE_TEXT, text, (size_t)(end - text)));
}

/* --- Opcodes: containers ---------------------------------------------------------------------- */

static Status push_marked(Machine *m, PickleKind kind) {
    size_t n;
    PickleValue **item = machine_pop_marked(m, &n);
    if (item == NULL) return m->status;
    if (kind == PICKLE_DICT && n % 2 != 0)
        return machine_fail(m, MAE_FORMAT, "a key without a value");
    return machine_push(m, machine_list(m, kind, item, n));
}

static Status push_tuple(Machine *m, size_t n) {
    PickleValue *item[3];
    for (size_t i = n; i-- > 0;)
        if ((item[i] = machine_pop(m)) == NULL) return m->status;
    return machine_push(m, machine_list(m, PICKLE_TUPLE, item, n));
}

/* Appends to the list, set or dict under them. The items lie above the stack's end meanwhile, where
 * nothing is pushed until they are stored. */
static Status store(Machine *m, PickleKind kind, PickleValue **item, size_t n) {
    PickleValue *into = machine_top(m);
    if (into == NULL) return m->status;
    if (into->kind == PICKLE_OBJECT) {
        into = opaque_content(m, into->object, kind);
        if (into == NULL) return m->status;
        kind = into->kind;
    }
    if (into->kind != kind || (kind == PICKLE_DICT && n % 2 != 0))
        return machine_fail(m, MAE_FORMAT, "puts items into something that holds none; damaged");
    for (size_t i = 0; i < n; i++)
        if (!machine_append(m, into, item[i])) return m->status;
    return MAE_OK;
}

static Status store_marked(Machine *m, PickleKind kind) {
    size_t n;
    PickleValue **item = machine_pop_marked(m, &n);
    return item != NULL ? store(m, kind, item, n) : m->status;
}

static Status store_popped(Machine *m, PickleKind kind, size_t n) {
    PickleValue *item[2] = {NULL, NULL};
    for (size_t i = n; i-- > 0;)
        if ((item[i] = machine_pop(m)) == NULL) return m->status;
    return store(m, kind, item, n);
}

static Status drop(Machine *m) {
    size_t n, floor = m->n_marks > 0 ? m->marks[m->n_marks - 1] : 0;
    if (m->n_marks > 0 && m->n_stack == floor) return machine_pop_marked(m, &n), MAE_OK;
    return machine_pop(m) != NULL ? MAE_OK : m->status;
}

/* --- Opcodes: names and calls ----------------------------------------------------------------- */

static PickleValue *line_global(Machine *m) {
    size_t n_module = 0, n_name = 0;
    const char *module = machine_take_line(m, &n_module);
    const char *name = module != NULL ? machine_take_line(m, &n_name) : NULL;
    return name != NULL ? object_global(m, module, n_module, name, n_name) : NULL;
}

static Status stack_global(Machine *m) {
    const PickleValue *name = machine_pop(m), *module = name != NULL ? machine_pop(m) : NULL;
    if (module == NULL) return m->status;
    if (name->kind != PICKLE_TEXT || module->kind != PICKLE_TEXT)
        return machine_fail(m, MAE_FORMAT, "a name that is no text");
    return machine_push(m, object_global(m, module->text.data, module->text.bytes, name->text.data,
                                         name->text.bytes));
}

/* REDUCE and NEWOBJ. */
static Status call(Machine *m) {
    PickleValue *args = machine_pop(m);
    const PickleValue *callee = args != NULL ? machine_pop(m) : NULL;
    return callee != NULL ? machine_push(m, object_call(m, callee, args)) : m->status;
}

/* NEWOBJ_EX: keyword arguments are kept as the state of an object. */
static Status call_keywords(Machine *m) {
    PickleValue *keywords = machine_pop(m), *args = keywords != NULL ? machine_pop(m) : NULL;
    const PickleValue *callee = args != NULL ? machine_pop(m) : NULL;
    if (callee == NULL) return m->status;
    if (keywords->kind == PICKLE_DICT && keywords->list.n == 0)
        return machine_push(m, object_call(m, callee, args));
    if (callee->kind != PICKLE_GLOBAL)
        return machine_fail(m, MAE_FORMAT, "makes an object of no class; damaged");
    PickleValue *v = opaque_object(m, callee->global, args);
    if (v != NULL) v->object->state = keywords;
    return machine_push(m, v);
}

/* INST names the callee in two lines, OBJ has it as the first value above the mark. */
static Status call_marked(Machine *m, bool named) {
    size_t n;
    const PickleValue *callee = named ? line_global(m) : NULL;
    if (named && callee == NULL) return m->status;
    PickleValue **item = machine_pop_marked(m, &n);
    if (item == NULL) return m->status;
    if (!named && n == 0) return machine_fail(m, MAE_FORMAT, "a call of nothing; damaged");
    if (!named) callee = item[0];
    PickleValue *args = machine_list(m, PICKLE_TUPLE, named ? item : item + 1, named ? n : n - 1);
    return args != NULL ? machine_push(m, object_call(m, callee, args)) : m->status;
}

static Status build(Machine *m) {
    PickleValue *state = machine_pop(m);
    PickleValue *object = state != NULL ? machine_top(m) : NULL;
    if (object == NULL) return m->status;
    return object_build(m, object, state) ? MAE_OK : m->status;
}

static Status persistent(Machine *m) {
    const PickleValue *id = machine_pop(m);
    return id != NULL ? machine_push(m, object_persistent(m, id)) : m->status;
}

/* Of protocol 0: the id is a line, which torch never writes. */
static Status persistent_line(Machine *m) {
    size_t n;
    if (machine_take_line(m, &n) == NULL) return m->status;
    return machine_push(m, opaque_thing(m, "something outside of the file"));
}

/* A class by its number in a registry that only the program that wrote the file has. */
static Status extension(Machine *m, int bytes) {
    uint64_t code;
    if (!machine_take_number(m, bytes, &code)) return m->status;
    return machine_push(m, opaque_global(m, "copyreg", 7, "extension", 9));
}

/* --- The machine ------------------------------------------------------------------------------ */

static Status check_protocol(Machine *m) {
    uint64_t version;
    if (!machine_take_number(m, 1, &version)) return m->status;
    if (version <= 5) return MAE_OK;
    return machine_fail(m, MAE_UNSUPPORTED, "protocol %llu; 0 to 5 are read",
                        (unsigned long long)version);
}

static Status memo_numbered(Machine *m, int bytes, Status (*use)(Machine *, uint64_t)) {
    uint64_t index;
    return machine_take_number(m, bytes, &index) ? use(m, index) : m->status;
}

static Status memo_line(Machine *m, Status (*use)(Machine *, uint64_t)) {
    size_t n;
    uint64_t index = 0;
    const char *line = machine_take_line(m, &n);
    if (line == NULL) return m->status;
    for (size_t i = 0; i < n; i++) {
        if (n > 12 || line[i] < '0' || line[i] > '9')
            return machine_fail(m, MAE_FORMAT, "a memo entry that is no number");
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
    case 0x95: return machine_take_number(m, 8, &frame) ? MAE_OK : m->status; /* FRAME: a hint */
    case '(': return machine_mark(m);
    case '0': return drop(m);
    case '1': return machine_pop_marked(m, &n) != NULL ? MAE_OK : m->status;
    case '2': return machine_push(m, machine_top(m));
    case 'N': return machine_push(m, m->none);
    case 0x88: return machine_push(m, m->yes);
    case 0x89: return machine_push(m, m->no);
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
    case 'X': return push_text(m, 4);
    case 0x8c: return push_text(m, 1);
    case 0x8d: return push_text(m, 8);
    case 'U': return push_bytes(m, PICKLE_TEXT, 1); /* Python 2 texts */
    case 'T': return push_bytes(m, PICKLE_TEXT, 4);
    case 'C': return push_bytes(m, PICKLE_BYTES, 1);
    case 'B': return push_bytes(m, PICKLE_BYTES, 4);
    case 0x8e:
    case 0x96: return push_bytes(m, PICKLE_BYTES, 8); /* bytes, bytearray */
    case ')': return machine_push(m, machine_value(m, PICKLE_TUPLE));
    case ']': return machine_push(m, machine_value(m, PICKLE_LIST));
    case '}': return machine_push(m, machine_value(m, PICKLE_DICT));
    case 0x8f: return machine_push(m, machine_value(m, PICKLE_SET));
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
    case 'q': return memo_numbered(m, 1, machine_memo_put);
    case 'r': return memo_numbered(m, 4, machine_memo_put);
    case 'h': return memo_numbered(m, 1, machine_memo_get);
    case 'j': return memo_numbered(m, 4, machine_memo_get);
    case 'p': return memo_line(m, machine_memo_put);
    case 'g': return memo_line(m, machine_memo_get);
    case 0x94: return machine_memo_put(m, m->n_memo); /* MEMOIZE */
    case 'c': return machine_push(m, line_global(m));
    case 0x93: return stack_global(m);
    case 'R':
    case 0x81: return call(m);
    case 0x92: return call_keywords(m);
    case 0x82: return extension(m, 1);
    case 0x83: return extension(m, 2);
    case 0x84: return extension(m, 4);
    case 0x97: return machine_push(m, opaque_thing(m, "a buffer outside of the file"));
    case 'i': return call_marked(m, true);
    case 'o': return call_marked(m, false);
    case 'b': return build(m);
    case 'Q': return persistent(m);
    case 'P': return persistent_line(m);
    case 0x98: return MAE_OK; /* READONLY_BUFFER */
    default: break;
    }
    return machine_fail(m, MAE_FORMAT,
                        "opcode 0x%02x is unknown or has no place in a checkpoint; damaged?", op);
}

static Status run(Machine *m, Pickle *out) {
    if (machine_start(m) != MAE_OK) return m->status;
    for (;;) {
        m->op_at = m->at;
        if (++m->n_ops > MAX_OPS)
            return machine_fail(m, MAE_UNSUPPORTED, "more than %d opcodes", (int)MAX_OPS);
        const uint8_t *op = machine_take(m, 1);
        if (op == NULL) return m->status;
        if (*op == '.') break;
        Status status = step(m, *op);
        if (status != MAE_OK) return status;
    }
    out->root = machine_pop(m);
    out->bytes = m->at;
    out->storages = m->storages;
    out->n_storages = m->n_storages;
    return m->status;
}

Status pickle_parse(const ByteSource *source, uint64_t start, uint64_t bytes, Arena *arena,
                    Pickle *out, Error *err) {
    Machine m = {
        .source = source, .start = start, .bytes = (size_t)bytes, .arena = arena, .err = err};
    *out = (Pickle){0};
    Status status = run(&m, out);
    machine_free(&m);
    return status;
}
