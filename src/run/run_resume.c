/* Going on from a checkpoint: its weights, moments, averages and counters. Also going back to it
 * while running. */
#include <inttypes.h>
#include <math.h>

#include "base/log.h"
#include "run/run_internal.h"
#include "run/run_state.h"

RunState run_state(Run *r) {
    return (RunState){r->model, r->optimizer, r->ema, &r->progress};
}

Status run_resume(Run *r, bool accepted, Error *err) {
    Status status = MAE_OK;
    RunState s = run_state(r);
    TRY(run_state_load(r->options.out, &s, err));
    if (r->progress.seed != (uint64_t)r->options.seed && !accepted)
        return error_set(err, MAE_USAGE,
                         "%s was trained with --seed %" PRIu64 ", not %" PRId64
                         "; leave the option out to go on, or add --accept-changes",
                         r->options.out, r->progress.seed, r->options.seed);
    r->progress.seed = (uint64_t)r->options.seed;
    r->seconds_before = fmax(r->seconds_before, r->progress.seconds);
    if (comm_is_root(r->comm))
        log_line(LOG_INFO, "resuming %s at step %" PRId64 " (epoch %" PRId64 ")", r->options.out,
                 r->progress.step, r->progress.epoch);
done:
    return status;
}

Status run_roll_back(Run *r, Error *err) {
    Progress now = r->progress, saved = now;
    RunState s = run_state(r);
    Status status = MAE_OK;
    bool there = false;
    TRY(run_wait_for_writer(r, err));
    if (comm_is_root(r->comm)) status = run_state_open(r->options.out, &there, err);
    TRY(comm_agree(r->comm, status, err));
    comm_broadcast(r->comm, &there, sizeof there);
    if (!there) return MAE_OK;
    s.progress = &saved;
    TRY(comm_agree(r->comm, run_state_load(r->options.out, &s, err), err));
    run_share_state(r);
    r->progress = now;
    if (comm_is_root(r->comm))
        log_line(LOG_WARNING, "weights were rolled back to those of step %" PRId64, saved.step);
done:
    return status;
}
