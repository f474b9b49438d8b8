/* Layers of a vision transformer as ops of a graph: they find their parameters by the published
 * names. */
#ifndef MODEL_LAYERS_H
#define MODEL_LAYERS_H

#include "model/vit.h"

typedef struct Layers {
    Vit *model;
    Graph *graph;
    Value **drop; /* stochastic depth: scale [B] of both branches of every block, NULL = none */
} Layers;

/* The parameter prefix + name; must exist. */
Value *layer_param(Layers *l, const char *prefix, const char *name);
Value *layer_norm(Layers *l, const char *prefix, const char *name, Value *x);
/* name: what the result is called when it is not the layer's own name. */
Value *layer_linear(Layers *l, const char *prefix, const char *layer, const char *name, Value *x,
                    LinearOptions o);
/* The images [B,C,h,w] of a batch, normalised: an input, or made of the input *pixels u8
 * [B,h,w,C]. */
Value *layer_images(Layers *l, int64_t batch, bool float_images, Value **pixels);
/* The cls token and the patches ids[B,K]: [B,1+K,D]; pos is added to them unless it is NULL. */
Value *layer_embed(Layers *l, Value *images, Value *ids, Value *pos);
/* Pre-norm transformer blocks "stack.0" ... "stack.DEPTH-1"; each result has its block's name. */
Value *layer_blocks(Layers *l, const char *stack, int64_t depth, Value *x, int64_t heads);
/* The same where only the tokens 1+ids[B,M] are wanted: [B,M,C]. The last block computes nothing
 * for the others but what attention reads of them, so none of them may be needed afterwards. */
Value *layer_blocks_to(Layers *l, const char *stack, int64_t depth, Value *x, int64_t heads,
                       Value *ids);

#endif
