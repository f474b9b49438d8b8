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

/* The features of images [first, end). */
static Status fill(CachedFeatures *c, Evaluator *e, const CacheJob *job, int64_t first, int64_t end,
                   const MaeEvents *events, Error *err) {
    Status status = STATUS_OK;
    Loader *loader = NULL;
    ImageWatch watch = {0};
    LoaderOptions options = {.augment = job->augment,
                             .batch = evaluator_batch(e),
                             .n_workers = job->workers,
                             .repeat = 1,
                             .n_epochs = 1,
                             .first = first,
                             .strict = true,
                             .stop = events_stop_flag(events)};
    if (first == end) return STATUS_OK;
    watch_images(&watch, evaluator_graph(e), events, "features", evaluator_batch(e), end - first);
    TRY(loader_open(job->data, options, &loader, err));
    for (int64_t at = first; at < end;) {
        Batch b;
        TRY(loader_next(loader, &b, err));
        if (b.n > end - at) b.n = end - at;
        bool whole = evaluator_logits(e, b.pixels, b.n, NULL, c->features + at * c->width);
        TRY(watch_images_add(&watch, whole, b.n, err));
        at += b.n;
    }
done:
    watch_images_end(&watch);
    loader_close(loader);
    return status;
}

/* What others compute is zero here, so that the sum is what each has computed. */
static Status fill_together(CachedFeatures *c, Evaluator *e, const CacheJob *job,
                            const MaeEvents *events, Error *err) {
    int64_t first, end;
    evaluation_share(job->comm, c->n, &first, &end);
    Status status = fill(c, e, job, first, end, events, err);
    status = comm_agree(job->comm, status, err);
    if (status != STATUS_OK) return status;
    comm_start_sum(job->comm, c->features, c->n * c->width, sizeof *c->features, -1);
    comm_wait(job->comm);
    return STATUS_OK;
}

static Status make_room(const Vit *v, const CacheJob *job, CachedFeatures **out, Error *err) {
    CachedFeatures *c = mem_alloc(sizeof *c);
    *out = c;
    if (!c) return fail(err, STATUS_MEMORY, "no memory for features");
    c->data = job->data;
    c->n = dataset_count(job->data);
    c->width = v->config.embed_dim;
    c->features = mem_alloc_array((size_t)(c->n * c->width), sizeof *c->features);
    c->gathered_n = job->batch;
    c->gathered = mem_alloc_array((size_t)(job->batch * c->width), sizeof *c->gathered);
    if (c->features && c->gathered) return STATUS_OK;
    return fail(err, STATUS_MEMORY, "no memory for %.1f MB of features; leave --cache-features out",
                1e-6 * (double)(c->n * c->width) * sizeof *c->features);
}

Status cached_features_new(Evaluator *e, Vit *v, const CacheJob *job, const MaeEvents *events,
                           CachedFeatures **out, Error *err) {
    Status status = STATUS_OK;
    CachedFeatures *c = NULL;
    *out = NULL;
    TRY(comm_agree(job->comm, make_room(v, job, &c, err), err));
    TRY(fill_together(c, e, job, events, err));
    *out = c;
    c = NULL;
done:
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
