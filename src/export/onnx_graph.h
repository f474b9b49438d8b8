/* What the files of an ONNX export share. onnx_graph.c writes nodes, constants and weights, and
 * onnx_ops.c the ops of a graph. A value is the name of the tensor that holds it. A lack of memory
 * is remembered in `failed` and in the writer. */
#ifndef EXPORT_ONNX_GRAPH_H
#define EXPORT_ONNX_GRAPH_H

#include "base/memory.h"
#include "formats/onnx_writer.h"
#include "graph/view.h"

#define ONNX_MAX_BOUND 8

typedef struct OnnxGraph {
    OnnxModel *model;
    const Params *params;
    DType weights; /* as in OnnxOptions */
    Arena *arena;  /* names */
    float *host;   /* room for the largest parameter */
    bool failed;
    struct {
        const Value *value;
        const char *name;
    } bound[ONNX_MAX_BOUND]; /* see onnx_bind */
    int n_bound;
    const char **names; /* of the graph's values by their id, NULL: none; set by onnx_ops */
} OnnxGraph;

/* Lists of names, and of attributes, for onnx_node. */
#define NAMES(...) ((const char *const[]){__VA_ARGS__, NULL})
#define ATTRIBUTES(...) ((const OnnxAttribute[]){__VA_ARGS__, {0}})
#define ATTRIBUTE_INT(key, value)                                                                  \
    { .name = (key), .kind = ONNX_INT, .i = (value) }
#define ATTRIBUTE_FLOAT(key, value)                                                                \
    { .name = (key), .kind = ONNX_FLOAT, .f = (value) }
#define ATTRIBUTE_INTS(key, ...)                                                                   \
    {                                                                                              \
        .name = (key), .kind = ONNX_INTS, .ints = (const int64_t[]){__VA_ARGS__},                  \
        .n_ints = (int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t))                        \
    }

/* name + suffix, kept as long as the graph. */
const char *onnx_name(OnnxGraph *g, const char *name, const char *suffix);
/* Adds a node called name + suffix. Its one result has the same name, which is returned. */
const char *onnx_op(OnnxGraph *g, const char *op, const char *name, const char *suffix,
                    const char *const *inputs, const OnnxAttribute *attributes);
/* Small constants; the same value is stored once. Integers are int64 [n]. */
#define ONNX_INTEGERS(g, ...)                                                                      \
    onnx_integers(g, (const int64_t[]){__VA_ARGS__},                                               \
                  (int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)))
const char *onnx_integers(OnnxGraph *g, const int64_t *v, int n);
const char *onnx_number(OnnxGraph *g, double v); /* float32 scalar */
/* The name of a parameter as float32. It is stored once, as `type`. */
const char *onnx_weight(OnnxGraph *g, const Param *p, DType type);

/* The name of an input of patch numbers that are all, in order: nothing is looked up. */
#define ONNX_IN_ORDER "in order"
/* Before onnx_ops: gives an input or a result its name, which is not copied. Other results keep
 * their names in the graph, and parameters those of the published state dict. */
void onnx_bind(OnnxGraph *g, const Value *v, const char *name);
/* Adds the nodes of all ops that lead to bound results. The inputs that they read must be bound.
 * Nodes take the number of images from what they read, so a graph built for one image is written
 * for any number. UNSUPPORTED: onnx_ops.c has no row for a class of ops; the message names it. */
Status onnx_ops(OnnxGraph *g, const Graph *graph, Error *err);

#endif
