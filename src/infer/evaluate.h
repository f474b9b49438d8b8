/* A classifier on labelled images: top-1, top-5, mean loss and confusion, over exactly the images
 * given (none twice, the last partial batch included) that can be read. */
#ifndef INFER_EVALUATE_H
#define INFER_EVALUATE_H

#include "dist/comm.h"
#include "infer/session.h"

typedef struct Evaluation {
    int64_t images, top1, top5;
    int64_t unreadable; /* images that were left out */
    double loss;        /* sum of -log p(label), without smoothing */
} Evaluation;

/* Adds one image: logits[n] of the classes that are allowed (NULL: all). Equal logits rank in order
 * of the class. Returns the class with the largest; -1 when a logit is not finite (nothing is
 * added). */
int64_t evaluation_add(Evaluation *e, const float *logits, int64_t n, const uint8_t *allowed,
                       int64_t label);

typedef struct EvaluationJob {
    Dataset *data;
    Augment augment;
    int workers;
    bool strict;            /* an unreadable image is an error */
    Comm *comm;             /* each process takes a part, all get the whole; NULL: alone */
    uint64_t seed;          /* of corruptions */
    const int *label_of;    /* class of the model for each class of the data */
    const uint8_t *allowed; /* [classes], NULL = all */
    int64_t *confusion;     /* [classes of the data, classes], added to; may be NULL */
    const char *phase;      /* for the progress: "validate" */
} EvaluationJob;

/* The images [*first, *end) of n that this process takes. */
void evaluation_share(const Comm *c, int64_t n, int64_t *first, int64_t *end);
/* The sum of those of all processes; a failure of one is that of all. EMPTY: no image could be
 * read, for the reason `fault`. */
Status evaluation_gather(Comm *c, Status status, const char *fault, Evaluation *e, Error *err);

/* The session has logits. NONFINITE names the image whose logits are not; MAE_INTERRUPTED when
 * asked to stop. */
Status evaluate_run(Session *s, const EvaluationJob *job, const MaeEvents *events, Evaluation *out,
                    Error *err);

/* Every image of the data has a label, or an error names one that has none. */
Status evaluate_check_labels(const Dataset *d, const char *what, Error *err);

#endif
