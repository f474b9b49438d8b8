/* See overlap.h. The identities of one side are sorted, those of the other are looked up. */
#include "data/overlap.h"

#include <stdlib.h>
#include <sys/stat.h>

#include "base/memory.h"

typedef struct Place {
    ImageIdentity id;
    int64_t index;
} Place;

static int compare(const ImageIdentity *a, const ImageIdentity *b) {
    if (a->device != b->device) return a->device < b->device ? -1 : 1;
    if (a->inode != b->inode) return a->inode < b->inode ? -1 : 1;
    return a->place < b->place ? -1 : a->place > b->place;
}

static int by_identity(const void *pa, const void *pb) {
    const Place *a = pa, *b = pb;
    int order = compare(&a->id, &b->id);
    return order ? order : a->index < b->index ? -1 : a->index > b->index;
}

/* Where the first of those with this identity is, or would be. */
static int64_t first_of(const Place *places, int64_t n, const ImageIdentity *id) {
    int64_t low = 0, high = n;
    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        if (compare(&places[middle].id, id) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* A folder's listing may say another number than its file does, where file systems are stacked. */
static bool are_one_file(const char *a, const char *b) {
    struct stat x, y;
    return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

/* Whether image i of a, whose identity is that of the place, is the image of b there. */
static bool is_same(const Dataset *a, int64_t i, const Dataset *b, const Place *p) {
    return p->id.place != IDENTITY_WHOLE_FILE ||
           are_one_file(dataset_name(a, i), dataset_name(b, p->index));
}

static void count(const Dataset *a, int64_t i, const Dataset *b, Place *found, Overlap *out) {
    ImageIdentity *id = &found->id;
    if (!is_same(a, i, b, found)) return;
    if (id->device == IDENTITY_GENERATED) {
        out->generated++;
    } else if (out->images++ == 0) {
        out->in_a = i;
        out->in_b = found->index;
    }
    found->index = -1; /* counts once */
}

/* The places of the images of d by identity (mem_free). */
static Status sort_places(const Dataset *d, Place **out, int64_t *n, Error *err) {
    int64_t total = dataset_count(d);
    Place *places = mem_alloc_array((size_t)total, sizeof *places);
    *out = places;
    *n = 0;
    if (!places) return error_set(err, MAE_MEMORY, "no memory to compare two sets of images");
    for (int64_t i = 0; i < total; i++) {
        places[*n].index = i;
        if (dataset_identity(d, i, &places[*n].id)) ++*n;
    }
    qsort(places, (size_t)*n, sizeof *places, by_identity);
    return MAE_OK;
}

Status dataset_overlap(const Dataset *a, const Dataset *b, Overlap *out, Error *err) {
    Place *places;
    int64_t n;
    *out = (Overlap){.in_a = -1, .in_b = -1};
    Status status = sort_places(b, &places, &n, err);
    if (status != MAE_OK) return status;
    for (int64_t i = 0; i < dataset_count(a) && n > 0; i++) {
        ImageIdentity id;
        if (!dataset_identity(a, i, &id)) continue;
        int64_t k = first_of(places, n, &id);
        for (; k < n && compare(&places[k].id, &id) == 0 && places[k].index >= 0; k++)
            count(a, i, b, &places[k], out);
    }
    mem_free(places);
    return MAE_OK;
}

Status dataset_pairs(const Dataset *a, const Dataset *b,
                     void (*found)(void *user, int64_t i, int64_t j), void *user, Error *err) {
    Place *places;
    int64_t n;
    Status status = sort_places(b, &places, &n, err);
    if (status != MAE_OK) return status;
    for (int64_t i = 0; i < dataset_count(a) && n > 0; i++) {
        ImageIdentity id;
        if (!dataset_identity(a, i, &id)) continue;
        for (int64_t k = first_of(places, n, &id); k < n && compare(&places[k].id, &id) == 0; k++)
            if (is_same(a, i, b, &places[k])) found(user, i, places[k].index);
    }
    mem_free(places);
    return MAE_OK;
}
