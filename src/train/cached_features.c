/* See cached_features.h. */
#include "train/cached_features.h"

#include <inttypes.h>
#include <string.h>

#include "base/memory.h"
#include "base/threads.h"
#include "train/events.h"

#define EVALUATION_BATCH 256

struct CachedFeatures {
    Dataset *data;
    int64_t n, width;
    float *features; /* [n,D] */
    float *gathered; /* [gathered_n,D] */
    int64_t gathered_n;
};

static Status fill(CachedFeatures *c, Evaluator *e, Loader *loader, const MaeEvents *events,
                   Error *err) {
    double start = clock_seconds();
    for (int64_t done = 0; done < c->n;) {
        Batch b;
        Status status = loader_next(loader, &b, err);
        if (status != STATUS_OK) return status;
        if (b.n > c->n - done) b.n = c->n - done;
        evaluator_logits(e, b.pixels, b.n, NULL, c->features + done * c->width);
        done += b.n;
        events_images(events, "features", done, c->n, start);
        if (events_stop(events))
            return fail(err, STATUS_INTERRUPTED, "stopped after features of %" PRId64 " images",
                        done);
    }
    return STATUS_OK;
}

Status cached_features_new(Evaluator *e, Vit *v, const CacheJob *job, const MaeEvents *events,
                           CachedFeatures **out, Error *err) {
    Status status = STATUS_OK;
    Loader *loader = NULL;
    CachedFeatures *c = mem_alloc(sizeof *c);
    *out = NULL;
    if (!c) return fail(err, STATUS_MEMORY, "no memory for features");
    c->data = job->data;
    c->n = dataset_count(job->data);
    if (job->limit > 0 && job->limit < c->n) c->n = job->limit;
    c->width = v->config.embed_dim;
    c->features = mem_alloc_array((size_t)(c->n * c->width), sizeof *c->features);
    c->gathered_n = job->batch;
    c->gathered = mem_alloc_array((size_t)(job->batch * c->width), sizeof *c->gathered);
    if (!c->features || !c->gathered) {
        status = fail(err, STATUS_MEMORY,
                      "no memory for %.1f MB of features; leave --cache-features out",
                      1e-6 * (double)(c->n * c->width) * sizeof *c->features);
        goto done;
    }
    LoaderOptions options = {.augment = job->augment,
                             .batch = evaluator_batch(e),
                             .n_workers = job->workers,
                             .repeat = 1,
                             .n_epochs = 1,
                             .strict = true};
    TRY(loader_open(job->data, options, &loader, err));
    TRY(fill(c, e, loader, events, err));
    *out = c;
    c = NULL;
done:
    loader_close(loader);
    cached_features_free(c);
    return status;
}

void cached_features_free(CachedFeatures *c) {
    if (!c) return;
    mem_free(c->features);
    mem_free(c->gathered);
    mem_free(c);
}

const float *cached_features_gather(CachedFeatures *c, const int64_t *samples, int64_t n) {
    ASSERT(n <= c->gathered_n, "%lld samples in a batch of %lld", (long long)n,
           (long long)c->gathered_n);
    for (int64_t i = 0; i < n; i++)
        memcpy(c->gathered + i * c->width, c->features + samples[i] * c->width,
               (size_t)c->width * sizeof *c->gathered);
    return c->gathered;
}

static Status count(const CachedFeatures *c, const float *logits, int64_t first, int64_t n,
                    int64_t classes, const int *label_of, Evaluation *out, Error *err) {
    for (int64_t i = 0; i < n; i++) {
        int label = label_of[dataset_label(c->data, first + i)];
        if (evaluation_add(out, logits + i * classes, classes, NULL, label) < 0)
            return fail(err, STATUS_NONFINITE, "%s: the logits are not finite",
                        dataset_name(c->data, first + i));
    }
    return STATUS_OK;
}

Status cached_features_evaluate(CachedFeatures *c, Vit *v, const int *label_of, Evaluation *out,
                                Error *err) {
    Status status = STATUS_OK;
    ClassifierGraph g = {0};
    int64_t B = EVALUATION_BATCH, C = v->config.classes, D = c->width;
    float *logits = mem_alloc_array((size_t)(B * C), sizeof *logits);
    float *features = mem_alloc_array((size_t)(B * D), sizeof *features);
    *out = (Evaluation){0};
    if (!logits || !features) {
        status = fail(err, STATUS_MEMORY, "no memory to evaluate");
        goto done;
    }
    TRY(classifier_graph(v, (ClassifierOptions){.batch = B, .from_features = true}, &g, err));
    TRY(classifier_plan(&g, GRAPH_INFER, err));
    for (int64_t first = 0; first < c->n; first += B) {
        int64_t n = c->n - first < B ? c->n - first : B;
        memcpy(features, c->features + first * D, (size_t)(n * D) * sizeof *features);
        graph_set_real(g.graph, g.features, features);
        graph_forward(g.graph);
        graph_get(g.graph, g.logits, logits);
        TRY(count(c, logits, first, n, C, label_of, out, err));
    }
done:
    classifier_graph_free(&g);
    mem_free(logits);
    mem_free(features);
    return status;
}
