/* The directory of a zip archive, zip64 included. Entries are found, not unpacked.
 *
 * Why not libzip: torch stores its entries uncompressed, and readers only want to know where each
 * lies in the file, so that they can read a tensor of a gigabyte from there. libzip hands out
 * copies through a stream and keeps the positions to itself. A directory is a list of fixed
 * records, and every field is checked here against the file's size. Format: PKWARE's APPNOTE, 4.3.
 */
#ifndef FORMATS_ZIP_H
#define FORMATS_ZIP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/file.h"
#include "base/status.h"

typedef struct ZipEntry {
    const char *name; /* inside the directory, not terminated */
    size_t name_bytes;
    uint64_t header, packed, bytes; /* of the local header; sizes stored and unpacked */
    uint16_t flags, method;
} ZipEntry;

typedef struct Zip {
    const ByteSource *source;
    uint8_t *directory;
    ZipEntry *entry; /* by name */
    size_t n;
} Zip;

/* `source` must outlive the archive. FORMAT: cut off, damaged; UNSUPPORTED: more than 2^20 entries,
 * or a directory of more than 256 MB; IO; MEMORY. */
Status zip_open(const ByteSource *source, Zip *out, Error *err);
void zip_close(Zip *z);
const ZipEntry *zip_find(const Zip *z, const char *name, size_t name_bytes); /* NULL: absent */
bool zip_name_ends(const ZipEntry *e, const char *ending);
/* Where the entry's `bytes` lie in the source: all of them inside it. UNSUPPORTED: compressed or
 * encrypted. */
Status zip_locate(const Zip *z, const ZipEntry *e, uint64_t *at, Error *err);

#endif
