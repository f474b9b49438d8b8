/* What is saved of a run: checkpoints, pictures, curves. All processes come here, and fail together
 * or not at all. */
#include "draw/curves.h"
#include "run/run_internal.h"

/* Nothing is written twice. The log is on disk before the checkpoint that goes on after it. */
Status run_save(Run *r, int64_t numbered, Error *err) {
    if (!r->unsaved && numbered < 0) return MAE_OK;
    r->notes.epochs = r->progress.epoch;
    r->notes.step = r->progress.step;
    r->progress.seconds = run_seconds(r);
    if (r->log && r->fault.status == MAE_OK) r->fault.status = runlog_flush(r->log, &r->fault);
    Status status = run_agree_on_fault(r, err);
    if (status == MAE_OK) status = writer_submit(r->writer, &r->notes, numbered, err);
    status = comm_agree(r->comm, status, err);
    r->unsaved = status != MAE_OK;
    return status;
}

Status run_wait_for_writer(Run *r, Error *err) {
    return comm_agree(r->comm, writer_wait(r->writer, err), err);
}

Status run_save_and_wait(Run *r, Error *err) {
    Status status = run_save(r, -1, err);
    return status == MAE_OK ? run_wait_for_writer(r, err) : status;
}

Status run_save_picture(Run *r, Error *err) {
    Status status = MAE_OK;
    if (r->task->picture && comm_is_root(r->comm)) status = r->task->picture(r, err);
    return comm_agree(r->comm, status, err);
}

/* Draws the picture first, so that a run resumed from here has it. Without it the rest is saved all
 * the same. */
Status run_save_epoch(Run *r, Error *err) {
    Status drawn = run_save_picture(r, err);
    Status status = run_save(r, r->progress.epoch, err);
    return drawn == MAE_OK ? status : drawn;
}

Status run_save_curves(Run *r, Error *err) {
    Status status = comm_is_root(r->comm) ? curves_write(r->options.out, err) : MAE_OK;
    return comm_agree(r->comm, status, err);
}
