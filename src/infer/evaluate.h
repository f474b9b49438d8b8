/* A classifier on labelled images: top-1, top-5, mean loss and confusion, over exactly the images
 * given (none twice, the last partial batch included) that can be read. */
#ifndef INFER_EVALUATE_H
#define INFER_EVALUATE_H

#include "base/metrics.h"
#include "dist/comm.h"
#include "infer/session.h"

typedef struct Evaluation {
    int64_t images, top1, top5;
    int64_t unreadable; /* images that were left out */
    double loss;        /* sum of -log p(label), without smoothing */
} Evaluation;

/* top1, top5 (not measured of five classes or fewer, where a guess is right) and val_loss; none of
 * them is measured without images. */
Metrics evaluation_metrics(const Evaluation *e, int64_t classes);

/* Adds one image: logits[n] of the classes that are allowed (NULL: all). Equal logits rank in order
 * of the class. Returns the class with the largest; -1 when a logit is not finite (nothing is
 * added). */
int64_t evaluation_add(Evaluation *e, const float *logits, int64_t n, const uint8_t *allowed,
                       int64_t label);

/* What the labels of the data mean to the model. */
typedef struct EvaluationLabels {
    const int *class_of;    /* class of the model for each class of the data */
    const uint8_t *allowed; /* [classes], NULL = all */
    int64_t *confusion;     /* [classes of the data, classes], added to; may be NULL */
} EvaluationLabels;

/* The session has logits. Each process of the job takes a part, all get the whole. Errors as of
 * session_stream; NONFINITE names the image whose logits are not. */
Status evaluate_run(Session *s, const SessionJob *job, const EvaluationLabels *labels,
                    Evaluation *out, Error *err);

/* Every image of the data has a label, or an error names one that has none. */
Status evaluate_check_labels(const Dataset *d, const char *what, Error *err);

#endif
