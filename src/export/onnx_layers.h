/* Layers of a vision transformer as ONNX nodes, the counterpart of model/layers.h. A value is the
 * name of the tensor that holds it. Nothing here fails: a lack of memory is remembered in `failed`
 * and in the writer. */
#ifndef EXPORT_ONNX_LAYERS_H
#define EXPORT_ONNX_LAYERS_H

#include "base/memory.h"
#include "formats/onnx_writer.h"
#include "model/vit.h"

typedef struct OnnxGraph {
    OnnxModel *model;
    const Vit *vit;
    DType weights; /* as in OnnxOptions */
    Arena *arena;  /* names and what the weights are filled from */
    float *host;   /* room for the largest parameter */
    bool failed;
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

/* A node with one result of the same name; or called otherwise. Both return the result. */
const char *onnx_op(OnnxGraph *g, const char *op, const char *name, const char *const *inputs,
                    const OnnxAttribute *attributes);
const char *onnx_op_as(OnnxGraph *g, const char *op, const char *name, const char *result,
                       const char *const *inputs, const OnnxAttribute *attributes);
/* name + suffix, kept as long as the graph. */
const char *onnx_name(OnnxGraph *g, const char *name, const char *suffix);

/* Small constants; the same value is stored once. Integers are int64 [n]. */
#define ONNX_INTEGERS(g, ...)                                                                      \
    onnx_integers(g, (const int64_t[]){__VA_ARGS__},                                               \
                  (int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)))
const char *onnx_integers(OnnxGraph *g, const int64_t *v, int n);
const char *onnx_number(OnnxGraph *g, double v); /* float32 scalar */

/* A parameter as float32, whatever it is stored as; it must exist. */
const char *onnx_weight(OnnxGraph *g, const char *param);
/* The same, stored in float32 always: statistics, whose range 16 bits do not cover. */
const char *onnx_statistics(OnnxGraph *g, const char *param);

/* result NULL: called as the layer. */
const char *onnx_linear(OnnxGraph *g, const char *layer, const char *x, const char *result);
const char *onnx_layernorm(OnnxGraph *g, const char *layer, const char *x, const char *result);
/* x[B,T,C], blocks stack.0 ... */
const char *onnx_blocks(OnnxGraph *g, const char *stack, int64_t depth, const char *x, int64_t T,
                        int64_t C, int64_t heads);
/* param [1,1,C] -> [B,n,C] */
const char *onnx_expand(OnnxGraph *g, const char *param, int64_t n, int64_t C);
/* x[B,n+m,C] -> its first n and last m tokens, called name.first and name.rest. */
void onnx_split_tokens(OnnxGraph *g, const char *name, const char *x, int64_t n, int64_t m,
                       const char **first, const char **rest);
/* x[B,P,C], ids[B,n] -> x[b,ids[b,i]], [B,n,C] */
const char *onnx_gather_tokens(OnnxGraph *g, const char *name, const char *x, const char *ids);

#endif
