/* Protobuf messages, written: fields one after the other into a buffer that grows. No knowledge of
 * message types; field numbers are the caller's. A lack of memory is remembered in `failed`, so
 * that callers may ask once at the end. Format: protobuf's encoding guide. */
#ifndef FORMATS_PROTOBUF_H
#define FORMATS_PROTOBUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Zero-initialise it; protobuf_free when done. n = 0 starts anew. */
typedef struct Protobuf {
    uint8_t *data;
    size_t n, capacity;
    bool failed; /* memory ran out: the contents are not complete */
} Protobuf;
void protobuf_free(Protobuf *b);

void protobuf_put_int(Protobuf *b, int field, int64_t v); /* int32, int64, enum */
void protobuf_put_float(Protobuf *b, int field, float v);
void protobuf_put_text(Protobuf *b, int field, const char *s);
void protobuf_put_ints(Protobuf *b, int field, const int64_t *v,
                       int n); /* packed; none: no field */
/* The start of a field of so many bytes, which the caller puts behind it. */
void protobuf_put_length(Protobuf *b, int field, uint64_t bytes);
/* Bytes as they are: encoded fields, or what follows a length. */
void protobuf_put_raw(Protobuf *b, const void *data, size_t n);
/* A message inside: what is put between the two calls. close takes what open returned. */
size_t protobuf_open(Protobuf *b, int field);
void protobuf_close(Protobuf *b, size_t start);

#endif
