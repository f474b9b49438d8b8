/* What `mae bench` measures: a step of a task as its command runs it, on synthetic images. Masks,
 * mixing and uploading belong to the step. The loader does not. */
#ifndef JOBS_BENCH_WORK_H
#define JOBS_BENCH_WORK_H

#include "base/result.h"
#include "infer/session.h"
#include "options/options.h"
#include "train/labelled_batch.h"
#include "train/masked_batch.h"
#include "train/step.h"

#define BENCH_MAX_REPETITIONS 1000

typedef struct BenchWork {
    BenchTask task;
    int64_t batch, repetitions;
    ModelConfig config;
    Device *device;
    Vit *model;
    Graph *graph; /* of the batch or session that the task has */
    Optimizer *optimizer;
    MaskedBatch *masked;
    LabelledBatch *labelled;
    Session *session; /* features */
    TrainStep *step;  /* NULL: features */
    uint8_t *pixels;  /* [B,h,w,C] */
    float *images;    /* [B,C,h,w] normalised, fine-tuning */
    int64_t *samples; /* [B] */
    Label *labels;    /* [B] */
    int *label_of;    /* [classes] */
} BenchWork;

/* Seconds that one repetition took. */
typedef struct BenchTimes {
    double set;     /* masks or mixing, uploading; 0: features */
    double compute; /* forward, backward; of features everything */
    double update;  /* gradient norm, optimiser, zeroing; 0: features */
    double total;
} BenchTimes;

int64_t bench_repetitions(const MaeOptions *o);
/* *out is NULL after a failure. USAGE: no such model, or an odd batch to fine-tune. */
Status bench_work_new(const MaeOptions *o, BenchWork **out, Error *err);
void bench_work_free(BenchWork *w); /* accepts NULL */

/* Called after each repetition, i from 0, or -1 after the one that warms up. */
typedef void (*BenchDone)(void *user, int64_t i, const BenchTimes *t);
/* Runs the repetitions. The device's FMA peak (GFLOP/s) is measured before and after them. *peak
 * gets the better one, so that a slow moment of the machine does not flatter the step. */
Status bench_work_run(BenchWork *w, BenchDone done, void *user, double *peak, Error *err);

double bench_work_flops(const BenchWork *w); /* of a step */
int64_t bench_work_bytes(const BenchWork *w);

/* What both benchmarks say of a run. Sorts the seconds of the repetitions. */
void bench_tell(const BenchWork *w, const MaeOptions *o, double *seconds, double peak, Result out);

/* mae bench kernels. */
Status bench_kernels(const MaeOptions *o, Result out, Error *err);

#endif
