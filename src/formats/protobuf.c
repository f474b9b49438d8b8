/* See protobuf.h. A field is a tag (number * 8 + wire type) and, by its type, a varint, four bytes,
 * or a length and that many bytes. */
#include "formats/protobuf.h"

#include <string.h>

#include "base/memory.h"

enum { WIRE_VARINT = 0, WIRE_BYTES = 2, WIRE_FIXED32 = 5 };

void protobuf_free(Protobuf *b) {
    mem_free(b->data);
    *b = (Protobuf){0};
}

static bool reserve(Protobuf *b, size_t more) {
    if (b->failed) return false;
    if (b->n + more <= b->capacity) return true;
    size_t capacity = (b->n + more) * 2;
    uint8_t *grown = mem_realloc(b->data, b->capacity, capacity);
    if (!grown) {
        b->failed = true;
        return false;
    }
    b->data = grown;
    b->capacity = capacity;
    return true;
}

void protobuf_put_raw(Protobuf *b, const void *data, size_t n) {
    if (n == 0 || !reserve(b, n)) return;
    memcpy(b->data + b->n, data, n);
    b->n += n;
}

enum { VARINT_MAX = 10 };

/* Seven bits a byte, lowest first; the top bit says that more follow. */
static size_t encode_varint(uint8_t out[VARINT_MAX], uint64_t v) {
    size_t n = 0;
    for (; v >= 0x80; v >>= 7) out[n++] = (uint8_t)(v | 0x80);
    out[n++] = (uint8_t)v;
    return n;
}

static void put_varint(Protobuf *b, uint64_t v) {
    uint8_t code[VARINT_MAX];
    protobuf_put_raw(b, code, encode_varint(code, v));
}

static void put_tag(Protobuf *b, int field, int wire) {
    put_varint(b, (uint64_t)field << 3 | (uint64_t)wire);
}

void protobuf_put_int(Protobuf *b, int field, int64_t v) {
    put_tag(b, field, WIRE_VARINT);
    put_varint(b, (uint64_t)v);
}

void protobuf_put_float(Protobuf *b, int field, float v) {
    put_tag(b, field, WIRE_FIXED32);
    protobuf_put_raw(b, &v, sizeof v);
}

void protobuf_put_length(Protobuf *b, int field, uint64_t bytes) {
    put_tag(b, field, WIRE_BYTES);
    put_varint(b, bytes);
}

void protobuf_put_text(Protobuf *b, int field, const char *s) {
    size_t n = strlen(s);
    protobuf_put_length(b, field, n);
    protobuf_put_raw(b, s, n);
}

size_t protobuf_open(Protobuf *b, int field) {
    put_tag(b, field, WIRE_BYTES);
    return b->n;
}

/* The length goes in front now that it is known. */
void protobuf_close(Protobuf *b, size_t start) {
    uint8_t code[VARINT_MAX];
    if (b->failed) return;
    size_t bytes = b->n - start, n = encode_varint(code, bytes);
    if (!reserve(b, n)) return;
    memmove(b->data + start + n, b->data + start, bytes);
    memcpy(b->data + start, code, n);
    b->n += n;
}

void protobuf_put_ints(Protobuf *b, int field, const int64_t *v, int n) {
    if (n == 0) return;
    size_t start = protobuf_open(b, field);
    for (int i = 0; i < n; i++) put_varint(b, (uint64_t)v[i]);
    protobuf_close(b, start);
}
