/* A graph to read: its ops in order of computation, with their operands, results and attributes.
 * This serves who prints a graph or writes it down for others. The graph need not be planned.
 * graph.h says beside each builder what a class computes. All that is pointed to belongs to the
 * graph. */
#ifndef GRAPH_VIEW_H
#define GRAPH_VIEW_H

#include "graph/graph.h"

#define OP_MAX_OPERANDS 6
#define OP_MAX_RESULTS 2

/* What a class knows beside its operands. Others have zeros. */
typedef struct OpAttributes {
    int64_t heads;           /* attention */
    double eps;              /* layernorm, batchnorm */
    double momentum;         /* batchnorm */
    bool gelu;               /* linear: of the result */
    bool normalize;          /* patch_target */
    bool train;              /* batchnorm: by the statistics of the batch */
    PatchGrid grid;          /* patch_gather, patch_target, image_normalize (patch 1) */
    const float *mean, *std; /* image_normalize: a value a channel */
} OpAttributes;

typedef struct OpView {
    const char *kind, *name; /* its class, as "linear" (static); itself, as "blocks.0.attn.qkv" */
    const Value *in[OP_MAX_OPERANDS]; /* in the order of the builder; NULL: left out, or no more */
    const Value *out[OP_MAX_RESULTS]; /* first what the builder returns; NULL: no more */
    const OpAttributes *attributes;
} OpView;

int graph_op_count(const Graph *g);
OpView graph_op_at(const Graph *g, int i);
/* Value.id is less than that. */
int graph_value_count(const Graph *g);

#endif
