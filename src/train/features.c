/* See features.h. */
#include "train/features.h"

#include <string.h>

#include "base/memory.h"
#include "base/threads.h"
#include "train/events.h"

struct Encoder {
    Vit *model;
    AutoencoderGraph graph;
    bool pool_cls;
    uint8_t *pixels; /* a whole batch; short batches are filled up with zeros */
    float *host;     /* [B,D] or [B,T,D] */
};

Status encoder_new(Vit *a, int64_t batch, bool pool_cls, Encoder **out, Error *err) {
    Status status = STATUS_OK;
    const ModelConfig *c = &a->config;
    int64_t P = model_patches(c);
    int32_t *ids = NULL;
    Encoder *e = mem_alloc(sizeof *e);
    *out = NULL;
    if (!e) return fail(err, STATUS_MEMORY, "no memory for an encoder");
    e->model = a;
    e->pool_cls = pool_cls;
    TRY(autoencoder_graph(a, FORWARD_ENCODE, batch, P, false, &e->graph, err));
    Value *result = pool_cls ? e->graph.latent : e->graph.pooled;
    graph_keep(e->graph.graph, result);
    TRY(graph_plan(e->graph.graph, GRAPH_INFER, err));
    e->pixels = mem_alloc((size_t)shape_numel(e->graph.pixels->shape));
    e->host = mem_alloc_array((size_t)shape_numel(result->shape), sizeof *e->host);
    ids = mem_alloc_array((size_t)(batch * P), sizeof *ids);
    if (!e->pixels || !e->host || !ids) {
        status =
            fail(err, STATUS_MEMORY, "no memory for features of %lld images", (long long)batch);
        goto done;
    }
    for (int64_t i = 0; i < batch * P; i++) ids[i] = (int32_t)(i % P);
    graph_set(e->graph.graph, e->graph.ids_keep, ids);
    *out = e;
    e = NULL;
done:
    mem_free(ids);
    encoder_free(e);
    return status;
}

void encoder_free(Encoder *e) {
    if (!e) return;
    graph_free(e->graph.graph);
    mem_free(e->pixels);
    mem_free(e->host);
    mem_free(e);
}

int64_t encoder_batch(const Encoder *e) {
    return e->graph.batch;
}

void encoder_run(Encoder *e, const uint8_t *pixels, int64_t n, float *out) {
    AutoencoderGraph *g = &e->graph;
    size_t image = (size_t)(shape_numel(g->pixels->shape) / g->batch);
    int64_t D = e->model->config.embed_dim, T = g->latent->shape.dim[1];
    ASSERT(n <= g->batch, "%lld images in a batch of %lld", (long long)n, (long long)g->batch);
    memset(e->pixels, 0, image * (size_t)g->batch);
    memcpy(e->pixels, pixels, image * (size_t)n);
    graph_set(g->graph, g->pixels, e->pixels);
    graph_forward(g->graph);
    graph_get(g->graph, e->pool_cls ? g->latent : g->pooled, e->host);
    int64_t stride = e->pool_cls ? T * D : D;
    for (int64_t i = 0; i < n; i++)
        memcpy(out + i * D, e->host + i * stride, (size_t)D * sizeof *out);
}

Status features_stream(Encoder *e, Dataset *d, const Augment *augment, int workers, int64_t limit,
                       const MaeEvents *events, FeatureSink sink, void *user, Error *err) {
    Status status = STATUS_OK;
    Loader *loader = NULL;
    float *features = NULL;
    int64_t total = dataset_count(d), done_count = 0;
    double start = clock_seconds();
    if (limit > 0 && limit < total) total = limit;
    LoaderOptions options = {.augment = *augment,
                             .batch = encoder_batch(e),
                             .n_workers = workers,
                             .repeat = 1,
                             .n_epochs = 1,
                             .strict = true};
    size_t n = (size_t)(encoder_batch(e) * e->model->config.embed_dim);
    features = mem_alloc_array(n, sizeof *features);
    if (!features) return fail(err, STATUS_MEMORY, "no memory for features");
    TRY(loader_open(d, options, &loader, err));
    while (done_count < total) {
        Batch b;
        TRY(loader_next(loader, &b, err));
        if (b.n > total - done_count) b.n = total - done_count;
        if (b.n == 0) break;
        encoder_run(e, b.pixels, b.n, features);
        TRY(sink(user, features, &b, err));
        done_count += b.n;
        events_images(events, "features", done_count, total, start);
        if (events_stop(events)) {
            status = fail(err, STATUS_INTERRUPTED, "stopped after %lld of %lld images",
                          (long long)done_count, (long long)total);
            goto done;
        }
    }
done:
    loader_close(loader);
    mem_free(features);
    return status;
}
