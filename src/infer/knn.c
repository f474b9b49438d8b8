/* See knn.h. The cosines of a block of queries with a tile of the bank are one matrix product of
 * normalised rows. Each query keeps its best so far from tile to tile. */
#include "infer/knn.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"

/* --- nearest rows ----------------------------------------------------------------------------- */

typedef struct Search {
    Device *device;
    int64_t width, k, tile; /* tile: rows of a bank tile, at most KNN_TILE */
    void *bank, *queries, *products, *scratch;
    size_t bank_bytes, queries_bytes, products_bytes, scratch_bytes;
    float *unit;    /* normalised rows on their way to the device */
    float *cosines; /* [KNN_BLOCK,tile] */
} Search;

static void search_close(Search *s) {
    device_free(s->device, s->bank, s->bank_bytes);
    device_free(s->device, s->queries, s->queries_bytes);
    device_free(s->device, s->products, s->products_bytes);
    device_free(s->device, s->scratch, s->scratch_bytes);
    mem_free(s->unit);
    mem_free(s->cosines);
}

static Status search_open(Search *s, Error *err) {
    Device *d = s->device;
    int64_t longer = s->tile > KNN_BLOCK ? s->tile : KNN_BLOCK;
    s->bank_bytes = device_bytes(d, NUMBER_WIDE, s->tile * s->width);
    s->queries_bytes = device_bytes(d, NUMBER_REAL, KNN_BLOCK * s->width);
    s->products_bytes = device_bytes(d, NUMBER_REAL, KNN_BLOCK * s->tile);
    s->scratch_bytes = d->kernels.linear_scratch(d, KNN_BLOCK, s->width, s->tile);
    s->bank = device_alloc(d, s->bank_bytes);
    s->queries = device_alloc(d, s->queries_bytes);
    s->products = device_alloc(d, s->products_bytes);
    s->scratch = device_alloc(d, s->scratch_bytes);
    s->unit = mem_alloc_array((size_t)(longer * s->width), sizeof *s->unit);
    s->cosines = mem_alloc_array((size_t)(KNN_BLOCK * s->tile), sizeof *s->cosines);
    if (s->bank && s->queries && s->products && s->scratch && s->unit && s->cosines) return MAE_OK;
    return error_set(err, MAE_MEMORY, "no memory to compare %lld features at a time",
                     (long long)s->tile);
}

/* Rows first to first + n of x, each at length 1, onto the device. A row of zeros stays. */
static Status put_rows(Search *s, void *to, Number type, const float *x, int64_t first, int64_t n,
                       const char *what, Error *err) {
    int64_t width = s->width;
    for (int64_t i = 0; i < n; i++) {
        const float *row = x + (first + i) * width;
        float *unit = s->unit + i * width;
        double sum = 0;
        for (int64_t j = 0; j < width; j++) sum += (double)row[j] * (double)row[j];
        if (!isfinite(sum))
            return error_set(err, MAE_NONFINITE,
                             "feature %lld of the %s has values that are not finite",
                             (long long)(first + i), what);
        double length = sum > 0 ? sqrt(sum) : 1;
        for (int64_t j = 0; j < width; j++) unit[j] = (float)((double)row[j] / length);
    }
    device_upload_floats(s->device, to, type, s->unit, n * width);
    return MAE_OK;
}

/* Puts the rows first to first + n, whose cosines are given, among the best k before them. The list
 * is kept sorted by insertion: k is small. */
static void keep_best(const float *cosine, int64_t first, int64_t n, int64_t k, int64_t *row,
                      float *best) {
    int64_t count = first < k ? first : k;
    for (int64_t i = 0; i < n; i++) {
        if (count == k && !(cosine[i] > best[k - 1])) continue;
        int64_t at = count < k ? count++ : k - 1;
        for (; at > 0 && cosine[i] > best[at - 1]; at--) {
            best[at] = best[at - 1];
            row[at] = row[at - 1];
        }
        best[at] = cosine[i];
        row[at] = first + i;
    }
}

/* All queries with the tile of n rows that is on the device. */
static Status search_tile(Search *s, int64_t first, int64_t n, const float *queries, int64_t m,
                          int64_t *rows, float *best, Error *err) {
    Status status = MAE_OK;
    Device *d = s->device;
    for (int64_t q = 0; q < m; q += KNN_BLOCK) {
        int64_t block = m - q < KNN_BLOCK ? m - q : KNN_BLOCK;
        TRY(put_rows(s, s->queries, NUMBER_REAL, queries, q, block, "queries", err));
        d->kernels.linear_forward(d, s->products, NULL, s->queries, s->bank, NULL, NULL, block,
                                  s->width, n, s->scratch);
        device_download_floats(d, s->cosines, s->products, NUMBER_REAL, block * n);
        if (stop_asked(d->stop))
            return error_set(err, MAE_INTERRUPTED, "stopped while looking for neighbours");
        for (int64_t i = 0; i < block; i++)
            keep_best(s->cosines + i * n, first, n, s->k, rows + (q + i) * s->k,
                      best + (q + i) * s->k);
    }
done:
    return status;
}

Status knn_nearest(Device *d, const float *bank, int64_t n, const float *queries, int64_t m,
                   int64_t width, int64_t k, Stop *stop, int64_t *rows, float *cosines,
                   Error *err) {
    Status status = MAE_OK;
    Device handle = *d;
    handle.stop = stop;
    Search s = {.device = &handle, .width = width, .k = k, .tile = n < KNN_TILE ? n : KNN_TILE};
    float *own = cosines ? NULL : mem_alloc_array((size_t)(m * k), sizeof *own);
    ASSERT(k >= 1 && k <= n && width >= 1, "%lld of %lld rows of %lld", (long long)k, (long long)n,
           (long long)width);
    if (!cosines && !own)
        return error_set(err, MAE_MEMORY, "no memory for neighbours of %lld features",
                         (long long)m);
    TRY(search_open(&s, err));
    for (int64_t first = 0; first < n; first += s.tile) {
        int64_t rest = n - first < s.tile ? n - first : s.tile;
        TRY(put_rows(&s, s.bank, NUMBER_WIDE, bank, first, rest, "bank", err));
        TRY(search_tile(&s, first, rest, queries, m, rows, cosines ? cosines : own, err));
    }
done:
    search_close(&s);
    mem_free(own);
    return status;
}

/* --- votes ------------------------------------------------------------------------------------ */

Status knn_vote(const int64_t *rows, const float *cosines, int64_t m, int64_t k, const int *labels,
                int n_classes, double temperature, int *predicted, Error *err) {
    double *votes = mem_alloc_array((size_t)n_classes, sizeof *votes);
    if (!votes) return error_set(err, MAE_MEMORY, "no memory for votes");
    for (int64_t q = 0; q < m; q++, rows += k, cosines += k) {
        int best = 0;
        memset(votes, 0, (size_t)n_classes * sizeof *votes);
        for (int64_t i = 0; i < k; i++)
            votes[labels[rows[i]]] += exp((double)cosines[i] / temperature);
        for (int c = 1; c < n_classes; c++)
            if (votes[c] > votes[best]) best = c;
        predicted[q] = best;
    }
    mem_free(votes);
    return MAE_OK;
}
