/* Building and running graphs. See graph.h for the promises and plan.c for the memory. */
#include "graph/internal.h"

#include <math.h>
#include <string.h>

/* A transformer block has 12 parameters, at most 9 ops and 23 values (parameters, results, and two
 * inputs of stochastic depth); the rest covers what stands around the blocks. */
static bool take_room(Graph *g, int64_t n_params) {
    if (n_params > INT32_MAX / 16) return false;
    g->cap_values = 2 * (int)n_params + 64;
    g->cap_ops = (int)n_params + 64;
    g->cap_buffers = 3 * g->cap_values + (MAX_SAVED + 2) * g->cap_ops;
    size_t value = sizeof(ValueNode) + MAX_NAME_BYTES, op = sizeof(Op) + 2 * MAX_NAME_BYTES;
    g->arena = arena_new_fixed((size_t)g->cap_values * value + (size_t)g->cap_ops * op);
    g->values = mem_alloc_array((size_t)g->cap_values, sizeof *g->values);
    g->ops = mem_alloc_array((size_t)g->cap_ops, sizeof *g->ops);
    g->buffers = mem_alloc_array((size_t)g->cap_buffers, sizeof *g->buffers);
    g->order = mem_alloc_array((size_t)g->cap_buffers, sizeof *g->order);
    g->overlap = mem_alloc_array((size_t)g->cap_buffers, sizeof *g->overlap);
    return g->arena && g->values && g->ops && g->buffers && g->order && g->overlap;
}

Graph *graph_new(Device *d, const Params *p) {
    Graph *g = mem_alloc(sizeof *g);
    if (!g) return NULL;
    g->device = d;
    g->params = p;
    if (take_room(g, p ? params_count(p) : 0)) return g;
    graph_free(g);
    return NULL;
}

void graph_free(Graph *g) {
    if (!g) return;
    device_free(g->device, g->slab, g->slab_bytes);
    mem_free(g->values);
    mem_free(g->ops);
    mem_free(g->buffers);
    mem_free(g->order);
    mem_free(g->overlap);
    arena_free(g->arena);
    mem_free(g);
}

void *graph_alloc(Graph *g, size_t bytes) {
    void *p = arena_alloc(g->arena, bytes);
    ASSERT(p, "a graph with more text and attributes than graph_new has room for");
    return p;
}

static char *copy_name(Graph *g, const char *name) {
    size_t bytes = strlen(name) + 1;
    ASSERT(bytes <= MAX_NAME_BYTES, "%s: names have less than %d bytes", name, MAX_NAME_BYTES);
    return memcpy(graph_alloc(g, bytes), name, bytes);
}

static Value *new_value(Graph *g, const char *name, ValueKind kind, DType dtype, Shape shape) {
    ASSERT(!g->planned, "%s added to a planned graph", name);
    ASSERT(g->n_values < g->cap_values, "%s: a graph of more than %d values", name, g->cap_values);
    ValueNode *n = graph_alloc(g, sizeof *n);
    n->value =
        (Value){.name = name, .kind = kind, .shape = shape, .dtype = dtype, .id = g->n_values};
    n->producer = -1;
    n->data_buffer = n->grad_buffer = NO_BUFFER;
    g->values[g->n_values++] = n;
    return &n->value;
}

void graph_share(Graph *g, const GraphPeers *peers) {
    ASSERT(g->n_ops == 0, "shared after ops were added");
    g->peers = *peers;
}

Value *graph_input(Graph *g, const char *name, DType dtype, Shape shape) {
    return new_value(g, copy_name(g, name), VALUE_INPUT, dtype, shape);
}

Value *graph_param(Graph *g, Param *p) {
    ASSERT(p && p->placed, "graph_param before params_alloc");
    for (int i = 0; i < g->n_values; i++)
        if (g->values[i]->value.param == p) return &g->values[i]->value;
    Value *v = new_value(g, p->name, VALUE_PARAM, DTYPE_F32, p->shape);
    v->param = p;
    v->needs_grad = p->needs_grad;
    return v;
}

Value *graph_activation(Graph *g, const char *name, Shape shape, bool needs_grad) {
    Value *v = new_value(g, copy_name(g, name), VALUE_ACTIVATION, DTYPE_F32, shape);
    v->needs_grad = needs_grad;
    return v;
}

Value *graph_find(const Graph *g, const char *name) {
    for (int i = 0; i < g->n_values; i++) {
        Value *v = &g->values[i]->value;
        if (v->kind != VALUE_PARAM && strcmp(v->name, name) == 0) return v;
    }
    return NULL;
}

void graph_keep(Graph *g, Value *v) {
    ASSERT(!g->planned, "%s kept after planning", v->name);
    node_of(v)->keep = true;
}

Op *graph_op(Graph *g, const OpClass *class, const char *name) {
    ASSERT(g->n_ops < g->cap_ops, "%s: a graph of more than %d ops", name, g->cap_ops);
    Op *op = graph_alloc(g, sizeof *op);
    op->class = class;
    op->reads_inputs = class->reads_inputs;
    op->name = copy_name(g, name);
    g->ops[g->n_ops++] = op;
    return op;
}

void op_input(Op *op, Value *v) {
    ASSERT(op->n_in < MAX_INPUTS, "%s has too many inputs", op->name);
    op->in[op->n_in++] = v ? node_of(v) : NULL;
    if (!v) return;
    node_of(v)->n_readers++;
    node_of(v)->reader = op;
    if (v->needs_grad && op->class->backward) op->back = true;
}

void op_output(Graph *g, Op *op, Value *v) {
    ASSERT(op->n_out < MAX_OUTPUTS, "%s has too many outputs", op->name);
    node_of(v)->producer = g->n_ops - 1;
    op->out[op->n_out++] = node_of(v);
}

int64_t node_dim(const ValueNode *n, int i) {
    return n->value.shape.dim[i];
}

int64_t node_last_dim(const ValueNode *n) {
    return n->value.shape.dim[n->value.shape.n_dims - 1];
}

int64_t node_rows(const ValueNode *n) {
    return shape_numel(n->value.shape) / node_last_dim(n);
}

void op_check(bool ok, const Op *op) {
    char text[MAX_INPUTS][96] = {{0}};
    if (ok) return;
    for (int i = 0; i < op->n_in; i++)
        if (op->in[i]) shape_text(op->in[i]->value.shape, text[i], sizeof text[i]);
    ASSERT(ok, "%s(%s): operands %s %s %s %s %s do not fit", op->class->name, op->name, text[0],
           text[1], text[2], text[3], text[4]);
}

Value *op_result(Graph *g, Op *op, Shape shape, bool needs_grad) {
    Value *v = graph_activation(g, op->name, shape, needs_grad);
    op_output(g, op, v);
    return v;
}

void op_pass_gradient(Graph *g, const Op *op, ValueNode *n, bool accumulate) {
    const Kernels *k = KERNELS(g);
    void *dy = GRAD(op->out[0]);
    int64_t count = shape_numel(n->value.shape);
    if (!n->value.needs_grad || GRAD(n) == dy) return;
    if (accumulate)
        k->add(g->device, GRAD(n), dy, count);
    else
        device_copy(g->device, GRAD(n), dy, (size_t)count * k->real_bytes);
}

static void *address(Graph *g, int buffer) {
    return buffer == NO_BUFFER ? NULL : device_at(g->slab, g->buffers[buffer].offset);
}

static size_t grad_bytes(const Graph *g, const Param *p) {
    return (size_t)p->numel * g->device->kernels.real_bytes;
}

/* Gradients that the graph never touches are zero from here on. */
static void resolve_param_grads(Graph *g) {
    if (g->n_fixed == 0) return;
    for (int64_t i = 0; i < params_count(g->params); i++) {
        Param *p = params_at(g->params, i);
        if (!p->needs_grad) continue;
        ASSERT(!p->grad, "%s: a second graph for FRESH gradients", p->name);
        p->grad = device_at(g->slab, p->offset);
    }
    graph_zero_gradients(g);
}

static void resolve(Graph *g) {
    resolve_param_grads(g);
    for (int i = 0; i < g->n_values; i++) {
        ValueNode *n = g->values[i];
        Param *p = n->value.param;
        ASSERT(!p || p->data, "%s: graph_plan before params_alloc", n->value.name);
        n->first_data = p ? p->data : address(g, n->data_buffer);
        n->again_data = address(g, n->again_buffer);
        n->value.data = n->first_data;
        n->value.grad = p ? p->grad : address(g, n->grad_buffer);
    }
    for (int i = 0; i < g->n_ops; i++) {
        Op *op = g->ops[i];
        for (int k = 0; k < MAX_SAVED; k++) op->saved[k] = address(g, op->saved_buffer[k]);
        op->scratch[0] = address(g, op->forward_scratch);
        op->scratch[1] = address(g, op->backward_scratch);
    }
}

Status graph_plan(Graph *g, GraphMode mode, Error *err) {
    ASSERT(!g->planned, "a graph is planned once");
    g->slab_bytes = plan_layout(g, mode);
    g->slab = device_alloc(g->device, g->slab_bytes);
    if (!g->slab)
        return fail(
            err, STATUS_MEMORY,
            "no memory for %.1f MB of activations; use a smaller --batch (and --accumulate)",
            (double)g->slab_bytes / 1e6);
    g->planned = true;
    g->mode = mode;
    resolve(g);
    return STATUS_OK;
}

size_t graph_bytes(Graph *g, GraphMode mode) {
    return g->planned ? g->slab_bytes : plan_layout(g, mode);
}

void graph_set_real(Graph *g, Value *v, const float *host) {
    ASSERT(v->kind == VALUE_INPUT && v->dtype == DTYPE_F32, "%s is no real input", v->name);
    device_upload_real(g->device, v->data, host, shape_numel(v->shape));
}

void graph_set(Graph *g, Value *v, const void *host) {
    ASSERT(v->kind == VALUE_INPUT && v->dtype != DTYPE_F32, "%s is no byte input", v->name);
    device_upload(g->device, v->data, host, (size_t)shape_numel(v->shape) * dtype_bytes(v->dtype));
}

void graph_get(Graph *g, const Value *v, float *host) {
    ASSERT(v->kind != VALUE_ACTIVATION || ((const ValueNode *)(const void *)v)->keep,
           "%s is read without graph_keep", v->name);
    device_download_real(g->device, host, v->data, shape_numel(v->shape));
}

void graph_get_grad(Graph *g, const Value *v, float *host) {
    ASSERT(v->grad, "%s has no gradient", v->name);
    device_download_real(g->device, host, v->grad, shape_numel(v->shape));
}

void graph_set_grad(Graph *g, Value *v, const float *host) {
    ASSERT(v->grad && node_of(v)->keep, "%s: upstream gradient of a value not kept", v->name);
    device_upload_real(g->device, v->grad, host, shape_numel(v->shape));
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
                    .heads = op->n,
                    .flops = class->flops && !again ? class->flops(op, backward) : 0};
    g->observer(g->observer_user, &seen, true);
    pass(g, op);
    g->observer(g->observer_user, &seen, false);
}

void graph_forward(Graph *g) {
    ASSERT(g->planned, "graph_forward before graph_plan");
    for (int i = 0; i < g->n_values; i++) g->values[i]->value.data = g->values[i]->first_data;
    for (int i = 0; i < g->n_ops; i++) run_op(g, g->ops[i], g->ops[i]->class->forward, false);
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
            device_zero(g->device, GRAD(n), grad_bytes(g, n->value.param));
    }
}

/* Gradients of what only ops after the root read. */
static void zero_beyond(Graph *g, int root) {
    for (int i = root + 1; i < g->n_ops; i++)
        for (int k = 0; k < g->ops[i]->n_in; k++) {
            ValueNode *n = g->ops[i]->in[k];
            if (g->ops[i]->fresh[k]) device_zero(g->device, GRAD(n), grad_bytes(g, n->value.param));
        }
}

void graph_zero_gradients(Graph *g) {
    for (int64_t i = 0; g->n_fixed > 0 && i < params_count(g->params); i++) {
        const Param *p = params_at(g->params, i);
        if (p->needs_grad) device_zero(g->device, p->grad, grad_bytes(g, p));
    }
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

void graph_backward(Graph *g, Value *root, GraphReady ready, void *user) {
    ASSERT(g->planned && g->mode == GRAPH_TRAIN, "graph_backward without a training plan");
    ASSERT(root->needs_grad, "%s depends on no parameter", root->name);
    zero_beyond(g, node_of(root)->producer);
    for (int i = node_of(root)->producer; i >= 0; i--) {
        Op *op = g->ops[i];
        if (!op->back) continue;
        prepare_backward(g, i);
        run_op(g, op, op->class->backward, true);
        if (ready) report_ready(g, i, ready, user);
    }
}

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

static bool is_finite(Graph *g, const void *x, int64_t n) {
    return isfinite(g->device->kernels.sum_squares(g->device, x, n));
}

static bool saved_is_finite(Graph *g, const Op *op) {
    bool finite = true;
    for (int k = 0; k < MAX_SAVED; k++) {
        if (!op->saved[k] || g->buffers[op->saved_buffer[k]].last < g->n_ops) continue;
        size_t n = op->class->saved_bytes(g, op, k) / g->device->kernels.real_bytes;
        finite &= is_finite(g, op->saved[k], (int64_t)n);
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
            if (kept && !is_finite(g, v->data, shape_numel(v->shape))) return v;
        }
    }
    return NULL;
}
