/* The ops of graph.h: for each a builder with its shape check, a forward, a backward, and what they
 * need of memory. Reading order of a row: class, then builder. */
#include "graph/internal.h"

static bool has_shape(const ValueNode *n, Shape s) {
    return n && shape_equal(n->value.shape, s);
}

/* --- linear: x, w, b, residual -> y ---------------------------------------------------------- */

static bool linear_is_gelu(const Op *op) {
    return ((const LinearAttributes *)op->attributes)->gelu;
}

static void linear_forward(Graph *g, Op *op) {
    KERNELS(g)->linear_forward(g->device, DATA(op->out[0]), op->saved[0], DATA(op->in[0]),
                               DATA(op->in[1]), DATA(op->in[2]), DATA(op->in[3]),
                               node_rows(op->in[0]), node_last_dim(op->in[0]),
                               node_last_dim(op->out[0]), g->scratch);
}

static void linear_backward(Graph *g, Op *op) {
    const Kernels *k = KERNELS(g);
    ValueNode *x = op->in[0], *w = op->in[1], *b = op->in[2], *residual = op->in[3];
    void *dy = GRAD(op->out[0]), *pre = op->through ? op->through->saved[0] : NULL;
    bool remade = pre && k->remakes;
    int64_t R = node_rows(x), I = node_last_dim(x), O = node_last_dim(op->out[0]);
    if (linear_is_gelu(op) && !op->passed) k->gelu_backward(g->device, dy, dy, op->saved[0], R * O);
    if (x->value.needs_grad)
        k->linear_backward_input(g->device, GRAD(x), dy, DATA(w), pre, R, I, O, op->accumulate[0],
                                 g->scratch);
    if (w->value.needs_grad || (b && b->value.needs_grad))
        k->linear_backward_weight(g->device, GRAD(w), GRAD(b), dy, remade ? pre : DATA(x), R, I, O,
                                  op->accumulate[1], g->scratch);
    if (residual) op_pass_gradient(g, op, residual, op->accumulate[3]);
}

static int64_t linear_saved(const Op *op, int i) {
    return i == 0 && linear_is_gelu(op) ? shape_numel(op->out[0]->value.shape) : 0;
}

static size_t linear_scratch(Graph *g, const Op *op, bool backward) {
    (void)backward;
    return KERNELS(g)->linear_scratch(g->device, node_rows(op->in[0]), node_last_dim(op->in[0]),
                                      node_last_dim(op->out[0]));
}

static double linear_flops(const Op *op, bool backward) {
    double product = 2.0 * (double)node_rows(op->in[0]) * (double)node_last_dim(op->in[0]) *
                     (double)node_last_dim(op->out[0]);
    if (!backward) return product;
    return product * (op->in[0]->value.needs_grad + op->in[1]->value.needs_grad);
}

static const OpClass LINEAR = {.name = "linear",
                               .takes_wide = BIT(1) | BIT(2),
                               .attribute_bytes = sizeof(LinearAttributes),
                               .reads = {[0] = BIT(1)},
                               .writes_params = BIT(1),
                               .shares = BIT(3),
                               .through_gelu = true,
                               .is_gelu = linear_is_gelu,
                               .forward = linear_forward,
                               .backward = linear_backward,
                               .saved = linear_saved,
                               .saves_real = true,
                               .scratch_bytes = linear_scratch,
                               .flops = linear_flops};

Value *op_linear(Graph *g, const char *name, Value *x, Value *w, Value *b, LinearOptions o) {
    Op *op = graph_op(g, &LINEAR, name, &(LinearAttributes){o.gelu}, INPUTS(x, w, b, o.residual));
    int64_t O = w->shape.dim[0];
    op_check(w->shape.n_dims >= 2 && shape_numel(w->shape) == O * node_last_dim(op->in[0]), op);
    op_check(!b || shape_numel(b->shape) == O, op);
    Shape shape = x->shape;
    shape.dim[shape.n_dims - 1] = O;
    op_check(!o.residual || shape_equal(o.residual->shape, shape), op);
    op_check(!(o.gelu && o.residual), op);
    return op_result(g, op, shape, op->back);
}

/* --- layernorm: x, w, b -> y ------------------------------------------------------------------ */

static void layernorm_forward(Graph *g, Op *op) {
    const LayerNormAttributes *a = op->attributes;
    KERNELS(g)->layernorm_forward(g->device, DATA(op->out[0]), op->saved[0], op->saved[1],
                                  DATA(op->in[0]), DATA(op->in[1]), DATA(op->in[2]),
                                  node_rows(op->in[0]), node_last_dim(op->in[0]), a->eps);
}

static void layernorm_backward(Graph *g, Op *op) {
    KERNELS(g)->layernorm_backward(g->device, GRAD(op->in[0]), GRAD(op->in[1]), GRAD(op->in[2]),
                                   GRAD(op->out[0]), DATA(op->in[0]), op->saved[0], op->saved[1],
                                   DATA(op->in[1]), node_rows(op->in[0]), node_last_dim(op->in[0]),
                                   op->accumulate[0], g->scratch);
}

static int64_t layernorm_saved(const Op *op, int i) {
    (void)i;
    return node_rows(op->in[0]);
}

static size_t layernorm_scratch(Graph *g, const Op *op, bool backward) {
    if (!backward) return 0;
    return KERNELS(g)->layernorm_scratch(g->device, node_rows(op->in[0]), node_last_dim(op->in[0]));
}

static const OpClass LAYERNORM = {.name = "layernorm",
                                  .takes_wide = BIT(1) | BIT(2),
                                  .attribute_bytes = sizeof(LayerNormAttributes),
                                  .reads = {[0] = EVERY},
                                  .cheap = true,
                                  .forward = layernorm_forward,
                                  .backward = layernorm_backward,
                                  .saved = layernorm_saved,
                                  .scratch_bytes = layernorm_scratch};

Value *op_layernorm(Graph *g, const char *name, Value *x, Value *w, Value *b, double eps) {
    Op *op = graph_op(g, &LAYERNORM, name, &(LayerNormAttributes){eps}, INPUTS(x, w, b));
    Shape row = SHAPE(node_last_dim(op->in[0]));
    op_check(has_shape(op->in[1], row) && has_shape(op->in[2], row), op);
    return op_result(g, op, x->shape, op->back);
}

/* --- attention: qkv[B,T,3C] -> o[B,T,C] ------------------------------------------------------- */

static int64_t heads_of(const Op *op) {
    return ((const AttentionAttributes *)op->attributes)->heads;
}

static void attention_forward(Graph *g, Op *op) {
    int64_t H = heads_of(op), D = node_last_dim(op->out[0]) / H;
    KERNELS(g)->attention_forward(g->device, DATA(op->out[0]), op->saved[0], DATA(op->in[0]),
                                  node_dim(op->in[0], 0), node_dim(op->in[0], 1), H, D, g->scratch);
}

static void attention_backward(Graph *g, Op *op) {
    int64_t H = heads_of(op), D = node_last_dim(op->out[0]) / H;
    ASSERT(!op->accumulate[0], "%s: qkv has a second reader", op->name);
    KERNELS(g)->attention_backward(g->device, GRAD(op->in[0]), GRAD(op->out[0]), DATA(op->out[0]),
                                   op->saved[0], DATA(op->in[0]), node_dim(op->in[0], 0),
                                   node_dim(op->in[0], 1), H, D, g->scratch);
}

static int64_t attention_saved(const Op *op, int i) {
    return i ? 0 : node_dim(op->in[0], 0) * heads_of(op) * node_dim(op->in[0], 1);
}

static size_t attention_scratch(Graph *g, const Op *op, bool backward) {
    (void)backward;
    int64_t H = heads_of(op), D = node_last_dim(op->out[0]) / H;
    return KERNELS(g)->attention_scratch(g->device, node_dim(op->in[0], 0), node_dim(op->in[0], 1),
                                         H, D);
}

static double attention_flops(const Op *op, bool backward) {
    double T = (double)node_dim(op->in[0], 1);
    double forward =
        4.0 * (double)node_dim(op->in[0], 0) * T * T * (double)node_last_dim(op->out[0]);
    return backward ? 2 * forward : forward;
}

static const OpClass ATTENTION = {.name = "attention",
                                  .attribute_bytes = sizeof(AttentionAttributes),
                                  .reads = {[0] = EVERY},
                                  .reads_outputs = BIT(0),
                                  .forward = attention_forward,
                                  .backward = attention_backward,
                                  .saved = attention_saved,
                                  .scratch_bytes = attention_scratch,
                                  .flops = attention_flops};

Value *op_attention(Graph *g, const char *name, Value *qkv, int64_t heads) {
    Op *op = graph_op(g, &ATTENTION, name, &(AttentionAttributes){heads}, INPUTS(qkv));
    op_check(qkv->shape.n_dims == 3 && qkv->shape.dim[2] % (3 * heads) == 0, op);
    Shape shape = qkv->shape;
    shape.dim[2] /= 3;
    return op_result(g, op, shape, qkv->needs_grad);
}

/* --- images and patches: no gradient flows back ----------------------------------------------- */

typedef struct ImageNormalizeAttributes {
    PatchGrid grid; /* patch 1 */
    const float *mean, *std;
} ImageNormalizeAttributes;

static void normalize_forward(Graph *g, Op *op) {
    const ImageNormalizeAttributes *a = op->attributes;
    KERNELS(g)->image_normalize(g->device, DATA(op->out[0]), DATA(op->in[0]), op->in[0]->value.type,
                                a->mean, a->std, node_dim(op->in[0], 0), a->grid);
}

static const OpClass IMAGE_NORMALIZE = {.name = "image_normalize",
                                        .gives_wide = true,
                                        .attribute_bytes = sizeof(ImageNormalizeAttributes),
                                        .forward = normalize_forward};

Value *op_image_normalize(Graph *g, const char *name, Value *pixels, const float *mean,
                          const float *std) {
    const int64_t *d = pixels->shape.dim;
    size_t bytes = (size_t)d[3] * sizeof *mean;
    ImageNormalizeAttributes a = {.mean = graph_copy(g, mean, bytes),
                                  .std = graph_copy(g, std, bytes)};
    a.grid = (PatchGrid){.channels = d[3], .height = d[1], .width = d[2], .patch = 1};
    Op *op = graph_op(g, &IMAGE_NORMALIZE, name, &a, INPUTS(pixels));
    op_check(pixels->shape.n_dims == 4 && pixels->type >= NUMBER_U8, op);
    return op_result(g, op, SHAPE(d[0], d[3], d[1], d[2]), false);
}

static void gather_forward(Graph *g, Op *op) {
    const PatchAttributes *a = op->attributes;
    KERNELS(g)->patch_gather(g->device, DATA(op->out[0]), DATA(op->in[0]), DATA(op->in[1]),
                             node_dim(op->in[1], 0), node_dim(op->in[1], 1), a->grid);
}

static void target_forward(Graph *g, Op *op) {
    const PatchAttributes *a = op->attributes;
    KERNELS(g)->patch_target(g->device, DATA(op->out[0]), DATA(op->in[0]), DATA(op->in[1]),
                             node_dim(op->in[1], 0), node_dim(op->in[1], 1), a->grid, a->normalize);
}

static const OpClass PATCH_GATHER = {.name = "patch_gather",
                                     .takes_wide = BIT(0),
                                     .attribute_bytes = sizeof(PatchAttributes),
                                     .forward = gather_forward};
static const OpClass PATCH_TARGET = {.name = "patch_target",
                                     .takes_wide = BIT(0),
                                     .gives_wide = true,
                                     .attribute_bytes = sizeof(PatchAttributes),
                                     .forward = target_forward};

static Value *patch_op(Graph *g, const OpClass *class, const char *name, Value *images, Value *ids,
                       int64_t patch, bool normalize) {
    const int64_t *d = images->shape.dim;
    PatchGrid grid = {.channels = d[1], .height = d[2], .width = d[3], .patch = patch};
    Op *op = graph_op(g, class, name, &(PatchAttributes){grid, normalize}, INPUTS(images, ids));
    op_check(images->shape.n_dims == 4 && ids->shape.n_dims == 2 && ids->type == NUMBER_I32, op);
    op_check(ids->shape.dim[0] == d[0] && d[2] % patch == 0 && d[3] % patch == 0, op);
    return op_result(g, op, SHAPE(d[0], ids->shape.dim[1], d[1] * patch * patch), false);
}

Value *op_patch_gather(Graph *g, const char *name, Value *images, Value *ids, int64_t patch) {
    return patch_op(g, &PATCH_GATHER, name, images, ids, patch, false);
}

Value *op_patch_target(Graph *g, const char *name, Value *images, Value *ids, int64_t patch,
                       bool normalize) {
    return patch_op(g, &PATCH_TARGET, name, images, ids, patch, normalize);
}
