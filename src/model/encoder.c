/* See encoder.h. */
#include "model/encoder.h"

#include "base/memory.h"

EncoderGraph encoder_build(Layers *l, int64_t batch, Number input, int64_t blocks) {
    const ModelConfig *c = &l->model->config;
    EncoderGraph e = {0};
    e.images = layer_images(l, batch, input, &e.pixels);
    e.ids = graph_input(l->graph, "ids", NUMBER_I32, SHAPE(batch, model_patches(c)));
    e.tokens = layer_embed(l, e.images, e.ids, layer_param(l, "", "pos_embed"));
    e.tokens = layer_blocks(l, "blocks", blocks, e.tokens, c->heads);
    return e;
}

Value *encoder_pool(Graph *g, PoolKind pool, Value *tokens) {
    if (pool == POOL_ALL) return tokens;
    return pool == POOL_CLS ? op_tokens_cls(g, "cls", tokens) : op_tokens_mean(g, "pooled", tokens);
}

/* Norm and pooling commute for the cls token, so a classifier takes it out before its norm. */
Value *encoder_features(Layers *l, PoolKind pool, Value *tokens) {
    const ModelConfig *c = &l->model->config;
    if (c->head == HEAD_NONE)
        return encoder_pool(l->graph, pool, layer_norm(l, "", "norm", tokens));
    return layer_norm(l, "", c->pool == POOL_CLS ? "norm" : "fc_norm",
                      encoder_pool(l->graph, pool, tokens));
}

Status encoder_set_ids(Graph *g, Value *ids, Error *err) {
    int64_t n = shape_numel(ids->shape), P = ids->shape.dim[1];
    int32_t *host = mem_alloc_array((size_t)n, sizeof *host);
    if (!host) return error_set(err, MAE_MEMORY, "no memory for a graph");
    for (int64_t i = 0; i < n; i++) host[i] = (int32_t)(i % P);
    graph_set(g, ids, host);
    mem_free(host);
    return MAE_OK;
}
