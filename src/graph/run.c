/* Running a graph: its memory taken and given out, data in and out, forward, backward, and what can
 * be asked of a run. */
#include "graph/internal.h"

/* --- memory ----------------------------------------------------------------------------------- */

static void *address(Graph *g, int buffer) {
    return buffer == NO_BUFFER ? NULL : device_at(g->slab, g->buffers[buffer].offset);
}

static size_t param_bytes(const Graph *g, const Param *p) {
    return device_bytes(g->device, NUMBER_WIDE, p->numel);
}

void graph_place_gradients(Graph *g, bool there) {
    for (int64_t i = 0; g->n_fixed > 0 && i < params_count(g->params); i++) {
        Param *p = params_at(g->params, i);
        if (p->needs_grad) p->grad = there ? device_at(g->slab, p->offset) : NULL;
    }
}

static void resolve(Graph *g) {
    graph_place_gradients(g, true);
    for (int i = 0; i < g->n_values; i++) {
        ValueNode *n = g->values[i];
        Param *p = n->value.param;
        ASSERT(!p || p->data, "%s: graph_plan before params_alloc", n->value.name);
        n->first_data = p ? p->data : address(g, n->data_buffer);
        n->again_data = address(g, n->again_buffer);
        n->value.data = n->first_data;
        n->value.grad = p ? p->grad : address(g, n->grad_buffer);
    }
    g->scratch = address(g, g->scratch_buffer);
    for (int i = 0; i < g->n_ops; i++) {
        Op *op = g->ops[i];
        for (int k = 0; k < MAX_SAVED; k++) op->saved[k] = address(g, op->saved_buffer[k]);
    }
}

Status graph_plan(Graph *g, GraphMode mode, Error *err) {
    ASSERT(!g->planned, "a graph is planned once");
    if (g->lacks_memory) return graph_built(g, err);
    g->slab_bytes = plan_layout(g, mode);
    g->slab = device_alloc(g->device, g->slab_bytes);
    if (!g->slab)
        return error_set(
            err, MAE_MEMORY,
            "no memory for %.1f MB of activations; use a smaller --batch (and --accumulate)",
            (double)g->slab_bytes / 1e6);
    g->planned = true;
    g->mode = mode;
    resolve(g);
    return MAE_OK;
}

size_t graph_bytes(Graph *g, GraphMode mode) {
    return g->planned ? g->slab_bytes : plan_layout(g, mode);
}

/* --- data ------------------------------------------------------------------------------------- */

void graph_set_real(Graph *g, Value *v, const float *host) {
    ASSERT(v->kind == VALUE_INPUT && v->type <= NUMBER_WIDE, "%s is no input of reals", v->name);
    device_upload_floats(g->device, v->data, v->type, host, shape_numel(v->shape));
}

void graph_set(Graph *g, Value *v, const void *host) {
    ASSERT(v->kind == VALUE_INPUT && v->type > NUMBER_WIDE, "%s is an input of reals", v->name);
    device_upload(g->device, v->data, host,
                  device_bytes(g->device, v->type, shape_numel(v->shape)));
}

void graph_get(Graph *g, const Value *v, float *host) {
    ASSERT(v->kind != VALUE_ACTIVATION || ((const ValueNode *)(const void *)v)->keep,
           "%s is read without graph_keep", v->name);
    device_download_floats(g->device, host, v->data, v->type, shape_numel(v->shape));
}

void graph_give(Graph *g, Value *v, const float *host) {
    ValueNode *n = node_of(v);
    ASSERT(g->planned && n->producer == 0, "%s is no result of the first op", v->name);
    device_upload_floats(g->device, n->first_data, v->type, host, shape_numel(v->shape));
    g->given = true;
}

void graph_set_grad(Graph *g, Value *v, const float *host) {
    ASSERT(v->grad && node_of(v)->keep, "%s: upstream gradient of a value not kept", v->name);
    device_upload_floats(g->device, v->grad, v->type, host, shape_numel(v->shape));
}

/* --- passes ----------------------------------------------------------------------------------- */

void op_pass_gradient(Graph *g, const Op *op, ValueNode *n, bool accumulate) {
    const Kernels *k = KERNELS(g);
    void *dy = GRAD(op->out[0]);
    int64_t count = shape_numel(n->value.shape);
    if (!n->value.needs_grad || GRAD(n) == dy) return;
    if (accumulate)
        k->add(g->device, GRAD(n), dy, count);
    else
        device_copy(g->device, GRAD(n), dy, device_bytes(g->device, NUMBER_REAL, count));
}

void graph_observe(Graph *g, GraphObserver observer, void *user) {
    g->observer = observer;
    g->observer_user = user;
}

static void run_op(Graph *g, Op *op, void (*pass)(Graph *, Op *), bool backward) {
    const OpClass *class = op->class;
    if (!g->observer) {
        pass(g, op);
        return;
    }
    bool again = backward && pass == class->forward;
    GraphOp seen = {.kind = class->name,
                    .name = op->name,
                    .backward = backward,
                    .again = again,
                    .in = op->in[0]->value.shape,
                    .out = op->out[0]->value.shape,
                    .attributes = op->attributes,
                    .flops = class->flops && !again ? class->flops(op, backward) : 0};
    g->observer(g->observer_user, &seen, true);
    pass(g, op);
    g->observer(g->observer_user, &seen, false);
}

void graph_stop_at(Graph *g, Stop *stop) {
    g->handle.stop = stop;
}

static bool is_given_up(const Graph *g) {
    return stop_asked(g->handle.stop);
}

bool graph_forward(Graph *g) {
    ASSERT(g->planned, "graph_forward before graph_plan");
    for (int i = 0; i < g->n_values; i++) g->values[i]->value.data = g->values[i]->first_data;
    int first = g->given ? 1 : 0;
    g->given = false;
    for (int i = first; i < g->n_ops && !is_given_up(g); i++)
        run_op(g, g->ops[i], g->ops[i]->class->forward, false);
    return !is_given_up(g); /* the last op may have been left unfinished */
}

/* Before the backward of op i: operands that were not kept, gradients that start here. */
static void prepare_backward(Graph *g, int i) {
    Op *op = g->ops[i];
    for (int k = 0; k < op->n_in; k++) {
        ValueNode *n = op->in[k];
        if (n && n->again_step == 2 * g->n_ops - 1 - i) {
            Op *maker = g->ops[n->producer];
            n->value.data = n->again_data;
            run_op(g, maker, maker->class->forward, true);
        }
        if (op->fresh[k] && !(op->class->writes_params >> k & 1))
            device_zero(g->device, GRAD(n), param_bytes(g, n->value.param));
    }
}

/* Gradients of what only ops after the root read. */
static void zero_beyond(Graph *g, int root) {
    for (int i = root + 1; i < g->n_ops; i++)
        for (int k = 0; k < g->ops[i]->n_in; k++) {
            ValueNode *n = g->ops[i]->in[k];
            if (g->ops[i]->fresh[k])
                device_zero(g->device, GRAD(n), param_bytes(g, n->value.param));
        }
}

void graph_zero_gradients(Graph *g) {
    for (int i = 0; i < g->n_fixed; i++) device_zero(g->device, address(g, i), g->buffers[i].bytes);
}

/* Gradients that lie here, and to which other graphs alone contribute. */
static void zero_untouched(Graph *g) {
    for (int i = 0; i < g->n_fixed; i++)
        if (g->buffers[i].first == 0) device_zero(g->device, address(g, i), g->buffers[i].bytes);
}

static void report_ready(Graph *g, int i, GraphReady ready, void *user) {
    const Op *op = g->ops[i];
    for (int k = 0; k < op->n_in; k++) {
        ValueNode *n = op->in[k];
        if (!n || n->value.kind != VALUE_PARAM || !n->value.needs_grad) continue;
        bool used_before = false;
        for (int j = 0; j < i && !used_before; j++)
            for (int m = 0; m < g->ops[j]->n_in; m++) used_before |= g->ops[j]->in[m] == n;
        if (!used_before) ready(user, n->value.param);
    }
}

bool graph_backward(Graph *g, Value *root, GraphReady ready, void *user) {
    ASSERT(g->planned && g->mode == GRAPH_TRAIN, "graph_backward without a training plan");
    ASSERT(root->needs_grad, "%s depends on no parameter", root->name);
    zero_untouched(g);
    zero_beyond(g, node_of(root)->producer);
    for (int i = node_of(root)->producer; i >= 0 && !is_given_up(g); i--) {
        Op *op = g->ops[i];
        if (!op->back) continue;
        prepare_backward(g, i);
        run_op(g, op, op->class->backward, true);
        if (ready) report_ready(g, i, ready, user);
    }
    return !is_given_up(g);
}

/* --- statistics ------------------------------------------------------------------------------- */

/* Calls visit for each parameter that forward passes change, and its place in a copy of them all;
 * returns the size of the copy. */
static size_t each_statistic(const Graph *g, void (*visit)(const Graph *, Param *, void *),
                             void *copy) {
    size_t bytes = 0;
    for (int i = 0; i < g->n_ops; i++)
        for (int k = 0; k < g->ops[i]->n_in; k++) {
            if (!(g->ops[i]->changes >> k & 1)) continue;
            Param *p = g->ops[i]->in[k]->value.param;
            if (visit) visit(g, p, device_at(copy, bytes));
            bytes += param_bytes(g, p);
        }
    return bytes;
}

static void copy_out(const Graph *g, Param *p, void *copy) {
    device_copy(g->device, copy, p->data, param_bytes(g, p));
}

static void copy_in(const Graph *g, Param *p, void *copy) {
    device_copy(g->device, p->data, copy, param_bytes(g, p));
}

size_t graph_statistics_bytes(const Graph *g) {
    return each_statistic(g, NULL, NULL);
}

void graph_keep_statistics(const Graph *g, void *copy) {
    each_statistic(g, copy_out, copy);
}

void graph_put_back_statistics(const Graph *g, void *copy) {
    each_statistic(g, copy_in, copy);
}

/* --- questions -------------------------------------------------------------------------------- */

double graph_flops_forward(const Graph *g) {
    double sum = 0;
    for (int i = 0; i < g->n_ops; i++)
        if (g->ops[i]->class->flops) sum += g->ops[i]->class->flops(g->ops[i], false);
    return sum;
}

double graph_flops_step(const Graph *g) {
    double sum = graph_flops_forward(g);
    for (int i = 0; i < g->n_ops; i++)
        if (g->ops[i]->class->flops && g->ops[i]->back)
            sum += g->ops[i]->class->flops(g->ops[i], true);
    return sum;
}

static bool saved_is_finite(Graph *g, const Op *op) {
    bool finite = true;
    for (int k = 0; k < MAX_SAVED; k++) {
        if (!op->saved[k] || g->buffers[op->saved_buffer[k]].last < g->n_ops) continue;
        finite &=
            device_all_finite(g->device, op->saved[k], op_saved_type(op), op->class->saved(op, k));
    }
    return finite;
}

const Value *graph_first_nonfinite(Graph *g) {
    for (int i = 0; i < g->n_ops; i++) {
        const Op *op = g->ops[i];
        if (!saved_is_finite(g, op)) return &op->out[0]->value;
        for (int k = 0; k < op->n_out; k++) {
            const ValueNode *n = op->out[k];
            const Value *v = &n->value;
            bool kept = g->buffers[n->data_buffer].last >= g->n_ops;
            if (kept && !device_all_finite(g->device, v->data, v->type, shape_numel(v->shape)))
                return v;
        }
    }
    return NULL;
}
