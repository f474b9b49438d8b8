/* See labelled_batch.h. */
#include "train/labelled_batch.h"

#include "base/memory.h"

Status labelled_batch_new(Vit *v, LabelledOptions options, LabelledBatch **out, Error *err) {
    Status status = MAE_OK;
    const ModelConfig *c = &v->config;
    size_t B = (size_t)options.batch;
    ClassifierOptions o = {.batch = options.batch,
                           .train = true,
                           .float_images = options.float_images,
                           .type = options.type,
                           .from_features = options.from_features,
                           .drop_path = options.drop_path,
                           .peers = options.peers};
    LabelledBatch *l = mem_alloc(sizeof *l);
    *out = NULL;
    if (!l) return error_set(err, MAE_MEMORY, "no memory for a batch");
    l->model = v;
    l->options = options;
    TRY(classifier_graph(v, o, &l->graph, err));
    TRY(classifier_plan(&l->graph, GRAPH_TRAIN, err));
    l->targets = mem_alloc_array(B * (size_t)c->classes, sizeof *l->targets);
    l->keep = mem_alloc_array(B * (size_t)(2 * c->depth), sizeof *l->keep);
    l->labels = mem_alloc_array(B, sizeof *l->labels);
    if (l->options.n_ranks < 1) l->options.n_ranks = 1;
    l->items = mem_alloc_array(B, sizeof *l->items);
    l->drawn = mem_alloc_array(B * (size_t)l->options.n_ranks, sizeof *l->drawn);
    if (!l->targets || !l->keep || !l->labels || !l->items || !l->drawn) {
        status = error_set(err, MAE_MEMORY, "no memory for the targets of %zu images", B);
        goto done;
    }
    *out = l;
    l = NULL;
done:
    labelled_batch_free(l);
    return status;
}

void labelled_batch_free(LabelledBatch *l) {
    if (!l) return;
    classifier_graph_free(&l->graph);
    mem_free(l->targets);
    mem_free(l->keep);
    mem_free(l->labels);
    mem_free(l->items);
    mem_free(l->drawn);
    mem_free(l);
}

/* Every branch of every block has its place in the sample's stream, whatever its rate. */
static void draw_stochastic_depth(LabelledBatch *l, const Batch *b) {
    ClassifierGraph *g = &l->graph;
    int64_t depth = l->model->config.depth;
    if (!g->drop) return;
    for (int64_t n = 0; n < g->batch; n++) {
        Rng rng =
            rng_make(l->options.seed, RNG_DROP_PATH, (uint64_t)b->epoch, (uint64_t)b->samples[n]);
        for (int64_t i = 0; i < 2 * depth; i++) {
            double rate = classifier_drop_rate(l->options.drop_path, i / 2, depth);
            l->keep[i * g->batch + n] = classifier_drop_scale(rate, rng_uniform(&rng));
        }
    }
    for (int64_t i = 0; i < 2 * depth; i++)
        if (g->drop[i]) graph_set_real(g->graph, g->drop[i], l->keep + i * g->batch);
}

static bool mixes(const LabelledOptions *o) {
    return o->mix.probability > 0 && (o->mix.mixup > 0 || o->mix.cutmix > 0);
}

/* Drawn for the batch of all processes: the same images get the same mixture with any number of
 * processes. */
static void draw_mixture(LabelledBatch *l, const Batch *b) {
    const ModelConfig *c = &l->model->config;
    const LabelledOptions *o = &l->options;
    Rng rng = rng_make(o->seed, RNG_MIX, (uint64_t)b->epoch, (uint64_t)b->index);
    mix_draw(&o->mix, b->n * o->n_ranks, c->image_height, c->image_width, &rng, l->drawn);
    for (int64_t i = 0; i < b->n; i++)
        l->items[i] = l->drawn[loader_place(o->rank, o->n_ranks, b->n, i)];
}

/* Mixes the images in place and writes the targets that go with them. */
static void mix(LabelledBatch *l, Batch *b) {
    const ModelConfig *c = &l->model->config;
    const LabelledOptions *o = &l->options;
    bool mixed = mixes(o);
    if (mixed) {
        draw_mixture(l, b);
        mix_images(b->images, l->items, b->n, c->channels, c->image_height, c->image_width);
    }
    mix_targets(l->targets, l->labels, mixed ? l->items : NULL, b->n, c->classes, o->smoothing);
}

void labelled_batch_set(LabelledBatch *l, Batch *b, const int *label_of, const float *features) {
    ClassifierGraph *g = &l->graph;
    ASSERT(b->n == g->batch, "%lld images in a batch of %lld", (long long)b->n,
           (long long)g->batch);
    for (int64_t i = 0; i < b->n; i++) l->labels[i] = label_of[b->labels[i].class];
    mix(l, b);
    graph_set_real(g->graph, g->targets, l->targets);
    draw_stochastic_depth(l, b);
    if (l->options.from_features)
        graph_set_real(g->graph, g->features, features);
    else if (l->options.float_images)
        graph_set_real(g->graph, g->encoder.images, b->images);
    else
        graph_set(g->graph, g->encoder.pixels, b->pixels);
}
