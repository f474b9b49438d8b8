/* See session.h. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "draw/attention_map.h"
#include "infer/session_internal.h"
#include "train/events.h"

#define FAULT_BYTES 600

/* --- building --------------------------------------------------------------------------------- */

static Status check(const ModelConfig *c, SessionOptions o, Error *err) {
    if (o.block < 0 || o.block > c->depth)
        return error_set(err, MAE_USAGE,
                         "--block %lld: the model has %lld blocks; choose 1 to %lld, or 0 for the "
                         "features after the final norm",
                         (long long)o.block, (long long)c->depth, (long long)c->depth);
    if (o.block > 0 || c->head == HEAD_NONE) return MAE_OK;
    if (o.pool == c->pool && !o.tokens) return MAE_OK;
    return error_set(
        err, MAE_USAGE,
        "--pool %s: this classifier was trained with --pool %s, so its features after the "
        "final norm are those; use --pool %s, or mae features with --block N for tokens "
        "before that norm",
        pool_words[o.tokens ? POOL_ALL : o.pool], pool_words[c->pool], pool_words[c->pool]);
}

/* Features of the tokens of a block, and those tokens. A classifier normalises what it has pooled:
 * after its last block there are no normalised tokens. */
static void add_features(Session *s, Layers *l, Value *tokens) {
    SessionOptions o = s->options;
    Output *features = &s->outputs[OUT_FEATURES];
    if (o.block == 0 && s->model->config.head != HEAD_NONE) {
        features->value = encoder_features(l, o.pool, tokens);
        return;
    }
    if (o.block == 0) tokens = encoder_features(l, POOL_ALL, tokens);
    features->value = encoder_pool(s->graph, o.pool, tokens);
    if (o.tokens) s->outputs[OUT_TOKENS].value = tokens;
}

static void find_value(Session *s, Value **out, const char *suffix) {
    char name[64];
    int64_t block = s->options.block ? s->options.block : s->model->config.depth;
    snprintf(name, sizeof name, "blocks.%lld%s", (long long)block - 1, suffix);
    *out = graph_find(s->graph, name);
    ASSERT(*out, "no value %s", name);
}

static Status build_classifier(Session *s, Error *err) {
    SessionOptions o = s->options;
    ClassifierOptions c = {.batch = o.batch, .type = o.type, .from_features = o.from_features};
    ClassifierGraph g;
    Status status = classifier_graph(s->model, c, &g, err);
    s->graph = g.graph;
    if (status != MAE_OK) return status;
    s->input = o.from_features ? g.features : g.encoder.pixels;
    s->images = g.encoder.images;
    s->ids = g.encoder.ids;
    s->outputs[OUT_LOGITS].value = g.logits;
    if (o.features && o.block > 0) {
        Layers l = {.model = s->model, .graph = s->graph};
        Value *tokens;
        find_value(s, &tokens, "");
        add_features(s, &l, tokens);
    } else if (!o.from_features) {
        s->outputs[OUT_FEATURES].value = g.features;
    }
    return MAE_OK;
}

static Status build_encoder(Session *s, Error *err) {
    SessionOptions o = s->options;
    Layers l = {.model = s->model, .graph = graph_new(s->model->device, s->model->params)};
    s->graph = l.graph;
    if (!s->graph) return error_set(err, MAE_MEMORY, "no memory for a graph");
    EncoderGraph e = encoder_build(&l, o.batch, pixel_number(o.type),
                                   o.block ? o.block : s->model->config.depth);
    s->input = e.pixels;
    s->images = e.images;
    s->ids = e.ids;
    add_features(s, &l, e.tokens);
    return MAE_OK;
}

static Status build_masked(Session *s, Error *err) {
    AutoencoderGraph *g = &s->masked;
    Status status = autoencoder_graph(s->model, FORWARD_FULL, s->options.batch, s->options.n_keep,
                                      pixel_number(s->options.type), g, err);
    s->graph = g->graph;
    if (status != MAE_OK) return status;
    s->input = g->pixels;
    s->images = s->outputs[OUT_IMAGES].value = g->images;
    s->outputs[OUT_PREDICTION].value = g->pred;
    s->outputs[OUT_PATCH_LOSS].value = g->loss_per_patch;
    s->outputs[OUT_LATENT].value = g->latent;
    return MAE_OK;
}

static Status build(Session *s, Error *err) {
    SessionOptions o = s->options;
    if (o.masked) return build_masked(s, err);
    Status status = o.logits ? build_classifier(s, err) : build_encoder(s, err);
    if (status == MAE_OK && o.attention) find_value(s, &s->outputs[OUT_QKV].value, ".attn.qkv");
    return status;
}

static Status no_memory(const Session *s, Error *err) {
    return error_set(err, MAE_MEMORY, "no memory for %lld images at a time",
                     (long long)s->options.batch);
}

static size_t input_bytes(const Session *s) {
    MaeType type = s->options.from_features ? MAE_F32 : s->options.type;
    return (size_t)shape_numel(s->input->shape) * image_value_bytes(type);
}

static size_t images_bytes(const Session *s) {
    return (size_t)shape_numel(s->images->shape) * sizeof(float);
}

static Status plan(Session *s, Error *err) {
    for (int i = 0; i < N_OUTPUTS; i++)
        if (s->outputs[i].value) graph_keep(s->graph, s->outputs[i].value);
    Status status = graph_plan(s->graph, GRAPH_INFER, err);
    return status == MAE_OK && s->ids ? encoder_set_ids(s->graph, s->ids, err) : status;
}

/* Large areas cost nothing until something is written there. */
static Status take_memory(Session *s, Error *err) {
    s->staged = mem_alloc_pages(input_bytes(s));
    if (!s->staged) return no_memory(s, err);
    if (s->options.floats) {
        s->floats = mem_alloc_pages(images_bytes(s));
        if (!s->floats) return no_memory(s, err);
    }
    for (int i = 0; i < N_OUTPUTS; i++) {
        Output *o = &s->outputs[i];
        if (o->value) o->n = shape_numel(o->value->shape);
        if (o->n == 0) continue;
        o->host = mem_alloc_pages((size_t)o->n * sizeof *o->host);
        if (!o->host) return no_memory(s, err);
    }
    return MAE_OK;
}

Status session_new(Vit *v, SessionOptions o, Session **out, Error *err) {
    Status status = MAE_OK;
    Session *s = NULL;
    *out = NULL;
    ASSERT(o.batch > 0, "a session of %lld images", (long long)o.batch);
    if (!o.masked && (!o.logits || o.features)) TRY(check(&v->config, o, err));
    s = mem_alloc(sizeof *s);
    if (!s) return error_set(err, MAE_MEMORY, "no memory for a session");
    s->model = v;
    s->options = o;
    TRY(build(s, err));
    TRY(plan(s, err));
    if (o.masked) TRY(session_take_reconstruction(s, err));
    TRY(take_memory(s, err));
    *out = s;
    s = NULL;
done:
    session_free(s);
    return status;
}

void session_free(Session *s) {
    if (!s) return;
    if (s->staged) mem_free_pages(s->staged, input_bytes(s));
    if (s->floats) mem_free_pages(s->floats, images_bytes(s));
    for (int i = 0; i < N_OUTPUTS; i++)
        mem_free_pages(s->outputs[i].host, (size_t)s->outputs[i].n * sizeof(float));
    session_free_reconstruction(s);
    graph_free(s->graph);
    mem_free(s);
}

/* --- running ---------------------------------------------------------------------------------- */

int64_t session_batch(const Session *s) {
    return s->options.batch;
}

int64_t session_values(const Session *s) {
    return shape_numel(s->outputs[OUT_FEATURES].value->shape) / s->options.batch;
}

int64_t session_classes(const Session *s) {
    return shape_numel(s->outputs[OUT_LOGITS].value->shape) / s->options.batch;
}

Graph *session_graph(Session *s) {
    return s->graph;
}

void *session_staged(Session *s) {
    return s->staged;
}

float *session_staged_floats(Session *s) {
    return s->floats;
}

/* n images as a whole batch: filled up with zeros, in `staged` unless they are there. */
static const void *fill_up(const Session *s, void *staged, const void *images, size_t all,
                           int64_t n) {
    size_t given = all / (size_t)s->options.batch * (size_t)n;
    ASSERT(n <= s->options.batch, "%lld images in a batch of %lld", (long long)n,
           (long long)s->options.batch);
    if (given == all) return images;
    if (images != staged) memcpy(staged, images, given);
    memset((uint8_t *)staged + given, 0, all - given);
    return staged;
}

static bool run(Session *s, int64_t n) {
    s->n = n;
    for (int i = 0; i < N_OUTPUTS; i++) s->outputs[i].is_there = false;
    return graph_forward(s->graph);
}

bool session_run(Session *s, const void *images, int64_t n) {
    images = fill_up(s, s->staged, images, input_bytes(s), n);
    if (s->options.from_features)
        graph_set_real(s->graph, s->input, images);
    else
        graph_set(s->graph, s->input, images);
    return run(s, n);
}

bool session_run_floats(Session *s, const float *images, int64_t n) {
    ASSERT(s->floats, "float images that were not asked for");
    graph_give(s->graph, s->images, fill_up(s, s->floats, images, images_bytes(s), n));
    return run(s, n);
}

const float *session_download(Session *s, OutputKind kind) {
    Output *o = &s->outputs[kind];
    ASSERT(o->value, "an output that was not asked for");
    if (!o->is_there) graph_get(s->graph, o->value, o->host);
    o->is_there = true;
    return o->host;
}

const float *session_features(Session *s) {
    return session_download(s, OUT_FEATURES);
}

const float *session_tokens(Session *s) {
    return session_download(s, OUT_TOKENS);
}

const float *session_logits(Session *s) {
    return session_download(s, OUT_LOGITS);
}

void session_probabilities(Session *s, int64_t i, double *p) {
    int64_t n = session_classes(s);
    const float *logits = session_logits(s) + i * n;
    double largest = -INFINITY, sum = 0;
    for (int64_t k = 0; k < n; k++) largest = fmax(largest, (double)logits[k]);
    for (int64_t k = 0; k < n; k++) sum += p[k] = exp((double)logits[k] - largest);
    for (int64_t k = 0; k < n; k++) p[k] /= sum;
}

void session_attention(Session *s, int64_t i, float *out) {
    ASSERT(i < s->options.batch, "attention of image %lld", (long long)i);
    const float *qkv = session_download(s, OUT_QKV);
    int64_t T = s->outputs[OUT_QKV].value->shape.dim[1], H = s->model->config.heads;
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
                             .named = job->named,
                             .stop = call_stop()};
    if (part->first == part->end) return MAE_OK;
    watch_images(&watch, s->graph, job->phase, options.batch, part->end - part->first);
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
    if (read > 0 || job->named) return MAE_OK;
    return error_set(err, MAE_EMPTY, "none of the %lld images could be read: %s", (long long)n,
                     *part.fault ? part.fault : "see the log");
}
