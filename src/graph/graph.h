/* Static graphs of coarse ops. A model is written once. Its parameters live in a Params; each graph
 * over them is built for one batch size, planned (every byte is known and taken), and then run as
 * often as wanted without an allocation. Builders check shapes and abort on a bug.
 *
 * The backward pass runs the ops in reverse. The first op that contributes to a value's gradient
 * writes it, and later ones add; the plan knows which is which, so nothing is zeroed. The gradient
 * of a residual input is that of the sum, and the two share memory. What costs little (layer norms,
 * GELU) is computed again instead of being kept for the backward pass, where the device has it so
 * (Kernels.remakes). */
#ifndef GRAPH_GRAPH_H
#define GRAPH_GRAPH_H

#include <stdbool.h>

#include "base/status.h"
#include "base/tensor.h"
#include "kernels/device.h"

/* --- parameters ------------------------------------------------------------------------------- */

/* Where in its network a parameter stands. */
typedef enum ParamPart { PART_STEM, PART_BLOCK, PART_NORM, PART_HEAD, PART_DECODER } ParamPart;

/* What it holds before training: NORMAL of deviation `spread`; UNIFORM within +-`spread`; XAVIER,
 * uniform by rows and columns, all dimensions but the first as one; SINCOS, fixed positions; GIVEN
 * by whoever made the model. */
typedef enum ParamStart {
    START_ZEROS,
    START_ONES,
    START_NORMAL,
    START_UNIFORM,
    START_XAVIER,
    START_SINCOS,
    START_GIVEN
} ParamStart;

typedef struct ParamRole {
    ParamPart part;
    int64_t half; /* of BLOCK: 2i is the attention of block i, 2i+1 its MLP, each with its norm */
    ParamStart start;
    double spread;
    bool decayed;   /* by weight decay */
    bool embedding; /* a token or positions, which fine-tuning does not decay */
    bool per_class; /* a row a class */
} ParamRole;

typedef struct Param {
    const char *name; /* as in the published state dict */
    ParamRole role;   /* zeros after params_add, for whoever adds it to fill in */
    Shape shape;
    int64_t numel;
    int64_t index; /* in order of params_add */
    bool trainable, placed;
    bool needs_grad; /* trainable, and gradients were asked for */
    size_t offset;   /* bytes into the slabs; trainable ones are in front */
    void *data;      /* device addresses, set by params_alloc */
    void *grad;      /* NULL unless needs_grad; FRESH: set by graph_plan */
} Param;

/* SUMMED: in a slab of their own; every backward pass adds, params_zero_grad starts a new sum.
 * FRESH: in the slab of the first graph that is planned for training, where activations lie until a
 * gradient is complete. Each backward pass of that graph starts a new sum, which its next forward
 * pass ends. Other graphs that are planned for training while it lives add to the sum. */
typedef enum ParamGradients { GRADIENTS_NONE, GRADIENTS_SUMMED, GRADIENTS_FRESH } ParamGradients;

typedef struct Params Params;
Params *params_new(Device *d); /* NULL: no memory */
void params_free(Params *p);   /* accepts NULL */
/* Before params_alloc. Names are copied. NULL: no memory. */
Param *params_add(Params *p, const char *name, Shape shape, bool trainable);
Status params_alloc(Params *p, ParamGradients gradients, Error *err);
/* Decides places and sizes without taking memory: graphs over p can be built and measured, not
 * planned or run. params_alloc may follow. */
void params_place(Params *p, ParamGradients gradients);
ParamGradients params_gradients(const Params *p);
Param *params_find(const Params *p, const char *name); /* NULL: absent */
int64_t params_count(const Params *p);
Param *params_at(const Params *p, int64_t i); /* in order of params_add */
void params_set(Params *p, Param *q, const float *host);
void params_get(const Params *p, const Param *q, float *host);
void params_zero_grad(Params *p); /* of SUMMED gradients; others are left alone */
/* The trained ones alone, from offset 0 on: what moments and averages are laid out like. */
size_t params_trained_bytes(const Params *p);
/* Data and SUMMED gradients, after params_place or params_alloc. */
size_t params_bytes(const Params *p);

/* --- graphs ----------------------------------------------------------------------------------- */

typedef enum ValueKind { VALUE_INPUT, VALUE_PARAM, VALUE_ACTIVATION } ValueKind;

typedef struct Value {
    const char *name;
    ValueKind kind;
    Shape shape;
    Number type; /* of its gradient, too */
    bool needs_grad;
    void *data, *grad; /* device addresses after graph_plan */
    Param *param;
    int id;
} Value;

typedef struct Graph Graph;

typedef enum GraphMode { GRAPH_INFER, GRAPH_TRAIN } GraphMode;

/* For a graph over the parameters p (NULL: none). Its description grows with what is added. Where
 * memory lacks, builders go on with values of no meaning, and graph_plan says it. NULL: no memory.
 */
Graph *graph_new(Device *d, const Params *p);
void graph_free(Graph *g); /* accepts NULL; before params_free */

/* Other processes that run the same graph at the same time, on other images of the same batch. */
typedef struct GraphPeers {
    int64_t n, rank;
    void *user;
    /* all[n * bytes] <- what each has, in order of rank */
    void (*gather)(void *user, void *all, const void *mine, size_t bytes);
} GraphPeers;
/* Before ops are added: statistics of a batch (op_batchnorm) are those of all of them. */
void graph_share(Graph *g, const GraphPeers *peers);

Value *graph_input(Graph *g, const char *name, Number type, Shape shape);
Value *graph_param(Graph *g, Param *p);
/* The activation or input of that name, NULL: none. */
Value *graph_find(const Graph *g, const char *name);
/* Keeps v readable after the whole forward (and backward) pass. */
void graph_keep(Graph *g, Value *v);
/* MEMORY when the description lacks some: for whoever measures or reads a graph that is not
 * planned. */
Status graph_built(const Graph *g, Error *err);
/* Takes the slab. TRAIN keeps what backward needs, INFER reuses as soon as a value is dead. */
Status graph_plan(Graph *g, GraphMode mode, Error *err);
/* Bytes that graph_plan would take / has taken: activations, their gradients, FRESH gradients of
 * parameters, and scratch. */
size_t graph_bytes(Graph *g, GraphMode mode);

void graph_set_real(Graph *g, Value *v, const float *host); /* REAL and WIDE inputs, converted */
void graph_set(Graph *g, Value *v, const void *host);       /* other inputs, as they are */
void graph_get(Graph *g, const Value *v, float *host);      /* REAL and WIDE: kept values, inputs */
/* Gives what the first op makes: the next forward pass takes it and begins after that op. */
void graph_give(Graph *g, Value *v, const float *host);
/* Upstream gradient of a kept value before graph_backward (the loss: 1). */
void graph_set_grad(Graph *g, Value *v, const float *host);

/* False: given up, see graph_stop_at. */
bool graph_forward(Graph *g);
/* From the gradient of `root` (kept, needs_grad) to all parameters; once after each graph_forward.
 * ready, when given, is called as each parameter's gradient is complete (overlap of communication),
 * or will be once the device has done what it was given. False: given up. */
typedef void (*GraphReady)(void *user, Param *p);
bool graph_backward(Graph *g, Value *root, GraphReady ready, void *user);
/* Later passes are given up soon after a stop is asked for: at the latest after the op under way.
 * What they would have computed is then undefined, statistics included (graph_keep_statistics); the
 * next forward pass starts anew. NULL, the start: passes are never given up. */
void graph_stop_at(Graph *g, Stop *stop);
/* The parameters that forward passes change, running statistics of a batch norm that trains:
 * copied out, put back. */
size_t graph_statistics_bytes(const Graph *g);
void graph_keep_statistics(const Graph *g, void *copy);
void graph_put_back_statistics(const Graph *g, void *copy);
/* FRESH gradients that lie in g become zero: those of a process that has had no batch, or the start
 * of a sum that g does not start itself. */
void graph_zero_gradients(Graph *g);

/* Forward FLOPs (multiply and add are two) of matrix products and attention for one run. */
double graph_flops_forward(const Graph *g);
/* The same for a whole training step; what the backward pass recomputes does not count. */
double graph_flops_step(const Graph *g);

/* An op as it runs, for whoever measures it. */
typedef struct GraphOp {
    const char *kind, *name; /* its class, as "linear" (static); itself, as "blocks.0.attn.qkv" */
    bool backward;
    bool again;             /* forward, once more within the backward pass */
    Shape in, out;          /* of its first operand and its first result */
    const void *attributes; /* as in view.h */
    double flops;           /* of this pass, counted as in graph_flops_step: 0 for `again` */
} GraphOp;
/* Called before each op of every later pass (begins) and after it. */
typedef void (*GraphObserver)(void *user, const GraphOp *op, bool begins);
void graph_observe(Graph *g, GraphObserver observer, void *user); /* NULL: no longer */

/* The first activation, in order of computation, whose data is not finite; NULL: none. Between
 * graph_forward and graph_backward; sees what was kept for the backward pass: of an op whose result
 * was not, the statistics. */
const Value *graph_first_nonfinite(Graph *g);

/* --- ops -------------------------------------------------------------------------------------- */
/* Shapes as in kernels/kernels.h. A leading [B,T] may stand where R is written. A result needs a
 * gradient when an operand does; what no trained parameter lies below (inputs, frozen blocks) costs
 * no backward work, and its values live no longer than when inferring. */

typedef struct LinearOptions {
    bool gelu;
    Value *residual; /* added to the result; same shape as it */
} LinearOptions;
Value *op_linear(Graph *g, const char *name, Value *x, Value *w, Value *b, LinearOptions o);
Value *op_layernorm(Graph *g, const char *name, Value *x, Value *w, Value *b, double eps);
Value *op_attention(Graph *g, const char *name, Value *qkv,
                    int64_t heads); /* [B,T,3C] -> [B,T,C] */
/* u8 [B,h,w,C] -> [B,C,h,w]; mean and std (host, C values) are copied. */
Value *op_image_normalize(Graph *g, const char *name, Value *pixels, const float *mean,
                          const float *std);
Value *op_patch_gather(Graph *g, const char *name, Value *images, Value *ids, int64_t patch);
Value *op_patch_target(Graph *g, const char *name, Value *images, Value *ids, int64_t patch,
                       bool normalize);
Value *op_tokens_embed(Graph *g, const char *name, Value *x, Value *cls, Value *pos, Value *ids);
/* token and restore NULL together: x is complete and in order, positions are added. */
Value *op_tokens_restore(Graph *g, const char *name, Value *x, Value *token, Value *pos,
                         Value *restore);
Value *op_tokens_gather(Graph *g, const char *name, Value *x, Value *ids);
Value *op_tokens_mean(Graph *g, const char *name, Value *x);
/* Returns the loss [1]; per_patch [B,M] through *per_patch when not NULL. */
Value *op_masked_mse(Graph *g, const char *name, Value *pred, Value *target, Value *mask,
                     Value *ids, Value **per_patch);
/* residual + scale[b] * x, the sum a block of an image is skipped or kept in (stochastic depth).
 * x, residual [B,T,C]; scale [B] has no gradient. */
Value *op_scaled_residual(Graph *g, const char *name, Value *x, Value *residual, Value *scale);
Value *op_tokens_cls(Graph *g, const char *name, Value *x); /* [B,T,C] -> [B,C] */
/* logits, targets [B,C] -> loss [1]; targets have no gradient. */
Value *op_soft_cross_entropy(Graph *g, const char *name, Value *logits, Value *targets);
/* x[B,C], mean[C], var[C], count[1] -> [B,C]. mean, var and count are parameters that are not
 * trained; with `train` every graph_forward updates them and normalises by the batch (B >= 2),
 * without it they normalise. x has no gradient. In a shared graph the batch is that of all. */
Value *op_batchnorm(Graph *g, const char *name, Value *x, Value *mean, Value *var, Value *count,
                    double eps, double momentum, bool train);

#endif
