/* See pca.h. The device's matrix product sums the second moments of all patches. The mean is taken
 * out in double. LAPACK computes the components. */
#include "train/pca.h"

#include <string.h>

#include "base/memory.h"
#include "train/eigen.h"

typedef struct Moments {
    Device *device;
    Number type; /* of the pixels */
    PatchGrid grid;
    int64_t batch, patches, values, count; /* count: patches seen */
    void *pixels, *images, *rows, *ids, *second, *first, *scratch;
    size_t scratch_bytes;
    float *host; /* [n*n] */
    double *covariance, *eigenvalues, *mean;
} Moments;

static size_t wide_bytes(const Moments *m, int64_t n) {
    return device_bytes(m->device, NUMBER_WIDE, n);
}

static int64_t image_values(const Moments *m) {
    return m->grid.channels * m->grid.height * m->grid.width;
}

static size_t pixel_bytes(const Moments *m, int64_t images) {
    return device_bytes(m->device, m->type, images * image_values(m));
}

static void moments_free(Moments *m) {
    int64_t rows = m->batch * m->patches, n = m->values;
    device_free(m->device, m->pixels, pixel_bytes(m, m->batch));
    device_free(m->device, m->images, wide_bytes(m, m->batch * image_values(m)));
    device_free(m->device, m->rows, wide_bytes(m, rows * n));
    device_free(m->device, m->ids, (size_t)rows * sizeof(int32_t));
    device_free(m->device, m->second, wide_bytes(m, n * n));
    device_free(m->device, m->first, wide_bytes(m, n));
    device_free(m->device, m->scratch, m->scratch_bytes);
    mem_free(m->host);
    mem_free(m->covariance);
    mem_free(m->eigenvalues);
    mem_free(m->mean);
}

static Status moments_new(Moments *m, Error *err) {
    int64_t rows = m->batch * m->patches, n = m->values;
    m->pixels = device_alloc(m->device, pixel_bytes(m, m->batch));
    m->images = device_alloc(m->device, wide_bytes(m, m->batch * image_values(m)));
    m->rows = device_alloc(m->device, wide_bytes(m, rows * n));
    m->ids = device_alloc(m->device, (size_t)rows * sizeof(int32_t));
    m->second = device_alloc(m->device, wide_bytes(m, n * n));
    m->first = device_alloc(m->device, wide_bytes(m, n));
    m->scratch_bytes = m->device->kernels.linear_scratch(m->device, rows, n, n);
    m->scratch = device_alloc(m->device, m->scratch_bytes);
    m->host = mem_alloc_array((size_t)(n * n), sizeof *m->host);
    m->covariance = mem_alloc_array((size_t)(n * n), sizeof *m->covariance);
    m->eigenvalues = mem_alloc_array((size_t)n, sizeof *m->eigenvalues);
    m->mean = mem_alloc_array((size_t)n, sizeof *m->mean);
    int32_t *ids = mem_alloc_array((size_t)rows, sizeof *ids);
    bool ok = m->pixels && m->images && m->rows && m->ids && m->second && m->first && m->scratch &&
              m->host && m->covariance && m->eigenvalues && m->mean && ids;
    for (int64_t i = 0; ok && i < rows; i++) ids[i] = (int32_t)(i % m->patches);
    if (ok) device_upload(m->device, m->ids, ids, (size_t)rows * sizeof *ids);
    mem_free(ids);
    return ok ? MAE_OK
              : error_set(err, MAE_MEMORY, "no memory for a PCA of %lld values", (long long)n);
}

static void moments_add(Moments *m, const ModelConfig *c, const Batch *b) {
    const Kernels *k = &m->device->kernels;
    device_upload(m->device, m->pixels, b->pixels, pixel_bytes(m, b->n));
    k->image_normalize(m->device, m->images, m->pixels, m->type, c->mean, c->std, b->n, m->grid);
    k->patch_target(m->device, m->rows, m->images, m->ids, b->n, m->patches, m->grid, false);
    k->linear_backward_weight(m->device, m->second, m->first, m->rows, m->rows, b->n * m->patches,
                              m->values, m->values, true, m->scratch);
    m->count += b->n * m->patches;
}

static Status solve(Moments *m, Error *err) {
    int64_t n = m->values;
    device_download_floats(m->device, m->host, m->first, NUMBER_WIDE, n);
    for (int64_t i = 0; i < n; i++) m->mean[i] = (double)m->host[i] / (double)m->count;
    device_download_floats(m->device, m->host, m->second, NUMBER_WIDE, n * n);
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < n; j++)
            m->covariance[i * n + j] =
                (double)m->host[i * n + j] / (double)m->count - m->mean[i] * m->mean[j];
    return eigen_symmetric(m->covariance, n, m->eigenvalues, err);
}

/* Largest first; the sign of a component is free: its largest element is made positive. */
static void store(const Moments *m, Vit *a) {
    int64_t n = m->values, V = model_prediction_values(&a->config);
    float *weight = m->host;
    for (int64_t v = 0; v < V; v++) {
        const double *row = m->covariance + (n - 1 - v) * n;
        double largest = 0;
        for (int64_t i = 0; i < n; i++)
            if (row[i] * row[i] > largest * largest) largest = row[i];
        for (int64_t i = 0; i < n; i++) weight[v * n + i] = (float)(largest < 0 ? -row[i] : row[i]);
    }
    params_set(a->params, params_find(a->params, "pca.weight"), weight);
    for (int64_t v = 0; v < V; v++) {
        double dot = 0;
        for (int64_t i = 0; i < n; i++) dot += (double)weight[v * n + i] * m->mean[i];
        m->eigenvalues[v] = -dot;
    }
    for (int64_t v = 0; v < V; v++) m->host[v] = (float)m->eigenvalues[v];
    params_set(a->params, params_find(a->params, "pca.bias"), m->host);
    for (int64_t i = 0; i < n; i++) m->host[i] = (float)m->mean[i];
    params_set(a->params, params_find(a->params, "pca.mean"), m->host);
}

Status pca_fit(Vit *a, Dataset *d, LoaderOptions options, int64_t n_images, Error *err) {
    Status status = MAE_OK;
    const ModelConfig *c = &a->config;
    Loader *loader = NULL;
    Batch b;
    ImageWatch watch;
    Moments m = {.device = a->device,
                 .type = pixel_number(dataset_type(d)),
                 .grid = {c->channels, c->image_height, c->image_width, c->patch},
                 .batch = options.batch,
                 .patches = model_patches(c),
                 .values = model_patch_values(c)};
    watch_images(&watch, NULL, "components", options.batch, n_images);
    options.stop = call_stop();
    options.n_epochs = 0;
    options.drop_last = false;
    TRY(moments_new(&m, err));
    TRY(loader_open(d, options, &loader, err));
    for (int64_t seen = 0; seen < n_images; seen += b.n) {
        TRY(watch_images_next(&watch, loader, &b, err));
        moments_add(&m, c, &b);
        TRY(watch_images_add(&watch, true, b.n, err));
    }
    TRY(solve(&m, err));
    store(&m, a);
done:
    loader_close(loader);
    moments_free(&m);
    return status;
}
