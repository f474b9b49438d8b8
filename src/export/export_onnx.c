/* See export_onnx.h. Follows model/autoencoder.c and model/classifier.c from top to bottom. What
 * differs: all patches are embedded, and the kept ones picked afterwards, since a convolution
 * embeds a whole image. */
#include "export/export_onnx.h"

#include <inttypes.h>
#include <stdio.h>

#include "checkpoint/checkpoint_meta.h"
#include "export/onnx_layers.h"

#define BATCH_NORM_EPS 1e-6 /* of a probe, as in model/classifier.c */
#define VARIANCE_EPS 1e-6   /* of norm-pix */
#define EXTERNAL_FROM 1900000000

static const char *const KINDS[] = {"encoder", "classifier", "reconstruction"};

/* --- encoder ---------------------------------------------------------------------------------- */

/* The embedded patches [B,P,D], without positions. */
static const char *patches(OnnxGraph *g) {
    const ModelConfig *c = &g->vit->config;
    int64_t p = c->patch, P = model_patches(c), D = c->embed_dim;
    const char *w = onnx_weight(g, "patch_embed.proj.weight");
    const char *b = onnx_weight(g, "patch_embed.proj.bias");
    const char *x =
        onnx_op(g, "Conv", "patch_embed.proj", NAMES("pixel_values", w, b),
                ATTRIBUTES(ATTRIBUTE_INTS("kernel_shape", p, p), ATTRIBUTE_INTS("strides", p, p)));
    x = onnx_op(g, "Reshape", "patch_embed.flat", NAMES(x, ONNX_INTEGERS(g, 0, D, P)), NULL);
    return onnx_op(g, "Transpose", "patch_embed", NAMES(x),
                   ATTRIBUTES(ATTRIBUTE_INTS("perm", 0, 2, 1)));
}

/* The cls token in front, positions on all: [B,1+P,D]. */
static const char *tokens(OnnxGraph *g, const char *x) {
    const char *cls = onnx_expand(g, "cls_token", 1, g->vit->config.embed_dim);
    x = onnx_op(g, "Concat", "tokens.in_order", NAMES(cls, x),
                ATTRIBUTES(ATTRIBUTE_INT("axis", 1)));
    return onnx_op(g, "Add", "tokens", NAMES(x, onnx_weight(g, "pos_embed")), NULL);
}

/* Tokens of the whole image after the blocks. */
static const char *encode(OnnxGraph *g) {
    const ModelConfig *c = &g->vit->config;
    return onnx_blocks(g, "blocks", c->depth, tokens(g, patches(g)), 1 + model_patches(c),
                       c->embed_dim, c->heads);
}

static const char *mean_of_patches(OnnxGraph *g, const char *x, const char *result) {
    const char *cls, *rest;
    onnx_split_tokens(g, "mean", x, 1, model_patches(&g->vit->config), &cls, &rest);
    return onnx_op_as(g, "ReduceMean", "mean", result, NAMES(rest),
                      ATTRIBUTES(ATTRIBUTE_INTS("axes", 1), ATTRIBUTE_INT("keepdims", 0)));
}

static const char *cls_of(OnnxGraph *g, const char *x, const char *result) {
    int64_t zero = 0;
    onnx_constant(g->model, "integer_0", DTYPE_I64, (Shape){0}, &zero);
    return onnx_op_as(g, "Gather", "cls", result, NAMES(x, "integer_0"),
                      ATTRIBUTES(ATTRIBUTE_INT("axis", 1)));
}

static void encoder_graph(OnnxGraph *g) {
    const ModelConfig *c = &g->vit->config;
    const char *x = encode(g);
    if (c->head != HEAD_NONE && c->pool == POOL_MEAN) {
        onnx_op(g, "Identity", "last_hidden_state", NAMES(x), NULL);
        onnx_layernorm(g, "fc_norm", mean_of_patches(g, x, "mean"), "pooled");
        return;
    }
    x = onnx_layernorm(g, "norm", x, "last_hidden_state");
    if (c->head == HEAD_NONE)
        mean_of_patches(g, x, "pooled");
    else
        cls_of(g, x, "pooled");
}

/* --- classifier ------------------------------------------------------------------------------- */

/* Batch normalisation by the running statistics, without weights. */
static const char *probe_norm(OnnxGraph *g, const char *x) {
    const char *mean = onnx_statistics(g, "head.0.running_mean");
    const char *var = onnx_statistics(g, "head.0.running_var");
    x = onnx_op(g, "Sub", "head.0.centred", NAMES(x, mean), NULL);
    var = onnx_op(g, "Add", "head.0.variance", NAMES(var, onnx_number(g, BATCH_NORM_EPS)), NULL);
    var = onnx_op(g, "Sqrt", "head.0.deviation", NAMES(var), NULL);
    return onnx_op(g, "Div", "head.0", NAMES(x, var), NULL);
}

static void classifier_nodes(OnnxGraph *g) {
    const ModelConfig *c = &g->vit->config;
    const char *x = encode(g);
    if (c->pool == POOL_CLS)
        x = onnx_layernorm(g, "norm", cls_of(g, x, "cls"), NULL);
    else
        x = onnx_layernorm(g, "fc_norm", mean_of_patches(g, x, "mean"), NULL);
    if (c->head == HEAD_PROBE)
        onnx_linear(g, "head.1", probe_norm(g, x), "logits");
    else
        onnx_linear(g, "head", x, "logits");
}

/* --- reconstruction --------------------------------------------------------------------------- */

/* Places of x[B,P] in ascending order; equal ones keep their order, as the operator says. */
static const char *order(OnnxGraph *g, const char *name, const char *x) {
    const char *count = ONNX_INTEGERS(g, model_patches(&g->vit->config));
    onnx_node(g->model, "TopK", name, NAMES(x, count), NAMES(onnx_name(g, name, ".sorted"), name),
              ATTRIBUTES(ATTRIBUTE_INT("axis", 1), ATTRIBUTE_INT("largest", 0),
                         ATTRIBUTE_INT("sorted", 1)));
    return name;
}

/* ids_keep[B,K] of the noise, ids_restore[B,P], the output mask. */
static void masks(OnnxGraph *g, int64_t K) {
    const char *shuffle = order(g, "ids_shuffle", "noise");
    const char *restore = order(g, "ids_restore", shuffle); /* the inverse of a permutation */
    onnx_op(g, "Slice", "ids_keep",
            NAMES(shuffle, ONNX_INTEGERS(g, 0), ONNX_INTEGERS(g, K), ONNX_INTEGERS(g, 1)), NULL);
    onnx_op(g, "GreaterOrEqual", "removed", NAMES(restore, ONNX_INTEGERS(g, K)), NULL);
    onnx_op(g, "Cast", "mask", NAMES("removed"),
            ATTRIBUTES(ATTRIBUTE_INT("to", onnx_dtype(DTYPE_F32))));
}

static const char *concat_tokens(OnnxGraph *g, const char *name, const char *a, const char *b) {
    return onnx_op(g, "Concat", name, NAMES(a, b), ATTRIBUTES(ATTRIBUTE_INT("axis", 1)));
}

/* The cls and the kept tokens after the blocks. */
static const char *encode_kept(OnnxGraph *g, int64_t K) {
    const ModelConfig *c = &g->vit->config;
    const char *cls, *rest;
    onnx_split_tokens(g, "tokens", tokens(g, patches(g)), 1, model_patches(c), &cls, &rest);
    const char *kept = onnx_gather_tokens(g, "tokens.kept", rest, "ids_keep");
    return onnx_blocks(g, "blocks", c->depth, concat_tokens(g, "tokens.visible", cls, kept), 1 + K,
                       c->embed_dim, c->heads);
}

/* The same of an encoder that sees mask tokens: of all tokens, in raster order. */
static const char *encode_masked(OnnxGraph *g) {
    const ModelConfig *c = &g->vit->config;
    const char *removed =
        onnx_op(g, "Unsqueeze", "removed.tokens", NAMES("removed", ONNX_INTEGERS(g, 2)), NULL);
    const char *token = onnx_weight(g, "encoder_mask_token");
    const char *x =
        onnx_op(g, "Where", "patch_embed.masked", NAMES(removed, token, patches(g)), NULL);
    return onnx_blocks(g, "blocks", c->depth, tokens(g, x), 1 + model_patches(c), c->embed_dim,
                       c->heads);
}

/* Mask tokens behind the kept ones, then all in raster order. */
static const char *restore(OnnxGraph *g, const char *x, int64_t K) {
    const ModelConfig *c = &g->vit->config;
    const char *cls, *kept;
    onnx_split_tokens(g, "decoder_embed", x, 1, K, &cls, &kept);
    const char *token = onnx_expand(g, "mask_token", model_patches(c) - K, c->decoder_embed_dim);
    x = concat_tokens(g, "decoder_tokens.shuffled", kept, token);
    x = onnx_gather_tokens(g, "decoder_tokens.patches", x, "ids_restore");
    return concat_tokens(g, "decoder_tokens.in_order", cls, x);
}

static void decode(OnnxGraph *g, const char *latent, int64_t K) {
    const ModelConfig *c = &g->vit->config;
    int64_t P = model_patches(c);
    const char *cls, *x = onnx_linear(g, "decoder_embed", latent, NULL);
    if (!c->mask_token_in_encoder) x = restore(g, x, K);
    x = onnx_op(g, "Add", "decoder_tokens", NAMES(x, onnx_weight(g, "decoder_pos_embed")), NULL);
    x = onnx_blocks(g, "decoder_blocks", c->decoder_depth, x, 1 + P, c->decoder_embed_dim,
                    c->decoder_heads);
    x = onnx_layernorm(g, "decoder_norm", x, NULL);
    onnx_split_tokens(g, "decoder_norm", x, 1, P, &cls, &x);
    onnx_linear(g, "decoder_pred", x, "pred");
}

static const char *mean_of_values(OnnxGraph *g, const char *name, const char *x, bool keep) {
    return onnx_op(g, "ReduceMean", name, NAMES(x),
                   ATTRIBUTES(ATTRIBUTE_INTS("axes", -1), ATTRIBUTE_INT("keepdims", keep)));
}

/* Each patch minus its mean, over the root of its unbiased variance. */
static const char *normalize(OnnxGraph *g, const char *x) {
    double n = (double)model_patch_values(&g->vit->config);
    const char *mean = mean_of_values(g, "target.mean", x, true);
    x = onnx_op(g, "Sub", "target.centred", NAMES(x, mean), NULL);
    const char *s = onnx_op(g, "Mul", "target.squares", NAMES(x, x), NULL);
    s = mean_of_values(g, "target.biased", s, true);
    s = onnx_op(g, "Mul", "target.variance", NAMES(s, onnx_number(g, n / (n - 1))), NULL);
    s = onnx_op(g, "Add", "target.stable", NAMES(s, onnx_number(g, VARIANCE_EPS)), NULL);
    s = onnx_op(g, "Sqrt", "target.deviation", NAMES(s), NULL);
    return onnx_op(g, "Div", "target", NAMES(x, s), NULL);
}

/* The pixels of every patch [B,P,p*p*C], values in order (row, column, channel). */
static const char *patch_pixels(OnnxGraph *g) {
    const ModelConfig *c = &g->vit->config;
    int64_t p = c->patch, rows = model_grid_height(c), columns = model_grid_width(c);
    const char *cut = ONNX_INTEGERS(g, 0, c->channels, rows, p, columns, p);
    const char *flat = ONNX_INTEGERS(g, 0, rows * columns, p * p * c->channels);
    const char *x = onnx_op(g, "Reshape", "pixels.cut", NAMES("pixel_values", cut), NULL);
    x = onnx_op(g, "Transpose", "pixels.by_patch", NAMES(x),
                ATTRIBUTES(ATTRIBUTE_INTS("perm", 0, 2, 4, 3, 5, 1)));
    return onnx_op(g, "Reshape", "pixels", NAMES(x, flat), NULL);
}

static void loss(OnnxGraph *g) {
    const OnnxAttribute *all = ATTRIBUTES(ATTRIBUTE_INT("keepdims", 0));
    const char *target = patch_pixels(g);
    if (g->vit->config.target == TARGET_NORM_PIX) target = normalize(g, target);
    const char *x = onnx_op(g, "Sub", "loss.difference", NAMES("pred", target), NULL);
    x = onnx_op(g, "Mul", "loss.squares", NAMES(x, x), NULL);
    x = mean_of_values(g, "loss.per_patch", x, false);
    x = onnx_op(g, "Mul", "loss.removed", NAMES(x, "mask"), NULL);
    x = onnx_op(g, "ReduceSum", "loss.sum", NAMES(x), all);
    const char *count = onnx_op(g, "ReduceSum", "loss.count", NAMES("mask"), all);
    onnx_op(g, "Div", "loss", NAMES(x, count), NULL);
}

static void reconstruction_graph(OnnxGraph *g, int64_t K) {
    const ModelConfig *c = &g->vit->config;
    masks(g, K);
    const char *x = c->mask_token_in_encoder ? encode_masked(g) : encode_kept(g, K);
    decode(g, onnx_layernorm(g, "norm", x, NULL), K);
    if (c->target != TARGET_PCA) loss(g);
}

/* --- the file --------------------------------------------------------------------------------- */

static Status check(const Vit *v, const OnnxOptions *o, double ratio, Error *err) {
    const ModelConfig *c = &v->config;
    int64_t P = model_patches(c), K = mask_keep_count(P, ratio);
    if (o->dtype != DTYPE_F32 && o->dtype != DTYPE_F16 && o->dtype != DTYPE_BF16 &&
        o->dtype != DTYPE_I8)
        return fail(err, MAE_USAGE, "ONNX weights of type %s: choose F32, F16, BF16 or I8",
                    dtype_name(o->dtype));
    if (o->batch < 0 || o->external_from < 0)
        return fail(err, MAE_USAGE, "an ONNX graph for %" PRId64 " images: 0 means any number",
                    o->batch);
    if (o->kind == ONNX_CLASSIFIER && c->head == HEAD_NONE)
        return fail(err, MAE_UNSUPPORTED,
                    "the model has no classifier; export its encoder, or a checkpoint of mae "
                    "finetune or mae probe");
    if (o->kind == ONNX_RECONSTRUCTION && (c->decoder_depth < 1 || c->head != HEAD_NONE))
        return fail(err, MAE_UNSUPPORTED,
                    "the model has no decoder; export a checkpoint of mae pretrain");
    if (o->kind == ONNX_RECONSTRUCTION && (K < 1 || K >= P))
        return fail(err, MAE_USAGE,
                    "mask ratio %g keeps %" PRId64 " of %" PRId64
                    " patches; some must be kept and some removed",
                    ratio, K, P);
    return MAE_OK;
}

static void declare(OnnxGraph *g, const OnnxOptions *o) {
    const ModelConfig *c = &g->vit->config;
    OnnxModel *m = g->model;
    int64_t B = o->batch ? o->batch : ONNX_BATCH, P = model_patches(c), D = c->embed_dim;
    onnx_input(m, "pixel_values", DTYPE_F32,
               SHAPE(B, c->channels, c->image_height, c->image_width));
    if (o->kind == ONNX_ENCODER) {
        onnx_output(m, "last_hidden_state", DTYPE_F32, SHAPE(B, 1 + P, D));
        onnx_output(m, "pooled", DTYPE_F32, SHAPE(B, D));
    } else if (o->kind == ONNX_CLASSIFIER) {
        onnx_output(m, "logits", DTYPE_F32, SHAPE(B, c->classes));
    } else {
        onnx_input(m, "noise", DTYPE_F32, SHAPE(B, P));
        onnx_output(m, "pred", DTYPE_F32, SHAPE(B, P, model_prediction_values(c)));
        onnx_output(m, "mask", DTYPE_F32, SHAPE(B, P));
        if (c->target != TARGET_PCA) onnx_output(m, "loss", DTYPE_F32, (Shape){0});
    }
}

/* What the checkpoint says, and what this file is. */
static void describe(OnnxGraph *g, const CheckpointNotes *notes, const OnnxOptions *o, int64_t K) {
    Meta meta = {.arena = g->arena, .ok = true};
    meta_put_model(&meta, &g->vit->config, notes);
    g->failed |= !meta.ok;
    for (size_t i = 0; meta.ok && i < meta.n; i++)
        onnx_metadata(g->model, meta.entry[i].key, meta.entry[i].value);
    onnx_metadata(g->model, "onnx_kind", KINDS[o->kind]);
    onnx_metadata(g->model, "onnx_weights", dtype_name(o->dtype));
    if (o->kind != ONNX_RECONSTRUCTION) return;
    char number[24];
    snprintf(number, sizeof number, "%" PRId64, K);
    onnx_metadata(g->model, "onnx_kept_patches", number);
}

static void build(OnnxGraph *g, const OnnxOptions *o, int64_t K) {
    declare(g, o);
    if (o->kind == ONNX_ENCODER) encoder_graph(g);
    if (o->kind == ONNX_CLASSIFIER) classifier_nodes(g);
    if (o->kind == ONNX_RECONSTRUCTION) reconstruction_graph(g, K);
}

static int64_t largest_parameter(const Vit *v) {
    int64_t largest = 0;
    for (int64_t i = 0; i < params_count(v->params); i++)
        if (params_at(v->params, i)->numel > largest) largest = params_at(v->params, i)->numel;
    return largest;
}

Status export_onnx(const Vit *v, const CheckpointNotes *notes, const OnnxOptions *o,
                   const char *path, Error *err) {
    double ratio = o->mask_ratio > 0 ? o->mask_ratio : notes->mask_ratio;
    int64_t K = mask_keep_count(model_patches(&v->config), ratio);
    Status status = MAE_OK;
    OnnxGraph g = {.vit = v, .weights = o->dtype};
    TRY(check(v, o, ratio, err));
    g.arena = arena_new();
    g.model = onnx_new("mae.c", KINDS[o->kind]);
    g.host = mem_alloc_array((size_t)largest_parameter(v), sizeof *g.host);
    g.failed = !g.arena || !g.model || !g.host;
    if (!g.failed) {
        describe(&g, notes, o, K);
        build(&g, o, K);
    }
    if (g.failed) {
        status = fail(err, MAE_MEMORY, "%s: not enough memory", path);
        goto done;
    }
    TRY(onnx_write(g.model, path, o->external_from ? o->external_from : EXTERNAL_FROM, err));
done:
    onnx_free(g.model);
    mem_free(g.host);
    arena_free(g.arena);
    return status;
}
