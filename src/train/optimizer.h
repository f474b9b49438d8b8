/* Optimisers over a Params: AdamW (pre-training, fine-tuning), LARS and SGD with momentum (linear
 * probes). State lies in slabs laid out like the trainable parameters. */
#ifndef TRAIN_OPTIMIZER_H
#define TRAIN_OPTIMIZER_H

#include "base/words.h"
#include "graph/graph.h"
#include "train/groups.h"
#include "train/reducer.h"

typedef struct OptimizerOptions {
    OptimizerKind kind;
    double beta1, beta2, eps; /* AdamW */
    double momentum, trust;   /* LARS, SGD; trust: of LARS */
    GroupOptions groups;
    Reducer *reducer; /* whose parameters are updated here; outlives the optimizer, NULL: all */
} OptimizerOptions;

typedef struct Optimizer Optimizer;
/* Gradients have addresses: with FRESH ones, plan the graph first. MEMORY: *out is NULL. */
Status optimizer_new(Device *d, Params *p, OptimizerOptions options, Optimizer **out, Error *err);
void optimizer_free(Optimizer *o); /* accepts NULL */
size_t optimizer_bytes(const Params *p, OptimizerKind kind);
ParamGroup optimizer_group(const Optimizer *o, const Param *p);

/* How many tensors are updated here. */
int64_t optimizer_tensors(const Optimizer *o);
/* Starts to write sums[tensors], on the device: the sum of the squares of each gradient. */
void optimizer_sum_squares(Optimizer *o, double *sums);
/* The L2 norm of all gradients, from these sums on the host. It is the same in every process, and
 * not finite when a gradient is not. */
double optimizer_norm(const Optimizer *o, const double *sums);
/* Makes one update. lr is scaled by group. The gradients are multiplied by gradient_scale first.
 * LARS is as published: matrices get weight decay and the rate trust * |p| / |g|, vectors neither,
 * and the buffer accumulates gradients without the learning rate. With a reducer that shards, it
 * ends when every process has all the new weights. */
void optimizer_step(Optimizer *o, double lr, double gradient_scale);

int64_t optimizer_updates(const Optimizer *o);
void optimizer_set_updates(Optimizer *o, int64_t n);
/* The state of a trainable parameter, for checkpoints: how many tensors of numel reals it has,
 * their names ("exp_avg", "exp_avg_sq"; "momentum_buffer"), and their device addresses (NULL: in
 * another process). */
int optimizer_n_moments(const Optimizer *o);
const char *optimizer_moment_name(const Optimizer *o, int i);
void *optimizer_moment(Optimizer *o, int i, const Param *p);

#endif
