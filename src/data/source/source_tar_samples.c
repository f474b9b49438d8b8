/* Which entries of a shard are images, and whose labels they have. A group is the entries of one
 * name up to the first dot. A stem is a name without its last ending. Within a group:
 *
 *   every image is one of its own, whatever dots are in its name (IMG_2023.05.01.jpg), except one
 *   whose stem another image has (x.png after x.jpg), or has but for a further word (x.seg.png
 *   beside x.jpg; but x.2.jpg is no part of x.jpg): it says something about that image;
 *   the label of an image is the .cls of the same stem, otherwise that of the longest stem which
 *   the image's goes on after a dot (x.left.jpg and x.right.jpg with x.cls). */
#include <stdlib.h>
#include <string.h>

#include "data/source/source_tar.h"

typedef struct Stem {
    const char *name;
    size_t bytes;
    TarKind kind;
    int64_t at; /* of the entry */
} Stem;

static size_t stem_bytes(const char *name) {
    return (size_t)(strrchr(name, '.') - name);
}

/* The first of some stem and kind is the first of the entries. */
static int by_stem(const void *pa, const void *pb) {
    const Stem *a = pa, *b = pb;
    size_t n = a->bytes < b->bytes ? a->bytes : b->bytes;
    int order = memcmp(a->name, b->name, n);
    if (order == 0) order = (a->bytes > b->bytes) - (a->bytes < b->bytes);
    if (order == 0) order = (a->kind > b->kind) - (a->kind < b->kind);
    return order ? order : (a->at > b->at) - (a->at < b->at);
}

/* The first entry of a kind with that stem, -1: none. */
static int64_t find(const Stem *stems, int64_t n, const char *name, size_t bytes, TarKind kind) {
    const Stem wanted = {name, bytes, kind, -1};
    int64_t low = 0, high = n;
    while (low < high) {
        int64_t mid = low + (high - low) / 2;
        if (by_stem(&stems[mid], &wanted) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    if (low == n || stems[low].bytes != bytes || stems[low].kind != kind) return -1;
    return memcmp(stems[low].name, name, bytes) == 0 ? stems[low].at : -1;
}

/* The stem as far as the dot before its last word, never less than the key; 0: there is none. */
static size_t shorten(const char *name, size_t bytes) {
    const char *slash = strrchr(name, '/');
    size_t start = slash ? (size_t)(slash - name) + 1 : 0;
    while (bytes > start && name[bytes - 1] != '.') bytes--;
    return bytes > start + 1 ? bytes - 1 : 0;
}

/* Further parts of a name that are no number: "seg", not "05.01". */
static bool is_word(const char *text, size_t bytes) {
    for (size_t i = 0; i < bytes; i++)
        if ((text[i] >= 'a' && text[i] <= 'z') || (text[i] >= 'A' && text[i] <= 'Z')) return true;
    return false;
}

static bool belongs_to_another(const Stem *stems, int64_t n, const TarEntry *e, int64_t at) {
    size_t whole = stem_bytes(e->name);
    if (find(stems, n, e->name, whole, TAR_IMAGE) != at) return true;
    for (size_t b = shorten(e->name, whole); b > 0; b = shorten(e->name, b))
        if (is_word(e->name + b, whole - b) && find(stems, n, e->name, b, TAR_IMAGE) >= 0)
            return true;
    return false;
}

static TarEntry *label_of(TarIndex *x, const Stem *stems, int64_t n, const char *name) {
    for (size_t b = stem_bytes(name); b > 0; b = shorten(name, b)) {
        int64_t at = find(stems, n, name, b, TAR_LABEL);
        if (at >= 0) return &x->entries[at];
    }
    return NULL;
}

/* --- what becomes of the entries -------------------------------------------------------------- */

static Status add_image(Source *s, int shard, TarEntry *e, const char *text, Error *err) {
    const char *path = ((TarState *)s->state)->shards[shard];
    SourceItem item = {.class = -1, .file = shard, .offset = e->offset, .bytes = e->bytes};
    item.text = text;
    item.name = arena_printf(s->arena, "%s:%s", path, e->name);
    e->taken = true;
    return source_add(s, item, err);
}

static Status example(Source *s, int64_t *n, char **text, const char *name, Error *err) {
    if ((*n)++ > 0) return MAE_OK;
    *text = arena_printf(s->arena, "%.200s", name);
    return *text ? MAE_OK : source_no_memory(err);
}

static Status count_left_out(Source *s, const TarEntry *e, Error *err) {
    TarState *state = s->state;
    if (e->taken) return MAE_OK;
    if (e->kind == TAR_IMAGE)
        return example(s, &state->n_images_beside, &state->image_beside, e->name, err);
    if (e->kind == TAR_LABEL)
        return example(s, &state->n_labels_alone, &state->label_alone, e->name, err);
    if (!e->link) left_out_add(&state->left, e->name);
    return MAE_OK;
}

/* Entries [first, end) are a group; stems has room for them. */
static Status add_group(Source *s, int shard, TarIndex *x, int64_t first, int64_t end, Stem *stems,
                        Error *err) {
    Status status = MAE_OK;
    int64_t n = 0;
    for (int64_t i = first; i < end; i++) {
        const TarEntry *e = &x->entries[i];
        if (e->kind != TAR_OTHER) stems[n++] = (Stem){e->name, stem_bytes(e->name), e->kind, i};
    }
    if (n > 1) qsort(stems, (size_t)n, sizeof *stems, by_stem);
    for (int64_t i = first; i < end && status == MAE_OK; i++) {
        TarEntry *e = &x->entries[i];
        if (e->kind != TAR_IMAGE || belongs_to_another(stems, n, e, i)) continue;
        TarEntry *label = label_of(x, stems, n, e->name);
        if (label) label->taken = true;
        status = add_image(s, shard, e, label ? label->text : NULL, err);
    }
    for (int64_t i = first; i < end && status == MAE_OK; i++)
        status = count_left_out(s, &x->entries[i], err);
    return status;
}

Status tar_index_add_items(Source *s, int shard, TarIndex *x, Error *err) {
    Status status = MAE_OK;
    Stem *stems = mem_alloc_array((size_t)x->n + 1, sizeof *stems);
    if (!stems) return source_no_memory(err);
    for (int64_t first = 0, end; first < x->n && status == MAE_OK; first = end) {
        for (end = first + 1; end < x->n && x->entries[end].group == x->entries[first].group;)
            end++;
        status = add_group(s, shard, x, first, end, stems, err);
    }
    mem_free(stems);
    return status;
}
