/* What the parts of a TensorFile share: tensorfile.c (the face), tensorfile_open.c (what a file is,
 * shards). */
#ifndef FORMATS_TENSORFILE_INTERNAL_H
#define FORMATS_TENSORFILE_INTERNAL_H

#include "base/file.h"
#include "base/memory.h"
#include "formats/tensorfile.h"
#include "formats/torch_file.h"

/* One file: exactly one of safe and torch is in use. */
typedef struct TensorPart {
    char *path;
    FileMap map;
    SafeTensors *safe;
    TorchFile torch;
} TensorPart;

struct TensorFile {
    char *path;
    const char *format;
    Arena *arena; /* texts of an index */
    TensorPart *part;
    size_t n_parts;
    TensorEntry *entry;   /* part after part */
    StridedTensor *place; /* of each entry */
    size_t n_entries;
    const TensorEntry **by_name;
    MetaEntry *meta;
    size_t n_meta, meta_capacity;
    const MetaEntry **by_key;
};

/* Reads bytes of one file into a zeroed part; *format becomes that of the part. */
Status tensorfile_parse_part(const void *data, size_t bytes, TensorPart *part, const char **format,
                             Error *err);
/* Collects entries and metadata of all parts, and sorts their names. FORMAT: a name is there twice.
 */
Status tensorfile_collect(TensorFile *f, Error *err);
Status tensorfile_add_meta(TensorFile *f, const char *key, const char *value, Error *err);

#endif
