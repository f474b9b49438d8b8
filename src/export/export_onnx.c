/* See export_onnx.h. The functions that run the model also build the graph here. onnx_ops.c writes
 * it op by op. This file has its inputs and outputs, and what else the ONNX file says. */
#include "export/export_onnx.h"

#include <inttypes.h>
#include <stdio.h>

#include "checkpoint/checkpoint_meta.h"
#include "export/onnx_graph.h"
#include "model/autoencoder.h"
#include "model/classifier.h"

#define EXTERNAL_FROM 1900000000

static const char *const KINDS[] = {"encoder", "classifier", "reconstruction"};

typedef struct Export {
    OnnxGraph nodes;
    Vit *vit;
    Graph *graph;
    const OnnxOptions *options;
    int64_t batch, n_keep; /* images that the graph is built for; K */
} Export;

/* --- graphs ----------------------------------------------------------------------------------- */

static Shape file_shape(const Export *e, Shape s) {
    if (e->options->batch == 0) s.dim[0] = ONNX_BATCH;
    return s;
}

static void bind_images(Export *e, const Value *images) {
    onnx_input(e->nodes.model, "pixel_values", DTYPE_F32, file_shape(e, images->shape));
    onnx_bind(&e->nodes, images, "pixel_values");
}

static void bind_output(Export *e, const Value *v, const char *name) {
    onnx_output(e->nodes.model, name, DTYPE_F32, file_shape(e, v->shape));
    onnx_bind(&e->nodes, v, name);
}

static Status encoder(Export *e, Error *err) {
    const ModelConfig *c = &e->vit->config;
    bool classifies = c->head != HEAD_NONE, norm_last = classifies && c->pool == POOL_MEAN;
    e->graph = graph_new(e->vit->device, e->vit->params);
    if (!e->graph) return error_set(err, MAE_MEMORY, "no memory for a graph");
    Layers l = {.model = e->vit, .graph = e->graph};
    EncoderGraph x = encoder_build(&l, e->batch, NUMBER_WIDE, c->depth);
    Value *tokens = norm_last ? x.tokens : layer_norm(&l, "", "norm", x.tokens);
    Value *pooled = encoder_pool(e->graph, classifies ? c->pool : POOL_MEAN, tokens);
    if (norm_last) pooled = layer_norm(&l, "", "fc_norm", pooled);
    bind_images(e, x.images);
    onnx_bind(&e->nodes, x.ids, ONNX_IN_ORDER);
    bind_output(e, tokens, "last_hidden_state");
    bind_output(e, pooled, "pooled");
    return graph_built(e->graph, err);
}

static Status classifier(Export *e, Error *err) {
    ClassifierGraph x;
    ClassifierOptions o = {.batch = e->batch, .float_images = true};
    Status status = classifier_graph(e->vit, o, &x, err);
    e->graph = x.graph;
    if (status != MAE_OK) return status;
    bind_images(e, x.encoder.images);
    onnx_bind(&e->nodes, x.encoder.ids, ONNX_IN_ORDER);
    bind_output(e, x.logits, "logits");
    return MAE_OK;
}

/* Places of x[B,P] in ascending order; equal ones keep their order, as the operator says. */
static void order(OnnxGraph *g, const char *name, const char *x, int64_t P) {
    onnx_node(g->model, "TopK", name, NAMES(x, ONNX_INTEGERS(g, P)),
              NAMES(onnx_name(g, name, ".sorted"), name),
              ATTRIBUTES(ATTRIBUTE_INT("axis", 1), ATTRIBUTE_INT("largest", 0),
                         ATTRIBUTE_INT("sorted", 1)));
}

/* In a run autoencoder_set_masks uploads the kept patches, the place of each patch among (kept,
 * removed), and the mask. Here the file makes them of the noise. */
static void bind_mask(Export *e, const AutoencoderGraph *x) {
    OnnxGraph *g = &e->nodes;
    int64_t P = x->mask->shape.dim[1];
    const char *from = ONNX_INTEGERS(g, 0), *K = ONNX_INTEGERS(g, x->n_keep);
    onnx_input(g->model, "noise", DTYPE_F32, file_shape(e, x->mask->shape));
    order(g, "ids_shuffle", "noise", P);
    order(g, "ids_restore", "ids_shuffle", P); /* the inverse of a permutation */
    onnx_op(g, "Slice", "ids_keep", "", NAMES("ids_shuffle", from, K, ONNX_INTEGERS(g, 1)), NULL);
    onnx_op(g, "GreaterOrEqual", "removed", "", NAMES("ids_restore", K), NULL);
    onnx_op(g, "Cast", "mask", "", NAMES("removed"),
            ATTRIBUTES(ATTRIBUTE_INT("to", onnx_dtype(DTYPE_F32))));
    onnx_bind(g, x->ids_keep, "ids_keep");
    onnx_bind(g, x->ids_restore, "ids_restore");
    onnx_bind(g, x->ids_pred, ONNX_IN_ORDER);
}

static Status reconstruction(Export *e, Error *err) {
    AutoencoderGraph x;
    Status status =
        autoencoder_graph(e->vit, FORWARD_FULL, e->batch, e->n_keep, NUMBER_WIDE, &x, err);
    e->graph = x.graph;
    if (status != MAE_OK) return status;
    bind_images(e, x.images);
    bind_mask(e, &x);
    bind_output(e, x.pred, "pred");
    bind_output(e, x.mask, "mask");
    if (e->vit->config.target == TARGET_PCA) return MAE_OK;
    onnx_output(e->nodes.model, "loss", DTYPE_F32, (Shape){0});
    onnx_bind(&e->nodes, x.loss, "loss");
    return MAE_OK;
}

/* --- the file --------------------------------------------------------------------------------- */

static Status check(const Vit *v, const OnnxOptions *o, double ratio, Error *err) {
    const ModelConfig *c = &v->config;
    int64_t P = model_patches(c), K = mask_keep_count(P, ratio);
    if (o->dtype != DTYPE_F32 && o->dtype != DTYPE_F16 && o->dtype != DTYPE_BF16 &&
        o->dtype != DTYPE_I8)
        return error_set(err, MAE_USAGE, "ONNX weights of type %s: choose F32, F16, BF16 or I8",
                         dtype_name(o->dtype));
    if (o->batch < 0 || o->external_from < 0)
        return error_set(err, MAE_USAGE, "an ONNX graph for %" PRId64 " images: 0 means any number",
                         o->batch);
    if (o->kind == ONNX_CLASSIFIER && c->head == HEAD_NONE)
        return error_set(err, MAE_UNSUPPORTED,
                         "the model has no classifier; export its encoder, or a checkpoint of mae "
                         "finetune or mae probe");
    if (o->kind == ONNX_RECONSTRUCTION && (c->decoder_depth < 1 || c->head != HEAD_NONE))
        return error_set(err, MAE_UNSUPPORTED,
                         "the model has no decoder; export a checkpoint of mae pretrain");
    if (o->kind == ONNX_RECONSTRUCTION && (K < 1 || K >= P))
        return error_set(err, MAE_USAGE,
                         "mask ratio %g keeps %" PRId64 " of %" PRId64
                         " patches; some must be kept and some removed",
                         ratio, K, P);
    return MAE_OK;
}

/* What the checkpoint says, and what this file is. */
static void describe(Export *e, const CheckpointNotes *notes) {
    OnnxGraph *g = &e->nodes;
    Meta meta = {.arena = g->arena, .ok = true};
    meta_put_model(&meta, &e->vit->config, notes);
    g->failed |= !meta.ok;
    for (size_t i = 0; meta.ok && i < meta.n; i++)
        onnx_metadata(g->model, meta.entry[i].key, meta.entry[i].value);
    onnx_metadata(g->model, "onnx_kind", KINDS[e->options->kind]);
    onnx_metadata(g->model, "onnx_weights", dtype_name(e->options->dtype));
    if (e->options->kind != ONNX_RECONSTRUCTION) return;
    char number[24];
    snprintf(number, sizeof number, "%" PRId64, e->n_keep);
    onnx_metadata(g->model, "onnx_kept_patches", number);
}

static Status take_memory(OnnxGraph *g, OnnxKind kind, Error *err) {
    int64_t largest = 0;
    for (int64_t i = 0; i < params_count(g->params); i++)
        if (params_at(g->params, i)->numel > largest) largest = params_at(g->params, i)->numel;
    g->arena = arena_new();
    g->model = onnx_new("mae.c", KINDS[kind]);
    g->host = mem_alloc_array((size_t)largest, sizeof *g->host);
    if (g->arena && g->model && g->host) return MAE_OK;
    return error_set(err, MAE_MEMORY, "no memory to write a model as ONNX");
}

Status export_onnx(Vit *v, const CheckpointNotes *notes, const OnnxOptions *o, const char *path,
                   Error *err) {
    static Status (*const build[])(Export *, Error *) = {encoder, classifier, reconstruction};
    double ratio = o->mask_ratio > 0 ? o->mask_ratio : notes->mask_ratio;
    Status status = MAE_OK;
    Export e = {.nodes = {.params = v->params, .weights = o->dtype},
                .vit = v,
                .options = o,
                .batch = o->batch ? o->batch : 1,
                .n_keep = mask_keep_count(model_patches(&v->config), ratio)};
    TRY(check(v, o, ratio, err));
    TRY(take_memory(&e.nodes, o->kind, err));
    describe(&e, notes);
    TRY(build[o->kind](&e, err));
    TRY(onnx_ops(&e.nodes, e.graph, err));
    TRY(onnx_write(e.nodes.model, path, o->external_from ? o->external_from : EXTERNAL_FROM,
                   &e.nodes, err));
done:
    graph_free(e.graph);
    onnx_free(e.nodes.model);
    mem_free(e.nodes.host);
    arena_free(e.nodes.arena);
    return status;
}
