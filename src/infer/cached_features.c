/* See cached_features.h. */
#include "infer/cached_features.h"

#include <string.h>

#include "base/memory.h"

#define EVALUATION_BATCH 256

struct CachedFeatures {
    Dataset *data;
    int64_t n, width;
    float *features; /* [n,D] */
    uint8_t *there;  /* [n] 0: could not be read */
    int64_t n_there;
    float *gathered; /* [gathered_n,D] */
    Label *labels;   /* [gathered_n] */
    int64_t gathered_n;
};

static Status keep(void *user, Session *s, const Batch *b, Error *err) {
    CachedFeatures *c = user;
    const float *features = session_features(s);
    size_t row = (size_t)c->width * sizeof *c->features;
    (void)err;
    for (int64_t i = 0; i < b->n; i++) {
        memcpy(c->features + b->samples[i] * c->width, features + i * c->width, row);
        c->there[b->samples[i]] = 1;
    }
    return MAE_OK;
}

/* What any process could read is there for all. */
static void agree_on_unreadable(CachedFeatures *c, Comm *comm) {
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
}

static Status make_room(const Session *s, const SessionJob *job, int64_t batch,
                        CachedFeatures **out, Error *err) {
    CachedFeatures *c = mem_alloc(sizeof *c);
    *out = c;
    if (!c) return error_set(err, MAE_MEMORY, "no memory for features");
    c->data = job->data;
    c->n = dataset_count(job->data);
    c->width = session_values(s);
    c->gathered_n = batch;
    c->features = mem_alloc_array((size_t)(c->n * c->width), sizeof *c->features);
    c->there = mem_alloc((size_t)c->n);
    c->labels = mem_alloc_array((size_t)c->gathered_n, sizeof *c->labels);
    c->gathered = mem_alloc_array((size_t)(c->gathered_n * c->width), sizeof *c->gathered);
    if (c->features && c->there && c->labels && c->gathered) return MAE_OK;
    return error_set(err, MAE_MEMORY,
                     "no memory for %.1f MB of features; leave --cache-features out",
                     1e-6 * (double)(c->n * c->width) * sizeof *c->features);
}

/* What others compute is zero here, so that the sum is what each has computed. */
Status cached_features_new(Session *s, const SessionJob *job, int64_t batch, CachedFeatures **out,
                           Error *err) {
    Status status = MAE_OK;
    CachedFeatures *c = NULL;
    *out = NULL;
    TRY(comm_agree(job->comm, make_room(s, job, batch, &c, err), err));
    TRY(session_stream(s, job, keep, c, err));
    comm_start_sum(job->comm, c->features, c->n * c->width, sizeof *c->features, -1);
    comm_wait(job->comm);
    agree_on_unreadable(c, job->comm);
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
        c->labels[i].class = dataset_class(c->data, sample);
    }
    b->labels = c->labels;
    return c->gathered;
}

static Status count(const CachedFeatures *c, const float *logits, int64_t first, int64_t n,
                    int64_t classes, const int *class_of, Evaluation *out, Error *err) {
    for (int64_t i = 0; i < n; i++) {
        if (!c->there[first + i]) continue;
        int label = class_of[dataset_class(c->data, first + i)];
        if (evaluation_add(out, logits + i * classes, classes, NULL, label) < 0)
            return error_set(err, MAE_NONFINITE, "%s: the logits are not finite",
                             dataset_name(c->data, first + i));
    }
    return MAE_OK;
}

Status cached_features_evaluate(CachedFeatures *c, Vit *v, const int *class_of, Evaluation *out,
                                Error *err) {
    Status status = MAE_OK;
    Session *s = NULL;
    SessionOptions o = {.batch = EVALUATION_BATCH, .logits = true, .from_features = true};
    *out = (Evaluation){.unreadable = c->n - c->n_there};
    TRY(session_new(v, o, &s, err));
    for (int64_t first = 0; first < c->n; first += o.batch) {
        int64_t n = c->n - first < o.batch ? c->n - first : o.batch;
        session_run(s, c->features + first * c->width, n);
        TRY(count(c, session_logits(s), first, n, v->config.classes, class_of, out, err));
    }
done:
    session_free(s);
    return status;
}
