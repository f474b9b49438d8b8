/* What the files of graph/ share: nodes, ops, buffers. An op is a row of functions (OpClass) with
 * its operands. plan.c turns lifetimes into offsets; run.c runs the list. */
#ifndef GRAPH_INTERNAL_H
#define GRAPH_INTERNAL_H

#include "base/memory.h"
#include "graph/view.h"

#define MAX_SAVED 2
#define MAX_NAME_BYTES 64
#define NO_BUFFER (-1)

typedef struct Op Op;

typedef struct ValueNode {
    Value value;  /* first: a Value * of this graph is a ValueNode * */
    int producer; /* op index, -1 for inputs and parameters */
    int n_readers;
    bool keep;
    bool contributed;          /* while planning: its gradient has a writer already */
    int first_read, last_read; /* while planning: backward steps; last_read -1: none */
    int data_buffer, grad_buffer;
    /* Computed again before the backward step again_step (-1: kept), into memory of its own. */
    int again_buffer, again_step;
    void *first_data, *again_data; /* value.data, before that step and from it on */
} ValueNode;

/* Sets of operands or results: bit i is the i-th. */
#define BIT(i) (1u << (i))
#define EVERY (~0u)

typedef struct OpClass {
    const char *name;
    size_t attribute_bytes;          /* 0: it has none */
    unsigned reads[OP_MAX_OPERANDS]; /* for the gradients of these, backward reads input i */
    unsigned reads_outputs;          /* backward reads these results */
    unsigned writes_params;          /* backward heeds Op.accumulate for these parameters, too */
    unsigned shares;               /* gradients of these inputs equal that of output 0, may be it */
    bool cheap;                    /* its result is computed again by forward rather than kept */
    bool through_gelu;             /* backward heeds Op.through */
    bool (*is_gelu)(const Op *op); /* output 0 is the GELU of saved[0]; NULL: never */
    unsigned takes_wide;           /* these inputs are WIDE; others REAL, where they are numbers */
    bool gives_wide;               /* the results are WIDE, otherwise REAL */
    bool saves_real;               /* what it saves is REAL, otherwise WIDE */
    void (*forward)(Graph *g, Op *op);
    void (*backward)(Graph *g, Op *op);    /* NULL: nothing flows back */
    int64_t (*saved)(const Op *op, int i); /* elements, forward to backward */
    size_t (*scratch_bytes)(Graph *g, const Op *op, bool backward); /* within one call */
    double (*flops)(const Op *op, bool backward);
} OpClass;

struct Op {
    const OpClass *class;
    const char *name;
    ValueNode *in[OP_MAX_OPERANDS]; /* may hold NULL for an operand left out */
    int n_in;
    ValueNode *out[OP_MAX_RESULTS];
    int n_out;
    bool back; /* takes part in the backward pass */
    /* The op whose GELU input 0 is: backward gives the gradient of its saved[0], which becomes
     * the GELU once more where the device remakes. NULL: none. */
    const Op *through;
    bool passed; /* the backward of another op goes through the GELU of this one */
    bool accumulate[OP_MAX_OPERANDS]; /* gradient of input i: add (true) or write */
    bool fresh[OP_MAX_OPERANDS];      /* input i is a parameter, its gradient starts here at zero */
    int saved_buffer[MAX_SAVED];
    void *saved[MAX_SAVED];
    bool spare;             /* stands for one that there was no memory for */
    unsigned changes;       /* bit i: forward changes the data of parameter i */
    const void *attributes; /* the struct of its class */
};

/* Memory that is needed from step `first` to step `last`: forward of op i is step i, its backward
 * step 2 * n_ops - 1 - i. */
typedef struct Buffer {
    size_t bytes, offset;
    int first, last;
} Buffer;

/* Lists and arena grow until the graph is planned. */
struct Graph {
    Device handle;        /* of the device, with the stop flag of this graph */
    Device *device;       /* &handle */
    const Params *params; /* NULL: none */
    Arena *arena;         /* values, ops, their names */
    ValueNode **values, *spare_value;
    Op **ops, *spare_op;
    int n_values, n_ops, capacity; /* of each list */
    bool lacks_memory;             /* while building: spares stand for what follows */
    Buffer *buffers;               /* the first n_fixed have their offsets by decree */
    int n_fixed, n_buffers, scratch_buffer;
    void *scratch;            /* for the op that runs */
    Buffer **order, **placed; /* of planning: largest first; those with an offset, lowest first */
    void *slab;
    size_t slab_bytes;
    bool planned, given; /* given: the result of the first op, for the next forward pass */
    GraphMode mode;
    GraphPeers peers;       /* n 0: alone */
    GraphObserver observer; /* NULL: nobody */
    void *observer_user;
};

Value *graph_activation(Graph *g, const char *name, Number type, Shape shape, bool needs_grad);
/* attributes: of the class, copied; NULL where it has none. An input NULL keeps the place of an
 * operand left out. */
Op *graph_op(Graph *g, const OpClass *class, const char *name, const void *attributes,
             Value *const *inputs, int n_inputs);
#define INPUTS(...)                                                                                \
    (Value *[]){__VA_ARGS__}, (int)(sizeof((Value *[]){__VA_ARGS__}) / sizeof(Value *))
void *graph_copy(Graph *g, const void *from, size_t bytes); /* NULL: no memory, which is noted */
void op_output(Graph *g, Op *op, Value *v);
/* FRESH gradients that lie in g are found there, once planned, or no longer. */
void graph_place_gradients(Graph *g, bool there);
/* Decides every lifetime and offset for a mode; returns the bytes of the slab. */
size_t plan_layout(Graph *g, GraphMode mode);

/* Words of the op files: operands and kernels. */
#define DATA(n) ((n) ? (n)->value.data : NULL)
#define GRAD(n) ((n) ? (n)->value.grad : NULL)
#define KERNELS(g) (&(g)->device->kernels)

int64_t node_dim(const ValueNode *n, int i);
int64_t node_last_dim(const ValueNode *n);
int64_t node_rows(const ValueNode *n); /* product of the leading dims */
/* Aborts with the op's name and the shapes of its operands unless ok. */
void op_check(bool ok, const Op *op);
/* For a residual operand n: its gradient (+)= that of output 0, unless they share memory. */
void op_pass_gradient(Graph *g, const Op *op, ValueNode *n, bool accumulate);
/* The op's first output, named like the op. */
Value *op_result(Graph *g, Op *op, Shape shape, bool needs_grad);

static inline Number op_saved_type(const Op *op) {
    return op->class->saves_real ? NUMBER_REAL : NUMBER_WIDE;
}

static inline ValueNode *node_of(Value *v) {
    return (ValueNode *)(void *)v;
}

#endif
