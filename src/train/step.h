/* The training step: masks and inputs of a micro-batch, forward, backward, and after enough of them
 * one update. Nothing is allocated once it is made. */
#ifndef TRAIN_STEP_H
#define TRAIN_STEP_H

#include "model/autoencoder.h"
#include "train/optimizer.h"

typedef struct StepOptions {
    int64_t batch, accumulate;
    MaskKind mask;
    double mask_ratio, clip_grad; /* clip 0 = none */
    uint64_t seed;
    bool float_images; /* inputs are given as normalised images (golden tests) */
} StepOptions;

typedef struct TrainStep {
    Autoencoder *model;
    AutoencoderGraph graph;
    Optimizer *optimizer;
    StepOptions options;
    int64_t micro_batches; /* since the last update */
    double loss_sum;       /* over them */
    double last_norm;      /* gradient norm of the last update, before clipping */
    int32_t *ids_keep, *ids_restore, *ids_pred;
    float *mask;
    uint64_t *scratch;
    char culprit[160]; /* first tensor that was not finite, when a call returned NONFINITE */
} TrainStep;

Status step_new(Autoencoder *a, Optimizer *o, StepOptions options, TrainStep **out, Error *err);
void step_free(TrainStep *s); /* accepts NULL */

/* Masks keyed by (seed, epoch, samples[i]); pixels u8 [batch,h,w,C] are copied to the device. */
void step_set_batch(TrainStep *s, const uint8_t *pixels, uint64_t epoch, const int64_t *samples);
/* The same from normalised images [B,C,h,w] and noise [B,P]. */
void step_set_float_batch(TrainStep *s, const float *images, const float *noise);

/* Forward and backward of the batch that was set; *loss is its loss. NONFINITE: the gradients of
 * the whole update are dropped, culprit says which tensor went first. */
Status step_micro_batch(TrainStep *s, double *loss, Error *err);
/* True when `accumulate` micro-batches are in. */
bool step_is_due(const TrainStep *s);
/* The update with their mean gradient; *loss is the mean loss. NONFINITE as above. */
Status step_update(TrainStep *s, double lr, double *loss, Error *err);
/* Forgets gradients of an unfinished update (end of an epoch). */
void step_discard(TrainStep *s);

/* FLOPs per image of a training step. */
double step_flops_per_image(const TrainStep *s);

#endif
