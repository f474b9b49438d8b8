/* Exponential moving average of the trained weights, beside them on the device. */
#ifndef TRAIN_EMA_H
#define TRAIN_EMA_H

#include "graph/graph.h"

typedef struct Ema Ema;
/* Starts as a copy of the weights; they must be there already. */
Status ema_new(Device *d, Params *p, double decay, Ema **out, Error *err);
void ema_free(Ema *e); /* accepts NULL */
/* average = decay * average + (1 - decay) * weight, after an update. */
void ema_update(Ema *e);
/* Exchanges averages and weights, to evaluate or save the averages; once more to go on. */
void ema_swap(Ema *e);
/* Device address of the average of a trainable parameter. */
void *ema_average(Ema *e, const Param *p);

#endif
