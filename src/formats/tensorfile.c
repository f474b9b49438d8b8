/* The face: entries of all parts in one list, found by name, read through their strides. How a file
 * is recognised and opened is in tensorfile_open.c. */
#include "formats/tensorfile.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "formats/tensorfile_internal.h"

/* --- Entries and metadata of the parts -------------------------------------------------------- */

Status tensorfile_add_meta(TensorFile *f, const char *key, const char *value, Error *err) {
    MetaEntry *grown = mem_room(f->meta, f->n_meta, &f->meta_capacity, sizeof *grown);
    if (grown == NULL) return error_set(err, MAE_MEMORY, "%s: not enough memory", f->path);
    f->meta = grown;
    f->meta[f->n_meta++] = (MetaEntry){key, value};
    return MAE_OK;
}

static int compare_names(const void *left, const void *right) {
    const TensorEntry *const *a = left, *const *b = right;
    return strcmp((*a)->name, (*b)->name);
}

/* Of equal names, those that can be read come first. */
static int compare_entries(const void *left, const void *right) {
    const TensorEntry *const *a = left, *const *b = right;
    int order = compare_names(left, right);
    return order != 0 ? order : ((*a)->refusal != NULL) - ((*b)->refusal != NULL);
}

/* Equal keys in the order of the file; entries of one array, so addresses tell. */
static int compare_keys(const void *left, const void *right) {
    const MetaEntry *const *a = left, *const *b = right;
    int order = strcmp((*a)->key, (*b)->key);
    return order != 0 ? order : (*a > *b) - (*a < *b);
}

/* A name of an object's attribute may be there twice; who asks for it gets the one before. */
static Status keep_single_names(TensorFile *f, Error *err) {
    for (size_t i = 0; i < f->n_entries; i++) {
        const TensorEntry *e = f->by_name[i];
        bool again = f->n_names > 0 && strcmp(f->by_name[f->n_names - 1]->name, e->name) == 0;
        if (again && e->refusal == NULL)
            return error_set(err, MAE_FORMAT, "%s: two tensors are named '%.200s'", f->path,
                             e->name);
        if (!again) f->by_name[f->n_names++] = e;
    }
    return MAE_OK;
}

static Status sort_names(TensorFile *f, Error *err) {
    f->by_name = mem_alloc_array(f->n_entries, sizeof *f->by_name);
    f->by_key = mem_alloc_array(f->n_meta, sizeof *f->by_key);
    if (f->by_name == NULL || f->by_key == NULL)
        return error_set(err, MAE_MEMORY, "%s: not enough memory", f->path);
    for (size_t i = 0; i < f->n_entries; i++) f->by_name[i] = &f->entry[i];
    for (size_t i = 0; i < f->n_meta; i++) f->by_key[i] = &f->meta[i];
    qsort(f->by_name, f->n_entries, sizeof *f->by_name, compare_entries);
    qsort(f->by_key, f->n_meta, sizeof *f->by_key, compare_keys);
    return keep_single_names(f, err);
}

static Status collect_part(TensorFile *f, const TensorTable *table, Error *err) {
    Status status = MAE_OK;
    for (size_t i = 0; i < table->n_tensors; i++) {
        const StridedTensor *t = f->place[f->n_entries] = &table->tensor[i];
        f->entry[f->n_entries++] = (TensorEntry){t->name, t->dtype, t->shape, t->refusal, t->type};
    }
    for (size_t i = 0; i < table->n_meta; i++)
        TRY(tensorfile_add_meta(f, table->meta[i].key, table->meta[i].value, err));
done:
    return status;
}

Status tensorfile_collect(TensorFile *f, Error *err) {
    Status status = MAE_OK;
    size_t n = 0;
    for (size_t i = 0; i < f->n_parts; i++) n += f->part[i].table.n_tensors;
    f->entry = mem_alloc_array(n, sizeof *f->entry);
    f->place = mem_alloc_array(n, sizeof *f->place);
    if (f->entry == NULL || f->place == NULL)
        return error_set(err, MAE_MEMORY, "%s: not enough memory", f->path);
    for (size_t i = 0; i < f->n_parts; i++) TRY(collect_part(f, &f->part[i].table, err));
    TRY(sort_names(f, err));
done:
    return status;
}

void tensorfile_close(TensorFile *f) {
    if (f == NULL) return;
    for (size_t i = 0; i < f->n_parts; i++) {
        tensor_table_free(&f->part[i].table);
        byte_source_close(&f->part[i].source);
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
        bsearch(&wanted, f->by_name, f->n_names, sizeof *f->by_name, compare_names);
    return found != NULL ? *found : NULL;
}

const char *tensorfile_type(const TensorEntry *t) {
    return t->type != NULL ? t->type : t->refusal != NULL ? "opaque" : dtype_name(t->dtype);
}

Status tensorfile_check(const TensorFile *f, const TensorEntry *t, Error *err) {
    if (t->refusal == NULL) return MAE_OK;
    return error_set(err, MAE_UNSUPPORTED, "%s: tensor '%.200s' %s", f->path, t->name, t->refusal);
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

enum { PIECE_BYTES = 64 * 1024, MAX_SPREAD_BYTES = 1 << 28 };

/* So many bytes from the first element on. */
static Status read_bytes(const StridedTensor *t, uint64_t skip, void *out, size_t bytes,
                         Error *err) {
    char what[256];
    snprintf(what, sizeof what, "tensor '%.200s'", t->name);
    return byte_source_read(t->source, t->at + skip, out, bytes, what, err);
}

static bool is_contiguous(const StridedTensor *t) {
    int64_t stride = 1;
    for (int d = t->shape.n_dims; d-- > 0;) {
        if (t->shape.dim[d] != 1 && t->stride[d] != stride) return false;
        stride *= t->shape.dim[d];
    }
    return true;
}

static Status read_contiguous(const StridedTensor *t, int64_t n, float *out, Error *err) {
    uint8_t piece[PIECE_BYTES];
    size_t size = dtype_bytes(t->dtype);
    int64_t most = (int64_t)(sizeof piece / size);
    if (t->dtype == DTYPE_F32) return read_bytes(t, 0, out, (size_t)n * size, err);
    for (int64_t i = 0; i < n; i += most) {
        int64_t part = n - i < most ? n - i : most;
        Status status = read_bytes(t, (size_t)i * size, piece, (size_t)part * size, err);
        if (status != MAE_OK) return status;
        dtype_to_f32(out + i, piece, t->dtype, part);
    }
    return MAE_OK;
}

/* A walk in C order over elements that the file has in another order, or with gaps. */
typedef struct Walk {
    const StridedTensor *t;
    uint8_t *bytes; /* from the first element to the last */
    int64_t index[MAX_DIMS];
    int64_t at; /* element, from the first */
} Walk;

/* Of a tensor of n > 0 elements; bytes to be freed, also after a failure. */
static Status walk_start(Walk *w, const StridedTensor *t, int64_t n, Error *err) {
    size_t size = dtype_bytes(t->dtype), reach = size;
    *w = (Walk){.t = t};
    for (int d = 0; d < t->shape.n_dims; d++)
        reach += (size_t)(t->stride[d] * (t->shape.dim[d] - 1)) * size;
    if (reach / 4 > MAX_SPREAD_BYTES / 4 + (size_t)n * size)
        return error_set(
            err, MAE_UNSUPPORTED,
            "%s: the %zu bytes of tensor '%.200s' are spread over %zu; save a contiguous "
            "copy of it",
            t->source->path, (size_t)n * size, t->name, reach);
    w->bytes = mem_alloc(reach);
    if (w->bytes == NULL)
        return error_set(err, MAE_MEMORY, "%s: not enough memory", t->source->path);
    return read_bytes(t, 0, w->bytes, reach, err);
}

static void advance(Walk *w) {
    for (int d = w->t->shape.n_dims; d-- > 0;) {
        w->at += w->t->stride[d];
        if (++w->index[d] < w->t->shape.dim[d]) return;
        w->at -= w->t->stride[d] * w->t->shape.dim[d];
        w->index[d] = 0;
    }
}

/* The next n elements, packed. The last advance wraps to the start and is harmless. */
static void gather(Walk *w, uint8_t *out, int64_t n) {
    size_t size = dtype_bytes(w->t->dtype);
    for (int64_t i = 0; i < n; i++) {
        memcpy(out + (size_t)i * size, w->bytes + (size_t)w->at * size, size);
        advance(w);
    }
}

static Status read_strided(const StridedTensor *t, int64_t n, float *out, Error *err) {
    enum { CHUNK = 512 };
    uint8_t packed[CHUNK * 8];
    Walk w;
    Status status = walk_start(&w, t, n, err);
    for (int64_t i = 0; status == MAE_OK && i < n; i += CHUNK) {
        int64_t part = n - i < CHUNK ? n - i : CHUNK;
        gather(&w, packed, part);
        dtype_to_f32(out + i, packed, t->dtype, part);
    }
    mem_free(w.bytes);
    return status;
}

static const StridedTensor *place_of(const TensorFile *f, const TensorEntry *t) {
    ASSERT(t >= f->entry && t < f->entry + f->n_entries, "%s is no tensor of %s", t->name, f->path);
    return f->place[t - f->entry];
}

Status tensorfile_read(const TensorFile *f, const TensorEntry *t, float *out, Error *err) {
    const StridedTensor *place = place_of(f, t);
    int64_t n = shape_numel(t->shape);
    if (t->refusal != NULL) return tensorfile_check(f, t, err);
    if (n == 0) return MAE_OK;
    return is_contiguous(place) ? read_contiguous(place, n, out, err)
                                : read_strided(place, n, out, err);
}

Status tensorfile_read_raw(const TensorFile *f, const TensorEntry *t, void *out, Error *err) {
    const StridedTensor *place = place_of(f, t);
    int64_t n = shape_numel(t->shape);
    Walk w;
    if (t->refusal != NULL) return tensorfile_check(f, t, err);
    if (n == 0) return MAE_OK;
    if (is_contiguous(place))
        return read_bytes(place, 0, out, (size_t)n * dtype_bytes(t->dtype), err);
    Status status = walk_start(&w, place, n, err);
    if (status == MAE_OK) gather(&w, out, n);
    mem_free(w.bytes);
    return status;
}
