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
/* Pre-norm transformer blocks "stack.0" ... "stack.DEPTH-1"; each result has its block's name. */
Value *layer_blocks(Layers *l, const char *stack, int64_t depth, Value *x, int64_t heads);

#endif
