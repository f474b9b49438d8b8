/* Building graphs: values, ops, their names, and the room that planning will need. plan.c lays out
 * what they need to run, run.c runs them. */
#include "graph/internal.h"

#include <string.h>

/* What stands for every value and op from the first one on that there was no memory for. Builders
 * go on with it, and no shape is checked. */
static bool make_spares(Graph *g) {
    g->spare_value = arena_alloc(g->arena, sizeof *g->spare_value);
    g->spare_op = arena_alloc(g->arena, sizeof *g->spare_op);
    if (!g->spare_value || !g->spare_op) return false;
    g->spare_value->value.name = "";
    g->spare_value->value.shape = SHAPE(1, 1, 1, 1);
    return true;
}

/* A value has at most three buffers, an op its saved ones; the graph has one of scratch; parameters
 * have gradients. Nothing lies in the lists of buffers yet. */
static bool grow(Graph *g) {
    int capacity = g->capacity ? 2 * g->capacity : 64;
    int64_t n_params = g->params ? params_count(g->params) : 0;
    size_t n_buffers = (size_t)n_params + (3 + MAX_SAVED) * (size_t)capacity + 1;
    size_t was = (size_t)g->capacity * sizeof(void *), bytes = (size_t)capacity * sizeof(void *);
    mem_free(g->buffers);
    mem_free(g->order);
    mem_free(g->placed);
    g->buffers = mem_alloc_array(n_buffers, sizeof *g->buffers);
    g->order = mem_alloc_array(n_buffers, sizeof *g->order);
    g->placed = mem_alloc_array(n_buffers, sizeof *g->placed);
    void *values = mem_realloc(g->values, was, bytes), *ops = mem_realloc(g->ops, was, bytes);
    if (values) g->values = values;
    if (ops) g->ops = ops;
    if (!values || !ops || !g->buffers || !g->order || !g->placed) return false;
    g->capacity = capacity;
    return true;
}

Graph *graph_new(Device *d, const Params *p) {
    Graph *g = mem_alloc(sizeof *g);
    if (!g) return NULL;
    g->handle = *d;
    g->device = &g->handle;
    g->params = p;
    g->arena = arena_new();
    if (g->arena && make_spares(g) && grow(g)) return g;
    graph_free(g);
    return NULL;
}

void graph_free(Graph *g) {
    if (!g) return;
    if (g->planned) graph_place_gradients(g, false);
    device_free(g->device, g->slab, g->slab_bytes);
    mem_free(g->values);
    mem_free(g->ops);
    mem_free(g->buffers);
    mem_free(g->order);
    mem_free(g->placed);
    arena_free(g->arena);
    mem_free(g);
}

Status graph_built(const Graph *g, Error *err) {
    return g->lacks_memory ? error_set(err, MAE_MEMORY, "no memory for a graph") : MAE_OK;
}

/* Memory for a value, an op, or what they point to. NULL: there is none, or was none before. */
static void *take(Graph *g, size_t bytes) {
    bool full = g->n_values == g->capacity || g->n_ops == g->capacity;
    void *p = g->lacks_memory || (full && !grow(g)) ? NULL : arena_alloc(g->arena, bytes);
    g->lacks_memory = !p;
    return p;
}

void *graph_copy(Graph *g, const void *from, size_t bytes) {
    void *copy = take(g, bytes);
    return copy ? memcpy(copy, from, bytes) : NULL;
}

static const char *copy_name(Graph *g, const char *name) {
    size_t bytes = strlen(name) + 1;
    ASSERT(bytes <= MAX_NAME_BYTES, "%s: names have less than %d bytes", name, MAX_NAME_BYTES);
    const char *copy = graph_copy(g, name, bytes);
    return copy ? copy : "";
}

static Value *new_value(Graph *g, const char *name, ValueKind kind, Number type, Shape shape) {
    ASSERT(!g->planned, "%s added to a planned graph", name);
    ValueNode *n = take(g, sizeof *n);
    if (!n) return &g->spare_value->value;
    n->value = (Value){.name = name, .kind = kind, .shape = shape, .type = type, .id = g->n_values};
    n->producer = -1;
    n->data_buffer = n->grad_buffer = NO_BUFFER;
    g->values[g->n_values++] = n;
    return &n->value;
}

void graph_share(Graph *g, const GraphPeers *peers) {
    ASSERT(g->n_ops == 0, "shared after ops were added");
    g->peers = *peers;
}

Value *graph_input(Graph *g, const char *name, Number type, Shape shape) {
    return new_value(g, copy_name(g, name), VALUE_INPUT, type, shape);
}

Value *graph_param(Graph *g, Param *p) {
    ASSERT(p && p->placed, "graph_param before params_alloc");
    for (int i = 0; i < g->n_values; i++)
        if (g->values[i]->value.param == p) return &g->values[i]->value;
    Value *v = new_value(g, p->name, VALUE_PARAM, NUMBER_WIDE, p->shape);
    v->param = p;
    v->needs_grad = p->needs_grad;
    return v;
}

Value *graph_activation(Graph *g, const char *name, Number type, Shape shape, bool needs_grad) {
    Value *v = new_value(g, copy_name(g, name), VALUE_ACTIVATION, type, shape);
    v->needs_grad = needs_grad;
    return v;
}

Value *graph_find(const Graph *g, const char *name) {
    for (int i = 0; i < g->n_values; i++) {
        Value *v = &g->values[i]->value;
        if (v->kind != VALUE_PARAM && strcmp(v->name, name) == 0) return v;
    }
    return g->lacks_memory ? &g->spare_value->value : NULL;
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
    OpView v = {.kind = op->class->name, .name = op->name, .attributes = op->attributes};
    for (int k = 0; k < op->n_in; k++) v.in[k] = op->in[k] ? &op->in[k]->value : NULL;
    for (int k = 0; k < op->n_out; k++) v.out[k] = &op->out[k]->value;
    return v;
}

void graph_keep(Graph *g, Value *v) {
    ASSERT(!g->planned, "%s kept after planning", v->name);
    node_of(v)->keep = true;
}

static void add_input(Op *op, Value *v) {
    op->in[op->n_in++] = v ? node_of(v) : NULL;
    if (!v) return;
    node_of(v)->n_readers++;
    if (v->needs_grad && op->class->backward) op->back = true;
}

Op *graph_op(Graph *g, const OpClass *class, const char *name, const void *attributes,
             Value *const *inputs, int n_inputs) {
    const char *copy = copy_name(g, name);
    const void *kept = attributes ? graph_copy(g, attributes, class->attribute_bytes) : NULL;
    ASSERT(n_inputs <= OP_MAX_OPERANDS, "%s has too many inputs", name);
    Op *op = take(g, sizeof *op);
    if (op)
        g->ops[g->n_ops++] = op;
    else
        op = memset(g->spare_op, 0, sizeof *op);
    op->class = class;
    op->name = copy;
    op->attributes = kept ? kept : attributes;
    op->spare = g->lacks_memory;
    for (int i = 0; i < n_inputs; i++) add_input(op, inputs[i]);
    return op;
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
    if (ok || op->spare) return;
    for (int i = 0; i < op->n_in; i++)
        if (op->in[i]) shape_text(op->in[i]->value.shape, text[i], sizeof text[i]);
    ASSERT(ok, "%s(%s): operands %s %s %s %s %s do not fit", op->class->name, op->name, text[0],
           text[1], text[2], text[3], text[4]);
}

/* Where the device has one type for both, either serves. */
static void check_types(const Graph *g, const Op *op) {
    bool one = KERNELS(g)->real_bytes == KERNELS(g)->wide_bytes;
    for (int i = 0; i < op->n_in && !one && !op->spare; i++) {
        Number want = op->class->takes_wide & BIT(i) ? NUMBER_WIDE : NUMBER_REAL;
        Number has = op->in[i] ? op->in[i]->value.type : want;
        ASSERT(has == want || has > NUMBER_WIDE, "%s(%s): operand %d is %s", op->class->name,
               op->name, i, has == NUMBER_WIDE ? "wide" : "an activation");
    }
}

Value *op_result(Graph *g, Op *op, Shape shape, bool needs_grad) {
    check_types(g, op);
    Number type = op->class->gives_wide ? NUMBER_WIDE : NUMBER_REAL;
    Value *v = graph_activation(g, op->name, type, shape, needs_grad);
    op_output(g, op, v);
    return v;
}
