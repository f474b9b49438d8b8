/* The memory of a graph is decided before it runs. Every value, gradient, saved statistic and
 * scratch area is a buffer with a first and a last step. Buffers whose steps do not overlap may
 * share addresses. FRESH gradients of parameters lie at the front of one slab in the order of the
 * parameters, because whoever sums or sends them wants one range. The others are placed largest
 * first, each at the lowest offset where it fits. For transformer graphs the slab is within a
 * percent of the largest sum of live bytes. */
#include <stdlib.h>
#include <string.h>

#include "graph/internal.h"

#define ALIGN 64

static int new_buffer(Graph *g, size_t bytes, int first, int last) {
    bytes = (bytes + ALIGN - 1) / ALIGN * ALIGN;
    g->buffers[g->n_buffers] = (Buffer){.bytes = bytes, .first = first, .last = last};
    return g->n_buffers++;
}

static void extend(Graph *g, int buffer, int step) {
    Buffer *b = &g->buffers[buffer];
    if (step < b->first) b->first = step;
    if (step > b->last) b->last = step;
}

static size_t value_bytes(const Graph *g, const Value *v) {
    return device_bytes(g->device, v->type, shape_numel(v->shape));
}

static int backward_step(const Graph *g, int op) {
    return 2 * g->n_ops - 1 - op;
}

static void note_read(ValueNode *n, int step) {
    if (step < n->first_read) n->first_read = step;
    if (step > n->last_read) n->last_read = step;
}

/* Where one op alone reads the GELU of another, its backward goes through that GELU if the classes
 * can, and the derivative costs no pass of its own. A device that remakes turns what the GELU was
 * made of into the GELU on the way, which therefore is not kept. */
static void note_fusions(Graph *g) {
    for (int i = 0; i < g->n_ops; i++) {
        Op *op = g->ops[i];
        const ValueNode *x = op->in[0];
        Op *maker = x->producer < 0 ? NULL : g->ops[x->producer];
        op->through = NULL;
        op->passed = false;
        if (!maker || !op->class->through_gelu || !maker->class->is_gelu) continue;
        if (!maker->back || x->keep || x->n_readers > 1 || !maker->class->is_gelu(maker)) continue;
        op->through = maker;
        maker->passed = true;
    }
}

static bool reads_input(const Graph *g, const Op *op, int i) {
    bool remade = i == 0 && op->through && KERNELS(g)->remakes;
    unsigned needed = 0;
    for (int k = 0; k < op->n_in; k++)
        if (op->in[k] && op->in[k]->value.needs_grad) needed |= BIT(k);
    return op->class->reads[i] & needed && !remade;
}

/* Which backward steps read a value; of a parameter, which make its gradient. */
static void note_reads(Graph *g) {
    for (int i = 0; i < g->n_values; i++) {
        g->values[i]->first_read = 2 * g->n_ops;
        g->values[i]->last_read = -1;
    }
    for (int i = 0; i < g->n_ops; i++) {
        Op *op = g->ops[i];
        int step = backward_step(g, i);
        memset(op->fresh, 0, sizeof op->fresh);
        for (int k = 0; k < op->n_in && op->back; k++) {
            ValueNode *n = op->in[k];
            if (n && (reads_input(g, op, k) || n->value.kind == VALUE_PARAM)) note_read(n, step);
        }
        for (int k = 0; k < op->n_out && op->back; k++)
            if (op->class->reads_outputs >> k & 1) note_read(op->out[k], step);
    }
}

static ValueNode *find_param(const Graph *g, const Param *p) {
    for (int i = 0; i < g->n_values; i++)
        if (g->values[i]->value.param == p) return g->values[i];
    return NULL;
}

/* Are the gradients FRESH, and in no other graph yet? */
static bool holds_gradients(const Graph *g) {
    bool fresh = g->params && params_gradients(g->params) == GRADIENTS_FRESH;
    for (int64_t i = 0; fresh && i < params_count(g->params); i++)
        fresh = !params_at(g->params, i)->grad;
    return fresh;
}

static void start_gradient(Graph *g, const ValueNode *n) {
    Op *op = g->ops[backward_step(g, n->first_read)];
    for (int k = 0; k < op->n_in; k++)
        if (op->in[k] == n) op->fresh[k] = true;
}

/* From where a gradient starts to the end; what the graph does not touch is zero throughout. */
static void place_param_grads(Graph *g) {
    for (int64_t i = 0; i < params_count(g->params); i++) {
        const Param *p = params_at(g->params, i);
        if (!p->needs_grad) continue;
        size_t bytes = device_bytes(g->device, NUMBER_WIDE, p->numel);
        const ValueNode *n = find_param(g, p);
        bool touched = n && n->last_read >= 0;
        int b = new_buffer(g, bytes, touched ? n->first_read : 0, 2 * g->n_ops);
        g->buffers[b].offset = p->offset;
        if (touched) start_gradient(g, n);
    }
    g->n_fixed = g->n_buffers;
}

/* Data: from its producer to its last reader in the forward pass. */
static void place_data(Graph *g) {
    for (int i = 0; i < g->n_values; i++) {
        ValueNode *n = g->values[i];
        n->data_buffer = n->grad_buffer = n->again_buffer = NO_BUFFER;
        n->again_step = -1;
        if (n->value.kind == VALUE_PARAM) continue;
        bool always = n->value.kind == VALUE_INPUT || n->keep;
        int first = n->value.kind == VALUE_INPUT ? 0 : n->producer;
        int last = always ? 2 * g->n_ops : first;
        n->data_buffer = new_buffer(g, value_bytes(g, &n->value), first, last);
    }
    for (int i = 0; i < g->n_ops; i++) {
        Op *op = g->ops[i];
        for (int k = 0; k < op->n_in; k++)
            if (op->in[k] && op->in[k]->data_buffer != NO_BUFFER)
                extend(g, op->in[k]->data_buffer, i);
    }
}

/* Whether the device computes again what is cheap, the op that made n is, and it finds its operands
 * when n is read again, and room for what it saves: that of an op without a backward pass is gone
 * by then. */
static bool can_come_again(const Graph *g, const ValueNode *n) {
    const Op *op = n->producer < 0 ? NULL : g->ops[n->producer];
    if (!KERNELS(g)->remakes || !op || !op->class->cheap || !op->back || n->keep) return false;
    for (int k = 0; k < op->n_in; k++) {
        const ValueNode *x = op->in[k];
        if (x && x->data_buffer != NO_BUFFER && g->buffers[x->data_buffer].last < n->first_read)
            return false;
    }
    return true;
}

/* Data that the backward pass reads is kept for it, or computed again. Operands come before
 * results, so it is known which of them are kept. */
static void place_data_for_backward(Graph *g) {
    for (int i = 0; i < g->n_values; i++) {
        ValueNode *n = g->values[i];
        if (n->data_buffer == NO_BUFFER || n->last_read < 0) continue;
        if (can_come_again(g, n)) {
            n->again_step = n->first_read;
            n->again_buffer = new_buffer(g, value_bytes(g, &n->value), n->first_read, n->last_read);
        } else {
            extend(g, n->data_buffer, n->last_read);
        }
    }
}

/* A kept value owns its gradient for the whole pass; nothing shares it. */
static void place_kept_grads(Graph *g) {
    for (int i = 0; i < g->n_values; i++) {
        ValueNode *n = g->values[i];
        n->contributed = false;
        if (n->value.kind != VALUE_ACTIVATION || !n->value.needs_grad || !n->keep) continue;
        n->grad_buffer = new_buffer(g, value_bytes(g, &n->value), 0, 2 * g->n_ops);
    }
}

/* The gradient of input k of an op: the first contribution in backward order makes the buffer (or
 * takes over that of the op's output, where the two are equal), later ones add. */
static void place_input_grad(Graph *g, Op *op, int k, int step) {
    ValueNode *n = op->in[k];
    if (op->class->writes_params >> k & 1) op->accumulate[k] = !op->fresh[k];
    if (!n || n->value.kind != VALUE_ACTIVATION || !n->value.needs_grad) return;
    op->accumulate[k] = n->contributed;
    n->contributed = true;
    if (n->grad_buffer != NO_BUFFER)
        extend(g, n->grad_buffer, step);
    else if ((op->class->shares >> k & 1) && !op->out[0]->keep)
        n->grad_buffer = op->out[0]->grad_buffer;
    else
        n->grad_buffer = new_buffer(g, value_bytes(g, &n->value), step, step);
}

static void place_grads(Graph *g) {
    place_kept_grads(g);
    for (int i = g->n_ops - 1; i >= 0; i--) {
        Op *op = g->ops[i];
        if (!op->back) continue;
        int step = backward_step(g, i);
        for (int k = 0; k < op->n_out; k++)
            if (op->out[k]->grad_buffer != NO_BUFFER) extend(g, op->out[k]->grad_buffer, step);
        for (int k = 0; k < op->n_in; k++) place_input_grad(g, op, k, step);
    }
}

static size_t larger(size_t a, size_t b) {
    return a > b ? a : b;
}

/* Ops run one after the other, so one area of scratch serves all. It lies in one place, and stays
 * in the caches as far as it fits. */
static void place_extras(Graph *g, GraphMode mode) {
    size_t scratch = 0;
    for (int i = 0; i < g->n_ops; i++) {
        Op *op = g->ops[i];
        const OpClass *c = op->class;
        bool back = mode == GRAPH_TRAIN && op->back;
        int last = back ? backward_step(g, i) : i;
        for (int k = 0; k < MAX_SAVED; k++) {
            size_t bytes =
                c->saved ? device_bytes(g->device, op_saved_type(op), c->saved(op, k)) : 0;
            op->saved_buffer[k] = bytes ? new_buffer(g, bytes, i, last) : NO_BUFFER;
        }
        if (c->scratch_bytes) scratch = larger(scratch, c->scratch_bytes(g, op, false));
        if (c->scratch_bytes && back) scratch = larger(scratch, c->scratch_bytes(g, op, true));
    }
    g->scratch_buffer = scratch ? new_buffer(g, scratch, 0, 2 * g->n_ops - 1) : NO_BUFFER;
}

static int larger_first(const void *a, const void *b) {
    const Buffer *x = *(Buffer *const *)a, *y = *(Buffer *const *)b;
    if (x->bytes != y->bytes) return x->bytes < y->bytes ? 1 : -1;
    return x < y ? -1 : x > y;
}

/* Lowest offset at which buffer b misses all of the n placed ones that live at the same time. */
static size_t lowest_fit(const Graph *g, const Buffer *b, int n) {
    size_t offset = 0;
    for (int i = 0; i < n; i++) {
        const Buffer *p = g->placed[i];
        if (p->first > b->last || b->first > p->last) continue;
        if (offset + b->bytes <= p->offset) break;
        if (p->offset + p->bytes > offset) offset = p->offset + p->bytes;
    }
    return offset;
}

static void note_placed(Graph *g, Buffer *b, int n) {
    for (; n > 0 && g->placed[n - 1]->offset > b->offset; n--) g->placed[n] = g->placed[n - 1];
    g->placed[n] = b;
}

static void place_all(Graph *g, GraphMode mode) {
    bool train = mode == GRAPH_TRAIN;
    g->n_buffers = g->n_fixed = 0;
    note_fusions(g);
    note_reads(g);
    if (train && holds_gradients(g)) place_param_grads(g);
    place_data(g);
    if (train) place_data_for_backward(g);
    if (train) place_grads(g);
    place_extras(g, mode);
}

size_t plan_layout(Graph *g, GraphMode mode) {
    place_all(g, mode);
    for (int i = 0; i < g->n_buffers; i++) g->order[i] = &g->buffers[i];
    qsort(g->order + g->n_fixed, (size_t)(g->n_buffers - g->n_fixed), sizeof *g->order,
          larger_first);
    size_t total = ALIGN;
    for (int i = 0; i < g->n_buffers; i++) {
        Buffer *b = g->order[i];
        if (i >= g->n_fixed) b->offset = lowest_fit(g, b, i);
        note_placed(g, b, i);
        if (b->offset + b->bytes > total) total = b->offset + b->bytes;
    }
    return total;
}
