/* Tells how far an update is, and gives it up when a stop is asked for. Several processes end an
 * update together, since none can give up what the others wait for. */
#include <inttypes.h>
#include <stdio.h>

#include "base/log.h"
#include "run/run_internal.h"

/* --- telling ---------------------------------------------------------------------------------- */

/* share: of the micro-batch. */
static void tell(void *user, double share) {
    const Run *r = user;
    int64_t n = r->options.accumulate, i = r->next_batch % n;
    MaeProgress p = run_progress(r, r->images + share * (double)r->progress.batch_images);
    p.phase = "update";
    p.update_share = ((double)i + share) / (double)n;
    call_progress(&p);
}

void run_watch(Run *r) {
    Graph *g = r->step->graph;
    if (!r->comm) graph_stop_at(g, call_stop());
    if (!r->comm) r->loader_options.stop = call_stop();
    if (call_hears_progress() && comm_is_root(r->comm))
        watch_passes(&r->watch, g, graph_flops_step(g), tell, r);
}

/* --- giving up -------------------------------------------------------------------------------- */

void run_give_up_update(Run *r) {
    r->fault = (Error){0};
    step_give_up(r->step);
    r->images -= (double)((r->next_batch - r->progress.batch) * r->progress.batch_images);
    r->next_batch = r->progress.batch;
    r->given_up = true;
}

/* Here the same command does the same again, so nothing need be written. */
static bool is_at_start(const Run *r) {
    const Progress *p = &r->progress;
    return !r->resumed && p->step == 0 && p->skipped == 0 && p->epoch == 0;
}

static Status save_last(Run *r, Error *err) {
    Status status = run_agree_on_fault(r, err);
    if (status != MAE_OK) return status;
    if (r->given_up && r->unsaved)
        log_line(LOG_INFO, "update %" PRId64 " is given up; step %" PRId64 " is being saved",
                 r->progress.step + 1, r->progress.step);
    writer_take_no_copy(r->writer);
    return run_save_and_wait(r, err);
}

Status run_interrupted(Run *r, Error *err) {
    if (r->given_up && is_at_start(r))
        return error_set(
            err, MAE_INTERRUPTED,
            "stopped within the first update, which was given up; nothing is saved in %s, "
            "and the same command starts anew",
            r->options.out);
    Status status = save_last(r, err);
    if (status != MAE_OK) return status;
    char what[64] = "";
    if (r->given_up)
        snprintf(what, sizeof what, ", update %" PRId64 " was given up", r->progress.step + 1);
    return error_set(err, MAE_INTERRUPTED,
                     "stopped at step %" PRId64 " and saved in %s%s; the same command continues",
                     r->progress.step, r->options.out, what);
}

/* The first message of an Error stays; taking it out makes room for one that goes on from it. */
static Error take(Error *err) {
    Error why = *err;
    *err = (Error){0};
    return why;
}

/* What is on disk was saved before measuring began, or, after failures, earlier. */
Status run_interrupted_measuring(Run *r, Error *err) {
    Error why = take(err);
    Status status = run_wait_for_writer(r, err);
    if (status != MAE_OK) return status;
    return error_set(
        err, MAE_INTERRUPTED, "%s, measuring epoch %" PRId64 "; %s %s; the same command continues",
        why.message, r->progress.epoch,
        r->unsaved ? "the last checkpoint is in" : "the run is saved in", r->options.out);
}

Status run_interrupted_opening(const Run *r, Error *err) {
    Error why = take(err);
    return error_set(err, MAE_INTERRUPTED, "%s; no update was begun, and %s; the same command %s",
                     why.message, r->resumed ? "the checkpoint is as it was" : "nothing is saved",
                     r->resumed ? "continues" : "starts anew");
}
