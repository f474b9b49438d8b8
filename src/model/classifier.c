/* See classifier.h. */
#include "model/classifier.h"

#include <math.h>
#include <stdio.h>

#include "base/memory.h"

#define BATCH_NORM_EPS 1e-6
#define BATCH_NORM_MOMENTUM 0.1

double classifier_drop_rate(double rate, int64_t i, int64_t depth) {
    return depth > 1 ? rate * (double)i / (double)(depth - 1) : 0;
}

float classifier_drop_scale(double rate, double u) {
    double keep = 1 - rate;
    return (float)(floor(keep + u) / keep);
}

static Status drop_inputs(Layers *l, ClassifierOptions o, ClassifierGraph *out, Error *err) {
    int64_t depth = l->model->config.depth;
    if (!o.train || o.drop_path <= 0) return MAE_OK;
    out->drop = mem_alloc_array((size_t)(2 * depth), sizeof *out->drop);
    if (!out->drop) return error_set(err, MAE_MEMORY, "no memory for a graph");
    for (int64_t i = 0; i < 2 * depth; i++) {
        char name[64];
        if (classifier_drop_rate(o.drop_path, i / 2, depth) <= 0) continue;
        snprintf(name, sizeof name, "blocks.%lld.%s.keep", (long long)(i / 2),
                 i % 2 ? "mlp" : "attn");
        out->drop[i] = graph_input(l->graph, name, NUMBER_WIDE, SHAPE(o.batch));
    }
    l->drop = out->drop;
    return MAE_OK;
}

static Value *head(Layers *l, bool train, Value *x) {
    if (l->model->config.head == HEAD_LINEAR)
        return layer_linear(l, "", "head", "logits", x, (LinearOptions){0});
    x = op_batchnorm(l->graph, "head.0", x, layer_param(l, "head.0", ".running_mean"),
                     layer_param(l, "head.0", ".running_var"),
                     layer_param(l, "head.0", ".num_batches_tracked"), BATCH_NORM_EPS,
                     BATCH_NORM_MOMENTUM, train);
    return layer_linear(l, "", "head.1", "logits", x, (LinearOptions){0});
}

Status classifier_graph(Vit *v, ClassifierOptions o, ClassifierGraph *out, Error *err) {
    const ModelConfig *c = &v->config;
    *out = (ClassifierGraph){.batch = o.batch};
    ASSERT(o.batch > 0 && c->head != HEAD_NONE, "a classifier graph of a model without head");
    ASSERT(!o.from_features || c->head == HEAD_PROBE, "features are given to probes only");
    out->graph = graph_new(v->device, v->params);
    if (!out->graph) return error_set(err, MAE_MEMORY, "no memory for a graph");
    if (o.peers) graph_share(out->graph, o.peers);
    Layers l = {.model = v, .graph = out->graph};
    Status status = drop_inputs(&l, o, out, err);
    if (status != MAE_OK) return status;
    if (o.from_features) {
        out->features =
            graph_input(out->graph, "features", NUMBER_REAL, SHAPE(o.batch, c->embed_dim));
    } else {
        Number input = o.float_images ? NUMBER_WIDE : pixel_number(o.type);
        out->encoder = encoder_build(&l, o.batch, input, c->depth);
        out->features = encoder_features(&l, c->pool, out->encoder.tokens);
    }
    out->logits = head(&l, o.train, out->features);
    if (!o.train) return graph_built(out->graph, err);
    out->targets = graph_input(out->graph, "targets", NUMBER_WIDE, SHAPE(o.batch, c->classes));
    out->loss = op_soft_cross_entropy(out->graph, "loss", out->logits, out->targets);
    return graph_built(out->graph, err);
}

Status classifier_plan(ClassifierGraph *g, GraphMode mode, Error *err) {
    if (g->features->kind == VALUE_ACTIVATION) graph_keep(g->graph, g->features);
    graph_keep(g->graph, g->logits);
    if (g->loss) graph_keep(g->graph, g->loss);
    Status status = graph_plan(g->graph, mode, err);
    if (status != MAE_OK || !g->encoder.ids) return status;
    return encoder_set_ids(g->graph, g->encoder.ids, err);
}

void classifier_graph_free(ClassifierGraph *g) {
    graph_free(g->graph);
    mem_free(g->drop);
    *g = (ClassifierGraph){0};
}
