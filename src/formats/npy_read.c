/* The header of a .npy file: a Python dictionary with the keys descr, fortran_order and shape, each
 * once, in any order. It is read as text, letter by letter. Nothing in it is run, and nothing
 * nests. Format: NumPy Enhancement Proposal 1, versions 1.0 to 3.0. */
#include <string.h>

#include "formats/npy.h"

/* What numpy itself writes has some hundred bytes; what it reads without being told, 10,000. */
enum { MAX_HEADER_BYTES = 65536, MAX_DIGITS = 15 };

typedef struct Text {
    const char *name; /* of the file */
    const char *at, *end;
    Error *err;
} Text;

static Status damaged(const Text *t, const char *what) {
    return error_set(t->err, MAE_FORMAT, "%s: %s in the header of this .npy file", t->name, what);
}

static void skip_blanks(Text *t) {
    while (t->at < t->end && *t->at && strchr(" \t\r\n\f", *t->at)) t->at++;
}

/* Takes the letter if it comes next. */
static bool accept(Text *t, char letter) {
    skip_blanks(t);
    if (t->at == t->end || *t->at != letter) return false;
    t->at++;
    return true;
}

static bool accept_word(Text *t, const char *word) {
    size_t n = strlen(word);
    skip_blanks(t);
    if ((size_t)(t->end - t->at) < n || memcmp(t->at, word, n) != 0) return false;
    t->at += n;
    return true;
}

/* A quoted text into out[bytes], which is terminated. */
static Status read_quoted(Text *t, char *out, size_t bytes) {
    char quote = accept(t, '\'') ? '\'' : accept(t, '"') ? '"' : 0;
    const char *from = t->at;
    if (!quote) return damaged(t, "a text in quotes is missing");
    const char *to = memchr(from, quote, (size_t)(t->end - from));
    if (!to || (size_t)(to - from) >= bytes) return damaged(t, "a text is too long");
    memcpy(out, from, (size_t)(to - from));
    out[to - from] = '\0';
    t->at = to + 1;
    return MAE_OK;
}

static Status read_integer(Text *t, int64_t *out) {
    int digits = 0;
    *out = 0;
    skip_blanks(t);
    for (; t->at < t->end && *t->at >= '0' && *t->at <= '9'; t->at++, digits++) {
        if (digits == MAX_DIGITS) return damaged(t, "a size that no memory has");
        *out = 10 * *out + (*t->at - '0');
    }
    return digits > 0 ? MAE_OK : damaged(t, "a shape that is not of whole numbers");
}

static Status read_shape(Text *t, Shape *out) {
    *out = (Shape){0};
    if (!accept(t, '(')) return damaged(t, "a shape without a bracket");
    while (!accept(t, ')')) {
        if (out->n_dims == MAX_DIMS) return damaged(t, "a shape of too many dimensions");
        Status status = read_integer(t, &out->dim[out->n_dims++]);
        if (status != MAE_OK) return status;
        if (accept(t, ',')) continue;
        if (!accept(t, ')')) return damaged(t, "a shape that does not end");
        break;
    }
    return MAE_OK;
}

static Status read_descr(Text *t, NpyArray *out) {
    static const struct {
        const char *name;
        DType type;
    } rows[] = {{"b1", DTYPE_BOOL}, {"u1", DTYPE_U8},  {"i1", DTYPE_I8},  {"u2", DTYPE_U16},
                {"i2", DTYPE_I16},  {"u4", DTYPE_U32}, {"i4", DTYPE_I32}, {"u8", DTYPE_U64},
                {"i8", DTYPE_I64},  {"f2", DTYPE_F16}, {"f4", DTYPE_F32}, {"f8", DTYPE_F64}};
    char text[64];
    skip_blanks(t);
    if (t->at < t->end && *t->at == '[')
        return error_set(t->err, MAE_UNSUPPORTED, "%s: an array of records; save one of its fields",
                         t->name);
    Status status = read_quoted(t, text, sizeof text);
    if (status != MAE_OK) return status;
    out->big_endian = text[0] == '>';
    const char *type = text[0] && strchr("<>|=", text[0]) ? text + 1 : text;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (strcmp(rows[i].name, type) == 0) {
            out->dtype = rows[i].type;
            return MAE_OK;
        }
    return error_set(t->err, MAE_UNSUPPORTED,
                     "%s: an array of type '%.20s', which is not read; save it as float32", t->name,
                     text);
}

static Status read_order(Text *t, NpyArray *out) {
    out->fortran_order = accept_word(t, "True");
    if (out->fortran_order || accept_word(t, "False")) return MAE_OK;
    return damaged(t, "fortran_order is neither True nor False");
}

/* The keys that were there, as bits in the order of this list. */
static Status read_entry(Text *t, NpyArray *out, unsigned *seen) {
    static const char *const keys[] = {"descr", "fortran_order", "shape"};
    char key[32];
    unsigned k = 0;
    Status status = read_quoted(t, key, sizeof key);
    if (status != MAE_OK) return status;
    while (k < 3 && strcmp(keys[k], key) != 0) k++;
    if (k == 3) return damaged(t, "an unknown key");
    if (*seen & 1u << k) return damaged(t, "a key that comes twice");
    *seen |= 1u << k;
    if (!accept(t, ':')) return damaged(t, "a key without a value");
    return k == 0 ? read_descr(t, out) : k == 1 ? read_order(t, out) : read_shape(t, &out->shape);
}

static Status read_dictionary(Text *t, NpyArray *out) {
    unsigned seen = 0;
    if (!accept(t, '{')) return damaged(t, "no dictionary");
    while (!accept(t, '}')) {
        Status status = read_entry(t, out, &seen);
        if (status != MAE_OK) return status;
        if (accept(t, ',')) continue;
        if (!accept(t, '}')) return damaged(t, "a dictionary that does not end");
        break;
    }
    skip_blanks(t);
    if (t->at != t->end) return damaged(t, "something after the dictionary");
    return seen == 7 ? MAE_OK : damaged(t, "a key is missing");
}

bool npy_is(const uint8_t *bytes, size_t n) {
    return n >= 6 && memcmp(bytes, "\x93NUMPY", 6) == 0;
}

/* Where the header starts and ends. */
static Status find_header(const char *name, const uint8_t *b, size_t n, size_t *start, size_t *end,
                          Error *err) {
    if (n < 12 || !npy_is(b, n))
        return error_set(err, MAE_FORMAT, "%s: no .npy file, or one that was cut off", name);
    if (b[6] < 1 || b[6] > 3)
        return error_set(err, MAE_UNSUPPORTED, "%s: .npy of version %d, where 1 to 3 are read",
                         name, b[6]);
    *start = b[6] == 1 ? 10 : 12;
    size_t length = (size_t)b[8] | (size_t)b[9] << 8;
    if (b[6] > 1) length |= (size_t)b[10] << 16 | (size_t)b[11] << 24;
    *end = *start + length;
    if (length <= MAX_HEADER_BYTES && *end <= n) return MAE_OK;
    return error_set(err, MAE_FORMAT, "%s: a .npy header of %zu bytes, the file has %zu", name,
                     length, n);
}

/* Elements, or -1 when their bytes are more than the file could have. */
static int64_t count_elements(const NpyArray *a, size_t room) {
    uint64_t count = 1, most = room / dtype_bytes(a->dtype);
    for (int i = 0; i < a->shape.n_dims; i++)
        if (a->shape.dim[i] == 0) return 0;
    for (int i = 0; i < a->shape.n_dims; i++) {
        if ((uint64_t)a->shape.dim[i] > most / count) return -1;
        count *= (uint64_t)a->shape.dim[i];
    }
    return (int64_t)count;
}

Status npy_parse(const char *name, const uint8_t *bytes, size_t n, NpyArray *out, Error *err) {
    size_t start = 0, end = 0;
    *out = (NpyArray){0};
    Status status = find_header(name, bytes, n, &start, &end, err);
    if (status != MAE_OK) return status;
    Text t = {name, (const char *)bytes + start, (const char *)bytes + end, err};
    status = read_dictionary(&t, out);
    if (status != MAE_OK) return status;
    out->data = bytes + end;
    out->n = count_elements(out, n - end);
    if (out->n >= 0) return MAE_OK;
    return error_set(err, MAE_FORMAT,
                     "%s: %zu bytes of data, fewer than the shape of the array wants; copy the "
                     "file again",
                     name, n - end);
}
