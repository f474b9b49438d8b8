/* See zip.h. The archive is read from its end: the end record names the directory, whose records
 * name the entries; an entry's bytes follow its local header. */
#include "formats/zip.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

enum {
    END_BYTES = 22,
    END64_BYTES = 56,
    LOCATOR_BYTES = 20,
    RECORD_BYTES = 46,
    LOCAL_BYTES = 30,
    MAX_COMMENT = 65535,
    MAX_ENTRIES = 1 << 20, /* torch writes one a tensor */
    MAX_DIRECTORY_BYTES = 1 << 28
};
#define END_MARK 0x06054b50u
#define END64_MARK 0x06064b50u
#define LOCATOR_MARK 0x07064b50u
#define RECORD_MARK 0x02014b50u
#define LOCAL_MARK 0x04034b50u

static uint64_t number(const uint8_t *p, int bytes) {
    uint64_t v = 0;
    for (int i = 0; i < bytes; i++) v |= (uint64_t)p[i] << (8 * i);
    return v;
}

static Status damaged(const Zip *z, const char *what, Error *err) {
    return error_set(err, MAE_FORMAT,
                     "%s: the zip archive is damaged or cut off (%s); fetch it again",
                     z->source->path, what);
}

/* --- The directory ---------------------------------------------------------------------------- */

typedef struct Directory {
    uint64_t start, bytes, n;
} Directory;

/* The last bytes of the file: the end record, and the locator that may stand before it. */
typedef struct Tail {
    uint8_t data[LOCATOR_BYTES + END_BYTES + MAX_COMMENT];
    size_t bytes;
    uint64_t at; /* of the first of them */
} Tail;

static Status read_tail(const Zip *z, Tail *t, Error *err) {
    t->bytes = z->source->bytes < sizeof t->data ? (size_t)z->source->bytes : sizeof t->data;
    t->at = z->source->bytes - t->bytes;
    return byte_source_read(z->source, t->at, t->data, t->bytes, "the end of the archive", err);
}

static const uint8_t *find_end(const Tail *t) {
    size_t stop = t->at > 0 ? LOCATOR_BYTES : 0;
    if (t->bytes < END_BYTES) return NULL;
    for (size_t at = t->bytes - END_BYTES + 1; at-- > stop;) {
        const uint8_t *p = t->data + at;
        if (number(p, 4) == END_MARK && number(p + 20, 2) <= t->bytes - END_BYTES - at) return p;
    }
    return NULL;
}

/* Of the wide end record, which lies before byte `limit`. */
static Status read_wide_end(const Zip *z, uint64_t where, uint64_t limit, Directory *out,
                            Error *err) {
    uint8_t p[END64_BYTES];
    if (limit < END64_BYTES || where > limit - END64_BYTES)
        return damaged(z, "the wide end record lies outside", err);
    Status status = byte_source_read(z->source, where, p, sizeof p, "the end of the archive", err);
    if (status != MAE_OK) return status;
    if (number(p, 4) != END64_MARK) return damaged(z, "no wide end record", err);
    *out = (Directory){number(p + 48, 8), number(p + 40, 8), number(p + 32, 8)};
    return MAE_OK;
}

static Status check_directory(const Zip *z, const Directory *d, uint64_t limit, Error *err) {
    if (d->n > MAX_ENTRIES)
        return error_set(err, MAE_UNSUPPORTED,
                         "%s: the zip archive announces %" PRIu64 " entries; at most %d are read",
                         z->source->path, d->n, MAX_ENTRIES);
    if (d->start > limit || d->bytes > limit - d->start || d->n > d->bytes / RECORD_BYTES)
        return damaged(z, "the directory lies outside", err);
    if (d->bytes > MAX_DIRECTORY_BYTES)
        return error_set(err, MAE_UNSUPPORTED,
                         "%s: the directory of the zip archive has %" PRIu64
                         " bytes; at most %d are read",
                         z->source->path, d->bytes, MAX_DIRECTORY_BYTES);
    return MAE_OK;
}

/* The wide end record counts where there is one: torch writes it even for small files. */
static Status find_directory(const Zip *z, Directory *out, Error *err) {
    Status status = MAE_OK;
    Tail *tail = mem_alloc(sizeof *tail);
    if (tail == NULL) return error_set(err, MAE_MEMORY, "%s: not enough memory", z->source->path);
    TRY(read_tail(z, tail, err));
    const uint8_t *end = find_end(tail);
    if (end == NULL) {
        status = damaged(z, "no end record", err);
        goto done;
    }
    size_t before = (size_t)(end - tail->data);
    uint64_t at = tail->at + before;
    *out = (Directory){number(end + 16, 4), number(end + 12, 4), number(end + 10, 2)};
    if (before >= LOCATOR_BYTES && number(end - LOCATOR_BYTES, 4) == LOCATOR_MARK)
        TRY(read_wide_end(z, number(end - LOCATOR_BYTES + 8, 8), at, out, err));
    TRY(check_directory(z, out, at, err));
done:
    mem_free(tail);
    return status;
}

/* Fields of 0xFFFFFFFF stand in the extra field 1, eight bytes each, in this order. */
static bool read_wide(const uint8_t *extra, size_t bytes, ZipEntry *e) {
    uint64_t *const fields[] = {&e->bytes, &e->packed, &e->header};
    while (bytes >= 4) {
        size_t n = (size_t)number(extra + 2, 2);
        if (n > bytes - 4) return false;
        if (number(extra, 2) == 1) {
            const uint8_t *p = extra + 4;
            for (int i = 0; i < 3; i++) {
                if (*fields[i] != UINT32_MAX) continue;
                if (n < 8) return false;
                *fields[i] = number(p, 8);
                p += 8;
                n -= 8;
            }
            return true;
        }
        extra += 4 + n;
        bytes -= 4 + n;
    }
    return true; /* a size may really be 0xFFFFFFFF; the bounds are checked later */
}

static bool read_record(const uint8_t *p, size_t left, ZipEntry *e, size_t *used) {
    if (left < RECORD_BYTES || number(p, 4) != RECORD_MARK) return false;
    size_t name = (size_t)number(p + 28, 2), extra = (size_t)number(p + 30, 2);
    *used = RECORD_BYTES + name + extra + (size_t)number(p + 32, 2);
    if (*used > left) return false;
    *e = (ZipEntry){.name = (const char *)p + RECORD_BYTES,
                    .name_bytes = name,
                    .header = number(p + 42, 4),
                    .packed = number(p + 20, 4),
                    .bytes = number(p + 24, 4),
                    .flags = (uint16_t)number(p + 8, 2),
                    .method = (uint16_t)number(p + 10, 2)};
    return read_wide(p + RECORD_BYTES + name, extra, e);
}

static int compare_text(const char *a, size_t n_a, const char *b, size_t n_b) {
    int order = memcmp(a, b, n_a < n_b ? n_a : n_b);
    return order != 0 ? order : (n_a > n_b) - (n_a < n_b);
}

static int compare_entries(const void *left, const void *right) {
    const ZipEntry *a = left, *b = right;
    return compare_text(a->name, a->name_bytes, b->name, b->name_bytes);
}

static Status read_directory(Zip *z, const Directory *d, Error *err) {
    size_t left = (size_t)d->bytes;
    z->directory = mem_alloc(left);
    z->entry = mem_alloc_array((size_t)d->n, sizeof *z->entry);
    if (z->directory == NULL || z->entry == NULL)
        return error_set(err, MAE_MEMORY, "%s: not enough memory", z->source->path);
    const char *what = "the directory of the archive";
    Status status = byte_source_read(z->source, d->start, z->directory, left, what, err);
    if (status != MAE_OK) return status;
    const uint8_t *p = z->directory;
    for (uint64_t i = 0; i < d->n; i++) {
        size_t used;
        if (!read_record(p, left, &z->entry[z->n], &used))
            return damaged(z, "a record of its directory is wrong", err);
        z->n++;
        p += used;
        left -= used;
    }
    if (z->n > 0) qsort(z->entry, z->n, sizeof *z->entry, compare_entries);
    for (size_t i = 1; i < z->n; i++)
        if (compare_entries(&z->entry[i - 1], &z->entry[i]) == 0)
            return damaged(z, "two entries have the same name", err);
    return MAE_OK;
}

Status zip_open(const ByteSource *source, Zip *out, Error *err) {
    Status status = MAE_OK;
    Directory directory = {0};
    *out = (Zip){.source = source};
    TRY(find_directory(out, &directory, err));
    TRY(read_directory(out, &directory, err));
done:
    if (status != MAE_OK) zip_close(out);
    return status;
}

void zip_close(Zip *z) {
    mem_free(z->directory);
    mem_free(z->entry);
    *z = (Zip){0};
}

/* --- Entries ---------------------------------------------------------------------------------- */

const ZipEntry *zip_find(const Zip *z, const char *name, size_t name_bytes) {
    const ZipEntry key = {.name = name, .name_bytes = name_bytes};
    return z->n > 0 ? bsearch(&key, z->entry, z->n, sizeof key, compare_entries) : NULL;
}

bool zip_name_ends(const ZipEntry *e, const char *ending) {
    size_t n = strlen(ending);
    return e->name_bytes >= n && memcmp(e->name + e->name_bytes - n, ending, n) == 0;
}

Status zip_locate(const Zip *z, const ZipEntry *e, uint64_t *at, Error *err) {
    int shown = (int)(e->name_bytes < 100 ? e->name_bytes : 100);
    uint8_t p[LOCAL_BYTES];
    if (e->method != 0 || (e->flags & 1) != 0)
        return error_set(
            err, MAE_UNSUPPORTED,
            "%s: its entry '%.*s' is %s; torch stores them as they are. Unpack the archive "
            "and pack it with `zip -0`",
            z->source->path, shown, e->name, e->method != 0 ? "compressed" : "encrypted");
    if (e->header > z->source->bytes || z->source->bytes - e->header < LOCAL_BYTES)
        return damaged(z, "an entry lies outside", err);
    char what[128];
    snprintf(what, sizeof what, "the entry '%.*s'", shown, e->name);
    Status status = byte_source_read(z->source, e->header, p, sizeof p, what, err);
    if (status != MAE_OK) return status;
    uint64_t left = z->source->bytes - e->header;
    uint64_t skip = LOCAL_BYTES + number(p + 26, 2) + number(p + 28, 2);
    if (number(p, 4) != LOCAL_MARK || skip > left || e->bytes > left - skip ||
        e->packed != e->bytes)
        return damaged(z, "an entry is not where the directory says", err);
    *at = e->header + skip;
    return MAE_OK;
}
