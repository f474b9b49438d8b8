/* A graph to read: its ops in order of computation, with their operands, results and attributes.
 * This serves who prints a graph or writes it down for others. The graph need not be planned.
 * graph.h says beside each builder what a class computes. All that is pointed to belongs to the
 * graph. */
#ifndef GRAPH_VIEW_H
#define GRAPH_VIEW_H

#include "graph/graph.h"

#define OP_MAX_OPERANDS 6
#define OP_MAX_RESULTS 2

/* What ops know beside their operands, a struct for each class of that name. Classes that are not
 * listed have nothing for others. */
typedef struct LinearAttributes {
    bool gelu; /* of the result */
} LinearAttributes;

typedef struct LayerNormAttributes {
    double eps;
} LayerNormAttributes;

typedef struct AttentionAttributes {
    int64_t heads;
} AttentionAttributes;

/* patch_gather and patch_target */
typedef struct PatchAttributes {
    PatchGrid grid;
    bool normalize; /* patch_target */
} PatchAttributes;

typedef struct BatchNormAttributes {
    double eps, momentum;
    bool train; /* by the statistics of the batch */
} BatchNormAttributes;

typedef struct OpView {
    const char *kind, *name; /* its class, as "linear" (static); itself, as "blocks.0.attn.qkv" */
    const Value *in[OP_MAX_OPERANDS]; /* in the order of the builder; NULL: left out, or no more */
    const Value *out[OP_MAX_RESULTS]; /* first what the builder returns; NULL: no more */
    const void *attributes;           /* of its class */
} OpView;

int graph_op_count(const Graph *g);
OpView graph_op_at(const Graph *g, int i);
/* Value.id is less than that. */
int graph_value_count(const Graph *g);

#endif
