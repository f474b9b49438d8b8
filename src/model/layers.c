/* See layers.h. */
#include "model/layers.h"

#include <stdio.h>

Value *layer_param(Layers *l, const char *prefix, const char *name) {
    char full[128];
    snprintf(full, sizeof full, "%s%s", prefix, name);
    Param *p = params_find(l->model->params, full);
    ASSERT(p, "no parameter %s", full);
    return graph_param(l->graph, p);
}

Value *layer_norm(Layers *l, const char *prefix, const char *name, Value *x) {
    char full[64];
    snprintf(full, sizeof full, "%s%s", prefix, name);
    return op_layernorm(l->graph, full, x, layer_param(l, full, ".weight"),
                        layer_param(l, full, ".bias"), l->model->config.norm_eps);
}

Value *layer_linear(Layers *l, const char *prefix, const char *layer, const char *name, Value *x,
                    LinearOptions o) {
    char full[64];
    snprintf(full, sizeof full, "%s%s", prefix, layer);
    return op_linear(l->graph, name ? name : full, x, layer_param(l, full, ".weight"),
                     layer_param(l, full, ".bias"), o);
}

Value *layer_images(Layers *l, int64_t batch, Number input, Value **pixels) {
    const ModelConfig *c = &l->model->config;
    int64_t h = c->image_height, w = c->image_width, C = c->channels;
    if (input == NUMBER_WIDE)
        return graph_input(l->graph, "images", NUMBER_WIDE, SHAPE(batch, C, h, w));
    *pixels = graph_input(l->graph, "pixels", input, SHAPE(batch, h, w, C));
    return op_image_normalize(l->graph, "images", *pixels, c->mean, c->std);
}

Value *layer_embed(Layers *l, Value *images, Value *ids, Value *pos) {
    Value *x = op_patch_gather(l->graph, "patches", images, ids, l->model->config.patch);
    x = layer_linear(l, "", "patch_embed.proj", "patch_embed", x, (LinearOptions){0});
    return op_tokens_embed(l->graph, "tokens", x, layer_param(l, "", "cls_token"), pos, ids);
}

/* The last linear layer of a branch, and the sum with x. They are one op, or two when the branch
 * may be dropped. */
static Value *branch_end(Layers *l, const char *prefix, const char *layer, const char *name,
                         Value *h, Value *x, Value *scale) {
    char sum[64];
    if (!scale) return layer_linear(l, prefix, layer, name, h, (LinearOptions){.residual = x});
    h = layer_linear(l, prefix, layer, NULL, h, (LinearOptions){0});
    snprintf(sum, sizeof sum, "%s%s.sum", prefix, layer);
    return op_scaled_residual(l->graph, name ? name : sum, h, x, scale);
}

/* Block i; with ids, only the listed tokens go on from its attention. */
static Value *block(Layers *l, const char *stack, int64_t i, Value *x, int64_t heads, Value *ids) {
    char name[48], prefix[64], attn[64];
    snprintf(name, sizeof name, "%s.%lld", stack, (long long)i);
    snprintf(prefix, sizeof prefix, "%s.", name);
    snprintf(attn, sizeof attn, "%s.attn", name);
    Value **drop = l->drop ? l->drop + 2 * i : (Value *[2]){NULL, NULL};
    Value *h = layer_norm(l, prefix, "norm1", x);
    h = layer_linear(l, prefix, "attn.qkv", NULL, h, (LinearOptions){0});
    h = op_attention(l->graph, attn, h, heads);
    if (ids) {
        h = op_tokens_gather(l->graph, "listed_attn", h, ids);
        x = op_tokens_gather(l->graph, "listed", x, ids);
    }
    x = branch_end(l, prefix, "attn.proj", NULL, h, x, drop[0]);
    h = layer_norm(l, prefix, "norm2", x);
    h = layer_linear(l, prefix, "mlp.fc1", NULL, h, (LinearOptions){.gelu = true});
    return branch_end(l, prefix, "mlp.fc2", name, h, x, drop[1]);
}

Value *layer_blocks(Layers *l, const char *stack, int64_t depth, Value *x, int64_t heads) {
    return layer_blocks_to(l, stack, depth, x, heads, NULL);
}

Value *layer_blocks_to(Layers *l, const char *stack, int64_t depth, Value *x, int64_t heads,
                       Value *ids) {
    for (int64_t i = 0; i < depth; i++)
        x = block(l, stack, i, x, heads, i == depth - 1 ? ids : NULL);
    return x;
}
