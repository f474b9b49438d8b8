/* See onnx_graph.h. First come the rows, a function for each class of ops, then their table and the
 * walk. A row gets the op and y, the name of its result; values between are called y and a suffix.
 * Asking for an operand may add nodes, those of a parameter. C does not order the parts of an
 * expression, so no expression adds nodes twice: equal models give equal files. */
#include "export/onnx_graph.h"

#include <math.h>
#include <string.h>

#define TARGET_EPS 1e-6 /* of patch_target, as in kernels.h */
#define INT(key, n) ATTRIBUTES(ATTRIBUTE_INT(key, n))
#define AXIS(n) INT("axis", n)
#define PERMUTE(...) ATTRIBUTES(ATTRIBUTE_INTS("perm", __VA_ARGS__))

/* What operand k is called in the file; NULL: it is left out. */
static const char *operand(OnnxGraph *g, const OpView *op, int k) {
    const Value *v = op->in[k];
    if (!v) return NULL;
    if (!g->names[v->id] && v->param) g->names[v->id] = onnx_weight(g, v->param, g->weights);
    ASSERT(g->names[v->id], "%s reads %s, which is not bound", op->name, v->name);
    return g->names[v->id];
}

static int64_t dim(const OpView *op, int k, int i) {
    return op->in[k]->shape.dim[i];
}

static const char *mean(OnnxGraph *g, const char *y, const char *suffix, const char *x,
                        int64_t axis, bool keep) {
    return onnx_op(g, "ReduceMean", y, suffix, NAMES(x),
                   ATTRIBUTES(ATTRIBUTE_INTS("axes", axis), ATTRIBUTE_INT("keepdims", keep)));
}

/* --- layers ----------------------------------------------------------------------------------- */

/* x / 2 * (1 + erf(x / sqrt 2)), in the order of operations that runtimes know as one. */
static void gelu(OnnxGraph *g, const char *y, const char *x) {
    const char *e = onnx_op(g, "Div", y, ".div", NAMES(x, onnx_number(g, sqrt(2))), NULL);
    e = onnx_op(g, "Erf", y, ".erf", NAMES(e), NULL);
    e = onnx_op(g, "Add", y, ".add", NAMES(e, onnx_number(g, 1)), NULL);
    e = onnx_op(g, "Mul", y, ".mul", NAMES(x, e), NULL);
    onnx_op(g, "Mul", y, "", NAMES(e, onnx_number(g, 0.5)), NULL);
}

/* Weights stay as published, [O,I] or those of a convolution. Making [I,O] of them takes constants
 * alone, so runtimes do it once, when they load. */
static void linear(OnnxGraph *g, const OpView *op, const char *y) {
    const char *x = operand(g, op, 0), *w = operand(g, op, 1), *b = operand(g, op, 2);
    const char *residual = operand(g, op, 3);
    const LinearAttributes *a = op->attributes;
    bool last = !a->gelu && !residual;
    if (op->in[1]->shape.n_dims > 2)
        w = onnx_op(g, "Reshape", y, ".matrix", NAMES(w, ONNX_INTEGERS(g, 0, -1)), NULL);
    w = onnx_op(g, "Transpose", y, ".transposed", NAMES(w), PERMUTE(1, 0));
    x = onnx_op(g, "MatMul", y, last && !b ? "" : ".product", NAMES(x, w), NULL);
    if (b) x = onnx_op(g, "Add", y, last ? "" : ".biased", NAMES(x, b), NULL);
    if (a->gelu) gelu(g, y, x);
    if (residual) onnx_op(g, "Add", y, "", NAMES(residual, x), NULL);
}

static void layernorm(OnnxGraph *g, const OpView *op, const char *y) {
    const char *x = operand(g, op, 0), *w = operand(g, op, 1), *b = operand(g, op, 2);
    float eps = (float)((const LayerNormAttributes *)op->attributes)->eps;
    onnx_op(g, "LayerNormalization", y, "", NAMES(x, w, b),
            ATTRIBUTES(ATTRIBUTE_INT("axis", -1), ATTRIBUTE_FLOAT("epsilon", eps)));
}

/* [B,T,C] -> [B,H,T,C/H] */
static const char *heads_apart(OnnxGraph *g, const char *x, const char *cut,
                               const OnnxAttribute *permute) {
    x = onnx_op(g, "Reshape", x, ".heads", NAMES(x, cut), NULL);
    return onnx_op(g, "Transpose", x, ".apart", NAMES(x), permute);
}

/* qkv[B,T,3C] -> [B,T,C]: softmax(q k^T / sqrt(head width)) v for every head. */
static void attention(OnnxGraph *g, const OpView *op, const char *y) {
    const char *q = onnx_name(g, y, ".q"), *k = onnx_name(g, y, ".k"), *v = onnx_name(g, y, ".v");
    int64_t T = dim(op, 0, 1), C = dim(op, 0, 2) / 3;
    int64_t H = ((const AttentionAttributes *)op->attributes)->heads;
    const char *cut = ONNX_INTEGERS(g, 0, T, H, C / H);
    onnx_node(g->model, "Split", onnx_name(g, y, ".split"), NAMES(operand(g, op, 0)),
              NAMES(q, k, v), AXIS(-1));
    q = heads_apart(g, q, cut, PERMUTE(0, 2, 1, 3));
    k = heads_apart(g, k, cut, PERMUTE(0, 2, 3, 1));
    v = heads_apart(g, v, cut, PERMUTE(0, 2, 1, 3));
    q = onnx_op(g, "Mul", y, ".scaled", NAMES(q, onnx_number(g, 1 / sqrt((double)(C / H)))), NULL);
    const char *a = onnx_op(g, "MatMul", y, ".scores", NAMES(q, k), NULL);
    a = onnx_op(g, "Softmax", y, ".weights", NAMES(a), AXIS(-1));
    a = onnx_op(g, "MatMul", y, ".values", NAMES(a, v), NULL);
    a = onnx_op(g, "Transpose", y, ".by_token", NAMES(a), PERMUTE(0, 2, 1, 3));
    onnx_op(g, "Reshape", y, "", NAMES(a, ONNX_INTEGERS(g, 0, T, C)), NULL);
}

/* By the running statistics, stored in float32: 16 bits do not cover their range. */
static void batchnorm(OnnxGraph *g, const OpView *op, const char *y) {
    const char *x = operand(g, op, 0), *average = onnx_weight(g, op->in[1]->param, DTYPE_F32);
    const char *var = onnx_weight(g, op->in[2]->param, DTYPE_F32);
    const BatchNormAttributes *a = op->attributes;
    const char *eps = onnx_number(g, a->eps);
    ASSERT(!a->train, "%s trains", op->name);
    x = onnx_op(g, "Sub", y, ".centred", NAMES(x, average), NULL);
    var = onnx_op(g, "Add", y, ".variance", NAMES(var, eps), NULL);
    var = onnx_op(g, "Sqrt", y, ".deviation", NAMES(var), NULL);
    onnx_op(g, "Div", y, "", NAMES(x, var), NULL);
}

/* --- patches ---------------------------------------------------------------------------------- */

static bool in_order(const OnnxGraph *g, const Value *ids) {
    return g->names[ids->id] && strcmp(g->names[ids->id], ONNX_IN_ORDER) == 0;
}

/* x[B,N,C], index[B,M] -> x[b,index[b,i]], [B,M,C] */
static const char *gather(OnnxGraph *g, const char *y, const char *suffix, const char *x,
                          const char *index) {
    index = onnx_op(g, "Unsqueeze", y, ".places", NAMES(index, ONNX_INTEGERS(g, 2)), NULL);
    return onnx_op(g, "GatherND", y, suffix, NAMES(x, index), INT("batch_dims", 1));
}

/* The values of every listed patch [B,M,p*p*C], each in the order that is said. */
static void patches(OnnxGraph *g, const OpView *op, const char *y, const OnnxAttribute *permute) {
    PatchGrid at = ((const PatchAttributes *)op->attributes)->grid;
    int64_t p = at.patch, C = at.channels, rows = at.height / p, columns = at.width / p;
    bool all = in_order(g, op->in[1]);
    const char *cut = ONNX_INTEGERS(g, 0, C, rows, p, columns, p);
    const char *flat = ONNX_INTEGERS(g, 0, rows * columns, p * p * C);
    const char *x = onnx_op(g, "Reshape", y, ".cut", NAMES(operand(g, op, 0), cut), NULL);
    x = onnx_op(g, "Transpose", y, ".by_patch", NAMES(x), permute);
    x = onnx_op(g, "Reshape", y, all ? "" : ".all", NAMES(x, flat), NULL);
    if (!all) gather(g, y, "", x, operand(g, op, 1));
}

static void patch_gather(OnnxGraph *g, const OpView *op, const char *y) {
    patches(g, op, y, PERMUTE(0, 2, 4, 1, 3, 5));
}

/* normalize: each patch minus its mean, over the root of its unbiased variance. */
static void patch_target(OnnxGraph *g, const OpView *op, const char *y) {
    double n = (double)op->out[0]->shape.dim[2];
    bool normalize = ((const PatchAttributes *)op->attributes)->normalize;
    const char *x = normalize ? onnx_name(g, y, ".pixels") : y;
    patches(g, op, x, PERMUTE(0, 2, 4, 3, 5, 1));
    if (!normalize) return;
    x = onnx_op(g, "Sub", y, ".centred", NAMES(x, mean(g, y, ".mean", x, -1, true)), NULL);
    const char *s = onnx_op(g, "Mul", y, ".squares", NAMES(x, x), NULL);
    s = mean(g, y, ".biased", s, -1, true);
    s = onnx_op(g, "Mul", y, ".variance", NAMES(s, onnx_number(g, n / (n - 1))), NULL);
    s = onnx_op(g, "Add", y, ".stable", NAMES(s, onnx_number(g, TARGET_EPS)), NULL);
    s = onnx_op(g, "Sqrt", y, ".deviation", NAMES(s), NULL);
    onnx_op(g, "Div", y, "", NAMES(x, s), NULL);
}

/* --- tokens ----------------------------------------------------------------------------------- */

/* The token of operand 1 [1,1,C] -> [B,n,C] */
static const char *repeated(OnnxGraph *g, const OpView *op, const char *y, int64_t n) {
    const char *x = operand(g, op, 0), *token = operand(g, op, 1);
    const char *size = ONNX_INTEGERS(g, n, dim(op, 0, 2));
    const char *batch = onnx_op(g, "Shape", y, ".batch", NAMES(x), INT("end", 1));
    size = onnx_op(g, "Concat", y, ".size", NAMES(batch, size), AXIS(0));
    return onnx_op(g, "Expand", y, ".repeated", NAMES(token, size), NULL);
}

/* Where cls and the patches of operand 3 lie among tokens: 0, 1 + ids. */
static const char *token_index(OnnxGraph *g, const OpView *op, const char *y) {
    const char *ids = operand(g, op, 3), *front = ONNX_INTEGERS(g, 0, 1, 0, 0);
    ids = onnx_op(g, "Add", y, ".tokens", NAMES(ids, ONNX_INTEGERS(g, 1)), NULL);
    return onnx_op(g, "Pad", y, ".index", NAMES(ids, front), NULL);
}

static void tokens_embed(OnnxGraph *g, const OpView *op, const char *y) {
    const char *x = operand(g, op, 0), *cls = repeated(g, op, y, 1), *pos = operand(g, op, 2);
    x = onnx_op(g, "Concat", y, pos ? ".placed" : "", NAMES(cls, x), AXIS(1));
    if (!pos) return;
    if (!in_order(g, op->in[3])) {
        const char *rows = ONNX_INTEGERS(g, -1, dim(op, 0, 2)), *index = token_index(g, op, y);
        pos = onnx_op(g, "Reshape", y, ".rows", NAMES(pos, rows), NULL);
        pos = onnx_op(g, "Gather", y, ".positions", NAMES(pos, index), AXIS(0));
    }
    onnx_op(g, "Add", y, "", NAMES(x, pos), NULL);
}

static void tokens_restore(OnnxGraph *g, const OpView *op, const char *y) {
    const char *x = operand(g, op, 0), *pos = operand(g, op, 2);
    if (op->in[1]) {
        const char *gaps = repeated(g, op, y, op->out[0]->shape.dim[1] - dim(op, 0, 1));
        x = onnx_op(g, "Concat", y, ".shuffled", NAMES(x, gaps), AXIS(1));
        x = gather(g, y, ".placed", x, token_index(g, op, y));
    }
    onnx_op(g, "Add", y, "", NAMES(x, pos), NULL);
}

/* x[B,1+P,C] without its cls token. */
static const char *without_cls(OnnxGraph *g, const OpView *op, const char *y, const char *suffix) {
    const char *one = ONNX_INTEGERS(g, 1), *end = ONNX_INTEGERS(g, dim(op, 0, 1));
    return onnx_op(g, "Slice", y, suffix, NAMES(operand(g, op, 0), one, end, one), NULL);
}

static void tokens_gather(OnnxGraph *g, const OpView *op, const char *y) {
    ASSERT(in_order(g, op->in[1]), "%s: a graph that predicts some patches only", op->name);
    without_cls(g, op, y, "");
}

static void tokens_mean(OnnxGraph *g, const OpView *op, const char *y) {
    mean(g, y, "", without_cls(g, op, y, ".patches"), 1, false);
}

static void tokens_cls(OnnxGraph *g, const OpView *op, const char *y) {
    int64_t zero = 0;
    onnx_constant(g->model, "integer_0", DTYPE_I64, (Shape){0}, &zero);
    onnx_op(g, "Gather", y, "", NAMES(operand(g, op, 0), "integer_0"), AXIS(1));
}

/* The loss alone, a scalar. */
static void masked_mse(OnnxGraph *g, const OpView *op, const char *y) {
    const char *x = operand(g, op, 0), *target = operand(g, op, 1), *mask = operand(g, op, 2);
    ASSERT(in_order(g, op->in[3]), "%s: a graph that predicts some patches only", op->name);
    x = onnx_op(g, "Sub", y, ".difference", NAMES(x, target), NULL);
    x = onnx_op(g, "Mul", y, ".squares", NAMES(x, x), NULL);
    x = onnx_op(g, "Mul", y, ".removed", NAMES(mean(g, y, ".per_patch", x, -1, false), mask), NULL);
    x = onnx_op(g, "ReduceSum", y, ".sum", NAMES(x), INT("keepdims", 0));
    mask = onnx_op(g, "ReduceSum", y, ".count", NAMES(mask), INT("keepdims", 0));
    onnx_op(g, "Div", y, "", NAMES(x, mask), NULL);
}

/* --- the walk --------------------------------------------------------------------------------- */

static const struct {
    const char *kind;
    void (*nodes)(OnnxGraph *g, const OpView *op, const char *y);
} ROWS[] = {
    {"linear", linear},
    {"layernorm", layernorm},
    {"attention", attention},
    {"batchnorm", batchnorm},
    {"patch_gather", patch_gather},
    {"patch_target", patch_target},
    {"tokens_embed", tokens_embed},
    {"tokens_restore", tokens_restore},
    {"tokens_gather", tokens_gather},
    {"tokens_mean", tokens_mean},
    {"tokens_cls", tokens_cls},
    {"masked_mse", masked_mse},
};

void onnx_bind(OnnxGraph *g, const Value *v, const char *name) {
    ASSERT(g->n_bound < ONNX_MAX_BOUND, "%s is one name too many", name);
    g->bound[g->n_bound].value = v;
    g->bound[g->n_bound++].name = name;
}

/* The graph's own name, unless an input or output of the file has it. */
static const char *own_name(OnnxGraph *g, const Value *v) {
    for (int i = 0; i < g->n_bound; i++)
        if (strcmp(g->bound[i].name, v->name) == 0) return onnx_name(g, v->name, ".inner");
    return v->name;
}

/* Goes through the ops from the end. What a named result is computed from gets a name. What has no
 * name after that is not needed. */
static void name_values(OnnxGraph *g, const Graph *graph) {
    for (int i = 0; i < g->n_bound; i++) g->names[g->bound[i].value->id] = g->bound[i].name;
    for (int i = graph_op_count(graph) - 1; i >= 0; i--) {
        OpView op = graph_op_at(graph, i);
        for (int k = 0; k < OP_MAX_OPERANDS && g->names[op.out[0]->id]; k++) {
            const Value *x = op.in[k];
            if (x && x->kind == VALUE_ACTIVATION && !g->names[x->id])
                g->names[x->id] = own_name(g, x);
        }
    }
}

static Status put_op(OnnxGraph *g, const OpView *op, Error *err) {
    for (size_t i = 0; i < sizeof ROWS / sizeof *ROWS; i++) {
        if (strcmp(ROWS[i].kind, op->kind) != 0) continue;
        ROWS[i].nodes(g, op, g->names[op->out[0]->id]);
        return MAE_OK;
    }
    return error_set(err, MAE_UNSUPPORTED, "%s: an op of kind %s cannot be written as ONNX",
                     op->name, op->kind);
}

Status onnx_ops(OnnxGraph *g, const Graph *graph, Error *err) {
    Status status = MAE_OK;
    g->names = arena_alloc(g->arena, (size_t)graph_value_count(graph) * sizeof *g->names);
    g->failed |= !g->names;
    if (!g->failed) name_values(g, graph);
    for (int i = 0; i < graph_op_count(graph) && !g->failed && status == MAE_OK; i++) {
        OpView op = graph_op_at(graph, i);
        if (g->names[op.out[0]->id]) status = put_op(g, &op, err);
    }
    if (g->failed) status = error_set(err, MAE_MEMORY, "no memory to write a graph as ONNX");
    return status;
}
