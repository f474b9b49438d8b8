/* A classifier on labelled images: top-1, top-5, mean loss and confusion. Each image that can be
 * read counts once, those of a last partial batch included. */
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

/* top1, top5 and val_loss; NaN means not measured. top5 is not measured with five classes or fewer,
 * where any guess is right. Without images none of them is. */
Metrics evaluation_metrics(const Evaluation *e, int64_t classes);

/* Adds one image. logits[n] count for the classes that are allowed (NULL: all). Equal logits rank
 * in order of the class. Returns the class with the largest logit. Returns -1 and adds nothing when
 * a logit is not finite or no class is allowed. */
int64_t evaluation_add(Evaluation *e, const float *logits, int64_t n, const uint8_t *allowed,
                       int64_t label);

/* What the labels of the data mean to the model. */
typedef struct EvaluationLabels {
    const int *class_of;    /* class of the model for each class of the data */
    const uint8_t *allowed; /* [classes], NULL = all */
    int64_t *confusion;     /* [classes of the data, classes]: adds this process's; or NULL */
} EvaluationLabels;

/* The session must have logits. Each process of the job takes a part, and all get the sums. Errors
 * are those of session_stream. NONFINITE names the image whose logits are not finite. */
Status evaluate_run(Session *s, const SessionJob *job, const EvaluationLabels *labels,
                    Evaluation *out, Error *err);

/* EMPTY: `what` ("--val") has no classes, or an image without a label; names it. */
Status evaluate_check_labels(const Dataset *d, const char *what, Error *err);

#endif
