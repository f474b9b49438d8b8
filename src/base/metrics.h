/* What is measured of a model: named numbers in a list, which goes from an evaluation to log,
 * progress, curves, summary and metadata. The task makes the list; what carries it does not know
 * what is in it. */
#ifndef BASE_METRICS_H
#define BASE_METRICS_H

#include <stdbool.h>
#include <stddef.h>

/* X(ID, "name" in log.jsonl, summary.json and metadata, "title" for people, is it a share of 1 and
 * shown in percent, is more better) */
#define METRIC_KINDS(X)                                                                            \
    X(METRIC_TOP1, "top1", "top-1", true, true)                                                    \
    X(METRIC_TOP5, "top5", "top-5", true, true)                                                    \
    X(METRIC_VAL_LOSS, "val_loss", "loss", false, false)

#define X(ID, NAME, TITLE, SHARE, MORE) ID,
typedef enum MetricId { METRIC_KINDS(X) METRIC_COUNT } MetricId;
#undef X

typedef struct MetricKind {
    const char *name, *ema_name, *best_name; /* ema: of the averaged weights */
    const char *title, *ema_title;
    bool is_share, more_is_better;
} MetricKind;
extern const MetricKind metric_kinds[METRIC_COUNT];

typedef struct Metric {
    MetricId id;
    double value; /* NAN: not measured */
} Metric;

/* The first is the one by which weights are compared. n 0: nothing is measured. */
typedef struct Metrics {
    int n;
    Metric at[METRIC_COUNT];
} Metrics;

/* -1 where it is not in the list or not measured. */
double metrics_get(const Metrics *m, MetricId id);
/* As JSON, metadata and summaries have it: -1 where it is not a number. */
double metric_known(double value);
/* Is a better than b? NAN is the worst. */
bool metric_is_better(MetricId id, double a, double b);
/* "top-1 81.20 %, loss 0.7312": those that were measured, without titles where `title` is false. */
void metrics_text(const Metrics *m, bool title, char *buf, size_t bytes);

#endif
