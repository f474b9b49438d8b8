/* The face: entries of all parts in one list, found by name, read through their strides. How a file
 * is recognised and opened is in tensorfile_open.c. */
#include "formats/tensorfile.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "formats/tensorfile_internal.h"

/* --- Entries and metadata of the parts -------------------------------------------------------- */

static size_t part_tensors(const TensorPart *p) {
    return p->safe != NULL ? safetensors_count(p->safe) : p->torch.n_tensors;
}

static StridedTensor part_tensor(const TensorPart *p, size_t i) {
    if (p->safe == NULL) return p->torch.tensor[i];
    const NamedTensor *t = safetensors_at(p->safe, i);
    StridedTensor out = {t->name, t->dtype, t->shape, {0}, t->data};
    int64_t stride = 1;
    for (int d = t->shape.n_dims; t->bytes > 0 && d-- > 0;) {
        out.stride[d] = stride;
        stride *= t->shape.dim[d];
    }
    return out;
}

Status tensorfile_add_meta(TensorFile *f, const char *key, const char *value, Error *err) {
    if (f->n_meta == f->meta_capacity) {
        size_t capacity = 2 * f->meta_capacity + 16, size = sizeof *f->meta;
        MetaEntry *grown = mem_realloc(f->meta, f->meta_capacity * size, capacity * size);
        if (grown == NULL) return fail(err, STATUS_MEMORY, "%s: not enough memory", f->path);
        f->meta = grown;
        f->meta_capacity = capacity;
    }
    f->meta[f->n_meta++] = (MetaEntry){key, value};
    return STATUS_OK;
}

static Status collect_meta(TensorFile *f, const TensorPart *p, Error *err) {
    Status status = STATUS_OK;
    size_t n = p->safe != NULL ? safetensors_meta_count(p->safe) : p->torch.n_meta;
    for (size_t i = 0; i < n; i++) {
        MetaEntry e = p->safe != NULL ? safetensors_meta_at(p->safe, i) : p->torch.meta[i];
        TRY(tensorfile_add_meta(f, e.key, e.value, err));
    }
done:
    return status;
}

static int compare_names(const void *left, const void *right) {
    const TensorEntry *const *a = left, *const *b = right;
    return strcmp((*a)->name, (*b)->name);
}

/* Equal keys in the order of the file; entries of one array, so addresses tell. */
static int compare_keys(const void *left, const void *right) {
    const MetaEntry *const *a = left, *const *b = right;
    int order = strcmp((*a)->key, (*b)->key);
    return order != 0 ? order : (*a > *b) - (*a < *b);
}

static Status sort_names(TensorFile *f, Error *err) {
    f->by_name = mem_alloc_array(f->n_entries, sizeof *f->by_name);
    f->by_key = mem_alloc_array(f->n_meta, sizeof *f->by_key);
    if (f->by_name == NULL || f->by_key == NULL)
        return fail(err, STATUS_MEMORY, "%s: not enough memory", f->path);
    for (size_t i = 0; i < f->n_entries; i++) f->by_name[i] = &f->entry[i];
    for (size_t i = 0; i < f->n_meta; i++) f->by_key[i] = &f->meta[i];
    qsort(f->by_name, f->n_entries, sizeof *f->by_name, compare_names);
    qsort(f->by_key, f->n_meta, sizeof *f->by_key, compare_keys);
    for (size_t i = 1; i < f->n_entries; i++)
        if (strcmp(f->by_name[i - 1]->name, f->by_name[i]->name) == 0)
            return fail(err, STATUS_FORMAT, "%s: two tensors are named '%.200s'", f->path,
                        f->by_name[i]->name);
    return STATUS_OK;
}

Status tensorfile_collect(TensorFile *f, Error *err) {
    Status status = STATUS_OK;
    size_t n = 0;
    for (size_t i = 0; i < f->n_parts; i++) n += part_tensors(&f->part[i]);
    f->entry = mem_alloc_array(n, sizeof *f->entry);
    f->place = mem_alloc_array(n, sizeof *f->place);
    if (f->entry == NULL || f->place == NULL)
        return fail(err, STATUS_MEMORY, "%s: not enough memory", f->path);
    for (size_t i = 0; i < f->n_parts; i++) {
        const TensorPart *p = &f->part[i];
        for (size_t k = 0; k < part_tensors(p); k++) {
            StridedTensor t = part_tensor(p, k);
            f->place[f->n_entries] = t;
            f->entry[f->n_entries++] = (TensorEntry){t.name, t.dtype, t.shape};
        }
        TRY(collect_meta(f, p, err));
    }
    TRY(sort_names(f, err));
done:
    return status;
}

void tensorfile_close(TensorFile *f) {
    if (f == NULL) return;
    for (size_t i = 0; i < f->n_parts; i++) {
        safetensors_close(f->part[i].safe);
        torch_file_close(&f->part[i].torch);
        file_unmap(&f->part[i].map);
        mem_free(f->part[i].path);
    }
    mem_free(f->part);
    mem_free(f->entry);
    mem_free(f->place);
    mem_free(f->by_name);
    mem_free(f->meta);
    mem_free(f->by_key);
    mem_free(f->path);
    arena_free(f->arena);
    mem_free(f);
}

/* --- Looking things up ------------------------------------------------------------------------ */

const char *tensorfile_path(const TensorFile *f) {
    return f->path;
}

const char *tensorfile_format(const TensorFile *f) {
    return f->format;
}

size_t tensorfile_count(const TensorFile *f) {
    return f->n_entries;
}

const TensorEntry *tensorfile_at(const TensorFile *f, size_t i) {
    ASSERT(i < f->n_entries, "tensor %zu of %zu", i, f->n_entries);
    return &f->entry[i];
}

const TensorEntry *tensorfile_find(const TensorFile *f, const char *name) {
    const TensorEntry key = {.name = name}, *wanted = &key;
    const TensorEntry **found =
        bsearch(&wanted, f->by_name, f->n_entries, sizeof *f->by_name, compare_names);
    return found != NULL ? *found : NULL;
}

size_t tensorfile_meta_count(const TensorFile *f) {
    return f->n_meta;
}

MetaEntry tensorfile_meta_at(const TensorFile *f, size_t i) {
    ASSERT(i < f->n_meta, "entry %zu of %zu", i, f->n_meta);
    return f->meta[i];
}

/* The first of equal keys: a lower bound. */
const char *tensorfile_meta(const TensorFile *f, const char *key) {
    size_t low = 0, high = f->n_meta;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(f->by_key[middle]->key, key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    bool found = low < f->n_meta && strcmp(f->by_key[low]->key, key) == 0;
    return found ? f->by_key[low]->value : NULL;
}

/* --- Reading through strides ------------------------------------------------------------------ */

static bool is_contiguous(const StridedTensor *t) {
    int64_t stride = 1;
    for (int d = t->shape.n_dims; d-- > 0;) {
        if (t->shape.dim[d] != 1 && t->stride[d] != stride) return false;
        stride *= t->shape.dim[d];
    }
    return true;
}

/* Where a walk in C order stands. */
typedef struct Cursor {
    const StridedTensor *t;
    int64_t index[MAX_DIMS];
    int64_t at; /* element, from t->data */
} Cursor;

static void advance(Cursor *c) {
    for (int d = c->t->shape.n_dims; d-- > 0;) {
        c->at += c->t->stride[d];
        if (++c->index[d] < c->t->shape.dim[d]) return;
        c->at -= c->t->stride[d] * c->t->shape.dim[d];
        c->index[d] = 0;
    }
}

/* The next n elements, packed. The last advance wraps to the start and is harmless. */
static void gather(Cursor *c, uint8_t *out, int64_t n) {
    size_t size = dtype_bytes(c->t->dtype);
    for (int64_t i = 0; i < n; i++) {
        memcpy(out + (size_t)i * size, c->t->data + (size_t)c->at * size, size);
        advance(c);
    }
}

/* Touching a page beyond the end of a file that shrank would kill the process. */
static Status still_there(const TensorFile *f, const StridedTensor *t, Error *err) {
    for (size_t i = 0; i < f->n_parts; i++) {
        struct stat info;
        const TensorPart *p = &f->part[i];
        uintptr_t start = (uintptr_t)p->map.data, at = (uintptr_t)t->data;
        if (start == 0 || at < start || at - start >= p->map.bytes) continue;
        if (stat(p->path, &info) == 0 && (uint64_t)info.st_size < p->map.bytes)
            return fail(err, STATUS_IO, "%s: became shorter while it was read", p->path);
    }
    return STATUS_OK;
}

/* A tensor is read once: its pages need not pile up beside the copy. */
static void release(const TensorFile *f, const void *data, size_t bytes) {
    for (size_t i = 0; i < f->n_parts; i++) {
        uintptr_t start = (uintptr_t)f->part[i].map.data, at = (uintptr_t)data;
        if (start && at >= start && at - start < f->part[i].map.bytes)
            file_map_release(data, bytes);
    }
}

static const StridedTensor *place_of(const TensorFile *f, const TensorEntry *t) {
    ASSERT(t >= f->entry && t < f->entry + f->n_entries, "%s is no tensor of %s", t->name, f->path);
    return &f->place[t - f->entry];
}

Status tensorfile_read(const TensorFile *f, const TensorEntry *t, float *out, Error *err) {
    enum { CHUNK = 512 };
    uint8_t packed[CHUNK * 8];
    const StridedTensor *place = place_of(f, t);
    int64_t n = shape_numel(t->shape);
    Cursor c = {.t = place};
    Status status = still_there(f, place, err);
    if (status != STATUS_OK || n == 0) return status;
    if (is_contiguous(place)) {
        dtype_to_f32(out, place->data, t->dtype, n);
        release(f, place->data, (size_t)n * dtype_bytes(t->dtype));
        return STATUS_OK;
    }
    for (int64_t i = 0; i < n; i += CHUNK) {
        int64_t part = n - i < CHUNK ? n - i : CHUNK;
        gather(&c, packed, part);
        dtype_to_f32(out + i, packed, t->dtype, part);
    }
    return STATUS_OK;
}

Status tensorfile_read_raw(const TensorFile *f, const TensorEntry *t, void *out, Error *err) {
    const StridedTensor *place = place_of(f, t);
    int64_t n = shape_numel(t->shape);
    Cursor c = {.t = place};
    Status status = still_there(f, place, err);
    if (status != STATUS_OK || n == 0) return status;
    if (is_contiguous(place)) {
        memcpy(out, place->data, (size_t)n * dtype_bytes(t->dtype));
        release(f, place->data, (size_t)n * dtype_bytes(t->dtype));
    } else {
        gather(&c, out, n);
    }
    return STATUS_OK;
}
