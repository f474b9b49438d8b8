/* See onnx_layers.h. Linear layers keep their weights as published, [O,I]; the transposition in the
 * graph is one of constants, which runtimes do once when loading. */
#include "export/onnx_layers.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* --- nodes and constants ---------------------------------------------------------------------- */

static const char *checked(OnnxGraph *g, const char *text) {
    if (!text) g->failed = true;
    return text ? text : "";
}

const char *onnx_name(OnnxGraph *g, const char *name, const char *suffix) {
    return checked(g, arena_printf(g->arena, "%s%s", name, suffix));
}

const char *onnx_op_as(OnnxGraph *g, const char *op, const char *name, const char *result,
                       const char *const *inputs, const OnnxAttribute *attributes) {
    onnx_node(g->model, op, name, inputs, NAMES(result), attributes);
    return result;
}

const char *onnx_op(OnnxGraph *g, const char *op, const char *name, const char *const *inputs,
                    const OnnxAttribute *attributes) {
    return onnx_op_as(g, op, name, name, inputs, attributes);
}

/* Called after its values, so that equal lists are one. */
const char *onnx_integers(OnnxGraph *g, const int64_t *v, int n) {
    const char *name = "integers";
    for (int i = 0; i < n; i++)
        name = checked(g, arena_printf(g->arena, "%s_%" PRId64, name, v[i]));
    onnx_constant(g->model, name, DTYPE_I64, SHAPE(n), v);
    return name;
}

const char *onnx_number(OnnxGraph *g, double v) {
    float value = (float)v;
    const char *name = checked(g, arena_printf(g->arena, "number_%.9g", (double)value));
    onnx_constant(g->model, name, DTYPE_F32, (Shape){0}, &value);
    return name;
}

/* --- weights ---------------------------------------------------------------------------------- */

/* What a tensor of the file is filled from. */
typedef struct Source {
    const OnnxGraph *graph;
    const Param *param;
    DType dtype;
} Source;

/* Numbers too large for 16 bits would be infinite, and everything after them. */
static Status fill_weight(void *user, void *out, Error *err) {
    const Source *s = user;
    float *host = s->graph->host;
    int64_t n = s->param->numel;
    params_get(s->graph->vit->params, s->param, host);
    dtype_from_f32(out, host, s->dtype, n);
    for (int64_t i = 0; s->dtype == DTYPE_F16 && i < n; i++)
        if (fabsf(host[i]) >= 65520 && isfinite(host[i]))
            return fail(err, MAE_UNSUPPORTED,
                        "%s holds %g, more than F16 can; choose BF16 or F32 weights",
                        s->param->name, (double)host[i]);
    return MAE_OK;
}

/* Symmetric: the largest number of a row is 127 or -127; a row of zeros has scale 1. */
static float row_scale(const float *row, int64_t n) {
    float largest = 0;
    for (int64_t i = 0; i < n; i++) largest = fmaxf(largest, fabsf(row[i]));
    float scale = largest / 127;
    return scale > 0 ? scale : 1;
}

static Status fill_scales(void *user, void *out, Error *err) {
    (void)err;
    const Source *s = user;
    int64_t rows = s->param->shape.dim[0], n = s->param->numel / rows;
    params_get(s->graph->vit->params, s->param, s->graph->host);
    for (int64_t r = 0; r < rows; r++) ((float *)out)[r] = row_scale(s->graph->host + r * n, n);
    return MAE_OK;
}

static Status fill_quantized(void *user, void *out, Error *err) {
    const Source *s = user;
    int64_t rows = s->param->shape.dim[0], n = s->param->numel / rows;
    params_get(s->graph->vit->params, s->param, s->graph->host);
    for (int64_t i = 0; i < s->param->numel; i++)
        if (!isfinite(s->graph->host[i]))
            return fail(err, MAE_UNSUPPORTED,
                        "%s holds %g, which 8 bits cannot say; choose F32 weights", s->param->name,
                        (double)s->graph->host[i]);
    for (int64_t r = 0; r < rows; r++) {
        const float *row = s->graph->host + r * n;
        float scale = row_scale(row, n);
        for (int64_t i = 0; i < n; i++)
            ((int8_t *)out)[r * n + i] = (int8_t)fmaxf(-127, fminf(127, rintf(row[i] / scale)));
    }
    return MAE_OK;
}

static const Param *find(const OnnxGraph *g, const char *name) {
    const Param *p = params_find(g->vit->params, name);
    ASSERT(p, "no parameter %s", name);
    return p;
}

static Source *source(OnnxGraph *g, const Param *p, DType t) {
    Source *s = arena_alloc(g->arena, sizeof *s);
    if (s)
        *s = (Source){g, p, t};
    else
        g->failed = true;
    return s;
}

static const char *stored_as(OnnxGraph *g, const Param *p, DType t) {
    onnx_tensor(g->model, p->name, t, p->shape, fill_weight, source(g, p, t));
    return p->name;
}

static const char *quantized(OnnxGraph *g, const Param *p) {
    const char *scale = onnx_name(g, p->name, ".scale");
    onnx_tensor(g->model, p->name, DTYPE_I8, p->shape, fill_quantized, source(g, p, DTYPE_I8));
    onnx_tensor(g->model, scale, DTYPE_F32, SHAPE(p->shape.dim[0]), fill_scales,
                source(g, p, DTYPE_F32));
    return onnx_op(g, "DequantizeLinear", onnx_name(g, p->name, ".float32"), NAMES(p->name, scale),
                   ATTRIBUTES(ATTRIBUTE_INT("axis", 0)));
}

/* Matrices are the weights of linear layers and of the patch embedding; tokens and positions are
 * none. */
static bool is_matrix(const Param *p) {
    size_t n = strlen(p->name);
    return p->shape.n_dims >= 2 && n >= 7 && strcmp(p->name + n - 7, ".weight") == 0;
}

const char *onnx_weight(OnnxGraph *g, const char *param) {
    if (g->failed) return ""; /* the name may be lost */
    const Param *p = find(g, param);
    if (g->weights == DTYPE_I8 && is_matrix(p)) return quantized(g, p);
    if (g->weights == DTYPE_I8 || g->weights == DTYPE_F32) return stored_as(g, p, DTYPE_F32);
    return onnx_op(g, "Cast", onnx_name(g, p->name, ".float32"), NAMES(stored_as(g, p, g->weights)),
                   ATTRIBUTES(ATTRIBUTE_INT("to", onnx_dtype(DTYPE_F32))));
}

const char *onnx_statistics(OnnxGraph *g, const char *param) {
    if (g->failed) return "";
    return stored_as(g, find(g, param), DTYPE_F32);
}

/* --- layers ----------------------------------------------------------------------------------- */

const char *onnx_linear(OnnxGraph *g, const char *layer, const char *x, const char *result) {
    const char *weight = onnx_name(g, layer, ".weight");
    const char *w =
        onnx_op(g, "Transpose", onnx_name(g, weight, ".transposed"), NAMES(onnx_weight(g, weight)),
                ATTRIBUTES(ATTRIBUTE_INTS("perm", 1, 0)));
    const char *b = onnx_weight(g, onnx_name(g, layer, ".bias"));
    x = onnx_op(g, "MatMul", onnx_name(g, layer, ".product"), NAMES(x, w), NULL);
    return onnx_op_as(g, "Add", layer, result ? result : layer, NAMES(x, b), NULL);
}

const char *onnx_layernorm(OnnxGraph *g, const char *layer, const char *x, const char *result) {
    const char *w = onnx_weight(g, onnx_name(g, layer, ".weight"));
    const char *b = onnx_weight(g, onnx_name(g, layer, ".bias"));
    float eps = (float)g->vit->config.norm_eps;
    return onnx_op_as(g, "LayerNormalization", layer, result ? result : layer, NAMES(x, w, b),
                      ATTRIBUTES(ATTRIBUTE_INT("axis", -1), ATTRIBUTE_FLOAT("epsilon", eps)));
}

/* [B,T,C] -> [B,H,T,C/H], or transposed [B,H,C/H,T] */
static const char *heads_apart(OnnxGraph *g, const char *x, int64_t T, int64_t C, int64_t H,
                               bool transposed) {
    const char *cut = onnx_op(g, "Reshape", onnx_name(g, x, ".heads"),
                              NAMES(x, ONNX_INTEGERS(g, 0, T, H, C / H)), NULL);
    const char *name = onnx_name(g, x, ".by_head");
    if (transposed)
        return onnx_op(g, "Transpose", name, NAMES(cut),
                       ATTRIBUTES(ATTRIBUTE_INTS("perm", 0, 2, 3, 1)));
    return onnx_op(g, "Transpose", name, NAMES(cut),
                   ATTRIBUTES(ATTRIBUTE_INTS("perm", 0, 2, 1, 3)));
}

/* qkv[B,T,3C] -> [B,T,C]: softmax(q k^T / sqrt(head width)) v for every head. */
static const char *attention(OnnxGraph *g, const char *layer, const char *qkv, int64_t T, int64_t C,
                             int64_t H) {
    const char *q = onnx_name(g, layer, ".q"), *k = onnx_name(g, layer, ".k");
    const char *v = onnx_name(g, layer, ".v");
    onnx_node(g->model, "Split", onnx_name(g, layer, ".split"), NAMES(qkv), NAMES(q, k, v),
              ATTRIBUTES(ATTRIBUTE_INT("axis", -1)));
    q = heads_apart(g, q, T, C, H, false);
    k = heads_apart(g, k, T, C, H, true);
    v = heads_apart(g, v, T, C, H, false);
    q = onnx_op(g, "Mul", onnx_name(g, layer, ".q.scaled"),
                NAMES(q, onnx_number(g, 1 / sqrt((double)(C / H)))), NULL);
    const char *a = onnx_op(g, "MatMul", onnx_name(g, layer, ".scores"), NAMES(q, k), NULL);
    a = onnx_op(g, "Softmax", onnx_name(g, layer, ".weights"), NAMES(a),
                ATTRIBUTES(ATTRIBUTE_INT("axis", -1)));
    a = onnx_op(g, "MatMul", onnx_name(g, layer, ".values"), NAMES(a, v), NULL);
    a = onnx_op(g, "Transpose", onnx_name(g, layer, ".by_token"), NAMES(a),
                ATTRIBUTES(ATTRIBUTE_INTS("perm", 0, 2, 1, 3)));
    return onnx_op(g, "Reshape", layer, NAMES(a, ONNX_INTEGERS(g, 0, T, C)), NULL);
}

/* x / 2 * (1 + erf(x / sqrt 2)), in the order of operations that runtimes know as one. */
static const char *gelu(OnnxGraph *g, const char *layer, const char *x) {
    const char *e = onnx_op(g, "Div", onnx_name(g, layer, ".gelu.div"),
                            NAMES(x, onnx_number(g, sqrt(2))), NULL);
    e = onnx_op(g, "Erf", onnx_name(g, layer, ".gelu.erf"), NAMES(e), NULL);
    e = onnx_op(g, "Add", onnx_name(g, layer, ".gelu.add"), NAMES(e, onnx_number(g, 1)), NULL);
    e = onnx_op(g, "Mul", onnx_name(g, layer, ".gelu.mul"), NAMES(x, e), NULL);
    return onnx_op(g, "Mul", onnx_name(g, layer, ".gelu"), NAMES(e, onnx_number(g, 0.5)), NULL);
}

static const char *block(OnnxGraph *g, const char *name, const char *x, int64_t T, int64_t C,
                         int64_t H) {
    const char *fc1 = onnx_name(g, name, ".mlp.fc1");
    const char *h = onnx_layernorm(g, onnx_name(g, name, ".norm1"), x, NULL);
    h = onnx_linear(g, onnx_name(g, name, ".attn.qkv"), h, NULL);
    h = attention(g, onnx_name(g, name, ".attn"), h, T, C, H);
    h = onnx_linear(g, onnx_name(g, name, ".attn.proj"), h, NULL);
    x = onnx_op(g, "Add", onnx_name(g, name, ".attn.sum"), NAMES(x, h), NULL);
    h = onnx_layernorm(g, onnx_name(g, name, ".norm2"), x, NULL);
    h = gelu(g, fc1, onnx_linear(g, fc1, h, NULL));
    h = onnx_linear(g, onnx_name(g, name, ".mlp.fc2"), h, NULL);
    return onnx_op(g, "Add", name, NAMES(x, h), NULL);
}

const char *onnx_blocks(OnnxGraph *g, const char *stack, int64_t depth, const char *x, int64_t T,
                        int64_t C, int64_t heads) {
    for (int64_t i = 0; i < depth; i++) {
        char number[32];
        snprintf(number, sizeof number, ".%" PRId64, i);
        x = block(g, onnx_name(g, stack, number), x, T, C, heads);
    }
    return x;
}

/* --- tokens ----------------------------------------------------------------------------------- */

/* The number of images is known to the graph only: the first dimension of its input. */
const char *onnx_expand(OnnxGraph *g, const char *param, int64_t n, int64_t C) {
    const char *batch = onnx_op(g, "Shape", onnx_name(g, param, ".batch"), NAMES("pixel_values"),
                                ATTRIBUTES(ATTRIBUTE_INT("start", 0), ATTRIBUTE_INT("end", 1)));
    const char *shape =
        onnx_op(g, "Concat", onnx_name(g, param, ".shape"), NAMES(batch, ONNX_INTEGERS(g, n, C)),
                ATTRIBUTES(ATTRIBUTE_INT("axis", 0)));
    return onnx_op(g, "Expand", onnx_name(g, param, ".expanded"),
                   NAMES(onnx_weight(g, param), shape), NULL);
}

void onnx_split_tokens(OnnxGraph *g, const char *name, const char *x, int64_t n, int64_t m,
                       const char **first, const char **rest) {
    *first = onnx_name(g, name, ".first");
    *rest = onnx_name(g, name, ".rest");
    onnx_node(g->model, "Split", onnx_name(g, name, ".split"), NAMES(x, ONNX_INTEGERS(g, n, m)),
              NAMES(*first, *rest), ATTRIBUTES(ATTRIBUTE_INT("axis", 1)));
}

const char *onnx_gather_tokens(OnnxGraph *g, const char *name, const char *x, const char *ids) {
    const char *index = onnx_op(g, "Unsqueeze", onnx_name(g, name, ".index"),
                                NAMES(ids, ONNX_INTEGERS(g, 2)), NULL);
    return onnx_op(g, "GatherND", name, NAMES(x, index),
                   ATTRIBUTES(ATTRIBUTE_INT("batch_dims", 1)));
}
