/* Graphs of the masked autoencoder, from top to bottom as in the paper (section 3). */
#include "model/autoencoder.h"

#include "model/layers.h"

static void encoder(Layers *b, ForwardKind kind, AutoencoderGraph *out) {
    const ModelConfig *c = &b->model->config;
    Value *pos = layer_param(b, "", "pos_embed"), *cls = layer_param(b, "", "cls_token");
    bool with_mask_tokens = c->mask_token_in_encoder && kind != FORWARD_ENCODE;
    Value *x = op_patch_gather(b->graph, "patches", out->images, out->ids_keep, c->patch);
    x = layer_linear(b, "", "patch_embed.proj", "patch_embed", x, (LinearOptions){0});
    x = op_tokens_embed(b->graph, "tokens", x, cls, with_mask_tokens ? NULL : pos, out->ids_keep);
    if (with_mask_tokens)
        x = op_tokens_restore(b->graph, "tokens_masked", x,
                              layer_param(b, "", "encoder_mask_token"), pos, out->ids_restore);
    x = layer_blocks(b, "blocks", c->depth, x, c->heads);
    out->latent = layer_norm(b, "", "norm", x);
}

/* With mask tokens in the encoder, its output is complete and in raster order already. */
static void decoder(Layers *b, ForwardKind kind, AutoencoderGraph *out) {
    const ModelConfig *c = &b->model->config;
    Value *pos = layer_param(b, "", "decoder_pos_embed");
    Value *x = layer_linear(b, "", "decoder_embed", NULL, out->latent, (LinearOptions){0});
    if (c->mask_token_in_encoder)
        x = op_tokens_restore(b->graph, "decoder_tokens", x, NULL, pos, NULL);
    else
        x = op_tokens_restore(b->graph, "decoder_tokens", x, layer_param(b, "", "mask_token"), pos,
                              out->ids_restore);
    /* Whoever looks at stages gets whole ones; training stops at what is predicted. */
    Value *listed = kind == FORWARD_TRAIN ? out->ids_pred : NULL;
    x = layer_blocks_to(b, "decoder_blocks", c->decoder_depth, x, c->decoder_heads, listed);
    x = layer_norm(b, "", "decoder_norm", x);
    if (!listed) x = op_tokens_gather(b->graph, "decoder_predicted", x, out->ids_pred);
    out->pred = layer_linear(b, "", "decoder_pred", NULL, x, (LinearOptions){0});
}

static void loss(Layers *b, AutoencoderGraph *out) {
    const ModelConfig *c = &b->model->config;
    out->target = op_patch_target(b->graph, "target", out->images, out->ids_pred, c->patch,
                                  c->target == TARGET_NORM_PIX);
    if (c->target == TARGET_PCA)
        out->target = layer_linear(b, "", "pca", "target_pca", out->target, (LinearOptions){0});
    out->loss = op_masked_mse(b->graph, "loss", out->pred, out->target, out->mask, out->ids_pred,
                              &out->loss_per_patch);
    graph_keep(b->graph, out->loss);
}

static void inputs(Layers *b, ForwardKind kind, bool float_images, AutoencoderGraph *out) {
    const ModelConfig *c = &b->model->config;
    Graph *g = b->graph;
    int64_t B = out->batch, P = model_patches(c), h = c->image_height, w = c->image_width;
    if (float_images) {
        out->images = graph_input(g, "images", DTYPE_F32, SHAPE(B, c->channels, h, w));
    } else {
        out->pixels = graph_input(g, "pixels", DTYPE_U8, SHAPE(B, h, w, c->channels));
        out->images = op_image_normalize(g, "images", out->pixels, c->mean, c->std);
    }
    out->ids_keep = graph_input(g, "ids_keep", DTYPE_I32, SHAPE(B, out->n_keep));
    if (kind == FORWARD_ENCODE) return;
    out->ids_restore = graph_input(g, "ids_restore", DTYPE_I32, SHAPE(B, P));
    out->ids_pred = graph_input(g, "ids_pred", DTYPE_I32, SHAPE(B, out->n_pred));
    out->mask = graph_input(g, "mask", DTYPE_F32, SHAPE(B, P));
}

Status autoencoder_graph(Vit *a, ForwardKind kind, int64_t batch, int64_t n_keep, bool float_images,
                         AutoencoderGraph *out, Error *err) {
    const ModelConfig *c = &a->config;
    int64_t P = model_patches(c);
    *out = (AutoencoderGraph){
        .batch = batch, .n_keep = n_keep, .n_pred = kind == FORWARD_TRAIN ? P - n_keep : P};
    ASSERT(batch > 0, "a graph for %lld images", (long long)batch);
    if (kind != FORWARD_ENCODE && c->decoder_depth < 1)
        return fail(err, MAE_UNSUPPORTED, "the model has no decoder");
    if (n_keep < 1 || n_keep > P || (kind == FORWARD_TRAIN && n_keep == P))
        return fail(err, MAE_USAGE,
                    "%lld of %lld patches would be kept; change the mask ratio, the image size or "
                    "the patch",
                    (long long)n_keep, (long long)P);
    out->graph = graph_new(a->device, a->params);
    if (!out->graph) return fail(err, MAE_MEMORY, "no memory for a graph");
    Layers b = {.model = a, .graph = out->graph};
    inputs(&b, kind, float_images, out);
    encoder(&b, kind, out);
    if (kind == FORWARD_ENCODE) {
        out->pooled = op_tokens_mean(out->graph, "pooled", out->latent);
        return MAE_OK;
    }
    decoder(&b, kind, out);
    loss(&b, out);
    return MAE_OK;
}

Value *autoencoder_stage(const AutoencoderGraph *g, const char *name) {
    return graph_find(g->graph, name);
}
