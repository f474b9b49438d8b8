/* One update, after its micro-batches: the processes tell each other what became of them. The
 * update is made or left out, counted, reported and logged. */
#include <inttypes.h>
#include <math.h>

#include "base/log.h"
#include "base/threads.h"
#include "run/run_internal.h"

#define ROLL_BACK_AFTER 3 /* updates in a row that were not finite */
#define GIVE_UP_AFTER 10

/* --- counting it ------------------------------------------------------------------------------ */

double run_images_per_second(const Run *r) {
    double seconds = clock_seconds() - r->start;
    return seconds > 0 ? r->images / seconds : 0;
}

double run_measured_rate(const Run *r, double rate) {
    return r->options.cache_features ? (double)NAN : rate;
}

double run_seconds(const Run *r) {
    return r->seconds_before + fmax(0, clock_seconds() - r->start);
}

double run_epoch(const Run *r) {
    return (double)r->progress.epoch + (double)r->progress.batch / (double)r->batches_per_epoch;
}

/* Updates that are left; those of the epoch under way that were left out do not come again. */
static int64_t steps_left(const Run *r) {
    const MaeOptions *o = &r->options;
    const Progress *p = &r->progress;
    int64_t n =
        (o->epochs - p->epoch) * (r->batches_per_epoch / o->accumulate) - p->batch / o->accumulate;
    if (o->steps > 0 && o->steps - p->step < n) n = o->steps - p->step;
    return n > 0 ? n : 0;
}

/* Mean loss of the epoch so far, as its line in the log will say it, or of the last epoch. */
static double epoch_mean(const Progress *p) {
    return p->epoch_count > 0 ? p->epoch_loss / (double)p->epoch_count : p->mean_loss;
}

MaeProgress run_progress(const Run *r, double images) {
    double seconds = clock_seconds() - r->start, rate = seconds > 0 ? images / seconds : 0;
    double share =
        rate * step_flops_per_image(r->step) * 1e-9 / r->peak_gflops / comm_size(r->comm);
    double left = (double)steps_left(r) * (double)r->progress.update_images;
    return (MaeProgress){.step = r->progress.step,
                         .total_steps = r->progress.step + steps_left(r),
                         .epoch = r->progress.epoch,
                         .total_epochs = r->options.epochs,
                         .epoch_fraction = (double)r->progress.batch / (double)r->batches_per_epoch,
                         .loss = epoch_mean(&r->progress),
                         .lr = r->lr,
                         .gradient_norm = r->step->last_norm,
                         .images_per_s = r->options.cache_features ? 0 : rate,
                         .eta_s = rate > 0 ? left / rate : 0,
                         .fraction_of_peak = share < 1 ? share : 1,
                         .phase = "train"};
}

static void report(const Run *r) {
    if (!call_hears_progress() || !comm_is_root(r->comm)) return;
    MaeProgress p = run_progress(r, r->images);
    call_progress(&p);
}

static Status log_step(Run *r, Error *err) {
    Progress *p = &r->progress;
    if (p->log_count < r->options.log_every) return MAE_OK;
    double now = clock_seconds(), elapsed = now - r->last_log_time;
    double images = r->images - r->last_log_images;
    LogLine line = {.step = p->step,
                    .epoch = run_epoch(r),
                    .loss = p->log_loss / (double)p->log_count,
                    .lr = r->lr,
                    .images_per_s = run_measured_rate(r, elapsed > 0 ? images / elapsed : 0),
                    .gradient_norm = p->log_norm / (double)p->log_count};
    p->log_loss = p->log_norm = 0;
    p->log_count = 0;
    r->last_log_time = now;
    r->last_log_images = r->images;
    return r->log ? runlog_write(r->log, &line, err) : MAE_OK;
}

static void count_update(Run *r, double loss) {
    Progress *p = &r->progress;
    r->failures = 0;
    if (r->ema) ema_update(r->ema);
    p->step++;
    p->log_loss += loss;
    p->log_norm += r->step->last_norm;
    p->last_lr = r->lr;
    p->last_norm = r->step->last_norm;
    p->log_count++;
    p->epoch_loss += loss;
    p->epoch_count++;
    report(r);
    r->fault.status = log_step(r, &r->fault);
}

/* --- leaving it out --------------------------------------------------------------------------- */

static Status note_skipped(Run *r, const Error *reason, Error *err) {
    if (!comm_is_root(r->comm)) return MAE_OK;
    log_line(LOG_WARNING, "step %" PRId64 " skipped: %s", r->progress.step + 1, reason->message);
    return runlog_event(r->log, r->progress.step, reason->message, err);
}

static Status skip_update(Run *r, Error *reason, Error *err) {
    Status status = MAE_OK;
    r->progress.skipped++;
    r->failures++;
    TRY(comm_agree(r->comm, note_skipped(r, reason, err), err));
    if (r->failures >= GIVE_UP_AFTER)
        return error_set(err, MAE_NONFINITE,
                         "%d updates in a row were left out (%s); training stopped, the last good "
                         "checkpoint is in %s. Lower --base-lr or --lr, or use --clip-grad 1",
                         r->failures, reason->message, r->options.out);
    if (r->failures % ROLL_BACK_AFTER == 0) TRY(run_roll_back(r, err));
done:
    return status;
}

/* --- the update ------------------------------------------------------------------------------- */

Status run_update(Run *r, Error *err) {
    double loss;
    Error reason = r->fault;
    bool bad = reason.status == MAE_NONFINITE;
    StepVotes votes = {.bad = bad,
                       .fault = reason.status != MAE_OK && !bad,
                       .stop = stop_asked(call_stop()),
                       .written = writer_has_written(r->writer)};
    (void)step_gather(r->step, &votes, &reason);
    r->fault = (Error){0};
    r->unsaved = true;
    r->stopping = votes.stop > 0;
    r->progress.batch = r->next_batch;
    r->progress.images += r->progress.update_images;
    if (votes.fault > 0 || votes.bad > 0) {
        Status status = comm_agree(r->comm, reason.status, &reason);
        step_discard(r->step);
        if (status == MAE_NONFINITE && votes.fault == 0) return skip_update(r, &reason, err);
        return error_set(err, status, "%s", reason.message);
    }
    Status status = step_update(r->step, r->lr, &loss, &reason);
    if (status != MAE_OK) return skip_update(r, &reason, err);
    count_update(r, loss);
    return votes.written == comm_size(r->comm) ? run_wait_for_writer(r, err) : MAE_OK;
}
