/* See supervised.h. Validation: the weights are measured after an epoch, and their average where
 * there is one; the best ever seen are kept. */
#include <inttypes.h>

#include "base/log.h"
#include "base/memory.h"
#include "jobs/supervised.h"

static Status measure(Run *r, Metrics *out, Error *err) {
    Supervised *t = r->task_data;
    EvaluationLabels labels = {.class_of = t->val_map};
    Evaluation e = {0};
    Status status = MAE_OK;
    if (t->val_features) {
        status = cached_features_evaluate(t->val_features, r->model, t->val_map, &e, err);
        status = comm_agree(r->comm, status, err);
    } else {
        status = evaluate_run(t->session, &t->val_images, &labels, &e, err);
    }
    r->val_unreadable = e.unreadable;
    *out = evaluation_metrics(&e, r->config.classes);
    return status;
}

/* The weights in the model are the ones just measured. */
static Status keep_best(Run *r, Metric first, bool averaged, Error *err) {
    Status status = MAE_OK;
    char *path = NULL;
    CheckpointNotes notes = r->notes; /* borrows the class names */
    if (!metric_is_better(first.id, first.value, r->progress.best)) return MAE_OK;
    r->progress.best = first.value;
    r->progress.best_epoch = r->progress.epoch;
    notes.epochs = r->progress.epoch;
    notes.step = r->progress.step;
    notes.metrics = (Metrics){1, {first}};
    notes.averaged = averaged;
    if (comm_is_root(r->comm)) {
        status = run_file(r, "best.safetensors", &path, err);
        if (status == MAE_OK) status = checkpoint_write(path, r->model, &notes, err);
    }
    mem_free(path);
    return comm_agree(r->comm, status, err);
}

static Status measure_averaged(Run *r, LogLine *line, Error *err) {
    if (!r->ema) return MAE_OK;
    ema_swap(r->ema);
    Status status = measure(r, &line->averaged, err);
    if (status == MAE_OK) status = keep_best(r, line->averaged.at[0], true, err);
    ema_swap(r->ema);
    return status;
}

static void say_measured(int64_t epoch, const LogLine *line) {
    char own[160], averaged[128];
    metrics_text(&line->metrics, true, own, sizeof own);
    metrics_text(&line->averaged, false, averaged, sizeof averaged);
    log_line(LOG_INFO, "epoch %" PRId64 ": %s%s%s", epoch, own,
             *averaged ? "; averaged weights " : "", averaged);
}

Status supervised_end_epoch(Run *r, LogLine *line, Error *err) {
    Status status = MAE_OK;
    int64_t epoch = r->progress.epoch;
    TRY(measure(r, &line->metrics, err));
    TRY(keep_best(r, line->metrics.at[0], false, err));
    TRY(measure_averaged(r, line, err));
    say_measured(epoch, line);
done:
    return status;
}
