/* Ops of fine-tuning and probing: stochastic depth, the class token, the loss of labels, and the
 * batch norm of a linear probe. */
#include "graph/internal.h"

/* --- scaled_residual: x[B,T,C], residual[B,T,C], scale[B] -> y[B,T,C] ------------------------- */

static int64_t per_image(const ValueNode *n) {
    return shape_numel(n->value.shape) / node_dim(n, 0);
}

static void scaled_forward(Graph *g, Op *op) {
    KERNELS(g)->scaled_residual_forward(g->device, DATA(op->out[0]), DATA(op->in[0]),
                                        DATA(op->in[1]), DATA(op->in[2]), node_dim(op->in[0], 0),
                                        per_image(op->in[0]));
}

/* x first: the gradient of the residual may be that of the result, and x reads it. */
static void scaled_backward(Graph *g, Op *op) {
    const Kernels *k = KERNELS(g);
    ValueNode *x = op->in[0], *residual = op->in[1];
    void *dy = GRAD(op->out[0]);
    int64_t B = node_dim(x, 0), n = per_image(x);
    if (x->value.needs_grad)
        k->scaled_residual_backward(g->device, GRAD(x), dy, DATA(op->in[2]), B, n,
                                    op->accumulate[0]);
    op_pass_gradient(g, op, residual, op->accumulate[1]);
}

static const OpClass SCALED_RESIDUAL = {.name = "scaled_residual",
                                        .takes_wide = BIT(2),
                                        .forward = scaled_forward,
                                        .backward = scaled_backward,
                                        .reads = {[2] = BIT(0)},
                                        .shares = BIT(1)};

Value *op_scaled_residual(Graph *g, const char *name, Value *x, Value *residual, Value *scale) {
    Op *op = graph_op(g, &SCALED_RESIDUAL, name, NULL, INPUTS(x, residual, scale));
    op_check(x->shape.n_dims == 3 && shape_equal(residual->shape, x->shape), op);
    op_check(shape_equal(scale->shape, SHAPE(x->shape.dim[0])) && !scale->needs_grad, op);
    return op_result(g, op, x->shape, op->back);
}

/* --- tokens_cls: x[B,T,C] -> y[B,C] ----------------------------------------------------------- */

static void cls_forward(Graph *g, Op *op) {
    KERNELS(g)->tokens_cls_forward(g->device, DATA(op->out[0]), DATA(op->in[0]),
                                   node_dim(op->in[0], 0), node_dim(op->in[0], 1),
                                   node_dim(op->in[0], 2));
}

static void cls_backward(Graph *g, Op *op) {
    KERNELS(g)->tokens_cls_backward(g->device, GRAD(op->in[0]), GRAD(op->out[0]),
                                    node_dim(op->in[0], 0), node_dim(op->in[0], 1),
                                    node_dim(op->in[0], 2), op->accumulate[0]);
}

static const OpClass TOKENS_CLS = {
    .name = "tokens_cls", .forward = cls_forward, .backward = cls_backward};

Value *op_tokens_cls(Graph *g, const char *name, Value *x) {
    Op *op = graph_op(g, &TOKENS_CLS, name, NULL, INPUTS(x));
    op_check(x->shape.n_dims == 3, op);
    return op_result(g, op, SHAPE(x->shape.dim[0], x->shape.dim[2]), op->back);
}

/* --- soft_cross_entropy: logits[B,C], targets[B,C] -> loss[1] --------------------------------- */

static void entropy_forward(Graph *g, Op *op) {
    KERNELS(g)->soft_cross_entropy_forward(g->device, DATA(op->out[0]), op->saved[0],
                                           DATA(op->in[0]), DATA(op->in[1]), node_dim(op->in[0], 0),
                                           node_dim(op->in[0], 1));
}

static void entropy_backward(Graph *g, Op *op) {
    KERNELS(g)->soft_cross_entropy_backward(g->device, GRAD(op->in[0]), GRAD(op->out[0]),
                                            op->saved[0], DATA(op->in[1]), node_dim(op->in[0], 0),
                                            node_dim(op->in[0], 1), op->accumulate[0]);
}

static int64_t entropy_saved(const Op *op, int i) {
    return i ? 0 : shape_numel(op->in[0]->value.shape);
}

static const OpClass SOFT_CROSS_ENTROPY = {.name = "soft_cross_entropy",
                                           .takes_wide = BIT(1),
                                           .gives_wide = true,
                                           .forward = entropy_forward,
                                           .backward = entropy_backward,
                                           .reads = {[1] = EVERY},
                                           .saved = entropy_saved};

Value *op_soft_cross_entropy(Graph *g, const char *name, Value *logits, Value *targets) {
    Op *op = graph_op(g, &SOFT_CROSS_ENTROPY, name, NULL, INPUTS(logits, targets));
    op_check(logits->shape.n_dims == 2 && shape_equal(logits->shape, targets->shape), op);
    op_check(!targets->needs_grad, op);
    return op_result(g, op, SHAPE(1), op->back);
}

/* --- batchnorm: x[B,C], mean[C], var[C], count[1] -> y[B,C]: no gradient flows back ----------- */

static bool is_shared(const Graph *g, const Op *op) {
    return ((const BatchNormAttributes *)op->attributes)->train && g->peers.n > 1;
}

static size_t batchnorm_scratch(Graph *g, const Op *op, bool backward) {
    size_t bytes = device_bytes(g->device, NUMBER_REAL, shape_numel(op->in[0]->value.shape));
    return is_shared(g, op) && !backward ? (size_t)g->peers.n * bytes : 0;
}

/* Everyone takes the statistics of the rows of all, and keeps its own rows. */
static void batchnorm_shared(Graph *g, Op *op) {
    const BatchNormAttributes *a = op->attributes;
    ValueNode *x = op->in[0];
    int64_t B = node_dim(x, 0), C = node_dim(x, 1);
    size_t bytes = device_bytes(g->device, NUMBER_REAL, B * C);
    void *all = g->scratch;
    device_sync(g->device); /* others look at x */
    g->peers.gather(g->peers.user, all, DATA(x), bytes);
    KERNELS(g)->batchnorm_train(g->device, all, DATA(op->in[1]), DATA(op->in[2]), DATA(op->in[3]),
                                all, g->peers.n * B, C, a->eps, a->momentum);
    device_copy(g->device, DATA(op->out[0]), device_at(all, (size_t)g->peers.rank * bytes), bytes);
}

static void batchnorm_forward(Graph *g, Op *op) {
    const BatchNormAttributes *a = op->attributes;
    const Kernels *k = KERNELS(g);
    void *y = DATA(op->out[0]), *mean = DATA(op->in[1]), *var = DATA(op->in[2]);
    const void *x = DATA(op->in[0]);
    int64_t B = node_dim(op->in[0], 0), C = node_dim(op->in[0], 1);
    if (is_shared(g, op))
        batchnorm_shared(g, op);
    else if (a->train)
        k->batchnorm_train(g->device, y, mean, var, DATA(op->in[3]), x, B, C, a->eps, a->momentum);
    else
        k->batchnorm_infer(g->device, y, mean, var, x, B, C, a->eps);
}

static const OpClass BATCHNORM = {.name = "batchnorm",
                                  .takes_wide = BIT(1) | BIT(2) | BIT(3),
                                  .attribute_bytes = sizeof(BatchNormAttributes),
                                  .forward = batchnorm_forward,
                                  .scratch_bytes = batchnorm_scratch};

static bool is_statistic(const Value *v, int64_t n) {
    return v->kind == VALUE_PARAM && !v->needs_grad && shape_equal(v->shape, SHAPE(n));
}

Value *op_batchnorm(Graph *g, const char *name, Value *x, Value *mean, Value *var, Value *count,
                    double eps, double momentum, bool train) {
    BatchNormAttributes a = {.eps = eps, .momentum = momentum, .train = train};
    Op *op = graph_op(g, &BATCHNORM, name, &a, INPUTS(x, mean, var, count));
    if (train) op->changes = BIT(1) | BIT(2) | BIT(3);
    op_check(x->shape.n_dims == 2 && !x->needs_grad &&
                 (!train || x->shape.dim[0] > 1 || is_shared(g, op)),
             op);
    int64_t C = x->shape.dim[1];
    op_check(is_statistic(mean, C) && is_statistic(var, C), op);
    op_check(count->kind == VALUE_PARAM && !count->needs_grad && shape_numel(count->shape) == 1,
             op);
    return op_result(g, op, x->shape, false);
}
