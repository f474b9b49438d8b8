/* See features.h. */
#include "infer/features.h"

#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "base/threads.h"
#include "draw/attention_map.h"
#include "model/encoder.h"
#include "train/events.h"

struct Encoder {
    Vit *model;
    EncoderOptions options;
    Graph *graph;
    Value *pixels, *ids, *result;
    Value *qkv;        /* [B,T,3C] of the block whose attention is asked for, or NULL */
    uint8_t *images;   /* a whole batch; short batches are filled up with zeros */
    float *host;       /* result */
    float *qkv_host;   /* of the last run */
    bool qkv_is_there; /* downloaded since the last run */
};

/* --- building --------------------------------------------------------------------------------- */

static Status check(const ModelConfig *c, EncoderOptions o, Error *err) {
    if (o.block < 0 || o.block > c->depth)
        return fail(err, MAE_USAGE,
                    "--block %lld: the model has %lld blocks; choose 1 to %lld, or 0 for the "
                    "features after the final norm",
                    (long long)o.block, (long long)c->depth, (long long)c->depth);
    if (o.block > 0 || c->head == HEAD_NONE || o.pool == c->pool) return MAE_OK;
    return fail(err, MAE_USAGE,
                "--pool %s: this classifier was trained with --pool %s, so its features after the "
                "final norm are those; use --pool %s, or mae features with --block N for tokens "
                "before that norm",
                pool_words[o.pool], pool_words[c->pool], pool_words[c->pool]);
}

static void build(Encoder *e) {
    const ModelConfig *c = &e->model->config;
    Graph *g = e->graph;
    Layers l = {.model = e->model, .graph = g};
    int64_t block = e->options.block, blocks = block ? block : c->depth;
    EncoderGraph encoder = encoder_build(&l, e->options.batch, false, blocks);
    e->pixels = encoder.pixels;
    e->ids = encoder.ids;
    e->result = block ? encoder_pool(g, e->options.pool, encoder.tokens)
                      : encoder_features(&l, e->options.pool, encoder.tokens);
    graph_keep(g, e->result);
    if (!e->options.attention) return;
    char name[64];
    snprintf(name, sizeof name, "blocks.%lld.attn.qkv", (long long)blocks - 1);
    e->qkv = graph_find(g, name);
    ASSERT(e->qkv, "no value %s", name);
    graph_keep(g, e->qkv);
}

static Status take_memory(Encoder *e, Error *err) {
    Status status = MAE_OK;
    TRY(graph_plan(e->graph, GRAPH_INFER, err));
    e->images = mem_alloc((size_t)shape_numel(e->pixels->shape));
    e->host = mem_alloc_array((size_t)shape_numel(e->result->shape), sizeof *e->host);
    if (e->qkv)
        e->qkv_host = mem_alloc_array((size_t)shape_numel(e->qkv->shape), sizeof *e->qkv_host);
    if (!e->images || !e->host || (e->qkv && !e->qkv_host)) {
        status = fail(err, MAE_MEMORY, "no memory for features of %lld images",
                      (long long)e->options.batch);
        goto done;
    }
    TRY(encoder_set_ids(e->graph, e->ids, err));
done:
    return status;
}

Status encoder_new(Vit *v, EncoderOptions o, Encoder **out, Error *err) {
    Status status = MAE_OK;
    Encoder *e = NULL;
    *out = NULL;
    ASSERT(o.batch > 0, "an encoder for %lld images", (long long)o.batch);
    TRY(check(&v->config, o, err));
    e = mem_alloc(sizeof *e);
    if (!e) return fail(err, MAE_MEMORY, "no memory for an encoder");
    e->model = v;
    e->options = o;
    e->graph = graph_new(v->device, v->params);
    if (!e->graph) {
        status = fail(err, MAE_MEMORY, "no memory for a graph");
        goto done;
    }
    build(e);
    TRY(take_memory(e, err));
    *out = e;
    e = NULL;
done:
    encoder_free(e);
    return status;
}

void encoder_free(Encoder *e) {
    if (!e) return;
    graph_free(e->graph);
    mem_free(e->images);
    mem_free(e->host);
    mem_free(e->qkv_host);
    mem_free(e);
}

/* --- running ---------------------------------------------------------------------------------- */

int64_t encoder_batch(const Encoder *e) {
    return e->options.batch;
}

int64_t encoder_values(const Encoder *e) {
    return shape_numel(e->result->shape) / e->options.batch;
}

Graph *encoder_graph(Encoder *e) {
    return e->graph;
}

bool encoder_run(Encoder *e, const uint8_t *pixels, int64_t n, float *out) {
    int64_t B = e->options.batch;
    size_t image = (size_t)(shape_numel(e->pixels->shape) / B);
    ASSERT(n <= B, "%lld images in a batch of %lld", (long long)n, (long long)B);
    memcpy(e->images, pixels, image * (size_t)n);
    memset(e->images + image * (size_t)n, 0, image * (size_t)(B - n));
    graph_set(e->graph, e->pixels, e->images);
    bool whole = graph_forward(e->graph);
    e->qkv_is_there = false;
    if (!whole || !out) return whole;
    graph_get(e->graph, e->result, e->host);
    memcpy(out, e->host, (size_t)(n * encoder_values(e)) * sizeof *out);
    return true;
}

void encoder_attention(Encoder *e, int64_t i, float *out) {
    const ModelConfig *c = &e->model->config;
    ASSERT(e->qkv && i < e->options.batch, "attention of image %lld", (long long)i);
    if (!e->qkv_is_there) graph_get(e->graph, e->qkv, e->qkv_host);
    e->qkv_is_there = true;
    int64_t T = e->qkv->shape.dim[1], H = c->heads, D = c->embed_dim / H;
    attention_of_cls(e->qkv_host + i * T * 3 * H * D, T, H, D, out);
}

Status features_stream(Encoder *e, const FeatureJob *job, FeatureSink sink, void *user,
                       Error *err) {
    Status status = MAE_OK;
    Loader *loader = NULL;
    float *features = NULL;
    int64_t total = dataset_count(job->data), rows = 0;
    ImageWatch watch = {0};
    if (job->limit > 0 && job->limit < total) total = job->limit;
    LoaderOptions options = {.augment = job->augment,
                             .batch = encoder_batch(e),
                             .n_workers = job->workers,
                             .repeat = 1,
                             .n_epochs = 1,
                             .limit = total,
                             .leave_out = true,
                             .strict = job->strict,
                             .stop = events_stop_flag(job->events)};
    features = mem_alloc_array((size_t)(encoder_batch(e) * encoder_values(e)), sizeof *features);
    if (!features) return fail(err, MAE_MEMORY, "no memory for features");
    watch_images(&watch, e->graph, job->events, "features", encoder_batch(e), total);
    TRY(loader_open(job->data, options, &loader, err));
    for (;;) {
        Batch b;
        TRY(watch_images_next(&watch, loader, &b, err));
        if (b.n == 0) break;
        bool whole = encoder_run(e, b.pixels, b.n, features);
        TRY(watch_images_add(&watch, whole, b.end - watch.done, err));
        TRY(sink(user, features, &b, err));
        rows += b.n;
    }
    if (rows == 0)
        status = fail(err, MAE_EMPTY, "none of the %lld images could be read: %s", (long long)total,
                      *loader_fault(loader) ? loader_fault(loader) : "see the log");
done:
    watch_images_end(&watch);
    loader_close(loader);
    mem_free(features);
    return status;
}
