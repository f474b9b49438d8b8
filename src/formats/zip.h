/* The directory of a zip archive in memory, zip64 included; entries are found, not unpacked.
 *
 * Why not libzip: torch stores its entries uncompressed, and all that is wanted of the archive is
 * where each lies in the map of the file, so that a tensor of a gigabyte is read in place; libzip
 * hands out copies through a stream and keeps the positions to itself. A directory is a list of
 * fixed records, and every field of it is checked here against the file's size.
 * Format: PKWARE's APPNOTE, 4.3. */
#ifndef FORMATS_ZIP_H
#define FORMATS_ZIP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

typedef struct ZipEntry {
    const char *name; /* inside the archive, not terminated */
    size_t name_bytes;
    uint64_t header, packed, bytes; /* of the local header; sizes stored and unpacked */
    uint16_t flags, method;
} ZipEntry;

typedef struct Zip {
    const char *path;
    const uint8_t *data;
    size_t bytes;
    ZipEntry *entry; /* by name */
    size_t n;
} Zip;

/* `data` and `path` must outlive the archive. FORMAT: cut off, damaged. */
Status zip_open(const char *path, const uint8_t *data, size_t bytes, Zip *out, Error *err);
void zip_close(Zip *z);
const ZipEntry *zip_find(const Zip *z, const char *name, size_t name_bytes); /* NULL: absent */
bool zip_name_ends(const ZipEntry *e, const char *ending);
/* The entry's bytes in place. UNSUPPORTED: compressed or encrypted. */
Status zip_bytes(const Zip *z, const ZipEntry *e, const uint8_t **data, size_t *bytes, Error *err);

#endif
