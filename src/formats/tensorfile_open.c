/* What a file is, by its first bytes; shards behind an index; a folder's usual names. */
#include "formats/tensorfile.h"

#include <string.h>
#include <strings.h>

#include "base/json.h"
#include "formats/safetensors.h"
#include "formats/tensorfile_internal.h"
#include "formats/torch_file.h"

enum { MAX_INDEX_BYTES = 1 << 26, MAX_SHARDS = 10000, HEAD_BYTES = 1024 };

/* --- Recognition ------------------------------------------------------------------------------ */

/* The first bytes of a file, and the last one. */
typedef struct Head {
    uint8_t data[HEAD_BYTES];
    size_t bytes;
    uint8_t last;
} Head;

static Status read_head(const ByteSource *s, Head *out, Error *err) {
    Status status = MAE_OK;
    if (s->bytes == 0) return error_set(err, MAE_FORMAT, "%s: is empty; fetch it again", s->path);
    out->bytes = s->bytes < HEAD_BYTES ? (size_t)s->bytes : HEAD_BYTES;
    TRY(byte_source_read(s, 0, out->data, out->bytes, "its first bytes", err));
    TRY(byte_source_read(s, s->bytes - 1, &out->last, 1, "its last byte", err));
done:
    return status;
}

static bool starts(const uint8_t *data, size_t bytes, const char *with, size_t n) {
    return bytes >= n && memcmp(data, with, n) == 0;
}

/* A web page, in whatever case, after blanks. */
static bool is_web_page(const uint8_t *p, size_t bytes) {
    while (bytes > 0 && memchr(" \t\r\n", *p, 4) != NULL) p++, bytes--;
    return (bytes >= 9 && strncasecmp((const char *)p, "<!doctype", 9) == 0) ||
           (bytes >= 5 && (strncasecmp((const char *)p, "<html", 5) == 0 ||
                           strncasecmp((const char *)p, "<?xml", 5) == 0));
}

/* What people have instead of weights, and what to do about it. */
static const char *known_stranger(const uint8_t *data, size_t bytes) {
    static const struct {
        size_t at;
        const char *bytes;
        size_t n;
        const char *text;
    } rows[] = {
#define ROW(at, magic, text) {at, magic, sizeof magic - 1, text}
        ROW(0, "version https://git-lfs", "a Git LFS pointer, not the weights; run `git lfs pull`"),
        ROW(257, "ustar", "a tar archive; of torch before 0.2, or one to unpack first"),
        ROW(0, "\x1f\x8b", "compressed by gzip; unpack it first"),
        ROW(0, "\x28\xb5\x2f\xfd", "compressed by zstd; unpack it first"),
        ROW(0,
            "\xfd"
            "7zXZ",
            "compressed by xz; unpack it first"),
        ROW(0, "BZh", "compressed by bzip2; unpack it first"),
        ROW(0, "\x89HDF", "HDF5 (Keras?); convert it to safetensors"),
        ROW(0, "GGUF", "GGUF; convert it to safetensors"),
        ROW(0, "\x93NUMPY", "a numpy array; convert it to safetensors"),
        ROW(0, "\x89PNG", "a picture"),
        ROW(0, "\xff\xd8\xff", "a picture"),
#undef ROW
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (bytes >= rows[i].at &&
            starts(data + rows[i].at, bytes - rows[i].at, rows[i].bytes, rows[i].n))
            return rows[i].text;
    if (is_web_page(data, bytes)) return "a web page, not the weights; the download went wrong";
    if (data[0] == '{') return "JSON, but no index of shards (it has no weight_map)";
    return NULL;
}

/* Protocols 2 and later say so; the older ones begin with a container and end with a full stop. */
static bool is_pickle(const Head *h) {
    if (h->bytes >= 2 && h->data[0] == 0x80) return true;
    return memchr("(]})c", h->data[0], 5) != NULL && h->last == '.';
}

/* The length of the header is below 4 GB, and the header is an object. Tried first, because the low
 * bytes of a length may look like anything. */
static bool is_safetensors(const Head *h) {
    const uint8_t *p = h->data;
    return h->bytes > 8 && p[8] == '{' && p[4] == 0 && p[5] == 0 && p[6] == 0 && p[7] == 0;
}

static Status parse(const ByteSource *s, TensorTable *out, Error *err) {
    Head h;
    Status status = read_head(s, &h, err);
    if (status != MAE_OK) return status;
    if (is_safetensors(&h)) return safetensors_parse(s, out, err);
    if (starts(h.data, h.bytes, "PK\3\4", 4) || starts(h.data, h.bytes, "PK\5\6", 4))
        return torch_file_parse_zip(s, out, err);
    const char *stranger = known_stranger(h.data, h.bytes);
    if (stranger == NULL && is_pickle(&h)) return torch_file_parse_pickle(s, out, err);
    return error_set(
        err, MAE_UNSUPPORTED,
        "%s: this is %s. Weights are read from safetensors and from torch.save's files", s->path,
        stranger != NULL ? stranger : "no format that is known here");
}

/* --- One file --------------------------------------------------------------------------------- */

static Status new_file(const char *path, size_t n_parts, TensorFile **out, Error *err) {
    TensorFile *f = mem_alloc(sizeof *f);
    *out = f;
    if (f == NULL) return error_set(err, MAE_MEMORY, "%s: not enough memory", path);
    f->path = mem_strdup(path);
    f->arena = arena_new();
    f->part = mem_alloc_array(n_parts, sizeof *f->part);
    if (f->path != NULL && f->arena != NULL && f->part != NULL) return MAE_OK;
    return error_set(err, MAE_MEMORY, "%s: not enough memory", path);
}

static Status finish(TensorFile *f, Status status, TensorFile **out) {
    *out = status == MAE_OK ? f : NULL;
    if (status != MAE_OK) tensorfile_close(f);
    return status;
}

/* Takes the source over, also after a failure; closing the file closes it. `path` becomes the
 * part's own. */
static Status add_part(TensorFile *f, const char *path, ByteSource source, Error *err) {
    TensorPart *p = &f->part[f->n_parts++];
    p->source = source;
    p->source.path = p->path = mem_strdup(path);
    if (p->path == NULL) return error_set(err, MAE_MEMORY, "%s: not enough memory", path);
    return parse(&p->source, &p->table, err);
}

/* Takes the source over, also after a failure. */
static Status open_single(ByteSource source, TensorFile **out, Error *err) {
    Status status = MAE_OK;
    TensorFile *f = NULL;
    TRY(new_file(source.path, 1, &f, err));
    status = add_part(f, source.path, source, err);
    source = (ByteSource){0};
    if (status != MAE_OK) goto done;
    f->format = f->part->table.format;
    TRY(tensorfile_collect(f, err));
done:
    byte_source_close(&source);
    return finish(f, status, out);
}

Status tensorfile_parse(const char *path, const void *data, size_t bytes, TensorFile **out,
                        Error *err) {
    return open_single(byte_source_of(path, data, bytes), out, err);
}

/* --- Shards ----------------------------------------------------------------------------------- */

/* The name of a file beside the index, and nowhere else. */
static bool is_plain_name(const char *name) {
    return name != NULL && *name != 0 && *name != '.' && strchr(name, '/') == NULL;
}

static char *path_beside(const char *path, const char *name) {
    const char *slash = strrchr(path, '/');
    return slash == NULL ? mem_strdup(name)
                         : mem_printf("%.*s/%s", (int)(slash - path), path, name);
}

static Status open_shard(TensorFile *f, const char *name, Error *err) {
    Status status = MAE_OK;
    ByteSource source;
    char *path = path_beside(f->path, name);
    if (path == NULL) return error_set(err, MAE_MEMORY, "%s: not enough memory", f->path);
    if (!file_exists(path)) {
        status = error_set(err, MAE_IO, "%s: the shard '%.200s' that it names is not beside it",
                           f->path, name);
        goto done;
    }
    TRY(byte_source_open(path, &source, err));
    TRY(add_part(f, path, source, err));
    bool safe = strcmp(f->part[f->n_parts - 1].table.format, "safetensors") == 0;
    f->format = safe ? "safetensors index" : "torch index";
done:
    mem_free(path);
    return status;
}

/* The set of file names, in the order in which they first come. */
static Status list_shards(const TensorFile *f, const json_t *map, json_t **out, Error *err) {
    const char *tensor;
    json_t *value;
    *out = json_object();
    json_object_foreach((json_t *)(uintptr_t)map, tensor, value) {
        const char *name = json_string_value(value);
        if (!is_plain_name(name))
            return error_set(err, MAE_FORMAT,
                             "%s: '%.200s' lies in '%.100s', which is no file beside the index",
                             f->path, tensor, name != NULL ? name : "(no text)");
        if (json_object_set_new(*out, name, json_true()) != 0)
            return error_set(err, MAE_MEMORY, "%s: not enough memory", f->path);
    }
    if (json_object_size(*out) > 0 && json_object_size(*out) <= MAX_SHARDS) return MAE_OK;
    return error_set(err, MAE_FORMAT, "%s: an index of %zu shards", f->path,
                     json_object_size(*out));
}

static Status check_map(const TensorFile *f, const json_t *map, Error *err) {
    const char *tensor;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)map, tensor, value) {
        if (tensorfile_find(f, tensor) == NULL)
            return error_set(err, MAE_FORMAT, "%s: tensor '%.200s' is in none of its shards",
                             f->path, tensor);
    }
    return MAE_OK;
}

static Status index_meta(TensorFile *f, const json_t *meta, Error *err) {
    Status status = MAE_OK;
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)meta, key, value) {
        char *text = NULL, *own = arena_strdup(f->arena, key);
        if (json_is_string(value)) text = arena_strdup(f->arena, json_string_value(value));
        if (json_is_integer(value))
            text = arena_printf(f->arena, "%lld", (long long)json_integer_value(value));
        if (json_is_real(value)) text = arena_printf(f->arena, "%.17g", json_real_value(value));
        if (own == NULL) return error_set(err, MAE_MEMORY, "%s: not enough memory", f->path);
        if (text != NULL) TRY(tensorfile_add_meta(f, own, text, err));
    }
done:
    return status;
}

static Status open_index(const char *path, const json_t *root, TensorFile **out, Error *err) {
    Status status = MAE_OK;
    const json_t *map = json_object_get(root, "weight_map");
    json_t *shards = NULL, *value;
    const char *name;
    TensorFile *f = NULL;
    TRY(new_file(path, json_object_size(map), &f, err));
    TRY(list_shards(f, map, &shards, err));
    TRY(index_meta(f, json_object_get(root, "metadata"), err));
    json_object_foreach(shards, name, value) TRY(open_shard(f, name, err));
    TRY(tensorfile_collect(f, err));
    TRY(check_map(f, map, err));
done:
    json_decref(shards);
    return finish(f, status, out);
}

/* --- Paths ------------------------------------------------------------------------------------ */

/* The JSON of an index of shards; NULL: the file is none. */
static Status read_index(const ByteSource *s, json_t **out, Error *err) {
    Status status = MAE_OK;
    Head h;
    uint8_t *text = NULL;
    *out = NULL;
    TRY(read_head(s, &h, err));
    if (h.data[0] != '{' || is_safetensors(&h) || s->bytes > MAX_INDEX_BYTES) goto done;
    text = mem_alloc((size_t)s->bytes);
    if (text == NULL) return error_set(err, MAE_MEMORY, "%s: not enough memory", s->path);
    TRY(byte_source_read(s, 0, text, (size_t)s->bytes, "the index", err));
    *out = json_parse(text, (size_t)s->bytes, NULL);
    if (json_is_object(json_object_get(*out, "weight_map"))) goto done;
    json_decref(*out);
    *out = NULL;
done:
    mem_free(text);
    return status;
}

static Status open_file(const char *path, TensorFile **out, Error *err) {
    Status status = MAE_OK;
    json_t *index = NULL;
    ByteSource source;
    TRY(byte_source_open(path, &source, err));
    status = read_index(&source, &index, err);
    if (status == MAE_OK && index == NULL) return open_single(source, out, err);
    byte_source_close(&source);
    TRY(status);
    TRY(open_index(path, index, out, err));
done:
    json_decref(index);
    return status;
}

enum { USUAL_NAMES = 4 };
static const char *const usual_names[USUAL_NAMES] = {
    "model.safetensors", "model.safetensors.index.json", "pytorch_model.bin",
    "pytorch_model.bin.index.json"};

bool tensorfile_is_folder(const char *path) {
    bool there = false;
    for (int i = 0; i < USUAL_NAMES && !there; i++)
        if (file_is_in(path, usual_names[i], &there, NULL) != MAE_OK)
            return true; /* opening says that memory is short */
    return there;
}

static Status open_folder(const char *path, TensorFile **out, Error *err) {
    for (int i = 0; i < USUAL_NAMES; i++) {
        char *file = NULL;
        Status status = file_path(path, usual_names[i], &file, err);
        if (status != MAE_OK) return status;
        bool there = file_exists(file);
        status = there ? open_file(file, out, err) : MAE_OK;
        mem_free(file);
        if (there) return status;
    }
    return error_set(
        err, MAE_IO,
        "%s: the folder holds no %s and no %s (nor an index of shards of them); name the "
        "file itself",
        path, usual_names[0], usual_names[2]);
}

Status tensorfile_open(const char *path, TensorFile **out, Error *err) {
    *out = NULL;
    return file_is_directory(path) ? open_folder(path, out, err) : open_file(path, out, err);
}
