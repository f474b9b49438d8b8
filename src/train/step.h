/* The training step over any graph with a loss: forward, backward, and after enough micro-batches
 * one update. masked_batch.h and labelled_batch.h say what goes into the graph. Once it is made,
 * nothing is allocated. */
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
    /* results lie on the device: the sum of squares of each gradient (double), then the loss of
     * each micro-batch (NUMBER_WIDE). sums is the copy in host memory, valid when is_read. */
    double *results, *sums;
    size_t results_bytes;
    bool is_read;      /* for the update under way */
    char culprit[160]; /* first tensor that was not finite, when a call returned NONFINITE */
} TrainStep;

/* Where gradients live when an update takes so many micro-batches. */
ParamGradients step_gradients(int64_t accumulate);
/* graph is planned for training and keeps loss. v with its device, graph, o and the reducer outlive
 * the step. MEMORY; *out is NULL then. */
Status step_new(Vit *v, Graph *graph, Value *loss, Optimizer *o, StepOptions options,
                TrainStep **out, Error *err);
void step_free(TrainStep *s); /* accepts NULL */

/* Call it before the first micro-batch of an update that step_give_up may end. */
void step_begin(TrainStep *s);
/* Runs forward and backward of the batch that was set. NONFINITE: the update's gradients are
 * dropped, and culprit names the first bad tensor; a device that is not the host tells at the end
 * of the update. INTERRUPTED: the graph was stopped (graph_stop_at); step_give_up comes next. */
Status step_micro_batch(TrainStep *s, Error *err);
/* What processes tell each other at an update: how many of them say so. */
typedef struct StepVotes {
    double bad;     /* its gradients are not to be used */
    double fault;   /* it cannot go on */
    double stop;    /* it was asked to stop */
    double written; /* its part of a checkpoint is on disk, and waits for the others */
} StepVotes;
/* Ends the micro-batches of an update, whatever became of them, and adds up gradients, losses and
 * votes of all processes. It waits for the device, so that step_update need not. NONFINITE as
 * above; this process then votes bad. */
Status step_gather(TrainStep *s, StepVotes *votes, Error *err);
/* Updates with the mean gradient. It comes after step_gather, which a process alone can leave out.
 * *loss is the mean loss. NONFINITE as above. */
Status step_update(TrainStep *s, double lr, double *loss, Error *err);
/* Forgets the gradients of an unfinished update (end of an epoch). */
void step_discard(TrainStep *s);
/* The same, and running statistics are again those of step_begin: the update never began. */
void step_give_up(TrainStep *s);

/* FLOPs per image of a training step. */
double step_flops_per_image(const TrainStep *s);

#endif
