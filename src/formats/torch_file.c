/* See torch_file.h. The containers differ in one thing only, where a storage of a given key lies;
 * both give a function for that to the common end, which turns leaves of the pickle into tensors.
 */
#include "formats/torch_file.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "formats/pickle/pickle.h"
#include "formats/pickle/pickle_flatten.h"
#include "formats/zip.h"

/* Where the bytes of a storage are. */
typedef struct Blob {
    const char *key; /* not terminated */
    size_t key_bytes;
    uint64_t at, bytes; /* at 0: not known yet */
} Blob;

typedef struct Container {
    const ByteSource *source;
    Status (*find)(const struct Container *c, const PickleStorage *s, Blob *out, Error *err);
    const Zip *zip;
    const char *prefix; /* of the names in the zip, "archive/data/" without an end */
    size_t prefix_bytes;
    const Blob *blob; /* of a legacy file, by key */
    size_t n_blobs;
} Container;

/* --- Leaves to tensors ------------------------------------------------------------------------ */

/* The elements of an array in the pickle: in the arena, or far away in the source. */
static Status place_array(const Container *c, const PickleTensor *t, Arena *arena,
                          StridedTensor *out, Error *err) {
    out->at = t->at;
    if (t->data == NULL) return MAE_OK;
    size_t bytes = (size_t)shape_numel(t->shape) * dtype_bytes(t->dtype);
    ByteSource *memory = arena_alloc(arena, sizeof *memory);
    if (memory == NULL) return error_set(err, MAE_MEMORY, "%s: not enough memory", c->source->path);
    *memory = byte_source_of(c->source->path, t->data, bytes);
    out->source = memory;
    return MAE_OK;
}

/* The pickle was held to the size it states itself; here to the bytes that are there. */
static Status place(const Container *c, const PickleLeaf *leaf, Arena *arena, StridedTensor *out,
                    Error *err) {
    Status status = MAE_OK;
    const PickleTensor *t = leaf->tensor;
    *out = (StridedTensor){leaf->name, t->dtype, t->shape,      {0},    c->source,
                           0,          0,        leaf->refusal, t->type};
    if (leaf->refusal != NULL) return MAE_OK;
    memcpy(out->stride, t->stride, sizeof out->stride);
    if (t->storage == NULL) return place_array(c, t, arena, out, err);
    Blob blob = {0};
    TRY(c->find(c, t->storage, &blob, err));
    uint64_t wanted = (uint64_t)t->storage->root_numel * dtype_bytes(t->storage->dtype);
    if (wanted > blob.bytes)
        return error_set(err, MAE_FORMAT,
                         "%s: tensor '%.200s' lies in a storage of %" PRIu64
                         " bytes, of which %" PRIu64 " are there; the file is damaged or cut off",
                         c->source->path, leaf->name, wanted, blob.bytes);
    out->at = blob.at + (uint64_t)t->offset * dtype_bytes(t->dtype);
done:
    return status;
}

static Status split(const Container *c, const PickleLeaves *l, TensorTable *out, Error *err) {
    Status status = MAE_OK;
    out->tensor = mem_alloc_array(l->n, sizeof *out->tensor);
    out->meta = mem_alloc_array(l->n, sizeof *out->meta);
    if (out->tensor == NULL || out->meta == NULL)
        return error_set(err, MAE_MEMORY, "%s: not enough memory", c->source->path);
    for (size_t i = 0; i < l->n; i++) {
        const PickleLeaf *leaf = &l->leaf[i];
        if (leaf->tensor == NULL)
            out->meta[out->n_meta++] = (MetaEntry){leaf->name, leaf->text};
        else
            TRY(place(c, leaf, out->arena, &out->tensor[out->n_tensors++], err));
    }
done:
    return status;
}

static Status finish(const Container *c, const Pickle *pickle, TensorTable *out, Error *err) {
    Status status = MAE_OK;
    PickleLeaves leaves = {0};
    TRY(pickle_flatten(c->source->path, pickle, out->arena, &leaves, err));
    TRY(split(c, &leaves, out, err));
done:
    mem_free(leaves.leaf);
    return status;
}

static Status start(const ByteSource *source, const char *format, TensorTable *out, Error *err) {
    *out = (TensorTable){.format = format, .arena = arena_new()};
    if (out->arena != NULL) return MAE_OK;
    return error_set(err, MAE_MEMORY, "%s: not enough memory", source->path);
}

/* --- zip -------------------------------------------------------------------------------------- */

static Status find_in_zip(const Container *c, const PickleStorage *s, Blob *out, Error *err) {
    char name[512]; /* the prefix has at most 400, see find_pickle */
    if (s->key_bytes >= sizeof name - c->prefix_bytes - 5)
        return error_set(err, MAE_FORMAT, "%s: a storage with a key of %zu characters",
                         c->source->path, s->key_bytes);
    memcpy(name, c->prefix, c->prefix_bytes);
    memcpy(name + c->prefix_bytes, "data/", 5);
    memcpy(name + c->prefix_bytes + 5, s->key, s->key_bytes);
    const ZipEntry *e = zip_find(c->zip, name, c->prefix_bytes + 5 + s->key_bytes);
    if (e == NULL)
        return error_set(err, MAE_FORMAT,
                         "%s: the storage '%.*s' is missing from the archive; damaged",
                         c->source->path, (int)(s->key_bytes < 60 ? s->key_bytes : 60), s->key);
    out->bytes = e->bytes;
    return zip_locate(c->zip, e, &out->at, err);
}

/* The entry NAME/ENDING with the same folder as the pickle. */
static const ZipEntry *beside(const Container *c, const char *name) {
    char full[512];
    size_t n = strlen(name);
    memcpy(full, c->prefix, c->prefix_bytes);
    memcpy(full + c->prefix_bytes, name, n);
    return zip_find(c->zip, full, c->prefix_bytes + n);
}

/* The pickle and the folder that it is in. */
static Status find_pickle(Container *c, const ZipEntry **out, Error *err) {
    const ZipEntry *found = NULL;
    for (size_t i = 0; i < c->zip->n; i++) {
        const ZipEntry *e = &c->zip->entry[i];
        if (zip_name_ends(e, "/constants.pkl"))
            return error_set(err, MAE_UNSUPPORTED,
                             "%s: a TorchScript program, not a checkpoint; in Python: "
                             "torch.save(torch.jit.load(FILE).state_dict(), NEW)",
                             c->source->path);
        if (zip_name_ends(e, "/data.pkl") && (!found || e->name_bytes < found->name_bytes))
            found = e;
    }
    if (found == NULL || found->name_bytes > 400)
        return error_set(err, MAE_FORMAT,
                         "%s: a zip archive, but not one of torch (it has no data.pkl)",
                         c->source->path);
    c->prefix = found->name;
    c->prefix_bytes = found->name_bytes - strlen("data.pkl");
    *out = found;
    return MAE_OK;
}

static Status check_order(const Container *c, Error *err) {
    static const char little[] = {'l', 'i', 't', 't', 'l', 'e'};
    char order[sizeof little];
    uint64_t at;
    Status status = MAE_OK;
    const ZipEntry *e = beside(c, "byteorder");
    if (e == NULL) return MAE_OK; /* before torch 2.0: always little */
    TRY(zip_locate(c->zip, e, &at, err));
    size_t n = e->bytes < sizeof order ? (size_t)e->bytes : sizeof order;
    TRY(byte_source_read(c->source, at, order, n, "the byte order", err));
    if (n < sizeof order || memcmp(order, little, n) != 0)
        status =
            error_set(err, MAE_UNSUPPORTED,
                      "%s: written on a big-endian machine, which is not read; load and save it on "
                      "a little-endian one",
                      c->source->path);
done:
    return status;
}

Status torch_file_parse_zip(const ByteSource *source, TensorTable *out, Error *err) {
    Status status = MAE_OK;
    Zip zip = {0};
    const ZipEntry *entry = NULL;
    uint64_t at;
    Pickle pickle;
    Container c = {.source = source, .find = find_in_zip, .zip = &zip};
    TRY(start(source, "torch zip", out, err));
    TRY(zip_open(source, &zip, err));
    TRY(find_pickle(&c, &entry, err));
    TRY(check_order(&c, err));
    TRY(zip_locate(&zip, entry, &at, err));
    TRY(pickle_parse(source, at, entry->bytes, out->arena, &pickle, err));
    TRY(finish(&c, &pickle, out, err));
done:
    zip_close(&zip);
    if (status != MAE_OK) tensor_table_free(out);
    return status;
}

/* --- Streams of pickles ----------------------------------------------------------------------- */

static int compare_keys(const void *left, const void *right) {
    const Blob *a = left, *b = right;
    int order = memcmp(a->key, b->key, a->key_bytes < b->key_bytes ? a->key_bytes : b->key_bytes);
    return order != 0 ? order : (a->key_bytes > b->key_bytes) - (a->key_bytes < b->key_bytes);
}

static Blob *find_blob(const Blob *blob, size_t n, const PickleStorage *s) {
    const Blob key = {.key = s->key, .key_bytes = s->key_bytes};
    return n > 0 ? (Blob *)(uintptr_t)bsearch(&key, blob, n, sizeof key, compare_keys) : NULL;
}

static Status find_in_stream(const Container *c, const PickleStorage *s, Blob *out, Error *err) {
    const Blob *blob = find_blob(c->blob, c->n_blobs, s);
    if (blob == NULL || blob->at == 0)
        return error_set(err, MAE_FORMAT, "%s: the storage '%.*s' is missing; damaged",
                         c->source->path, (int)(s->key_bytes < 60 ? s->key_bytes : 60), s->key);
    *out = *blob;
    return MAE_OK;
}

static Status no_container(const Container *c, const PickleStorage *s, Blob *out, Error *err) {
    (void)s, (void)out;
    return error_set(
        err, MAE_FORMAT,
        "%s: a bare pickle whose tensors are stored elsewhere; it is part of a checkpoint",
        c->source->path);
}

/* After the list of keys: for each, a count of elements and the elements. How wide those are is
 * known only from where the pickle mentions the storage. */
typedef struct Widths {
    Blob *blob; /* by key; bytes is the width of an element until the data are found */
    size_t n;
} Widths;

static Status collect_widths(const char *path, const Pickle *pickle, Widths *out, Error *err) {
    out->blob = mem_alloc_array(pickle->n_storages, sizeof *out->blob);
    if (out->blob == NULL) return error_set(err, MAE_MEMORY, "%s: not enough memory", path);
    for (const PickleStorage *s = pickle->storages; s != NULL; s = s->next)
        out->blob[out->n++] = (Blob){s->key, s->key_bytes, 0, s->width};
    if (out->n > 0) qsort(out->blob, out->n, sizeof *out->blob, compare_keys);
    size_t kept = 0;
    for (size_t i = 0; i < out->n; i++)
        if (kept == 0 || compare_keys(&out->blob[kept - 1], &out->blob[i]) != 0)
            out->blob[kept++] = out->blob[i];
    out->n = kept;
    return MAE_OK;
}

/* The storage whose count of elements is at *at; then *at is behind it. Little-endian, because so
 * is the machine that wrote it: that was checked. False in *there: the file ends before. */
static Status take_blob(const ByteSource *s, Blob *blob, uint64_t *at, bool *there, Error *err) {
    uint8_t count[8];
    uint64_t n = 0, left = s->bytes - *at;
    *there = false;
    if (left < sizeof count) return MAE_OK;
    Status status = byte_source_read(s, *at, count, sizeof count, "the size of a storage", err);
    if (status != MAE_OK) return status;
    for (int i = 0; i < 8; i++) n |= (uint64_t)count[i] << (8 * i);
    if (blob->bytes > 0 && n > (left - sizeof count) / blob->bytes) return MAE_OK;
    *there = true;
    blob->at = *at + sizeof count;
    blob->bytes *= n;
    *at = blob->at + blob->bytes;
    return MAE_OK;
}

static Status find_blobs(const ByteSource *s, const PickleValue *keys, uint64_t at, Widths *w,
                         Error *err) {
    Status status = MAE_OK;
    if (keys->kind != PICKLE_LIST)
        return error_set(err, MAE_FORMAT, "%s: no list of storages; damaged", s->path);
    for (size_t i = 0; i < keys->list.n; i++) {
        const PickleValue *key = keys->list.item[i];
        PickleStorage wanted = {.key = key->text.data, .key_bytes = key->text.bytes};
        Blob *blob = key->kind == PICKLE_TEXT ? find_blob(w->blob, w->n, &wanted) : NULL;
        bool there;
        if (blob != NULL && blob->bytes == 0 && i + 1 < keys->list.n)
            return error_set(
                err, MAE_UNSUPPORTED,
                "%s: storage %zu has elements of an unknown type, so what follows it cannot "
                "be found; save the file in torch's zip format",
                s->path, i);
        if (blob == NULL || blob->at != 0)
            return error_set(err, MAE_FORMAT,
                             "%s: storage %zu of the list is not in use, or is there twice",
                             s->path, i);
        TRY(take_blob(s, blob, &at, &there, err));
        if (!there)
            return error_set(
                err, MAE_FORMAT,
                "%s: it ends inside storage %zu of %zu; the file is cut off, fetch it again",
                s->path, i + 1, keys->list.n);
    }
done:
    return status;
}

static const PickleValue *dict_get(const PickleValue *dict, const char *key) {
    size_t n = strlen(key);
    for (size_t i = 0; dict->kind == PICKLE_DICT && i < dict->list.n; i += 2) {
        const PickleValue *k = dict->list.item[i];
        if (k->kind == PICKLE_TEXT && k->text.bytes == n && memcmp(k->text.data, key, n) == 0)
            return dict->list.item[i + 1];
    }
    return NULL;
}

/* The parts of a legacy file before the storages. */
typedef struct Stream {
    const ByteSource *source;
    uint64_t at;
    Arena *arena;
} Stream;

static Status next_pickle(Stream *s, Pickle *out, Error *err) {
    const ByteSource *source = s->source;
    Status status = pickle_parse(source, s->at, source->bytes - s->at, s->arena, out, err);
    s->at += out->bytes;
    return status;
}

static Status check_system(Stream *s, Error *err) {
    Status status = MAE_OK;
    Pickle version, system;
    TRY(next_pickle(s, &version, err));
    if (version.root->kind != PICKLE_INT || version.root->integer != 1001)
        return error_set(err, MAE_UNSUPPORTED, "%s: an unknown version of torch's old format",
                         s->source->path);
    TRY(next_pickle(s, &system, err));
    const PickleValue *little = dict_get(system.root, "little_endian");
    if (little == NULL || little->kind != PICKLE_BOOL || !little->flag)
        return error_set(
            err, MAE_UNSUPPORTED,
            "%s: written on a big-endian machine, which is not read; load and save it on a "
            "little-endian one",
            s->source->path);
done:
    return status;
}

static Status read_stream(Stream *s, TensorTable *out, Error *err) {
    Status status = MAE_OK;
    Pickle pickle, keys;
    PickleLeaves leaves = {0};
    Widths widths = {0};
    out->format = "torch legacy";
    TRY(check_system(s, err));
    TRY(next_pickle(s, &pickle, err));
    TRY(next_pickle(s, &keys, err));
    TRY(pickle_flatten(s->source->path, &pickle, s->arena, &leaves, err));
    TRY(collect_widths(s->source->path, &pickle, &widths, err));
    TRY(find_blobs(s->source, keys.root, s->at, &widths, err));
    Container c = {
        .source = s->source, .find = find_in_stream, .blob = widths.blob, .n_blobs = widths.n};
    TRY(split(&c, &leaves, out, err));
done:
    mem_free(leaves.leaf);
    mem_free(widths.blob);
    return status;
}

/* 0x1950a86a20f9469cfc6c, the first pickle of the old format. */
static bool is_magic(const PickleValue *v) {
    static const uint8_t magic[] = {0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19};
    return v->kind == PICKLE_BIG && v->text.bytes == sizeof magic &&
           memcmp(v->text.data, magic, sizeof magic) == 0;
}

Status torch_file_parse_pickle(const ByteSource *source, TensorTable *out, Error *err) {
    Status status = MAE_OK;
    Pickle first;
    TRY(start(source, "pickle", out, err));
    Stream s = {source, 0, out->arena};
    TRY(next_pickle(&s, &first, err));
    if (is_magic(first.root)) {
        TRY(read_stream(&s, out, err));
    } else {
        const Container bare = {.source = source, .find = no_container};
        TRY(finish(&bare, &first, out, err));
    }
done:
    if (status != MAE_OK) tensor_table_free(out);
    return status;
}
