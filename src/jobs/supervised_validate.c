/* See supervised.h. Validation: the weights are measured after an epoch, and their average where
 * there is one; the best ever seen are kept. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "base/log.h"
#include "base/memory.h"
#include "jobs/supervised.h"

static Status measure(Run *r, Evaluation *out, Error *err) {
    Supervised *t = r->task_data;
    EvaluationLabels labels = {.class_of = t->val_map};
    Status status = MAE_OK;
    if (t->val_features) {
        status = cached_features_evaluate(t->val_features, r->model, t->val_map, out, err);
        status = comm_agree(r->comm, status, err);
    } else {
        status = evaluate_run(t->session, &t->val_images, &labels, out, err);
    }
    r->val_unreadable = out->unreadable;
    return status;
}

/* The weights in the model are the ones just measured. */
static Status keep_best(Run *r, double top1, bool averaged, Error *err) {
    Status status = MAE_OK;
    char *path = NULL;
    CheckpointNotes notes = r->notes; /* borrows the class names */
    if (top1 <= r->progress.best_top1) return MAE_OK;
    r->progress.best_top1 = top1;
    r->progress.best_epoch = r->progress.epoch;
    notes.epochs = r->progress.epoch;
    notes.step = r->progress.step;
    notes.top1 = top1;
    notes.averaged = averaged;
    if (comm_is_root(r->comm)) {
        status = run_file(r, "best.safetensors", &path, err);
        if (status == MAE_OK) status = checkpoint_write(path, r->model, &notes, err);
    }
    mem_free(path);
    return comm_agree(r->comm, status, err);
}

static double share(int64_t n, const Evaluation *e) {
    return (double)n / (double)e->images;
}

/* One of five guesses at five classes is right: no figure. */
static double top5_share(const Run *r, const Evaluation *e) {
    return r->config.classes > 5 ? share(e->top5, e) : (double)NAN;
}

static Status measure_averaged(Run *r, LogLine *line, Error *err) {
    Evaluation e;
    if (!r->ema) return MAE_OK;
    ema_swap(r->ema);
    Status status = measure(r, &e, err);
    if (status == MAE_OK) {
        line->averaged = true;
        line->ema_top1 = share(e.top1, &e);
        line->ema_top5 = top5_share(r, &e);
        line->ema_val_loss = e.loss / (double)e.images;
        status = keep_best(r, line->ema_top1, true, err);
    }
    ema_swap(r->ema);
    return status;
}

static void say_measured(int64_t epoch, const LogLine *line) {
    char top5[32] = "", averaged[96] = "", averaged_top5[32] = "";
    if (isfinite(line->top5)) snprintf(top5, sizeof top5, ", top-5 %.2f %%", 100 * line->top5);
    if (line->averaged && isfinite(line->ema_top5))
        snprintf(averaged_top5, sizeof averaged_top5, ", %.2f %%", 100 * line->ema_top5);
    if (line->averaged)
        snprintf(averaged, sizeof averaged, "; averaged weights %.2f %%%s, %.4f",
                 100 * line->ema_top1, averaged_top5, line->ema_val_loss);
    log_line(LOG_INFO, "epoch %" PRId64 ": top-1 %.2f %%%s, loss %.4f%s", epoch, 100 * line->top1,
             top5, line->val_loss, averaged);
}

Status supervised_end_epoch(Run *r, LogLine *line, Error *err) {
    Status status = MAE_OK;
    Evaluation e;
    int64_t epoch = r->progress.epoch;
    TRY(measure(r, &e, err));
    line->measured = true;
    line->top1 = share(e.top1, &e);
    line->top5 = top5_share(r, &e);
    line->val_loss = e.loss / (double)e.images;
    TRY(keep_best(r, line->top1, false, err));
    TRY(measure_averaged(r, line, err));
    say_measured(epoch, line);
done:
    return status;
}
