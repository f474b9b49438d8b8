/* See cached_features.h. */
#include "infer/cached_features.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "train/events.h"

#define EVALUATION_BATCH 256

struct CachedFeatures {
    Dataset *data;
    int64_t n, width;
    float *features; /* [n,D] */
    uint8_t *there;  /* [n] 0: could not be read */
    int64_t n_there;
    float *gathered; /* [gathered_n,D] */
    int *labels;     /* [gathered_n] */
    int64_t gathered_n;
    char fault[600]; /* why an image could not be read */
};

static void keep(CachedFeatures *c, const float *features, const Batch *b) {
    size_t row = (size_t)c->width * sizeof *c->features;
    for (int64_t i = 0; i < b->n; i++) {
        memcpy(c->features + b->samples[i] * c->width, features + i * c->width, row);
        c->there[b->samples[i]] = 1;
    }
}

/* The features of images [first, end). */
static Status fill(CachedFeatures *c, Session *s, const CacheJob *job, int64_t first, int64_t end,
                   const MaeEvents *events, Error *err) {
    Status status = MAE_OK;
    Loader *loader = NULL;
    ImageWatch watch = {0};
    LoaderOptions options = {.augment = job->augment,
                             .batch = session_batch(s),
                             .n_workers = job->workers,
                             .repeat = 1,
                             .n_epochs = 1,
                             .first = first,
                             .limit = end,
                             .leave_out = true,
                             .strict = job->strict,
                             .stop = events_stop_flag(events)};
    if (first == end) return MAE_OK;
    watch_images(&watch, session_graph(s), events, "features", session_batch(s), end - first);
    TRY(loader_open(job->data, options, &loader, err));
    for (;;) {
        Batch b;
        TRY(watch_images_next(&watch, loader, &b, err));
        if (b.n == 0) break;
        bool whole = session_run(s, b.pixels, b.n);
        TRY(watch_images_add(&watch, whole, b.end - watch.done, err));
        keep(c, session_features(s), &b);
    }
    snprintf(c->fault, sizeof c->fault, "%s", loader_fault(loader));
done:
    watch_images_end(&watch);
    loader_close(loader);
    return status;
}

/* What any process could read is there for all. */
static Status agree_on_unreadable(CachedFeatures *c, Comm *comm, Error *err) {
    double part[4096];
    for (int64_t at = 0; at < c->n; at += 4096) {
        int64_t m = c->n - at < 4096 ? c->n - at : 4096;
        for (int64_t i = 0; i < m; i++) part[i] = c->there[at + i];
        comm_sum(comm, part, m);
        for (int64_t i = 0; i < m; i++) c->there[at + i] = part[i] > 0;
    }
    for (int64_t i = 0; i < c->n; i++) {
        c->n_there += c->there[i];
        if (!c->there[i]) dataset_leave_out(c->data, i);
    }
    if (c->n_there > 0) return MAE_OK;
    return fail(err, MAE_EMPTY, "none of the %" PRId64 " images could be read: %s", c->n,
                *c->fault ? c->fault : "see the log");
}

/* What others compute is zero here, so that the sum is what each has computed. */
static Status fill_together(CachedFeatures *c, Session *s, const CacheJob *job,
                            const MaeEvents *events, Error *err) {
    int64_t first, end;
    evaluation_share(job->comm, c->n, &first, &end);
    Status status = fill(c, s, job, first, end, events, err);
    status = comm_agree(job->comm, status, err);
    if (status != MAE_OK) return status;
    comm_start_sum(job->comm, c->features, c->n * c->width, sizeof *c->features, -1);
    comm_wait(job->comm);
    return agree_on_unreadable(c, job->comm, err);
}

static Status make_room(const Vit *v, const CacheJob *job, CachedFeatures **out, Error *err) {
    CachedFeatures *c = mem_alloc(sizeof *c);
    *out = c;
    if (!c) return fail(err, MAE_MEMORY, "no memory for features");
    c->data = job->data;
    c->n = dataset_count(job->data);
    c->width = v->config.embed_dim;
    c->features = mem_alloc_array((size_t)(c->n * c->width), sizeof *c->features);
    c->there = mem_alloc((size_t)c->n);
    c->gathered_n = job->batch;
    c->labels = mem_alloc_array((size_t)job->batch, sizeof *c->labels);
    c->gathered = mem_alloc_array((size_t)(job->batch * c->width), sizeof *c->gathered);
    if (c->features && c->there && c->labels && c->gathered) return MAE_OK;
    return fail(err, MAE_MEMORY, "no memory for %.1f MB of features; leave --cache-features out",
                1e-6 * (double)(c->n * c->width) * sizeof *c->features);
}

Status cached_features_new(Session *s, Vit *v, const CacheJob *job, const MaeEvents *events,
                           CachedFeatures **out, Error *err) {
    Status status = MAE_OK;
    CachedFeatures *c = NULL;
    *out = NULL;
    TRY(comm_agree(job->comm, make_room(v, job, &c, err), err));
    TRY(fill_together(c, s, job, events, err));
    *out = c;
    c = NULL;
done:
    cached_features_free(c);
    return status;
}

void cached_features_free(CachedFeatures *c) {
    if (!c) return;
    mem_free(c->features);
    mem_free(c->there);
    mem_free(c->labels);
    mem_free(c->gathered);
    mem_free(c);
}

const float *cached_features_gather(CachedFeatures *c, Batch *b) {
    ASSERT(b->n <= c->gathered_n, "%lld samples in a batch of %lld", (long long)b->n,
           (long long)c->gathered_n);
    for (int64_t i = 0; i < b->n; i++) {
        int64_t sample = b->samples[i];
        while (!c->there[sample]) sample = (sample + 1) % c->n;
        memcpy(c->gathered + i * c->width, c->features + sample * c->width,
               (size_t)c->width * sizeof *c->gathered);
        c->labels[i] = dataset_label(c->data, sample);
    }
    b->labels = c->labels;
    return c->gathered;
}

static Status count(const CachedFeatures *c, const float *logits, int64_t first, int64_t n,
                    int64_t classes, const int *label_of, Evaluation *out, Error *err) {
    for (int64_t i = 0; i < n; i++) {
        if (!c->there[first + i]) continue;
        int label = label_of[dataset_label(c->data, first + i)];
        if (evaluation_add(out, logits + i * classes, classes, NULL, label) < 0)
            return fail(err, MAE_NONFINITE, "%s: the logits are not finite",
                        dataset_name(c->data, first + i));
    }
    return MAE_OK;
}

Status cached_features_evaluate(CachedFeatures *c, Vit *v, const int *label_of, Evaluation *out,
                                Error *err) {
    Status status = MAE_OK;
    Session *s = NULL;
    SessionOptions o = {.batch = EVALUATION_BATCH, .logits = true, .from_features = true};
    *out = (Evaluation){.unreadable = c->n - c->n_there};
    TRY(session_new(v, o, &s, err));
    for (int64_t first = 0; first < c->n; first += o.batch) {
        int64_t n = c->n - first < o.batch ? c->n - first : o.batch;
        session_run(s, c->features + first * c->width, n);
        TRY(count(c, session_logits(s), first, n, v->config.classes, label_of, out, err));
    }
done:
    session_free(s);
    return status;
}
