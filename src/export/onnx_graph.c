/* See onnx_graph.h. */
#include "export/onnx_graph.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "base/text.h"

/* --- nodes and constants ---------------------------------------------------------------------- */

static const char *checked(OnnxGraph *g, const char *text) {
    if (!text) g->failed = true;
    return text ? text : "";
}

const char *onnx_name(OnnxGraph *g, const char *name, const char *suffix) {
    return checked(g, arena_printf(g->arena, "%s%s", name, suffix));
}

const char *onnx_op(OnnxGraph *g, const char *op, const char *name, const char *suffix,
                    const char *const *inputs, const OnnxAttribute *attributes) {
    name = onnx_name(g, name, suffix);
    onnx_node(g->model, op, name, inputs, NAMES(name), attributes);
    return name;
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

static const float *values_of(const OnnxGraph *g, const Param *p) {
    params_get(g->params, p, g->host);
    return g->host;
}

/* Numbers too large for 16 bits would be infinite, and everything after them. */
static Status fill_weight(void *graph, const void *param, DType type, void *out, Error *err) {
    const Param *p = param;
    const float *w = values_of(graph, p);
    dtype_from_f32(out, w, type, p->numel);
    for (int64_t i = 0; type == DTYPE_F16 && i < p->numel; i++)
        if (fabsf(w[i]) >= 65520 && isfinite(w[i]))
            return error_set(err, MAE_UNSUPPORTED,
                             "%s holds %g, more than F16 can; choose BF16 or F32 weights", p->name,
                             (double)w[i]);
    return MAE_OK;
}

/* Symmetric: the largest number of a row is 127 or -127; a row of zeros has scale 1. */
static float row_scale(const float *row, int64_t n) {
    float largest = 0;
    for (int64_t i = 0; i < n; i++) largest = fmaxf(largest, fabsf(row[i]));
    float scale = largest / 127;
    return scale > 0 ? scale : 1;
}

static Status fill_scales(void *graph, const void *param, DType type, void *out, Error *err) {
    (void)type, (void)err;
    const Param *p = param;
    const float *w = values_of(graph, p);
    int64_t rows = p->shape.dim[0], n = p->numel / rows;
    for (int64_t r = 0; r < rows; r++) ((float *)out)[r] = row_scale(w + r * n, n);
    return MAE_OK;
}

static Status fill_quantized(void *graph, const void *param, DType type, void *out, Error *err) {
    (void)type;
    const Param *p = param;
    const float *w = values_of(graph, p);
    int64_t n = p->numel / p->shape.dim[0];
    float scale = 1;
    for (int64_t i = 0; i < p->numel; i++) {
        if (!isfinite(w[i]))
            return error_set(err, MAE_UNSUPPORTED,
                             "%s holds %g, which 8 bits cannot say; choose F32 weights", p->name,
                             (double)w[i]);
        if (i % n == 0) scale = row_scale(w + i, n);
        ((int8_t *)out)[i] = (int8_t)fmaxf(-127, fminf(127, rintf(w[i] / scale)));
    }
    return MAE_OK;
}

/* Only matrices are stored in 8 bits: the weights of linear layers and of the patch embedding.
 * Tokens and positions are not. */
const char *onnx_weight(OnnxGraph *g, const Param *p, DType type) {
    bool is_matrix = p->shape.n_dims >= 2 && text_ends_with(p->name, ".weight");
    if (type == DTYPE_I8 && !is_matrix) type = DTYPE_F32;
    OnnxFill fill = type == DTYPE_I8 ? fill_quantized : fill_weight;
    onnx_tensor(g->model, p->name, type, p->shape, fill, p);
    if (type == DTYPE_F32) return p->name;
    if (type != DTYPE_I8)
        return onnx_op(g, "Cast", p->name, ".float32", NAMES(p->name),
                       ATTRIBUTES(ATTRIBUTE_INT("to", onnx_dtype(DTYPE_F32))));
    const char *scale = onnx_name(g, p->name, ".scale");
    onnx_tensor(g->model, scale, DTYPE_F32, SHAPE(p->shape.dim[0]), fill_scales, p);
    return onnx_op(g, "DequantizeLinear", p->name, ".float32", NAMES(p->name, scale),
                   ATTRIBUTES(ATTRIBUTE_INT("axis", 0)));
}
