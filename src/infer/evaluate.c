/* See evaluate.h. */
#include "infer/evaluate.h"

#include <math.h>

#define TOP 5

/* --- counting --------------------------------------------------------------------------------- */

int64_t evaluation_add(Evaluation *e, const float *logits, int64_t n, const uint8_t *allowed,
                       int64_t label) {
    int64_t best = -1, before = 0;
    double sum = 0;
    for (int64_t i = 0; i < n; i++) {
        if (!isfinite(logits[i])) return -1;
        if (allowed && !allowed[i]) continue;
        if (best < 0 || logits[i] > logits[best]) best = i;
        before += logits[i] > logits[label] || (logits[i] == logits[label] && i < label);
    }
    for (int64_t i = 0; i < n && best >= 0; i++)
        if (!allowed || allowed[i]) sum += exp((double)logits[i] - (double)logits[best]);
    if (best < 0) return -1;
    e->images++;
    e->top1 += before < 1;
    e->top5 += before < TOP;
    e->loss += log(sum) + (double)logits[best] - (double)logits[label];
    return best;
}

Metrics evaluation_metrics(const Evaluation *e, int64_t classes) {
    double n = e->images ? (double)e->images : (double)NAN;
    return (Metrics){3,
                     {{METRIC_TOP1, (double)e->top1 / n},
                      {METRIC_TOP5, classes > TOP ? (double)e->top5 / n : (double)NAN},
                      {METRIC_VAL_LOSS, e->loss / n}}};
}

Status evaluate_check_labels(const Dataset *d, const char *what, Error *err) {
    if (dataset_n_classes(d) < 1)
        return error_set(
            err, MAE_EMPTY,
            "%s has no labels; it needs a folder per class, a list with labels, CIFAR or "
            "shards with .cls",
            what);
    for (int64_t i = 0; i < dataset_count(d); i++)
        if (dataset_class(d, i) < 0)
            return error_set(err, MAE_EMPTY, "%s: %s has no label", what, dataset_name(d, i));
    return MAE_OK;
}

/* --- running ---------------------------------------------------------------------------------- */

typedef struct Count {
    const SessionJob *job;
    const EvaluationLabels *labels;
    Evaluation *sum;
} Count;

static Status count_batch(void *user, Session *s, const Batch *b, Error *err) {
    Count *c = user;
    const EvaluationLabels *l = c->labels;
    const float *logits = session_logits(s);
    int64_t C = session_classes(s);
    for (int64_t i = 0; i < b->n; i++) {
        int class = b->labels[i].class;
        int64_t best = evaluation_add(c->sum, logits + i * C, C, l->allowed, l->class_of[class]);
        if (best < 0)
            return error_set(err, MAE_NONFINITE, "%s: the logits are not finite",
                             dataset_name(c->job->data, b->samples[i]));
        if (l->confusion) l->confusion[class * C + best]++;
    }
    return MAE_OK;
}

Status evaluate_run(Session *s, const SessionJob *job, const EvaluationLabels *labels,
                    Evaluation *out, Error *err) {
    Count c = {job, labels, out};
    *out = (Evaluation){0};
    Status status = session_stream(s, job, count_batch, &c, err);
    if (status != MAE_OK) return status;
    double sums[] = {(double)out->images, (double)out->top1, (double)out->top5, out->loss};
    comm_sum(job->comm, sums, sizeof sums / sizeof *sums);
    *out = (Evaluation){.images = (int64_t)sums[0],
                        .top1 = (int64_t)sums[1],
                        .top5 = (int64_t)sums[2],
                        .unreadable = dataset_count(job->data) - (int64_t)sums[0],
                        .loss = sums[3]};
    return MAE_OK;
}
