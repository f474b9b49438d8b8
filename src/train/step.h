/* The training step over any graph with a loss: forward, backward, and after enough micro-batches
 * one update. What goes into the graph is the business of masked_batch.h and labelled_batch.h.
 * Nothing is allocated once it is made. */
#ifndef TRAIN_STEP_H
#define TRAIN_STEP_H

#include "model/vit.h"
#include "train/optimizer.h"

typedef struct StepOptions {
    int64_t batch, accumulate;
    double clip_grad; /* largest gradient norm, 0 = none */
    Reducer *reducer; /* outlives the step; NULL: a process alone */
} StepOptions;

typedef struct TrainStep {
    Vit *model;
    Graph *graph;
    Value *loss;
    Optimizer *optimizer;
    StepOptions options;
    int64_t micro_batches; /* since the last update, of all processes after step_gather */
    double loss_sum;       /* over them, once the results are read */
    double last_norm;      /* gradient norm of the last update, before clipping */
    void *statistics;      /* running statistics as they were before the update under way */
    size_t statistics_bytes;
    /* On the device: of each gradient the sum of its squares, behind them (reals) the loss of each
     * micro-batch; and the same here, once it is read. */
    double *results, *sums;
    size_t results_bytes;
    bool is_read;      /* for the update under way */
    char culprit[160]; /* first tensor that was not finite, when a call returned NONFINITE */
} TrainStep;

/* Where gradients live that are updated from after so many micro-batches. */
ParamGradients step_gradients(int64_t accumulate);
/* graph: planned for training, loss kept; both outlive the step, and so does the
 * model's device. */
Status step_new(Vit *v, Graph *graph, Value *loss, Optimizer *o, StepOptions options,
                TrainStep **out, Error *err);
void step_free(TrainStep *s); /* accepts NULL */

/* Before the first micro-batch of an update that step_give_up may end. */
void step_begin(TrainStep *s);
/* Forward and backward of the batch that was set. NONFINITE: the gradients of the whole update are
 * dropped, culprit says which tensor went first; where the device is not the host, the end of the
 * update says so. INTERRUPTED: the graph was stopped (graph_stop_at); step_give_up comes next. */
Status step_micro_batch(TrainStep *s, Error *err);
/* What processes tell each other at an update; counts how many of them say so. */
typedef struct StepVotes {
    double bad;     /* its gradients are not to be used */
    double fault;   /* it cannot go on */
    double stop;    /* it was asked to stop */
    double written; /* its part of a checkpoint is on disk, and waits for the others */
} StepVotes;
/* The micro-batches of an update are over, whatever became of them: gradients, losses and votes of
 * all processes are added up. Waits for the device, as the update does not then. NONFINITE as
 * above, and this process's vote is bad. */
Status step_gather(TrainStep *s, StepVotes *votes, Error *err);
/* The update with their mean gradient, after step_gather (a process alone can do without); *loss is
 * the mean loss. NONFINITE as above. */
Status step_update(TrainStep *s, double lr, double *loss, Error *err);
/* Forgets gradients of an unfinished update (end of an epoch). */
void step_discard(TrainStep *s);
/* The same, and running statistics go back to what they were at step_begin: as if none of the
 * update's micro-batches had been. */
void step_give_up(TrainStep *s);

/* FLOPs per image of a training step. */
double step_flops_per_image(const TrainStep *s);

#endif
