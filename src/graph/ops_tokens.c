/* Ops that assemble, shuffle and pool tokens, and the loss. */
#include "graph/internal.h"

static bool is_tokens(const Value *v) {
    return v->shape.n_dims == 3 && v->type <= NUMBER_WIDE;
}

static bool is_ids(const Value *v, int64_t batch) {
    return v->shape.n_dims == 2 && v->type == NUMBER_I32 && v->shape.dim[0] == batch;
}

/* --- tokens_embed: x[B,M,C], cls, pos, ids -> y[B,1+M,C] -------------------------------------- */

static void embed_forward(Graph *g, Op *op) {
    KERNELS(g)->tokens_embed_forward(g->device, DATA(op->out[0]), DATA(op->in[0]), DATA(op->in[1]),
                                     DATA(op->in[2]), DATA(op->in[3]), node_dim(op->in[0], 0),
                                     node_dim(op->in[0], 1), node_dim(op->in[0], 2));
}

static void embed_backward(Graph *g, Op *op) {
    KERNELS(g)->tokens_embed_backward(g->device, GRAD(op->in[0]), GRAD(op->in[1]), GRAD(op->in[2]),
                                      GRAD(op->out[0]), DATA(op->in[3]), node_dim(op->in[0], 0),
                                      node_dim(op->in[0], 1), node_dim(op->in[0], 2),
                                      op->accumulate[0]);
}

static const OpClass TOKENS_EMBED = {.name = "tokens_embed",
                                     .takes_wide = BIT(1) | BIT(2),
                                     .forward = embed_forward,
                                     .backward = embed_backward,
                                     .reads = {[3] = EVERY}};

Value *op_tokens_embed(Graph *g, const char *name, Value *x, Value *cls, Value *pos, Value *ids) {
    Op *op = graph_op(g, &TOKENS_EMBED, name, NULL, INPUTS(x, cls, pos, ids));
    op_check(is_tokens(x) && is_ids(ids, x->shape.dim[0]), op);
    int64_t M = x->shape.dim[1], C = x->shape.dim[2];
    op_check(ids->shape.dim[1] == M && shape_numel(cls->shape) == C, op);
    op_check(!pos || shape_numel(pos->shape) % C == 0, op);
    return op_result(g, op, SHAPE(x->shape.dim[0], 1 + M, C), op->back);
}

/* --- tokens_restore: x[B,1+K,C], token, pos, restore[B,P] -> y[B,1+P,C] ----------------------- */

static void restore_forward(Graph *g, Op *op) {
    KERNELS(g)->tokens_restore_forward(g->device, DATA(op->out[0]), DATA(op->in[0]),
                                       DATA(op->in[1]), DATA(op->in[2]), DATA(op->in[3]),
                                       node_dim(op->in[0], 0), node_dim(op->in[0], 1) - 1,
                                       node_dim(op->out[0], 1) - 1, node_dim(op->in[0], 2));
}

static void restore_backward(Graph *g, Op *op) {
    KERNELS(g)->tokens_restore_backward(
        g->device, GRAD(op->in[0]), GRAD(op->in[1]), GRAD(op->in[2]), GRAD(op->out[0]),
        DATA(op->in[3]), node_dim(op->in[0], 0), node_dim(op->in[0], 1) - 1,
        node_dim(op->out[0], 1) - 1, node_dim(op->in[0], 2), op->accumulate[0]);
}

static const OpClass TOKENS_RESTORE = {.name = "tokens_restore",
                                       .takes_wide = BIT(1) | BIT(2),
                                       .forward = restore_forward,
                                       .backward = restore_backward,
                                       .reads = {[3] = EVERY}};

Value *op_tokens_restore(Graph *g, const char *name, Value *x, Value *token, Value *pos,
                         Value *restore) {
    Op *op = graph_op(g, &TOKENS_RESTORE, name, NULL, INPUTS(x, token, pos, restore));
    op_check(is_tokens(x) && (!restore || is_ids(restore, x->shape.dim[0])), op);
    int64_t C = x->shape.dim[2], P = restore ? restore->shape.dim[1] : x->shape.dim[1] - 1;
    op_check(token ? restore && shape_numel(token->shape) == C : !restore, op);
    op_check(shape_numel(pos->shape) == (1 + P) * C, op);
    return op_result(g, op, SHAPE(x->shape.dim[0], 1 + P, C), op->back);
}

/* --- tokens_gather: x[B,1+P,C], ids[B,M] -> y[B,M,C] ------------------------------------------ */

static void gather_forward(Graph *g, Op *op) {
    KERNELS(g)->tokens_gather_forward(g->device, DATA(op->out[0]), DATA(op->in[0]), DATA(op->in[1]),
                                      node_dim(op->in[0], 0), node_dim(op->in[1], 1),
                                      node_dim(op->in[0], 1) - 1, node_dim(op->in[0], 2));
}

static void gather_backward(Graph *g, Op *op) {
    KERNELS(g)->tokens_gather_backward(g->device, GRAD(op->in[0]), GRAD(op->out[0]),
                                       DATA(op->in[1]), node_dim(op->in[0], 0),
                                       node_dim(op->in[1], 1), node_dim(op->in[0], 1) - 1,
                                       node_dim(op->in[0], 2), op->accumulate[0]);
}

static const OpClass TOKENS_GATHER = {.name = "tokens_gather",
                                      .forward = gather_forward,
                                      .backward = gather_backward,
                                      .reads = {[1] = EVERY},
                                      .cheap = true};

Value *op_tokens_gather(Graph *g, const char *name, Value *x, Value *ids) {
    Op *op = graph_op(g, &TOKENS_GATHER, name, NULL, INPUTS(x, ids));
    op_check(is_tokens(x) && is_ids(ids, x->shape.dim[0]), op);
    op_check(ids->shape.dim[1] < x->shape.dim[1], op);
    return op_result(g, op, SHAPE(x->shape.dim[0], ids->shape.dim[1], x->shape.dim[2]),
                     x->needs_grad);
}

/* --- tokens_mean: x[B,T,C] -> y[B,C] ---------------------------------------------------------- */

static void mean_forward(Graph *g, Op *op) {
    KERNELS(g)->tokens_mean_forward(g->device, DATA(op->out[0]), DATA(op->in[0]),
                                    node_dim(op->in[0], 0), node_dim(op->in[0], 1),
                                    node_dim(op->in[0], 2));
}

static void mean_backward(Graph *g, Op *op) {
    KERNELS(g)->tokens_mean_backward(g->device, GRAD(op->in[0]), GRAD(op->out[0]),
                                     node_dim(op->in[0], 0), node_dim(op->in[0], 1),
                                     node_dim(op->in[0], 2), op->accumulate[0]);
}

static const OpClass TOKENS_MEAN = {
    .name = "tokens_mean", .forward = mean_forward, .backward = mean_backward};

Value *op_tokens_mean(Graph *g, const char *name, Value *x) {
    Op *op = graph_op(g, &TOKENS_MEAN, name, NULL, INPUTS(x));
    op_check(is_tokens(x) && x->shape.dim[1] > 1, op);
    return op_result(g, op, SHAPE(x->shape.dim[0], x->shape.dim[2]), x->needs_grad);
}

/* --- masked_mse: pred[B,M,V], target[B,M,V], mask[B,P], ids[B,M] -> loss[1], per_patch[B,M] --- */

static void mse_forward(Graph *g, Op *op) {
    KERNELS(g)->masked_mse_forward(g->device, DATA(op->out[0]), DATA(op->out[1]), DATA(op->in[0]),
                                   DATA(op->in[1]), DATA(op->in[2]), DATA(op->in[3]),
                                   node_dim(op->in[0], 0), node_dim(op->in[0], 1),
                                   node_dim(op->in[2], 1), node_dim(op->in[0], 2));
}

static void mse_backward(Graph *g, Op *op) {
    KERNELS(g)->masked_mse_backward(
        g->device, GRAD(op->in[0]), GRAD(op->out[0]), DATA(op->in[0]), DATA(op->in[1]),
        DATA(op->in[2]), DATA(op->in[3]), node_dim(op->in[0], 0), node_dim(op->in[0], 1),
        node_dim(op->in[2], 1), node_dim(op->in[0], 2), op->accumulate[0]);
}

static const OpClass MASKED_MSE = {.name = "masked_mse",
                                   .takes_wide = BIT(1) | BIT(2),
                                   .gives_wide = true,
                                   .forward = mse_forward,
                                   .backward = mse_backward,
                                   .reads = {EVERY, EVERY, EVERY, EVERY}};

Value *op_masked_mse(Graph *g, const char *name, Value *pred, Value *target, Value *mask,
                     Value *ids, Value **per_patch) {
    Op *op = graph_op(g, &MASKED_MSE, name, NULL, INPUTS(pred, target, mask, ids));
    op_check(is_tokens(pred) && shape_equal(pred->shape, target->shape), op);
    op_check(is_ids(ids, pred->shape.dim[0]) && ids->shape.dim[1] == pred->shape.dim[1], op);
    op_check(mask->shape.n_dims == 2 && mask->shape.dim[0] == pred->shape.dim[0], op);
    Value *loss = op_result(g, op, SHAPE(1), pred->needs_grad);
    Value *each = graph_activation(g, "loss_per_patch", NUMBER_WIDE,
                                   SHAPE(pred->shape.dim[0], pred->shape.dim[1]), false);
    op_output(g, op, each);
    if (per_patch) *per_patch = each;
    return loss;
}
