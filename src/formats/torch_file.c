/* See torch_file.h. The containers differ in one thing only, where a storage of a given key lies;
 * both give a function for that to the common end, which turns leaves of the pickle into tensors.
 */
#include "formats/torch_file.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "formats/pickle.h"
#include "formats/pickle_flatten.h"
#include "formats/zip.h"

/* Bytes of a storage, in place. */
typedef struct Blob {
    const char *key; /* not terminated */
    size_t key_bytes;
    const uint8_t *data;
    size_t bytes;
} Blob;

typedef struct Container {
    const char *path;
    Status (*find)(const struct Container *c, const PickleStorage *s, Blob *out, Error *err);
    const Zip *zip;
    const char *prefix; /* of the names in the zip, "archive/data/" without an end */
    size_t prefix_bytes;
    const Blob *blob; /* of a legacy file, by key */
    size_t n_blobs;
} Container;

/* --- Leaves to tensors ------------------------------------------------------------------------ */

/* The pickle was held to the size it states itself; here to the bytes that are there. */
static Status place(const Container *c, const PickleLeaf *leaf, StridedTensor *out, Error *err) {
    Status status = STATUS_OK;
    const PickleTensor *t = leaf->tensor;
    *out = (StridedTensor){leaf->name, t->dtype, t->shape, {0}, t->data};
    memcpy(out->stride, t->stride, sizeof out->stride);
    if (t->storage == NULL) return STATUS_OK;
    Blob blob = {0};
    TRY(c->find(c, t->storage, &blob, err));
    size_t wanted = (size_t)t->storage->root_numel * dtype_bytes(t->storage->dtype);
    if (wanted > blob.bytes)
        return fail(err, STATUS_FORMAT,
                    "%s: tensor '%.200s' lies in a storage of %zu bytes, of which %zu are there; "
                    "the file is damaged or cut off",
                    c->path, leaf->name, wanted, blob.bytes);
    if (shape_numel(t->shape) > 0)
        out->data = blob.data + (size_t)t->offset * dtype_bytes(t->dtype);
done:
    return status;
}

static Status split(const Container *c, const PickleLeaves *l, TorchFile *out, Error *err) {
    Status status = STATUS_OK;
    out->tensor = mem_alloc_array(l->n, sizeof *out->tensor);
    out->meta = mem_alloc_array(l->n, sizeof *out->meta);
    if (out->tensor == NULL || out->meta == NULL)
        return fail(err, STATUS_MEMORY, "%s: not enough memory", c->path);
    for (size_t i = 0; i < l->n; i++) {
        const PickleLeaf *leaf = &l->leaf[i];
        if (leaf->tensor == NULL)
            out->meta[out->n_meta++] = (MetaEntry){leaf->name, leaf->text};
        else
            TRY(place(c, leaf, &out->tensor[out->n_tensors++], err));
    }
done:
    return status;
}

static Status finish(const Container *c, const Pickle *pickle, TorchFile *out, Error *err) {
    Status status = STATUS_OK;
    PickleLeaves leaves = {0};
    TRY(pickle_flatten(c->path, pickle, out->arena, &leaves, err));
    TRY(split(c, &leaves, out, err));
done:
    mem_free(leaves.leaf);
    return status;
}

static Status start(const char *path, TorchFile *out, Error *err) {
    *out = (TorchFile){.arena = arena_new()};
    return out->arena != NULL ? STATUS_OK : fail(err, STATUS_MEMORY, "%s: not enough memory", path);
}

void torch_file_close(TorchFile *f) {
    mem_free(f->tensor);
    mem_free(f->meta);
    arena_free(f->arena);
    *f = (TorchFile){0};
}

/* --- zip -------------------------------------------------------------------------------------- */

static Status find_in_zip(const Container *c, const PickleStorage *s, Blob *out, Error *err) {
    char name[512]; /* the prefix has at most 400, see find_pickle */
    if (s->key_bytes >= sizeof name - c->prefix_bytes - 5)
        return fail(err, STATUS_FORMAT, "%s: a storage with a key of %zu characters", c->path,
                    s->key_bytes);
    memcpy(name, c->prefix, c->prefix_bytes);
    memcpy(name + c->prefix_bytes, "data/", 5);
    memcpy(name + c->prefix_bytes + 5, s->key, s->key_bytes);
    const ZipEntry *e = zip_find(c->zip, name, c->prefix_bytes + 5 + s->key_bytes);
    if (e == NULL)
        return fail(err, STATUS_FORMAT,
                    "%s: the storage '%.*s' is missing from the archive; damaged", c->path,
                    (int)(s->key_bytes < 60 ? s->key_bytes : 60), s->key);
    return zip_bytes(c->zip, e, &out->data, &out->bytes, err);
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
            return fail(err, STATUS_UNSUPPORTED,
                        "%s: a TorchScript program, not a checkpoint; in Python: "
                        "torch.save(torch.jit.load(FILE).state_dict(), NEW)",
                        c->path);
        if (zip_name_ends(e, "/data.pkl") && (!found || e->name_bytes < found->name_bytes))
            found = e;
    }
    if (found == NULL || found->name_bytes > 400)
        return fail(err, STATUS_FORMAT,
                    "%s: a zip archive, but not one of torch (it has no data.pkl)", c->path);
    c->prefix = found->name;
    c->prefix_bytes = found->name_bytes - strlen("data.pkl");
    *out = found;
    return STATUS_OK;
}

static Status check_order(const Container *c, Error *err) {
    const uint8_t *data;
    size_t bytes;
    const ZipEntry *e = beside(c, "byteorder");
    if (e == NULL) return STATUS_OK; /* before torch 2.0: always little */
    Status status = zip_bytes(c->zip, e, &data, &bytes, err);
    if (status != STATUS_OK || (bytes >= 6 && memcmp(data, "little", 6) == 0)) return status;
    return fail(err, STATUS_UNSUPPORTED,
                "%s: written on a big-endian machine, which is not read; load and save it on a "
                "little-endian one",
                c->path);
}

Status torch_file_parse_zip(const char *path, const uint8_t *data, size_t bytes, TorchFile *out,
                            Error *err) {
    Status status = STATUS_OK;
    Zip zip = {0};
    const ZipEntry *entry = NULL;
    const uint8_t *text;
    size_t n;
    Pickle pickle;
    Container c = {.path = path, .find = find_in_zip, .zip = &zip};
    TRY(start(path, out, err));
    out->format = "torch zip";
    TRY(zip_open(path, data, bytes, &zip, err));
    TRY(find_pickle(&c, &entry, err));
    TRY(check_order(&c, err));
    TRY(zip_bytes(&zip, entry, &text, &n, err));
    TRY(pickle_parse(path, text, n, out->arena, &pickle, err));
    TRY(finish(&c, &pickle, out, err));
done:
    zip_close(&zip);
    if (status != STATUS_OK) torch_file_close(out);
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
    if (blob == NULL || blob->data == NULL)
        return fail(err, STATUS_FORMAT, "%s: the storage '%.*s' is missing; damaged", c->path,
                    (int)(s->key_bytes < 60 ? s->key_bytes : 60), s->key);
    *out = *blob;
    return STATUS_OK;
}

static Status no_container(const Container *c, const PickleStorage *s, Blob *out, Error *err) {
    (void)s, (void)out;
    return fail(err, STATUS_FORMAT,
                "%s: a bare pickle whose tensors are stored elsewhere; it is part of a checkpoint",
                c->path);
}

/* Little-endian, because so is the machine that wrote it: that was checked. */
static uint64_t count_at(const uint8_t *p) {
    uint64_t v = 0;
    for (int i = 0; i < 8; i++) v |= (uint64_t)p[i] << (8 * i);
    return v;
}

/* After the list of keys: for each, a count of elements and the elements. How wide those are is
 * known only from where the pickle mentions the storage. */
typedef struct Widths {
    Blob *blob; /* by key; bytes is the width of an element until the data are found */
    size_t n;
} Widths;

static Status collect_widths(const char *path, const Pickle *pickle, Widths *out, Error *err) {
    out->blob = mem_alloc_array(pickle->n_storages, sizeof *out->blob);
    if (out->blob == NULL) return fail(err, STATUS_MEMORY, "%s: not enough memory", path);
    for (const PickleStorage *s = pickle->storages; s != NULL; s = s->next)
        out->blob[out->n++] = (Blob){s->key, s->key_bytes, NULL, dtype_bytes(s->dtype)};
    if (out->n > 0) qsort(out->blob, out->n, sizeof *out->blob, compare_keys);
    size_t kept = 0;
    for (size_t i = 0; i < out->n; i++)
        if (kept == 0 || compare_keys(&out->blob[kept - 1], &out->blob[i]) != 0)
            out->blob[kept++] = out->blob[i];
    out->n = kept;
    return STATUS_OK;
}

static Status find_blobs(const char *path, const PickleValue *keys, const uint8_t *p, size_t left,
                         Widths *w, Error *err) {
    if (keys->kind != PICKLE_LIST)
        return fail(err, STATUS_FORMAT, "%s: no list of storages; damaged", path);
    for (size_t i = 0; i < keys->list.n; i++) {
        const PickleValue *key = keys->list.item[i];
        PickleStorage wanted = {.key = key->text.data, .key_bytes = key->text.bytes};
        Blob *blob = key->kind == PICKLE_TEXT ? find_blob(w->blob, w->n, &wanted) : NULL;
        if (blob == NULL || blob->data != NULL)
            return fail(err, STATUS_FORMAT,
                        "%s: storage %zu of the list is not in use, or is there twice", path, i);
        uint64_t n = left >= 8 ? count_at(p) : 0;
        if (left < 8 || n > (left - 8) / blob->bytes)
            return fail(
                err, STATUS_FORMAT,
                "%s: it ends inside storage %zu of %zu; the file is cut off, fetch it again", path,
                i + 1, keys->list.n);
        blob->bytes *= (size_t)n;
        blob->data = p + 8;
        p += 8 + blob->bytes;
        left -= 8 + blob->bytes;
    }
    return STATUS_OK;
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
    const char *path;
    const uint8_t *data;
    size_t bytes, at;
    Arena *arena;
} Stream;

static Status next_pickle(Stream *s, Pickle *out, Error *err) {
    Status status = pickle_parse(s->path, s->data + s->at, s->bytes - s->at, s->arena, out, err);
    s->at += out->bytes;
    return status;
}

static Status check_system(Stream *s, Error *err) {
    Status status = STATUS_OK;
    Pickle version, system;
    TRY(next_pickle(s, &version, err));
    if (version.root->kind != PICKLE_INT || version.root->integer != 1001)
        return fail(err, STATUS_UNSUPPORTED, "%s: an unknown version of torch's old format",
                    s->path);
    TRY(next_pickle(s, &system, err));
    const PickleValue *little = dict_get(system.root, "little_endian");
    if (little == NULL || little->kind != PICKLE_BOOL || !little->flag)
        return fail(err, STATUS_UNSUPPORTED,
                    "%s: written on a big-endian machine, which is not read; load and save it on a "
                    "little-endian one",
                    s->path);
done:
    return status;
}

static Status read_stream(Stream *s, TorchFile *out, Error *err) {
    Status status = STATUS_OK;
    Pickle pickle, keys;
    PickleLeaves leaves = {0};
    Widths widths = {0};
    out->format = "torch legacy";
    TRY(check_system(s, err));
    TRY(next_pickle(s, &pickle, err));
    TRY(next_pickle(s, &keys, err));
    TRY(pickle_flatten(s->path, &pickle, s->arena, &leaves, err));
    TRY(collect_widths(s->path, &pickle, &widths, err));
    TRY(find_blobs(s->path, keys.root, s->data + s->at, s->bytes - s->at, &widths, err));
    Container c = {
        .path = s->path, .find = find_in_stream, .blob = widths.blob, .n_blobs = widths.n};
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

Status torch_file_parse_pickle(const char *path, const uint8_t *data, size_t bytes, TorchFile *out,
                               Error *err) {
    Status status = STATUS_OK;
    Pickle first;
    TRY(start(path, out, err));
    Stream s = {path, data, bytes, 0, out->arena};
    TRY(next_pickle(&s, &first, err));
    if (is_magic(first.root)) {
        TRY(read_stream(&s, out, err));
    } else {
        const Container bare = {.path = path, .find = no_container};
        out->format = "pickle";
        TRY(finish(&bare, &first, out, err));
    }
done:
    if (status != STATUS_OK) torch_file_close(out);
    return status;
}
