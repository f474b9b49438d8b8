/* See run.h. */
#include "train/run.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/threads.h"
#include "train/curves.h"
#include "train/events.h"
#include "train/runfolder.h"
#include "train/schedule.h"
#include "train/setup.h"

#define ROLL_BACK_AFTER 3 /* updates in a row that were not finite */
#define GIVE_UP_AFTER 10

Status run_file(const Run *r, const char *name, char **out, Error *err) {
    *out = mem_printf("%s/%s", r->options.out, name);
    return *out ? STATUS_OK
                : fail(err, STATUS_MEMORY, "no memory for a path in %s", r->options.out);
}

/* --- opening ---------------------------------------------------------------------------------- */

static Status compare(const char *what, int64_t here, int64_t there, const char *run, Error *err) {
    if (here == there) return STATUS_OK;
    return fail(err, STATUS_USAGE,
                "%s holds a run with %s %" PRId64 ", asked for is %" PRId64
                "; leave the option out to continue, or take --restart or another --out",
                run, what, there, here);
}

/* The model of a run folder cannot change under way. */
static Status check_same_model(const ModelConfig *a, const ModelConfig *b, const char *run,
                               Error *err) {
    Status status = STATUS_OK;
    TRY(compare("image height", a->image_height, b->image_height, run, err));
    TRY(compare("image width", a->image_width, b->image_width, run, err));
    TRY(compare("channels", a->channels, b->channels, run, err));
    TRY(compare("patch", a->patch, b->patch, run, err));
    TRY(compare("embed dim", a->embed_dim, b->embed_dim, run, err));
    TRY(compare("depth", a->depth, b->depth, run, err));
    TRY(compare("heads", a->heads, b->heads, run, err));
    TRY(compare("decoder embed dim", a->decoder_embed_dim, b->decoder_embed_dim, run, err));
    TRY(compare("decoder depth", a->decoder_depth, b->decoder_depth, run, err));
    TRY(compare("decoder heads", a->decoder_heads, b->decoder_heads, run, err));
    TRY(compare("classes", a->classes, b->classes, run, err));
    TRY(compare("target number", a->target, b->target, run, err));
    TRY(compare("mask token in encoder", a->mask_token_in_encoder, b->mask_token_in_encoder, run,
                err));
done:
    return status;
}

static Status check_run_folder(Run *r, Error *err) {
    Status status = STATUS_OK;
    CheckpointFile *there = NULL;
    char *path = NULL;
    TRY(run_file(r, "last.safetensors", &path, err));
    TRY(checkpoint_open(path, NULL, &there, err));
    TRY(check_same_model(&r->config, &there->config, r->options.out, err));
done:
    checkpoint_close(there);
    mem_free(path);
    return status;
}

static RunState state_of(Run *r) {
    return (RunState){r->model, r->optimizer, r->ema, &r->progress};
}

/* Averages start as a copy of the first weights; those of a resumed run are read over them. */
static Status open_ema(Run *r, Error *err) {
    if (!(r->options.ema > 0)) return STATUS_OK;
    return ema_new(r->device, r->model->params, r->options.ema, &r->ema, err);
}

static Status open_weights(Run *r, Error *err) {
    Status status = STATUS_OK;
    r->progress = (Progress){.seed = (uint64_t)r->options.seed, .best_top1 = -1};
    if (!r->resumed) {
        TRY(r->task->start(r, err));
        return open_ema(r, err);
    }
    TRY(open_ema(r, err));
    RunState s = state_of(r);
    TRY(checkpoint_load_run(r->options.out, &s, err));
    if (r->progress.seed != (uint64_t)r->options.seed)
        return compare("seed", r->options.seed, (int64_t)r->progress.seed, r->options.out, err);
    if (comm_is_root(r->comm))
        log_line(LOG_INFO, "resuming %s at step %" PRId64 " (epoch %" PRId64 ")", r->options.out,
                 r->progress.step, r->progress.epoch);
done:
    return status;
}

static Status open_loader(Run *r, Error *err) {
    r->loader_options.rank = comm_rank(r->comm);
    r->loader_options.n_ranks = comm_size(r->comm);
    r->loader_options.n_workers = setup_workers(&r->options, r->comm);
    r->loader_options.start_epoch = r->progress.epoch;
    r->loader_options.start_batch = r->progress.batch;
    Status status = loader_open(r->dataset, r->loader_options, &r->loader, err);
    if (status != STATUS_OK) return status;
    r->batches_per_epoch = loader_batches_per_epoch(r->loader);
    r->next_batch = r->progress.batch;
    if (r->batches_per_epoch >= r->options.accumulate) return STATUS_OK;
    return fail(err, STATUS_EMPTY,
                "an epoch has %" PRId64 " batches of %" PRId64 ", fewer than --accumulate %" PRId64
                "; use a smaller --batch or --accumulate, or --repeat",
                r->batches_per_epoch, r->progress.batch_images, r->options.accumulate);
}

static Status open_folder(Run *r, Error *err) {
    Status status = STATUS_OK;
    MaeError e = {0};
    char *config = NULL, *log = NULL;
    const Progress *p = &r->progress;
    int64_t closed = p->epoch - (p->epoch_open ? 1 : 0);
    TRY(run_file(r, "config.json", &config, err));
    TRY(run_file(r, "log.jsonl", &log, err));
    TRY(file_make_directories(r->options.out, err));
    if (r->lock < 0) TRY(runfolder_lock(r->options.out, &r->lock, err));
    if (mae_options_save(&r->options, r->task->command, config, &e) != MAE_OK) {
        status = fail(err, (Status)e.status, "%s", e.message);
        goto done;
    }
    TRY(runlog_open(log, r->resumed ? p->step : -1, closed, &r->log, err));
done:
    mem_free(config);
    mem_free(log);
    return status;
}

void run_resolve_sizes(MaeOptions *o, const ModelConfig *c) {
    o->image_size[0] = c->image_height;
    o->image_size[1] = c->image_width;
    o->channels = c->channels;
    o->patch = c->patch;
    o->embed_dim = c->embed_dim;
    o->depth = c->depth;
    o->heads = c->heads;
    o->mlp_ratio = c->mlp_ratio;
    if (c->decoder_depth < 1) return;
    o->decoder_embed_dim = c->decoder_embed_dim;
    o->decoder_depth = c->decoder_depth;
    o->decoder_heads = c->decoder_heads;
}

/* Of the run folder rank 0 writes all, but for the parts of a state that is sharded. */
static Status open_writer(Run *r, Error *err) {
    RunState s = state_of(r);
    bool shards = reducer_shards(r->reducer), root = comm_is_root(r->comm);
    WriterOptions o = {.asynchronous = r->options.async_save,
                       .keep = r->options.keep,
                       .shards = shards ? r->comm : NULL};
    r->unsaved = !r->resumed;
    if (!root && !shards) return STATUS_OK;
    Status status =
        r->resumed && root ? runfolder_prune(r->options.out, r->options.keep, err) : STATUS_OK;
    if (status != STATUS_OK) return status;
    return writer_new(r->options.out, &s, o, &r->writer, err);
}

/* Rank 0 looks after the folder; others would clear or repair it at the same time. */
static Status open_run_folder(Run *r, const MaeOptions *o, Error *err) {
    Status status = STATUS_OK;
    if (!o->out || !*o->out)
        return fail(err, STATUS_USAGE, "no run folder; name one with --out RUN");
    if (comm_is_root(r->comm)) {
        status = runfolder_lock(o->out, &r->lock, err);
        if (status == STATUS_OK && o->restart) status = runfolder_clear(o->out, err);
        if (status == STATUS_OK) status = checkpoint_open_run(o->out, &r->resumed, err);
    }
    TRY(comm_agree(r->comm, status, err));
    comm_broadcast(r->comm, &r->resumed, sizeof r->resumed);
done:
    return status;
}

/* What will be done, and the peak that progress is compared with, for who listens. */
static Status announce(Run *r, Error *err) {
    MaePlan plan;
    if (!r->events || !comm_is_root(r->comm)) return STATUS_OK;
    if (r->events->progress) (void)run_peak_gflops(r);
    if (!r->events->plan) return STATUS_OK;
    Status status = run_fill_plan(r, &plan, err);
    if (status == STATUS_OK) r->events->plan(r->events->user, &plan);
    return status;
}

/* Everything up to the weights. */
static Status open_pieces(Run *r, const MaeOptions *o, Error *err) {
    Status status = STATUS_OK;
    MaeCommand command = r->task->command;
    TRY(r->resumed ? runfolder_merge_options(o, command, &r->options, err)
                   : runfolder_copy_options(o, command, &r->options, err));
    TRY(setup_device(&r->options, r->comm, &r->device, err));
    TRY(r->task->configure(r, err));
    TRY(announce(r, err));
    if (r->resumed) TRY(check_run_folder(r, err));
    TRY(r->task->make(r, err));
    TRY(open_weights(r, err));
    TRY(run_find_place(r, o, err));
    TRY(open_loader(r, err));
done:
    return status;
}

static void warn_of_warmup(const Run *r) {
    if (r->options.warmup_epochs >= (double)r->options.epochs && comm_is_root(r->comm))
        log_line(LOG_WARNING,
                 "the learning rate only warms up: --warmup-epochs %g of --epochs %" PRId64,
                 r->options.warmup_epochs, r->options.epochs);
}

static Status run_open(Run *r, const MaeOptions *o, Error *err) {
    Status status = STATUS_OK;
    TRY(comm_world(&r->comm, err));
    TRY(open_run_folder(r, o, err));
    TRY(comm_agree(r->comm, open_pieces(r, o, err), err));
    run_share_state(r);
    TRY(r->task->open(r, err));
    TRY(comm_agree(r->comm, comm_is_root(r->comm) ? open_folder(r, err) : STATUS_OK, err));
    TRY(comm_agree(r->comm, open_writer(r, err), err));
    r->lr_peak = setup_lr(&r->options, r->comm);
    warn_of_warmup(r);
    r->start = r->last_log_time = clock_seconds();
done:
    return status;
}

static void run_close(Run *r) {
    writer_free(r->writer);
    runfolder_unlock(r->lock);
    if (r->task->close) r->task->close(r);
    runlog_close(r->log);
    loader_close(r->loader);
    step_free(r->step);
    ema_free(r->ema);
    optimizer_free(r->optimizer);
    reducer_free(r->reducer);
    vit_free(r->model);
    dataset_close(r->dataset);
    device_close(r->device);
    checkpoint_notes_free(&r->notes);
    mae_options_free(&r->options);
}

/* --- saving ----------------------------------------------------------------------------------- */

/* Rank 0 could not write, say. */
static Status agree_on_fault(Run *r, Error *err) {
    Error fault = r->fault;
    r->fault = (Error){0};
    Status status = comm_agree(r->comm, fault.status, &fault);
    return status == STATUS_OK ? STATUS_OK : fail(err, status, "%s", fault.message);
}

/* numbered: the epoch of checkpoint-EPOCH.safetensors, -1: none. Nothing is written twice. The log
 * is on disk before a checkpoint that goes on after its last line. */
static Status save_run(Run *r, int64_t numbered, Error *err) {
    if (!r->unsaved && numbered < 0) return STATUS_OK;
    r->notes.epochs = r->progress.epoch;
    r->notes.step = r->progress.step;
    if (r->log && r->fault.status == STATUS_OK) r->fault.status = runlog_flush(r->log, &r->fault);
    Status status = agree_on_fault(r, err);
    if (status == STATUS_OK) status = writer_submit(r->writer, &r->notes, numbered, err);
    status = comm_agree(r->comm, status, err);
    r->unsaved = status != STATUS_OK;
    return status;
}

static Status wait_for_writer(Run *r, Error *err) {
    return comm_agree(r->comm, writer_wait(r->writer, err), err);
}

/* The same, and until it is on disk. */
static Status save_and_wait(Run *r, Error *err) {
    Status status = save_run(r, -1, err);
    return status == STATUS_OK ? wait_for_writer(r, err) : status;
}

static Status save_picture(Run *r, Error *err) {
    Status status = STATUS_OK;
    if (r->task->picture && comm_is_root(r->comm)) status = r->task->picture(r, err);
    return comm_agree(r->comm, status, err);
}

/* The picture first, so that a run that is resumed from here has it; without it, the rest still is
 * saved. */
static Status save_epoch(Run *r, Error *err) {
    Status drawn = save_picture(r, err);
    Status status = save_run(r, r->progress.epoch, err);
    return drawn == STATUS_OK ? status : drawn;
}

static Status save_curves(Run *r, Error *err) {
    Status status = comm_is_root(r->comm) ? curves_write(r->options.out, err) : STATUS_OK;
    return comm_agree(r->comm, status, err);
}

/* --- one update ------------------------------------------------------------------------------- */

static double images_per_second(const Run *r) {
    double seconds = clock_seconds() - r->start;
    return seconds > 0 ? r->images / seconds : 0;
}

static int64_t total_steps(const Run *r) {
    int64_t n = r->options.epochs * (r->batches_per_epoch / r->options.accumulate);
    return r->options.steps > 0 && r->options.steps < n ? r->options.steps : n;
}

static void report(Run *r, double loss) {
    if (!r->events || !r->events->progress || !comm_is_root(r->comm)) return;
    double rate = images_per_second(r), flops = step_flops_per_image(r->step);
    double left = (double)(total_steps(r) - r->progress.step) * (double)r->progress.update_images;
    MaeProgress p = {.step = r->progress.step,
                     .total_steps = total_steps(r),
                     .epoch = r->progress.epoch,
                     .total_epochs = r->options.epochs,
                     .epoch_fraction = (double)r->progress.batch / (double)r->batches_per_epoch,
                     .loss = loss,
                     .lr = r->lr,
                     .gradient_norm = r->step->last_norm,
                     .images_per_s = rate,
                     .eta_s = rate > 0 ? left / rate : 0,
                     .fraction_of_peak =
                         rate * flops * 1e-9 / (r->peak_gflops * comm_size(r->comm)),
                     .phase = "train"};
    r->events->progress(r->events->user, &p);
}

static Status log_step(Run *r, Error *err) {
    Progress *p = &r->progress;
    if (p->log_count < r->options.log_every) return STATUS_OK;
    double now = clock_seconds(), elapsed = now - r->last_log_time;
    double images = r->images - r->last_log_images;
    LogLine line = {.step = p->step,
                    .epoch = (double)p->epoch + (double)p->batch / (double)r->batches_per_epoch,
                    .loss = p->log_loss / (double)p->log_count,
                    .lr = r->lr,
                    .images_per_s = elapsed > 0 ? images / elapsed : 0,
                    .gradient_norm = p->log_norm / (double)p->log_count};
    p->log_loss = p->log_norm = 0;
    p->log_count = 0;
    r->last_log_time = now;
    r->last_log_images = r->images;
    return r->log ? runlog_write(r->log, &line, err) : STATUS_OK;
}

static void count_update(Run *r, double loss) {
    Progress *p = &r->progress;
    r->failures = 0;
    r->last_loss = loss;
    if (r->ema) ema_update(r->ema);
    p->step++;
    p->log_loss += loss;
    p->log_norm += r->step->last_norm;
    p->last_lr = r->lr;
    p->last_norm = r->step->last_norm;
    p->log_count++;
    p->epoch_loss += loss;
    p->epoch_count++;
    report(r, loss);
    r->fault.status = log_step(r, &r->fault);
}

/* Weights and moments of the last save; counters go on, so that other data come next. */
static Status roll_back(Run *r, Error *err) {
    Progress now = r->progress, saved;
    RunState s = state_of(r);
    Status status = STATUS_OK;
    bool there = false;
    TRY(wait_for_writer(r, err));
    if (comm_is_root(r->comm)) status = checkpoint_open_run(r->options.out, &there, err);
    TRY(comm_agree(r->comm, status, err));
    comm_broadcast(r->comm, &there, sizeof there);
    if (!there) return STATUS_OK;
    s.progress = &saved;
    TRY(comm_agree(r->comm, checkpoint_load_run(r->options.out, &s, err), err));
    run_share_state(r);
    r->progress = now;
    if (comm_is_root(r->comm))
        log_line(LOG_WARNING, "weights were rolled back to those of step %" PRId64, saved.step);
done:
    return status;
}

static Status note_skipped(Run *r, const Error *reason, Error *err) {
    if (!comm_is_root(r->comm)) return STATUS_OK;
    log_line(LOG_WARNING, "step %" PRId64 " skipped: %s", r->progress.step + 1, reason->message);
    return runlog_event(r->log, r->progress.step, reason->message, err);
}

static Status skip_update(Run *r, Error *reason, Error *err) {
    Status status = STATUS_OK;
    r->progress.skipped++;
    r->failures++;
    TRY(comm_agree(r->comm, note_skipped(r, reason, err), err));
    if (r->failures >= GIVE_UP_AFTER)
        return fail(err, STATUS_NONFINITE,
                    "%d updates in a row were left out (%s); training stopped, the last good "
                    "checkpoint is in %s. Lower --base-lr or --lr, or use --clip-grad 1",
                    r->failures, reason->message, r->options.out);
    if (r->failures % ROLL_BACK_AFTER == 0) TRY(roll_back(r, err));
done:
    return status;
}

/* What goes wrong on the way to an update waits in r->fault until all processes meet there. */
static void compute(Run *r, Batch *b) {
    double loss;
    Status status = r->task->set_batch(r, b, &r->fault);
    if (status == STATUS_OK) status = step_micro_batch(r->step, &loss, &r->fault);
    r->fault.status = status;
}

static Status update(Run *r, Error *err) {
    double loss;
    Error reason = r->fault;
    bool bad = reason.status == STATUS_NONFINITE;
    StepVotes votes = {.bad = bad,
                       .fault = reason.status != STATUS_OK && !bad,
                       .stop = events_stop(r->events),
                       .written = writer_has_written(r->writer)};
    step_gather(r->step, &votes);
    r->fault = (Error){0};
    r->stopping = votes.stop > 0;
    r->progress.batch = r->next_batch;
    if (votes.fault > 0 || votes.bad > 0) {
        Status status = comm_agree(r->comm, reason.status, &reason);
        step_discard(r->step);
        if (status == STATUS_NONFINITE && votes.fault == 0) return skip_update(r, &reason, err);
        return fail(err, status, "%s", reason.message);
    }
    Status status = step_update(r->step, r->lr, &loss, &reason);
    if (status != STATUS_OK) return skip_update(r, &reason, err);
    count_update(r, loss);
    return votes.written == comm_size(r->comm) ? wait_for_writer(r, err) : STATUS_OK;
}

/* The place of the next micro-batch is counted here, since a loader that fails does not say it. */
static Status micro_batch(Run *r, Error *err) {
    const MaeOptions *o = &r->options;
    const Progress *p = &r->progress;
    Batch b;
    if (r->next_batch % o->accumulate == 0)
        r->lr = schedule_lr((double)p->epoch + (double)r->next_batch / (double)r->batches_per_epoch,
                            o->warmup_epochs, (double)o->epochs, r->lr_peak, o->min_lr);
    if (r->fault.status == STATUS_OK) r->fault.status = loader_next(r->loader, &b, &r->fault);
    if (r->fault.status == STATUS_OK) compute(r, &b);
    if (r->fault.status == STATUS_OK) r->fault.status = writer_poll(r->writer, &r->fault);
    r->unsaved = true;
    r->images += (double)p->batch_images;
    r->next_batch++;
    return r->next_batch % o->accumulate == 0 ? update(r, err) : STATUS_OK;
}

/* --- the end of an epoch ---------------------------------------------------------------------- */

static bool measures(const Run *r) {
    int64_t epoch = r->progress.epoch;
    return r->task->end_epoch && (epoch % r->options.eval_every == 0 || epoch == r->options.epochs);
}

/* Measuring may take long and be stopped or killed: the epoch stays open in what is saved before,
 * and a resumed run measures again. */
static Status close_epoch(Run *r, Error *err) {
    Status status = STATUS_OK;
    Progress *p = &r->progress;
    LogLine line = {.epoch_end = true,
                    .step = p->step,
                    .epoch = (double)p->epoch,
                    .loss = p->epoch_count ? p->epoch_loss / (double)p->epoch_count : NAN,
                    .lr = p->last_lr,
                    .images_per_s = images_per_second(r),
                    .gradient_norm = p->last_norm};
    if (measures(r)) TRY(r->task->end_epoch(r, &line, err));
    if (p->epoch_count && r->log) r->fault.status = runlog_write(r->log, &line, &r->fault);
    TRY(agree_on_fault(r, err));
    r->last_epoch = line;
    p->epoch_loss = 0;
    p->epoch_count = 0;
    p->epoch_open = false;
    r->unsaved = true;
    bool last = p->epoch == r->options.epochs, due = p->epoch % r->options.save_every == 0 || last;
    if (r->failures > 0) return STATUS_OK; /* a good checkpoint is not given up */
    if (due)
        TRY(save_epoch(r, err));
    else if (r->task->end_epoch)
        TRY(save_run(r, -1, err));
    TRY(save_curves(r, err));
done:
    return status;
}

static Status end_epoch(Run *r, Error *err) {
    Progress *p = &r->progress;
    Status status = STATUS_OK;
    step_discard(r->step); /* micro-batches that do not fill an update, as published */
    TRY(agree_on_fault(r, err));
    p->epoch++;
    p->batch = r->next_batch = 0;
    p->epoch_open = true;
    r->unsaved = true;
    if (measures(r) && r->failures == 0) TRY(save_run(r, -1, err));
    TRY(close_epoch(r, err));
done:
    return status;
}

/* --- the loop --------------------------------------------------------------------------------- */

static bool finished(const Run *r) {
    return r->progress.epoch >= r->options.epochs ||
           (r->options.steps > 0 && r->progress.step >= r->options.steps);
}

static Status interrupted(Run *r, Error *err) {
    Status status = agree_on_fault(r, err);
    if (status == STATUS_OK) status = save_and_wait(r, err);
    if (status != STATUS_OK) return status;
    return fail(err, STATUS_INTERRUPTED,
                "stopped at step %" PRId64 " and saved in %s; the same command continues",
                r->progress.step, r->options.out);
}

static Status loop(Run *r, Error *err) {
    Status status = STATUS_OK;
    if (r->progress.epoch_open) TRY(close_epoch(r, err));
    while (!finished(r)) {
        TRY(micro_batch(r, err));
        if (r->next_batch == r->batches_per_epoch) TRY(end_epoch(r, err));
        if (r->stopping && r->step->micro_batches == 0) return interrupted(r, err);
    }
    TRY(agree_on_fault(r, err));
    TRY(save_run(r, -1, err));
    TRY(save_picture(r, err));
    TRY(save_curves(r, err));
    TRY(wait_for_writer(r, err));
done:
    return status;
}

static void summarize(Run *r, MaeSummary *s) {
    const LogLine *last = &r->last_epoch;
    *s = (MaeSummary){.steps = r->progress.step,
                      .epochs = r->progress.epoch,
                      .images = (int64_t)r->images,
                      .unreadable = run_unreadable(r),
                      .skipped_steps = r->progress.skipped,
                      .loss = r->last_loss,
                      .seconds = clock_seconds() - r->start,
                      .images_per_s = images_per_second(r),
                      .top1 = last->measured ? last->top1 : -1,
                      .top5 = last->measured ? last->top5 : -1,
                      .val_loss = last->measured ? last->val_loss : -1,
                      .ema_top1 = last->averaged ? last->ema_top1 : -1,
                      .best_top1 = r->progress.best_top1,
                      .best_epoch = r->progress.best_epoch};
    snprintf(s->checkpoint, sizeof s->checkpoint, "%.900s/last.safetensors", r->options.out);
    snprintf(s->picture, sizeof s->picture, "%s", r->picture);
    if (s->unreadable && comm_is_root(r->comm))
        log_line(LOG_WARNING, "%" PRId64 " images could not be read and were left out",
                 s->unreadable);
}

Status run_train(const Task *task, const MaeOptions *o, const MaeEvents *events, MaeSummary *out,
                 Error *err) {
    Status status = STATUS_OK;
    Run r = {.task = task, .events = events, .lock = -1};
    TRY(run_open(&r, o, err));
    status = loop(&r, err);
    if (status == STATUS_OK || !r.comm) summarize(&r, out);
    if (status == STATUS_OK && comm_is_root(r.comm))
        status = runfolder_write_summary(r.options.out, task->command, out, err);
done:
    run_close(&r);
    return status;
}
