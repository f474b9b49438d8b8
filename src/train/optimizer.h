/* AdamW over a Params, with the published parameter groups: no weight decay for rank-1 parameters
 * and biases (cls and mask token are decayed). Moments lie in one slab. */
#ifndef TRAIN_OPTIMIZER_H
#define TRAIN_OPTIMIZER_H

#include "graph/graph.h"

typedef struct AdamWOptions {
    double beta1, beta2, eps, weight_decay;
} AdamWOptions;

typedef struct Optimizer Optimizer;
Status optimizer_new(Device *d, Params *p, AdamWOptions options, Optimizer **out, Error *err);
void optimizer_free(Optimizer *o); /* accepts NULL */
size_t optimizer_bytes(const Params *p, const Device *d);
/* Is weight decay applied to this parameter? */
bool optimizer_decays(const Param *p);

/* L2 norm of all gradients, in double; not finite when a gradient is not. */
double optimizer_gradient_norm(Optimizer *o);
/* One update. The gradients are multiplied by gradient_scale first. */
void optimizer_step(Optimizer *o, double lr, double gradient_scale);

int64_t optimizer_updates(const Optimizer *o);
void optimizer_set_updates(Optimizer *o, int64_t n);
/* Device addresses of the moments of a trainable parameter (numel reals each). */
void *optimizer_exp_avg(Optimizer *o, const Param *p);
void *optimizer_exp_avg_sq(Optimizer *o, const Param *p);

#endif
