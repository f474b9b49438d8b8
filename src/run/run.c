/* The loop: micro-batches, updates, epochs, the end. run_open.c opens what it needs. run_update.c,
 * run_save.c and run_resume.c have the steps of the loop. */
#include "run/run.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "base/log.h"
#include "run/run_internal.h"
#include "run/runfolder.h"
#include "train/schedule.h"

/* --- a micro-batch ---------------------------------------------------------------------------- */

/* What goes wrong on the way to an update waits in r->fault until all processes meet there. */
static void compute(Run *r, Batch *b) {
    Status status = r->task->set_batch(r, b, &r->fault);
    watch_restart(&r->watch);
    if (status == MAE_OK) status = step_micro_batch(r->step, &r->fault);
    r->fault.status = status;
}

static void begin_update(Run *r) {
    const MaeOptions *o = &r->options;
    const Progress *p = &r->progress;
    double epoch = (double)p->epoch + (double)r->next_batch / (double)r->batches_per_epoch;
    r->lr = schedule_lr(epoch, o->warmup_epochs, (double)o->epochs, r->lr_peak, o->min_lr);
    step_begin(r->step);
}

/* The next micro-batch is counted here, since a loader that fails does not say its place. A batch
 * is taken even after a fault: the next update then begins where that of the others does. */
static Status micro_batch(Run *r, Error *err) {
    Batch b;
    Error missing = {0};
    if (r->next_batch % r->options.accumulate == 0) begin_update(r);
    missing.status = loader_next(r->loader, &b, &missing);
    if (r->fault.status == MAE_OK) r->fault = missing;
    if (r->fault.status == MAE_OK) compute(r, &b);
    if (r->fault.status == MAE_INTERRUPTED || missing.status == MAE_INTERRUPTED) {
        run_give_up_update(r);
        return MAE_OK;
    }
    if (r->fault.status == MAE_OK) r->fault.status = writer_poll(r->writer, &r->fault);
    r->images += (double)r->progress.batch_images;
    r->next_batch++;
    return r->next_batch % r->options.accumulate == 0 ? run_update(r, err) : MAE_OK;
}

/* --- the end of an epoch ---------------------------------------------------------------------- */

static bool measures(const Run *r) {
    int64_t epoch = r->progress.epoch;
    return r->task->end_epoch && (epoch % r->options.eval_every == 0 || epoch == r->options.epochs);
}

static Status measure(Run *r, LogLine *line, Error *err) {
    Status status = r->task->end_epoch(r, line, err);
    return status == MAE_INTERRUPTED ? run_interrupted_measuring(r, err) : status;
}

/* For the summary, whoever writes it: this process, or one that resumes the run. */
static void note_epoch(Progress *p, const LogLine *line) {
    if (p->epoch_count) {
        p->mean_loss = line->loss;
        p->mean_count = p->epoch_count;
    }
    if (!line->metrics.n) return;
    p->measured = line->metrics;
    p->averaged = line->averaged.n ? line->averaged.at[0].value : (double)NAN;
}

/* Measuring may take long, and somebody may stop or kill it. What is saved before has the epoch
 * still open, so that a resumed run measures again. */
static Status close_epoch(Run *r, Error *err) {
    Status status = MAE_OK;
    Progress *p = &r->progress;
    LogLine line = {.epoch_end = true,
                    .step = p->step,
                    .epoch = (double)p->epoch,
                    .loss = p->epoch_count ? p->epoch_loss / (double)p->epoch_count : NAN,
                    .lr = p->last_lr,
                    .images_per_s = run_measured_rate(r, run_images_per_second(r)),
                    .gradient_norm = p->last_norm};
    if (measures(r)) TRY(measure(r, &line, err));
    if (p->epoch_count && r->log) r->fault.status = runlog_write(r->log, &line, &r->fault);
    TRY(run_agree_on_fault(r, err));
    note_epoch(p, &line);
    p->epoch_loss = 0;
    p->epoch_count = 0;
    p->epoch_open = false;
    r->unsaved = true;
    bool last = p->epoch == r->options.epochs, due = p->epoch % r->options.save_every == 0 || last;
    if (r->failures > 0) return MAE_OK; /* a good checkpoint is not given up */
    if (due)
        TRY(run_save_epoch(r, err));
    else if (r->task->end_epoch)
        TRY(run_save(r, -1, err));
    TRY(run_save_curves(r, err));
done:
    return status;
}

static Status end_epoch(Run *r, Error *err) {
    Progress *p = &r->progress;
    Status status = MAE_OK;
    /* Micro-batches that do not fill an update are left out, as published, whatever is in them. */
    step_discard(r->step);
    if (r->fault.status == MAE_NONFINITE) r->fault = (Error){0};
    TRY(run_agree_on_fault(r, err));
    p->epoch++;
    p->batch = r->next_batch = 0;
    p->epoch_open = true;
    r->unsaved = true;
    if (measures(r) && r->failures == 0) TRY(run_save(r, -1, err));
    TRY(close_epoch(r, err));
done:
    return status;
}

/* --- the loop --------------------------------------------------------------------------------- */

bool run_is_over(const Run *r) {
    return r->progress.epoch >= r->options.epochs ||
           (r->options.steps > 0 && r->progress.step >= r->options.steps);
}

/* A run that would end without having made an update has been asked for something else. */
static Status check_work(const Run *r, Error *err) {
    const Progress *p = &r->progress;
    if (r->resumed || !run_is_over(r)) return MAE_OK;
    return error_set(err, MAE_EMPTY,
                     "0 updates: %s was trained for %" PRId64 " updates and %" PRId64
                     " epochs; ask for more with --epochs or --steps",
                     r->options.init, p->step, p->epoch);
}

static Status check_made(const Run *r, Error *err) {
    if (r->progress.step > 0) return MAE_OK;
    return error_set(err, MAE_NONFINITE,
                     "0 updates: all %" PRId64
                     " were left out, since something was not finite; lower "
                     "--base-lr or --lr, or use --clip-grad 1",
                     r->progress.skipped);
}

static Status loop(Run *r, Error *err) {
    Status status = MAE_OK;
    if (r->progress.epoch_open) TRY(close_epoch(r, err));
    while (!run_is_over(r)) {
        TRY(micro_batch(r, err));
        if (r->given_up) return run_interrupted(r, err);
        if (r->next_batch == r->batches_per_epoch) TRY(end_epoch(r, err));
        if (r->stopping && r->step->micro_batches == 0) return run_interrupted(r, err);
    }
    TRY(run_agree_on_fault(r, err));
    TRY(check_made(r, err));
    TRY(run_save(r, -1, err));
    TRY(run_save_picture(r, err));
    TRY(run_save_curves(r, err));
    TRY(run_wait_for_writer(r, err));
done:
    return status;
}

/* --- the summary ------------------------------------------------------------------------------ */

/* The mean that the last line of an epoch in log.jsonl has, or that of an epoch begun since. */
static void tell_loss(const Progress *p, Result out) {
    char over[64] = "";
    int64_t n = p->epoch_count > 0 ? p->epoch_count : p->mean_count;
    double loss = p->epoch_count > 0 ? p->epoch_loss / (double)n : p->mean_loss;
    if (p->epoch_count > 0)
        snprintf(over, sizeof over, "%" PRId64 " update%s of epoch %" PRId64, n, n == 1 ? "" : "s",
                 p->epoch + 1);
    else if (n > 0)
        snprintf(over, sizeof over, "the last epoch, %" PRId64 " update%s", n, n == 1 ? "" : "s");
    result_number(out, "loss", n > 0 ? loss : (double)NAN);
    result_text(out, "loss_over", over);
}

/* The last validation and the best one. All metrics there are, where nothing was measured. */
static void tell_measured(const Run *r, Result out) {
    const Progress *p = &r->progress;
    Metrics m = p->measured;
    for (; m.n < METRIC_COUNT && p->measured.n == 0; m.n++)
        m.at[m.n] = (Metric){(MetricId)m.n, (double)NAN};
    for (int i = 0; i < m.n; i++) result_share(out, metric_kinds[m.at[i].id].name, m.at[i].value);
    result_count(out, "val_unreadable", r->val_unreadable);
    result_share(out, metric_kinds[m.at[0].id].ema_name, p->averaged);
    result_share(out, metric_kinds[m.at[0].id].best_name, p->best);
    result_count(out, "best_epoch", p->best_epoch);
}

static void warn_of_unreadable(const Run *r, int64_t unreadable) {
    if (!comm_is_root(r->comm)) return;
    if (unreadable)
        log_line(LOG_WARNING, "%" PRId64 " images could not be read and were left out", unreadable);
    if (r->val_unreadable)
        log_line(LOG_WARNING,
                 "%" PRId64 " validation image%s could not be read; accuracies are of the others",
                 r->val_unreadable, r->val_unreadable == 1 ? "" : "s");
}

static void summarize(Run *r, Result out) {
    const Progress *p = &r->progress;
    int64_t unreadable = run_unreadable(r) + dataset_n_left_out(r->dataset);
    double seconds = run_seconds(r);
    char checkpoint[1024];
    snprintf(checkpoint, sizeof checkpoint, "%.900s/last.safetensors", r->options.out);
    result_count(out, "steps", p->step);
    result_count(out, "epochs", p->epoch);
    result_count(out, "images", p->images);
    result_count(out, "unreadable", unreadable);
    result_count(out, "skipped_steps", p->skipped);
    tell_loss(p, out);
    result_number(out, "seconds", seconds);
    /* That of cached features would be the speed of the head alone. */
    result_number(out, "images_per_s",
                  r->options.cache_features ? (double)NAN : (double)p->images / seconds);
    result_text(out, "checkpoint", checkpoint);
    if (r->task->end_epoch)
        tell_measured(r, out);
    else
        result_text(out, "picture", r->picture);
    warn_of_unreadable(r, unreadable);
}

Status run_train(const Task *task, const MaeOptions *o, Result out, Error *err) {
    Status status = MAE_OK;
    Run r = {.task = task, .lock = -1};
    status = run_open(&r, o, err);
    if (status == MAE_INTERRUPTED) status = run_interrupted_opening(&r, err);
    if (status != MAE_OK) goto done;
    if (r.complete) {
        run_say_complete(&r);
        result_members(out, r.summary);
        goto done;
    }
    TRY(check_work(&r, err));
    status = loop(&r, err);
    if (status == MAE_OK || !r.comm) summarize(&r, out);
    if (status == MAE_OK && comm_is_root(r.comm))
        status = runfolder_write_summary(r.options.out, out, err);
done:
    run_close(&r);
    return status;
}
