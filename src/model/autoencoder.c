/* Graphs of the masked autoencoder, from top to bottom as in the paper (section 3). */
#include "model/autoencoder.h"

#include "model/layers.h"

static void encoder(Layers *b, AutoencoderGraph *out) {
    const ModelConfig *c = &b->model->config;
    Value *pos = layer_param(b, "", "pos_embed");
    Value *x = layer_embed(b, out->images, out->ids_keep, c->mask_token_in_encoder ? NULL : pos);
    if (c->mask_token_in_encoder)
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

static void inputs(Layers *b, Number input, AutoencoderGraph *out) {
    Graph *g = b->graph;
    int64_t B = out->batch, P = model_patches(&b->model->config);
    out->images = layer_images(b, B, input, &out->pixels);
    out->ids_keep = graph_input(g, "ids_keep", NUMBER_I32, SHAPE(B, out->n_keep));
    out->ids_restore = graph_input(g, "ids_restore", NUMBER_I32, SHAPE(B, P));
    out->ids_pred = graph_input(g, "ids_pred", NUMBER_I32, SHAPE(B, out->n_pred));
    out->mask = graph_input(g, "mask", NUMBER_WIDE, SHAPE(B, P));
}

Status autoencoder_graph(Vit *a, ForwardKind kind, int64_t batch, int64_t n_keep, Number input,
                         AutoencoderGraph *out, Error *err) {
    const ModelConfig *c = &a->config;
    int64_t P = model_patches(c);
    *out = (AutoencoderGraph){
        .batch = batch, .n_keep = n_keep, .n_pred = kind == FORWARD_TRAIN ? P - n_keep : P};
    ASSERT(batch > 0, "a graph for %lld images", (long long)batch);
    if (c->decoder_depth < 1) return error_set(err, MAE_UNSUPPORTED, "the model has no decoder");
    if (n_keep < 1 || n_keep > P || (kind == FORWARD_TRAIN && n_keep == P))
        return error_set(
            err, MAE_USAGE,
            "%lld of %lld patches would be kept; change the mask ratio, the image size or "
            "the patch",
            (long long)n_keep, (long long)P);
    out->graph = graph_new(a->device, a->params);
    if (!out->graph) return error_set(err, MAE_MEMORY, "no memory for a graph");
    Layers b = {.model = a, .graph = out->graph};
    inputs(&b, input, out);
    encoder(&b, out);
    decoder(&b, kind, out);
    loss(&b, out);
    return graph_built(out->graph, err);
}

void autoencoder_set_masks(AutoencoderGraph *g, Masks *m) {
    int64_t P = m->n_patches;
    ASSERT(g->batch == m->batch && g->n_keep == m->n_keep,
           "masks of %lld images that keep %lld patches for a graph of %lld that keeps %lld",
           (long long)m->batch, (long long)m->n_keep, (long long)g->batch, (long long)g->n_keep);
    for (int64_t i = 0; i < m->batch * P; i++) {
        /* All patches in raster order, or the removed ones in the order of ids_restore. */
        int64_t place = g->n_pred == P ? i % P : m->ids_restore[i] - m->n_keep;
        if (place >= 0) m->ids_pred[i / P * g->n_pred + place] = (int32_t)(i % P);
    }
    graph_set(g->graph, g->ids_keep, m->ids_keep);
    graph_set(g->graph, g->ids_restore, m->ids_restore);
    graph_set(g->graph, g->ids_pred, m->ids_pred);
    graph_set_real(g->graph, g->mask, m->mask);
}
