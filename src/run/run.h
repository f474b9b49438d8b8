/* The one training loop. A Run is opened (pieces are made, a checkpoint is read), goes through
 * batches, and is closed. It always saves the state between two updates, so that it continues bit
 * for bit. What is trained is a Task: pre-training, fine-tuning or probing (jobs/). */
#ifndef RUN_RUN_H
#define RUN_RUN_H

#include "base/result.h"
#include "data/loader.h"
#include "dist/comm.h"
#include "options/options.h"
#include "run/changes.h"
#include "run/checkpoint_writer.h"
#include "run/runlog.h"
#include "train/events.h"
#include "train/step.h"

typedef struct Run Run;

/* What a task's training graph needs. */
typedef struct GraphCost {
    int64_t kept_patches;   /* of an image */
    double gflop_per_image; /* of a training step */
    int64_t bytes;
} GraphCost;

/* With several processes (r->comm) all of them call the functions of a task. Those marked "agreed"
 * exchange messages or end with comm_agree: they fail in all processes or in none. */
typedef struct Task {
    CommandId command;
    /* In this order: */
    Status (*configure)(Run *r,
                        Error *err);     /* options -> config, notes, dataset; options resolved */
    Status (*make)(Run *r, Error *err);  /* model, optimizer, step, loader options */
    Status (*start)(Run *r, Error *err); /* first weights of a run that is not resumed */
    Status (*open)(Run *r, Error *err);  /* weights are there: what epochs need; agreed */
    Status (*set_batch)(Run *r, Batch *b, Error *err);
    /* Measures after every --eval-every epochs and after the last; agreed; may be NULL. */
    Status (*end_epoch)(Run *r, LogLine *line, Error *err);
    Status (*picture)(Run *r, Error *err); /* beside a checkpoint, by rank 0; may be NULL */
    void (*close)(Run *r);                 /* frees r->task_data; may be NULL */
    /* After configure, instead of the others; v: the model, without memory of its own. */
    Status (*describe)(Run *r, Vit *v, GraphCost *out, Error *err);
} Task;

struct Run {
    const Task *task;
    void *task_data;
    MaeOptions options;
    MaeOptions before; /* of a resumed run: what config.json says */
    Changes changes;   /* and what differs now */
    Comm *comm;        /* the processes that train together; NULL: one */
    ModelConfig config;
    CheckpointNotes notes;
    Device *device;
    Dataset *dataset;
    Vit *model;
    Reducer *reducer;
    Optimizer *optimizer;
    Ema *ema; /* NULL: none */
    TrainStep *step;
    LoaderOptions loader_options;
    Loader *loader;
    RunLog *log;              /* of rank 0 */
    CheckpointWriter *writer; /* of whoever writes a part of the checkpoint, else NULL */
    bool unsaved;             /* something has changed since the last save */
    int lock;                 /* of the run folder, see runfolder_lock */
    Progress progress;
    int64_t batches_per_epoch;
    int64_t next_batch;              /* the next micro-batch of the epoch */
    double lr_peak, lr, peak_gflops; /* 0: not measured, see run_peak_gflops */
    double start, images;            /* since this start, of all processes */
    double seconds_before;           /* of earlier starts, up to the checkpoint gone on from */
    int64_t val_images;              /* of classifiers */
    double last_log_time, last_log_images;
    int failures;  /* updates in a row that were not finite */
    Error fault;   /* why this process leaves the rest of this update out */
    bool stopping; /* some process was asked to stop */
    bool given_up; /* and gave up the update that was under way */
    PassWatch watch;
    bool resumed;
    int64_t val_unreadable; /* images that the last measurement was made without */
    bool complete;          /* nothing is left to do: summary is that of the run */
    json_t *summary;        /* of summary.json; NULL: there is none */
    char picture[1024];
};

/* Runs or resumes; out gets what summary.json has: all of the run, however often it was resumed. */
Status run_train(const Task *task, const MaeOptions *o, Result out, Error *err);
/* Describes what run_train would do. o->out may be NULL. */
Status run_plan(const Task *task, const MaeOptions *o, Result out, Error *err);
/* The optimizer that options ask for; AdamW where a command has no --optimizer. */
OptimizerOptions run_optimizer(const MaeOptions *o, const ModelConfig *c);
/* For Task.make: first the model, then optimizer and step over a graph of that model. With several
 * processes both know that gradients are exchanged. */
Status run_make_model(Run *r, Error *err);
Status run_make_step(Run *r, Graph *graph, Value *loss, Error *err);
/* For Task.describe: what a training graph needs. */
void run_cost(const Run *r, Graph *g, int64_t kept_patches, GraphCost *out);
/* RUN/name, formatted into a fresh string (mem_free). */
Status run_file(const Run *r, const char *name, char **out, Error *err);
/* Writes sizes and pixel statistics that came from a preset or a checkpoint into the options, so
 * that config.json says all. */
Status run_resolve_sizes(MaeOptions *o, const ModelConfig *c, Error *err);
/* Images of an update: batch x accumulate x processes. */
int64_t run_update_images(const MaeOptions *o, const Comm *c);
/* Peak learning rate: --lr, or base rate x effective batch / 256. */
double run_peak_lr(const MaeOptions *o, const Comm *c);

#endif
