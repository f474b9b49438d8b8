/* See knn.h. Similarities of a block of queries with the whole memory are one matrix product. */
#include "infer/knn.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"

#define BLOCK 256

void knn_normalize(float *x, int64_t n, int64_t width) {
    for (int64_t i = 0; i < n; i++) {
        float *row = x + i * width;
        double sum = 0;
        for (int64_t j = 0; j < width; j++) sum += (double)row[j] * (double)row[j];
        if (sum <= 0) continue;
        for (int64_t j = 0; j < width; j++) row[j] = (float)((double)row[j] / sqrt(sum));
    }
}

/* The k most similar, kept sorted by insertion: k is small. */
static int64_t nearest(const float *similarity, int64_t n, int64_t k, int64_t *index) {
    int64_t count = 0;
    for (int64_t i = 0; i < n; i++) {
        if (count == k && !(similarity[i] > similarity[index[k - 1]])) continue;
        int64_t at = count < k ? count++ : k - 1;
        for (; at > 0 && similarity[i] > similarity[index[at - 1]]; at--) index[at] = index[at - 1];
        index[at] = i;
    }
    return count;
}

static int vote(const float *similarity, const int64_t *index, int64_t count, const int *labels,
                int n_classes, double temperature, double *votes) {
    int best = 0;
    memset(votes, 0, (size_t)n_classes * sizeof *votes);
    for (int64_t i = 0; i < count; i++)
        votes[labels[index[i]]] += exp((double)similarity[index[i]] / temperature);
    for (int c = 1; c < n_classes; c++)
        if (votes[c] > votes[best]) best = c;
    return best;
}

Status knn_predict(Device *d, const float *memory, const int *labels, int64_t n_memory,
                   const float *queries, int64_t n_queries, int64_t width, int n_classes, int64_t k,
                   double temperature, const volatile int *stop, int *predicted, Error *err) {
    size_t memory_bytes = device_bytes(d, NUMBER_WIDE, n_memory * width);
    size_t block_bytes = device_bytes(d, NUMBER_REAL, BLOCK * width);
    size_t similarity_bytes = device_bytes(d, NUMBER_REAL, BLOCK * n_memory);
    size_t scratch_bytes = d->kernels.linear_scratch(d, BLOCK, width, n_memory);
    Device handle = *d;
    void *w = device_alloc(d, memory_bytes), *x = device_alloc(d, block_bytes);
    void *y = device_alloc(d, similarity_bytes), *scratch = device_alloc(d, scratch_bytes);
    float *host = mem_alloc_array((size_t)(BLOCK * n_memory), sizeof *host);
    int64_t *index = mem_alloc_array((size_t)k, sizeof *index);
    double *votes = mem_alloc_array((size_t)n_classes, sizeof *votes);
    bool ok = w && x && y && scratch && host && index && votes, stopped = false;
    if (ok) device_upload_floats(d, w, NUMBER_WIDE, memory, n_memory * width);
    handle.stop = stop;
    for (int64_t q = 0; ok && !stopped && q < n_queries; q += BLOCK) {
        int64_t n = n_queries - q < BLOCK ? n_queries - q : BLOCK;
        device_upload_floats(d, x, NUMBER_REAL, queries + q * width, n * width);
        d->kernels.linear_forward(&handle, y, NULL, x, w, NULL, NULL, n, width, n_memory, scratch);
        device_download_floats(d, host, y, NUMBER_REAL, n * n_memory);
        stopped = stop && *stop;
        for (int64_t i = 0; i < n && !stopped; i++) {
            const float *similarity = host + i * n_memory;
            int64_t count = nearest(similarity, n_memory, k, index);
            predicted[q + i] =
                vote(similarity, index, count, labels, n_classes, temperature, votes);
        }
    }
    device_free(d, w, memory_bytes);
    device_free(d, x, block_bytes);
    device_free(d, y, similarity_bytes);
    device_free(d, scratch, scratch_bytes);
    mem_free(host);
    mem_free(index);
    mem_free(votes);
    if (stopped) return error_set(err, MAE_INTERRUPTED, "stopped while looking for neighbours");
    return ok ? MAE_OK
              : error_set(err, MAE_MEMORY, "no memory for neighbours of %lld features",
                          (long long)n_memory);
}
