/* Building graphs: values, ops, their names, in memory that is taken at once. plan.c lays out what
 * they need to run, run.c runs them. */
#include "graph/internal.h"

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

int graph_op_count(const Graph *g) {
    return g->n_ops;
}

int graph_value_count(const Graph *g) {
    return g->n_values;
}

OpView graph_op_at(const Graph *g, int i) {
    ASSERT(i >= 0 && i < g->n_ops, "op %d of %d", i, g->n_ops);
    const Op *op = g->ops[i];
    OpView v = {.kind = op->class->name, .name = op->name, .attributes = &op->attr};
    for (int k = 0; k < op->n_in; k++) v.in[k] = op->in[k] ? &op->in[k]->value : NULL;
    for (int k = 0; k < op->n_out; k++) v.out[k] = &op->out[k]->value;
    return v;
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
    ASSERT(op->n_in < OP_MAX_OPERANDS, "%s has too many inputs", op->name);
    op->in[op->n_in++] = v ? node_of(v) : NULL;
    if (!v) return;
    node_of(v)->n_readers++;
    node_of(v)->reader = op;
    if (v->needs_grad && op->class->backward) op->back = true;
}

void op_output(Graph *g, Op *op, Value *v) {
    ASSERT(op->n_out < OP_MAX_RESULTS, "%s has too many outputs", op->name);
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
    char text[OP_MAX_OPERANDS][96] = {{0}};
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
