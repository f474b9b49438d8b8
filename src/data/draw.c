/* See draw.h. Which samples of a class are taken follows from the seed, the class and how many it
 * has, by a permutation of them; no order is stored. */
#include "data/draw.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/rng.h"

/* No epoch of training has these numbers: of the order of the classes, and from there downwards of
 * the samples of each class. */
#define CLASS_EPOCH (UINT32_MAX - 1)

typedef struct Share {
    int64_t n, quota, seen; /* samples, how many are taken, how many went past */
    int64_t rest, tie;      /* remainder of the quota; its place among equal ones */
} Share;

/* Classes whose share is less than one image get one, and leave the rest to the others. */
static void lift_small(Share *s, int count, int64_t *wanted, int64_t *total) {
    for (bool again = true; again;) {
        again = false;
        for (int c = 0; c < count; c++) {
            if (s[c].quota || !s[c].n || *wanted * s[c].n >= *total) continue;
            s[c].quota = 1;
            *wanted -= 1;
            *total -= s[c].n;
            again = true;
        }
    }
}

static int by_rest(const void *pa, const void *pb) {
    const Share *a = *(Share *const *)pa, *b = *(Share *const *)pb;
    if (a->rest != b->rest) return a->rest > b->rest ? -1 : 1;
    return a->tie < b->tie ? -1 : a->tie > b->tie;
}

/* Whole parts first; what is left goes, one each, to the largest remainders. */
static void divide(Share *s, int count, int64_t wanted, int64_t total, uint64_t seed,
                   Share **order) {
    int64_t left = wanted;
    int n = 0;
    for (int c = 0; c < count; c++) {
        if (s[c].quota || !s[c].n) continue;
        s[c].quota = wanted * s[c].n / total;
        s[c].rest = wanted * s[c].n % total;
        s[c].tie = rng_permute(seed, CLASS_EPOCH, count, c);
        left -= s[c].quota;
        order[n++] = &s[c];
    }
    qsort(order, (size_t)n, sizeof *order, by_rest);
    for (int k = 0; k < left; k++) order[k]->quota++;
}

static void take(Share *s, const int *label, int64_t n, uint64_t seed, uint8_t *taken) {
    for (int64_t i = 0; i < n; i++) {
        uint64_t c = (uint64_t)(label[i] + 1);
        Share *share = &s[c];
        taken[i] = rng_permute(seed, CLASS_EPOCH - 1 - c, share->n, share->seen++) < share->quota;
    }
}

Status draw_by_class(const int *label, int64_t n, int n_classes, int64_t wanted, uint64_t seed,
                     uint8_t *taken, Error *err) {
    int count = n_classes + 1, n_present = 0; /* the first: without a label */
    int64_t total = n;
    ASSERT(wanted >= 1 && wanted <= n, "%lld of %lld", (long long)wanted, (long long)n);
    Share *s = mem_alloc_array((size_t)count, sizeof *s);
    Share **order = mem_alloc_array((size_t)count, sizeof *order);
    if (s && order) {
        for (int64_t i = 0; i < n; i++) s[label[i] + 1].n++;
        for (int c = 0; c < count; c++) n_present += s[c].n > 0;
        if (wanted >= n_present) lift_small(s, count, &wanted, &total);
        divide(s, count, wanted, total, seed, order);
        take(s, label, n, seed, taken);
    }
    bool ok = s && order;
    mem_free(s);
    mem_free(order);
    return ok ? MAE_OK : error_set(err, MAE_MEMORY, "no memory to draw from %d classes", n_classes);
}
