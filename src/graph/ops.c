/* The ops of graph.h: for each a builder with its shape check, a forward, a backward, and what they
 * need of memory. Reading order of a row: class, then builder. */
#include "graph/internal.h"

static bool has_shape(const ValueNode *n, Shape s) {
    return n && shape_equal(n->value.shape, s);
}

/* --- linear: x, w, b, residual -> y ---------------------------------------------------------- */

static void linear_forward(Graph *g, Op *op) {
    void *pre = op->attr.gelu ? op->saved[0] : NULL;
    KERNELS(g)->linear_forward(g->device, DATA(op->out[0]), pre, DATA(op->in[0]), DATA(op->in[1]),
                               DATA(op->in[2]), DATA(op->in[3]), node_rows(op->in[0]),
                               node_last_dim(op->in[0]), node_last_dim(op->out[0]), op->scratch[0]);
}

static const OpClass LINEAR;

/* Where one linear layer alone reads the GELU of another, the product that gives the gradient of
 * what it read multiplies by the derivative, too: what arrives is the gradient of `pre`. A device
 * that remakes turns `pre` into its GELU on the way, which therefore is not kept. */
static bool gelu_is_fused(const Op *op) {
    const ValueNode *y = op->out[0];
    return op->attr.gelu && op->back && !y->keep && y->n_readers == 1 &&
           y->reader->class == &LINEAR && y->reader->in[0] == y;
}

/* The linear layer whose fused GELU op reads, NULL: none. */
static const Op *gelu_below(const Graph *g, const Op *op) {
    int producer = op->in[0]->producer;
    const Op *below = producer >= 0 ? g->ops[producer] : NULL;
    return below && below->class == &LINEAR && gelu_is_fused(below) ? below : NULL;
}

static void linear_settle(Graph *g, Op *op) {
    bool remade = KERNELS(g)->remakes && gelu_below(g, op);
    op->reads_inputs = op->in[1]->value.needs_grad && !remade;
}

static void linear_backward(Graph *g, Op *op) {
    const Kernels *k = KERNELS(g);
    ValueNode *x = op->in[0], *w = op->in[1], *b = op->in[2], *residual = op->in[3];
    const Op *below = gelu_below(g, op);
    void *dy = GRAD(op->out[0]), *pre = below ? below->saved[0] : NULL;
    bool remade = pre && k->remakes;
    int64_t R = node_rows(x), I = node_last_dim(x), O = node_last_dim(op->out[0]);
    if (op->attr.gelu && !gelu_is_fused(op))
        k->gelu_backward(g->device, dy, dy, op->saved[0], R * O);
    if (x->value.needs_grad)
        k->linear_backward_input(g->device, GRAD(x), dy, DATA(w), pre, R, I, O, op->accumulate[0],
                                 op->scratch[1]);
    if (w->value.needs_grad || (b && b->value.needs_grad))
        k->linear_backward_weight(g->device, GRAD(w), GRAD(b), dy, remade ? pre : DATA(x), R, I, O,
                                  op->accumulate[1], op->scratch[1]);
    if (residual) op_pass_gradient(g, op, residual, op->accumulate[3]);
}

static size_t linear_saved(Graph *g, const Op *op, int i) {
    if (i != 0 || !op->attr.gelu) return 0;
    return (size_t)shape_numel(op->out[0]->value.shape) * KERNELS(g)->real_bytes;
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
                               .reads_inputs = 1,
                               .writes_params = 2,
                               .settle = linear_settle,
                               .forward = linear_forward,
                               .backward = linear_backward,
                               .saved_bytes = linear_saved,
                               .scratch_bytes = linear_scratch,
                               .flops = linear_flops};

Value *op_linear(Graph *g, const char *name, Value *x, Value *w, Value *b, LinearOptions o) {
    Op *op = graph_op(g, &LINEAR, name);
    op_input(op, x);
    op_input(op, w);
    op_input(op, b);
    op_input(op, o.residual);
    op->attr.gelu = o.gelu;
    op->shared[3] = true;
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
    KERNELS(g)->layernorm_forward(g->device, DATA(op->out[0]), op->saved[0], op->saved[1],
                                  DATA(op->in[0]), DATA(op->in[1]), DATA(op->in[2]),
                                  node_rows(op->in[0]), node_last_dim(op->in[0]), op->attr.eps);
}

static void layernorm_backward(Graph *g, Op *op) {
    KERNELS(g)->layernorm_backward(g->device, GRAD(op->in[0]), GRAD(op->in[1]), GRAD(op->in[2]),
                                   GRAD(op->out[0]), DATA(op->in[0]), op->saved[0], op->saved[1],
                                   DATA(op->in[1]), node_rows(op->in[0]), node_last_dim(op->in[0]),
                                   op->accumulate[0], op->scratch[1]);
}

static size_t layernorm_saved(Graph *g, const Op *op, int i) {
    (void)i;
    return (size_t)node_rows(op->in[0]) * KERNELS(g)->real_bytes;
}

static size_t layernorm_scratch(Graph *g, const Op *op, bool backward) {
    if (!backward) return 0;
    return KERNELS(g)->layernorm_scratch(g->device, node_rows(op->in[0]), node_last_dim(op->in[0]));
}

static const OpClass LAYERNORM = {.name = "layernorm",
                                  .reads_inputs = 1,
                                  .cheap = true,
                                  .forward = layernorm_forward,
                                  .backward = layernorm_backward,
                                  .saved_bytes = layernorm_saved,
                                  .scratch_bytes = layernorm_scratch};

Value *op_layernorm(Graph *g, const char *name, Value *x, Value *w, Value *b, double eps) {
    Op *op = graph_op(g, &LAYERNORM, name);
    op_input(op, x);
    op_input(op, w);
    op_input(op, b);
    op->attr.eps = eps;
    Shape row = SHAPE(node_last_dim(op->in[0]));
    op_check(has_shape(op->in[1], row) && has_shape(op->in[2], row), op);
    return op_result(g, op, x->shape, op->back);
}

/* --- attention: qkv[B,T,3C] -> o[B,T,C] ------------------------------------------------------- */

static void attention_forward(Graph *g, Op *op) {
    int64_t C = node_last_dim(op->out[0]);
    KERNELS(g)->attention_forward(g->device, DATA(op->out[0]), op->saved[0], DATA(op->in[0]),
                                  node_dim(op->in[0], 0), node_dim(op->in[0], 1), op->attr.heads,
                                  C / op->attr.heads, op->scratch[0]);
}

static void attention_backward(Graph *g, Op *op) {
    int64_t C = node_last_dim(op->out[0]);
    ASSERT(!op->accumulate[0], "%s: qkv has a second reader", op->name);
    KERNELS(g)->attention_backward(g->device, GRAD(op->in[0]), GRAD(op->out[0]), DATA(op->out[0]),
                                   op->saved[0], DATA(op->in[0]), node_dim(op->in[0], 0),
                                   node_dim(op->in[0], 1), op->attr.heads, C / op->attr.heads,
                                   op->scratch[1]);
}

static size_t attention_saved(Graph *g, const Op *op, int i) {
    if (i != 0) return 0;
    return (size_t)(node_dim(op->in[0], 0) * op->attr.heads * node_dim(op->in[0], 1)) *
           KERNELS(g)->real_bytes;
}

static size_t attention_scratch(Graph *g, const Op *op, bool backward) {
    (void)backward;
    return KERNELS(g)->attention_scratch(g->device, node_dim(op->in[0], 0), node_dim(op->in[0], 1),
                                         op->attr.heads,
                                         node_last_dim(op->out[0]) / op->attr.heads);
}

static double attention_flops(const Op *op, bool backward) {
    double T = (double)node_dim(op->in[0], 1);
    double forward =
        4.0 * (double)node_dim(op->in[0], 0) * T * T * (double)node_last_dim(op->out[0]);
    return backward ? 2 * forward : forward;
}

static const OpClass ATTENTION = {.name = "attention",
                                  .reads_inputs = 1,
                                  .reads_outputs = 1,
                                  .forward = attention_forward,
                                  .backward = attention_backward,
                                  .saved_bytes = attention_saved,
                                  .scratch_bytes = attention_scratch,
                                  .flops = attention_flops};

Value *op_attention(Graph *g, const char *name, Value *qkv, int64_t heads) {
    Op *op = graph_op(g, &ATTENTION, name);
    op_input(op, qkv);
    op->attr.heads = heads;
    op_check(qkv->shape.n_dims == 3 && qkv->shape.dim[2] % (3 * heads) == 0, op);
    Shape shape = qkv->shape;
    shape.dim[2] /= 3;
    return op_result(g, op, shape, qkv->needs_grad);
}

/* --- images and patches: no gradient flows back ----------------------------------------------- */

static void normalize_forward(Graph *g, Op *op) {
    KERNELS(g)->image_normalize(g->device, DATA(op->out[0]), DATA(op->in[0]), op->attr.mean,
                                op->attr.std, node_dim(op->in[0], 0), op->attr.grid);
}

static const OpClass IMAGE_NORMALIZE = {.name = "image_normalize", .forward = normalize_forward};

Value *op_image_normalize(Graph *g, const char *name, Value *pixels, const float *mean,
                          const float *std) {
    Op *op = graph_op(g, &IMAGE_NORMALIZE, name);
    op_input(op, pixels);
    op_check(pixels->shape.n_dims == 4 && pixels->dtype == DTYPE_U8, op);
    const int64_t *d = pixels->shape.dim;
    op->attr.grid = (PatchGrid){.channels = d[3], .height = d[1], .width = d[2], .patch = 1};
    size_t bytes = (size_t)d[3] * sizeof *mean;
    op->attr.mean = graph_copy(g, mean, bytes);
    op->attr.std = graph_copy(g, std, bytes);
    return op_result(g, op, SHAPE(d[0], d[3], d[1], d[2]), false);
}

static void gather_forward(Graph *g, Op *op) {
    KERNELS(g)->patch_gather(g->device, DATA(op->out[0]), DATA(op->in[0]), DATA(op->in[1]),
                             node_dim(op->in[1], 0), node_dim(op->in[1], 1), op->attr.grid);
}

static void target_forward(Graph *g, Op *op) {
    KERNELS(g)->patch_target(g->device, DATA(op->out[0]), DATA(op->in[0]), DATA(op->in[1]),
                             node_dim(op->in[1], 0), node_dim(op->in[1], 1), op->attr.grid,
                             op->attr.normalize);
}

static const OpClass PATCH_GATHER = {.name = "patch_gather", .forward = gather_forward};
static const OpClass PATCH_TARGET = {.name = "patch_target", .forward = target_forward};

static Value *patch_op(Graph *g, const OpClass *class, const char *name, Value *images, Value *ids,
                       int64_t patch, bool normalize) {
    Op *op = graph_op(g, class, name);
    op_input(op, images);
    op_input(op, ids);
    const int64_t *d = images->shape.dim;
    op_check(images->shape.n_dims == 4 && ids->shape.n_dims == 2 && ids->dtype == DTYPE_I32, op);
    op_check(ids->shape.dim[0] == d[0] && d[2] % patch == 0 && d[3] % patch == 0, op);
    op->attr.grid = (PatchGrid){.channels = d[1], .height = d[2], .width = d[3], .patch = patch};
    op->attr.normalize = normalize;
    return op_result(g, op, SHAPE(d[0], ids->shape.dim[1], d[1] * patch * patch), false);
}

Value *op_patch_gather(Graph *g, const char *name, Value *images, Value *ids, int64_t patch) {
    return patch_op(g, &PATCH_GATHER, name, images, ids, patch, false);
}

Value *op_patch_target(Graph *g, const char *name, Value *images, Value *ids, int64_t patch,
                       bool normalize) {
    return patch_op(g, &PATCH_TARGET, name, images, ids, patch, normalize);
}
