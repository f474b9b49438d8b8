/* One face for every file with named tensors: safetensors (one file, or shards with an index), and
 * the two formats of torch.save. The kind is recognised by content, never by name. A file of
 * another kind is refused with a sentence that says what it is.
 *
 * Opening reads headers only. Tensors are read one by one from the file, which stays open. Nothing
 * in a file is trusted, and nothing is ever executed. */
#ifndef FORMATS_TENSORFILE_H
#define FORMATS_TENSORFILE_H

#include "base/status.h"
#include "base/tensor.h"
#include "formats/tensor_table.h"

typedef struct TensorFile TensorFile;

typedef struct TensorEntry {
    const char *name; /* nested containers joined by dots: "model.cls_token" */
    DType dtype;      /* as in the file */
    Shape shape;
    /* NULL; or why it cannot be read, and the name of its type: tensors of types that this library
     * does not have, and of objects that it never makes, are listed and refused when read. */
    const char *refusal, *type;
} TensorEntry;

/* `path`: a file of any kind above; an index of shards, which lie beside it; or a folder that holds
 * model.safetensors, model.safetensors.index.json, pytorch_model.bin or
 * pytorch_model.bin.index.json (the first that is there). IO: cannot be read; FORMAT: damaged, cut
 * off, or would run code; UNSUPPORTED: well-formed but of a kind that is not read; MEMORY. */
Status tensorfile_open(const char *path, TensorFile **out, Error *err);
/* Does the folder hold one of these? */
bool tensorfile_is_folder(const char *path);
/* One file from memory that outlives the object; no index (fuzzing, tests). */
Status tensorfile_parse(const char *path, const void *data, size_t bytes, TensorFile **out,
                        Error *err);
void tensorfile_close(TensorFile *f); /* accepts NULL */

const char *tensorfile_path(const TensorFile *f); /* of the index or file that was opened */
/* "safetensors", "safetensors index", "torch zip", "torch legacy", "torch index", "pickle". */
const char *tensorfile_format(const TensorFile *f);
size_t tensorfile_count(const TensorFile *f);
const TensorEntry *tensorfile_at(const TensorFile *f, size_t i);           /* in file order */
const TensorEntry *tensorfile_find(const TensorFile *f, const char *name); /* NULL: absent */
const char *tensorfile_type(const TensorEntry *t);                         /* "F32", "uint16" */
/* Fails with the reason of an entry that cannot be read; OK for others. */
Status tensorfile_check(const TensorFile *f, const TensorEntry *t, Error *err);

/* Scalars and texts beside the tensors, by the same dotted names: "epoch" is "3", "args.model" is
 * its text; a float reads back exactly, None is "null", a bool "true" or "false". Of safetensors,
 * the metadata. When a key is there twice, its first value. */
const char *tensorfile_meta(const TensorFile *f, const char *key); /* NULL: absent */
size_t tensorfile_meta_count(const TensorFile *f);
MetaEntry tensorfile_meta_at(const TensorFile *f, size_t i);

/* All values in C order, strides and offsets applied. `t` is an entry of `f`; `out` has room for
 * shape_numel(t->shape) floats, or for that many elements of t->dtype. Integers beyond 2^24 and
 * doubles are rounded. Memory is taken only for elements that are out of order, then as much as
 * lies from the first to the last. IO: cannot be read, or became shorter since it was opened;
 * UNSUPPORTED: the entry has a refusal, or few elements are spread over more than 256 MB; MEMORY.
 */
Status tensorfile_read(const TensorFile *f, const TensorEntry *t, float *out, Error *err);
Status tensorfile_read_raw(const TensorFile *f, const TensorEntry *t, void *out, Error *err);

#endif
