/* What the parts of a TensorFile share: tensorfile.c (the face), tensorfile_open.c (what a file is,
 * shards). */
#ifndef FORMATS_TENSORFILE_INTERNAL_H
#define FORMATS_TENSORFILE_INTERNAL_H

#include "base/file.h"
#include "base/memory.h"
#include "formats/tensorfile.h"
#include "formats/tensor_table.h"

/* One file, or the bytes of one. */
typedef struct TensorPart {
    char *path;
    ByteSource source;
    TensorTable table;
} TensorPart;

struct TensorFile {
    char *path;
    const char *format;
    Arena *arena; /* texts of an index */
    TensorPart *part;
    size_t n_parts;
    TensorEntry *entry;          /* part after part */
    const StridedTensor **place; /* of each entry */
    size_t n_entries;
    const TensorEntry **by_name; /* each name once */
    size_t n_names;
    MetaEntry *meta;
    size_t n_meta, meta_capacity;
    const MetaEntry **by_key;
};

/* Collects entries and metadata of all parts, and sorts their names. FORMAT: a name is there twice.
 */
Status tensorfile_collect(TensorFile *f, Error *err);
Status tensorfile_add_meta(TensorFile *f, const char *key, const char *value, Error *err);

#endif
