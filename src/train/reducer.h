/* Gradients of many processes become one sum while the backward pass still runs. The trainable
 * parameters are cut into buckets, from the last to the first, because their gradients are complete
 * in that order. A bucket is sent when it and all before it are complete, so every process sends
 * the same buckets in the same order.
 *
 * Each bucket has an owner. With `shard` (ZeRO-1, Rajbhandari et al., arXiv 1910.02054) only the
 * owner gets the sum, keeps the optimizer's state, and updates the weights, which it then sends to
 * the others. A Reducer that is NULL is a process alone. */
#ifndef TRAIN_REDUCER_H
#define TRAIN_REDUCER_H

#include "dist/comm.h"
#include "graph/graph.h"

typedef struct Reducer Reducer;
/* Cuts the parameters, which must be placed. *out is NULL when c is. c, d and p outlive it. */
Status reducer_new(Comm *c, Device *d, Params *p, bool shard, Reducer **out, Error *err);
void reducer_free(Reducer *r); /* accepts NULL */
Comm *reducer_comm(const Reducer *r);
bool reducer_shards(const Reducer *r);
/* Does this process update p? Always without `shard`. */
bool reducer_owns(const Reducer *r, const Param *p);

/* Each is called once an update: reducer_ready (a GraphReady) during the last backward pass, for
 * each parameter, and reducer_finish after that pass or instead of it. */
void reducer_ready(void *reducer, Param *p);
void reducer_finish(Reducer *r); /* accepts NULL */
/* After an update with `shard`: everyone gets the new weights of everyone. */
void reducer_share_weights(Reducer *r);

#endif
