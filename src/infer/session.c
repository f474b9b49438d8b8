/* See session.h. */
#include "infer/session.h"

#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "draw/attention_map.h"
#include "train/events.h"

#define FAULT_BYTES 600

typedef struct Output {
    Value *value; /* NULL: not asked for */
    float *host;
    bool is_there; /* downloaded since the last run */
} Output;

struct Session {
    Vit *model;
    SessionOptions options;
    Graph *graph;
    Value *input, *ids;
    Output features, logits;
    Output qkv;   /* [B,T,3C] of the block whose attention is asked for */
    void *padded; /* a short batch, filled up with zeros */
};

/* --- building --------------------------------------------------------------------------------- */

static Status check(const ModelConfig *c, SessionOptions o, Error *err) {
    if (o.block < 0 || o.block > c->depth)
        return error_set(err, MAE_USAGE,
                         "--block %lld: the model has %lld blocks; choose 1 to %lld, or 0 for the "
                         "features after the final norm",
                         (long long)o.block, (long long)c->depth, (long long)c->depth);
    if (o.block > 0 || c->head == HEAD_NONE || o.pool == c->pool) return MAE_OK;
    return error_set(
        err, MAE_USAGE,
        "--pool %s: this classifier was trained with --pool %s, so its features after the "
        "final norm are those; use --pool %s, or mae features with --block N for tokens "
        "before that norm",
        pool_words[o.pool], pool_words[c->pool], pool_words[c->pool]);
}

static Status build_classifier(Session *s, Error *err) {
    ClassifierOptions o = {.batch = s->options.batch, .from_features = s->options.from_features};
    ClassifierGraph g;
    Status status = classifier_graph(s->model, o, &g, err);
    s->graph = g.graph;
    if (status != MAE_OK) return status;
    s->input = o.from_features ? g.features : g.encoder.pixels;
    s->ids = g.encoder.ids;
    if (!o.from_features) s->features.value = g.features;
    s->logits.value = g.logits;
    return MAE_OK;
}

static Status build_encoder(Session *s, Error *err) {
    SessionOptions o = s->options;
    int64_t blocks = o.block ? o.block : s->model->config.depth;
    Layers l = {.model = s->model, .graph = graph_new(s->model->device, s->model->params)};
    s->graph = l.graph;
    if (!s->graph) return error_set(err, MAE_MEMORY, "no memory for a graph");
    EncoderGraph e = encoder_build(&l, o.batch, false, blocks);
    s->input = e.pixels;
    s->ids = e.ids;
    s->features.value =
        o.block ? encoder_pool(s->graph, o.pool, e.tokens) : encoder_features(&l, o.pool, e.tokens);
    if (!o.attention) return MAE_OK;
    char name[64];
    snprintf(name, sizeof name, "blocks.%lld.attn.qkv", (long long)blocks - 1);
    s->qkv.value = graph_find(s->graph, name);
    ASSERT(s->qkv.value, "no value %s", name);
    return MAE_OK;
}

static size_t input_bytes(const Session *s) {
    size_t one = s->options.from_features ? sizeof(float) : 1;
    return (size_t)shape_numel(s->input->shape) * one;
}

static bool take_host(Output *o) {
    if (!o->value) return true;
    o->host = mem_alloc_array((size_t)shape_numel(o->value->shape), sizeof *o->host);
    return o->host != NULL;
}

static Status take_memory(Session *s, Error *err) {
    Output *const outputs[] = {&s->features, &s->logits, &s->qkv};
    bool ok = true;
    for (int i = 0; i < 3; i++)
        if (outputs[i]->value) graph_keep(s->graph, outputs[i]->value);
    Status status = graph_plan(s->graph, GRAPH_INFER, err);
    if (status != MAE_OK) return status;
    s->padded = mem_alloc(input_bytes(s));
    for (int i = 0; i < 3; i++) ok = ok && take_host(outputs[i]);
    if (!ok || !s->padded)
        return error_set(err, MAE_MEMORY, "no memory for %lld images at a time",
                         (long long)s->options.batch);
    return s->ids ? encoder_set_ids(s->graph, s->ids, err) : MAE_OK;
}

Status session_new(Vit *v, SessionOptions o, Session **out, Error *err) {
    Status status = MAE_OK;
    Session *s = NULL;
    *out = NULL;
    ASSERT(o.batch > 0, "a session of %lld images", (long long)o.batch);
    if (!o.logits) TRY(check(&v->config, o, err));
    s = mem_alloc(sizeof *s);
    if (!s) return error_set(err, MAE_MEMORY, "no memory for a session");
    s->model = v;
    s->options = o;
    TRY(o.logits ? build_classifier(s, err) : build_encoder(s, err));
    TRY(take_memory(s, err));
    *out = s;
    s = NULL;
done:
    session_free(s);
    return status;
}

void session_free(Session *s) {
    if (!s) return;
    graph_free(s->graph);
    mem_free(s->padded);
    mem_free(s->features.host);
    mem_free(s->logits.host);
    mem_free(s->qkv.host);
    mem_free(s);
}

/* --- running ---------------------------------------------------------------------------------- */

int64_t session_batch(const Session *s) {
    return s->options.batch;
}

int64_t session_values(const Session *s) {
    return shape_numel(s->features.value->shape) / s->options.batch;
}

int64_t session_classes(const Session *s) {
    return shape_numel(s->logits.value->shape) / s->options.batch;
}

Graph *session_graph(Session *s) {
    return s->graph;
}

bool session_run(Session *s, const void *images, int64_t n) {
    size_t all = input_bytes(s), given = all / (size_t)s->options.batch * (size_t)n;
    ASSERT(n <= s->options.batch, "%lld images in a batch of %lld", (long long)n,
           (long long)s->options.batch);
    if (given < all) {
        memcpy(s->padded, images, given);
        memset((uint8_t *)s->padded + given, 0, all - given);
        images = s->padded;
    }
    if (s->options.from_features)
        graph_set_real(s->graph, s->input, images);
    else
        graph_set(s->graph, s->input, images);
    s->features.is_there = s->logits.is_there = s->qkv.is_there = false;
    return graph_forward(s->graph);
}

static const float *download(Session *s, Output *o) {
    ASSERT(o->value, "an output that was not asked for");
    if (!o->is_there) graph_get(s->graph, o->value, o->host);
    o->is_there = true;
    return o->host;
}

const float *session_features(Session *s) {
    return download(s, &s->features);
}

const float *session_logits(Session *s) {
    return download(s, &s->logits);
}

void session_attention(Session *s, int64_t i, float *out) {
    ASSERT(i < s->options.batch, "attention of image %lld", (long long)i);
    const float *qkv = download(s, &s->qkv);
    int64_t T = s->qkv.value->shape.dim[1], H = s->model->config.heads;
    int64_t D = s->model->config.embed_dim / H;
    attention_of_cls(qkv + i * T * 3 * H * D, T, H, D, out);
}

/* --- the images of a dataset ------------------------------------------------------------------ */

/* What one process does of a job. */
typedef struct Part {
    int64_t first, end; /* of the images */
    int64_t read;
    char fault[FAULT_BYTES]; /* why the first of those left out could not be read */
} Part;

static Status stream_part(Session *s, const SessionJob *job, Part *part, SessionSink sink,
                          void *user, Error *err) {
    Status status = MAE_OK;
    Loader *loader = NULL;
    ImageWatch watch = {0};
    LoaderOptions options = {.augment = job->augment,
                             .batch = s->options.batch,
                             .n_workers = job->workers,
                             .seed = job->seed,
                             .repeat = 1,
                             .n_epochs = 1,
                             .first = part->first,
                             .limit = part->end,
                             .leave_out = true,
                             .strict = job->strict,
                             .stop = events_stop_flag(job->events)};
    if (part->first == part->end) return MAE_OK;
    watch_images(&watch, s->graph, job->events, job->phase, options.batch, part->end - part->first);
    TRY(loader_open(job->data, options, &loader, err));
    for (;;) {
        Batch b;
        TRY(watch_images_next(&watch, loader, &b, err));
        if (b.n == 0) break;
        bool whole = session_run(s, b.pixels, b.n);
        TRY(watch_images_add(&watch, whole, b.end - watch.done, err));
        TRY(sink(user, s, &b, err));
        part->read += b.n;
    }
    snprintf(part->fault, sizeof part->fault, "%s", loader_fault(loader));
done:
    watch_images_end(&watch);
    loader_close(loader);
    return status;
}

Status session_stream(Session *s, const SessionJob *job, SessionSink sink, void *user, Error *err) {
    int64_t n = dataset_count(job->data), rank = comm_rank(job->comm), size = comm_size(job->comm);
    if (job->limit > 0 && job->limit < n) n = job->limit;
    Part part = {.first = n * rank / size, .end = n * (rank + 1) / size};
    Status status = comm_agree(job->comm, stream_part(s, job, &part, sink, user, err), err);
    if (status != MAE_OK) return status;
    double read = (double)part.read;
    comm_sum(job->comm, &read, 1);
    if (read > 0) return MAE_OK;
    return error_set(err, MAE_EMPTY, "none of the %lld images could be read: %s", (long long)n,
                     *part.fault ? part.fault : "see the log");
}
