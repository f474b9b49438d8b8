/* See evaluate.h. */
#include "infer/evaluate.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "base/threads.h"
#include "train/events.h"

#define TOP 5
#define FAULT_BYTES 600

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

Status evaluate_check_labels(const Dataset *d, const char *what, Error *err) {
    if (dataset_n_classes(d) < 1)
        return fail(err, MAE_EMPTY,
                    "%s has no labels; it needs a folder per class, a list with labels, CIFAR or "
                    "shards with .cls",
                    what);
    for (int64_t i = 0; i < dataset_count(d); i++)
        if (dataset_label(d, i) < 0)
            return fail(err, MAE_EMPTY, "%s: %s has no label", what, dataset_name(d, i));
    return MAE_OK;
}

/* --- running ---------------------------------------------------------------------------------- */

static Status count_batch(const EvaluationJob *job, const float *logits, int64_t C, const Batch *b,
                          Evaluation *sum, Error *err) {
    for (int64_t i = 0; i < b->n; i++) {
        int64_t best =
            evaluation_add(sum, logits + i * C, C, job->allowed, job->label_of[b->labels[i]]);
        if (best < 0)
            return fail(err, MAE_NONFINITE, "%s: the logits are not finite",
                        dataset_name(job->data, b->samples[i]));
        if (job->confusion) job->confusion[b->labels[i] * C + best]++;
    }
    return MAE_OK;
}

void evaluation_share(const Comm *c, int64_t n, int64_t *first, int64_t *end) {
    *first = n * comm_rank(c) / comm_size(c);
    *end = n * (comm_rank(c) + 1) / comm_size(c);
}

Status evaluation_gather(Comm *c, Status status, const char *fault, Evaluation *e, Error *err) {
    double sums[] = {(double)e->images, (double)e->top1, (double)e->top5, (double)e->unreadable,
                     e->loss};
    status = comm_agree(c, status, err);
    if (status != MAE_OK) return status;
    comm_sum(c, sums, sizeof sums / sizeof *sums);
    *e = (Evaluation){.images = (int64_t)sums[0],
                      .top1 = (int64_t)sums[1],
                      .top5 = (int64_t)sums[2],
                      .unreadable = (int64_t)sums[3],
                      .loss = sums[4]};
    if (e->images > 0) return MAE_OK;
    return fail(err, MAE_EMPTY, "none of the %" PRId64 " images could be read: %s", e->unreadable,
                *fault ? fault : "see the log");
}

/* The images [first, end); fault[FAULT_BYTES]: why the first of those left out could not be read.
 */
static Status run_part(Session *s, const EvaluationJob *job, int64_t first, int64_t end,
                       const MaeEvents *events, Evaluation *out, char *fault, Error *err) {
    Status status = MAE_OK;
    Loader *loader = NULL;
    ImageWatch watch = {0};
    int64_t total = end - first;
    LoaderOptions options = {.augment = job->augment,
                             .batch = session_batch(s),
                             .n_workers = job->workers,
                             .seed = job->seed,
                             .repeat = 1,
                             .n_epochs = 1,
                             .first = first,
                             .limit = end,
                             .leave_out = true,
                             .strict = job->strict,
                             .stop = events_stop_flag(events)};
    if (total == 0) return MAE_OK;
    watch_images(&watch, session_graph(s), events, job->phase ? job->phase : "evaluate",
                 session_batch(s), total);
    TRY(loader_open(job->data, options, &loader, err));
    for (;;) {
        Batch b;
        TRY(watch_images_next(&watch, loader, &b, err));
        if (b.n == 0) break;
        bool whole = session_run(s, b.pixels, b.n);
        TRY(watch_images_add(&watch, whole, b.end - watch.done, err));
        TRY(count_batch(job, session_logits(s), session_classes(s), &b, out, err));
    }
    out->unreadable = total - out->images;
    snprintf(fault, FAULT_BYTES, "%s", loader_fault(loader));
done:
    watch_images_end(&watch);
    loader_close(loader);
    return status;
}

Status evaluate_run(Session *s, const EvaluationJob *job, const MaeEvents *events, Evaluation *out,
                    Error *err) {
    int64_t first, end;
    char fault[FAULT_BYTES] = "";
    evaluation_share(job->comm, dataset_count(job->data), &first, &end);
    *out = (Evaluation){0};
    Status status = run_part(s, job, first, end, events, out, fault, err);
    return evaluation_gather(job->comm, status, fault, out, err);
}
