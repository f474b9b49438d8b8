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
/* The normalised images [B,C,h,w] of a batch. With input NUMBER_WIDE they are an input. Otherwise
 * they are made of the input *pixels [B,h,w,C], which has this type (pixel_number) and is set. */
Value *layer_images(Layers *l, int64_t batch, Number input, Value **pixels);
/* [B,1+K,D]: the cls token and the embedded patches ids[B,K], plus pos unless it is NULL. */
Value *layer_embed(Layers *l, Value *images, Value *ids, Value *pos);
/* Pre-norm transformer blocks "stack.0" ... "stack.DEPTH-1"; each result has its block's name. */
Value *layer_blocks(Layers *l, const char *stack, int64_t depth, Value *x, int64_t heads);
/* The same when only the tokens 1+ids[B,M] are wanted: [B,M,C]. Of the other tokens the last block
 * computes only what attention reads, so nothing may need them afterwards. */
Value *layer_blocks_to(Layers *l, const char *stack, int64_t depth, Value *x, int64_t heads,
                       Value *ids);

#endif
