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
    log_line(LOG_INFO, "resuming %s at step %" PRId64 " (epoch %" PRId64 ")", r->options.out,
             r->progress.step, r->progress.epoch);
done:
    return status;
}

static Status open_loader(Run *r, Error *err) {
    r->loader_options.start_epoch = r->progress.epoch;
    r->loader_options.start_batch = r->progress.batch;
    Status status = loader_open(r->dataset, r->loader_options, &r->loader, err);
    if (status != STATUS_OK) return status;
    r->batches_per_epoch = loader_batches_per_epoch(r->loader);
    if (r->batches_per_epoch >= r->options.accumulate) return STATUS_OK;
    return fail(err, STATUS_EMPTY,
                "an epoch has %" PRId64 " batches of %" PRId64 ", fewer than --accumulate %" PRId64
                "; use a smaller --batch or --accumulate, or --repeat",
                r->batches_per_epoch, r->options.batch, r->options.accumulate);
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

static Status open_options(Run *r, const MaeOptions *o, Error *err) {
    Status status = STATUS_OK;
    MaeCommand command = r->task->command;
    if (!o->out || !*o->out)
        return fail(err, STATUS_USAGE, "no run folder; name one with --out RUN");
    if (o->restart) TRY(runfolder_clear(o->out, err));
    r->resumed = checkpoint_run_exists(o->out);
    TRY(r->resumed ? runfolder_merge_options(o, command, &r->options, err)
                   : runfolder_copy_options(o, command, &r->options, err));
done:
    return status;
}

/* What will be done, and the peak that progress is compared with, for who listens. */
static Status announce(Run *r, Error *err) {
    MaePlan plan;
    if (!r->events) return STATUS_OK;
    if (r->events->progress) (void)run_peak_gflops(r);
    if (!r->events->plan) return STATUS_OK;
    Status status = run_fill_plan(r, &plan, err);
    if (status == STATUS_OK) r->events->plan(r->events->user, &plan);
    return status;
}

static Status run_open(Run *r, const MaeOptions *o, Error *err) {
    Status status = STATUS_OK;
    TRY(open_options(r, o, err));
    TRY(setup_device(&r->options, &r->device, err));
    TRY(r->task->configure(r, err));
    TRY(announce(r, err));
    if (r->resumed) TRY(check_run_folder(r, err));
    TRY(r->task->make(r, err));
    TRY(open_weights(r, err));
    TRY(open_loader(r, err));
    TRY(r->task->open(r, err));
    TRY(open_folder(r, err));
    r->lr_peak = setup_lr(&r->options);
    if (r->options.warmup_epochs >= (double)r->options.epochs)
        log_line(LOG_WARNING,
                 "the learning rate only warms up: --warmup-epochs %g of --epochs %" PRId64,
                 r->options.warmup_epochs, r->options.epochs);
    r->start = r->last_log_time = clock_seconds();
done:
    return status;
}

static void run_close(Run *r) {
    if (r->task->close) r->task->close(r);
    runlog_close(r->log);
    loader_close(r->loader);
    step_free(r->step);
    ema_free(r->ema);
    optimizer_free(r->optimizer);
    vit_free(r->model);
    dataset_close(r->dataset);
    device_close(r->device);
    checkpoint_notes_free(&r->notes);
    mae_options_free(&r->options);
}

/* --- saving ----------------------------------------------------------------------------------- */

static Status save_run(Run *r, Error *err) {
    RunState s = state_of(r);
    r->notes.epochs = r->progress.epoch;
    r->notes.step = r->progress.step;
    return checkpoint_save_run(r->options.out, &s, &r->notes, err);
}

static Status save_picture(Run *r, Error *err) {
    return r->task->picture ? r->task->picture(r, err) : STATUS_OK;
}

static Status save_numbered(Run *r, Error *err) {
    Status status = STATUS_OK;
    char name[64], *path = NULL;
    snprintf(name, sizeof name, "checkpoint-%" PRId64 ".safetensors", r->progress.epoch);
    TRY(run_file(r, name, &path, err));
    TRY(checkpoint_write(path, r->model, &r->notes, err));
    TRY(runfolder_prune(r->options.out, r->options.keep, err));
    TRY(save_picture(r, err));
done:
    mem_free(path);
    return status;
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
    if (!r->events || !r->events->progress) return;
    double rate = images_per_second(r), flops = step_flops_per_image(r->step);
    double left = (double)(total_steps(r) - r->progress.step) *
                  (double)(r->options.batch * r->options.accumulate);
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
                     .fraction_of_peak = rate * flops * 1e-9 / r->peak_gflops,
                     .phase = "train"};
    r->events->progress(r->events->user, &p);
}

static Status log_step(Run *r, Error *err) {
    Progress *p = &r->progress;
    if (p->log_count < r->options.log_every) return STATUS_OK;
    double now = clock_seconds();
    LogLine line = {.step = p->step,
                    .epoch = (double)p->epoch + (double)p->batch / (double)r->batches_per_epoch,
                    .loss = p->log_loss / (double)p->log_count,
                    .lr = r->lr,
                    .images_per_s = (r->images - r->last_log_images) / (now - r->last_log_time),
                    .gradient_norm = p->log_norm / (double)p->log_count};
    p->log_loss = p->log_norm = 0;
    p->log_count = 0;
    r->last_log_time = now;
    r->last_log_images = r->images;
    return runlog_write(r->log, &line, err);
}

static Status count_update(Run *r, double loss, Error *err) {
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
    return log_step(r, err);
}

/* Weights and moments of the last save; counters go on, so that other data come next. */
static Status roll_back(Run *r, Error *err) {
    Progress saved;
    RunState s = state_of(r);
    if (!checkpoint_run_exists(r->options.out)) return STATUS_OK;
    s.progress = &saved;
    Status status = checkpoint_load_run(r->options.out, &s, err);
    if (status == STATUS_OK)
        log_line(LOG_WARNING, "weights were rolled back to those of step %" PRId64, saved.step);
    return status;
}

static Status skip_update(Run *r, Error *reason, Error *err) {
    Status status = STATUS_OK;
    r->progress.skipped++;
    r->failures++;
    r->poisoned = true;
    log_line(LOG_WARNING, "step %" PRId64 " skipped: %s", r->progress.step + 1, reason->message);
    TRY(runlog_event(r->log, r->progress.step, reason->message, err));
    if (r->failures >= GIVE_UP_AFTER)
        return fail(err, STATUS_NONFINITE,
                    "%d updates in a row were not finite (%s); training stopped, the last good "
                    "checkpoint is in %s. Lower --base-lr or --lr, or use --clip-grad 1",
                    r->failures, r->step->culprit, r->options.out);
    if (r->failures % ROLL_BACK_AFTER == 0) TRY(roll_back(r, err));
done:
    return status;
}

static Status train_batch(Run *r, Batch *b, Error *err) {
    double loss;
    Error reason = {0};
    if (b->index % r->options.accumulate == 0) {
        r->poisoned = false;
        r->lr = schedule_lr((double)b->epoch + (double)b->index / (double)r->batches_per_epoch,
                            r->options.warmup_epochs, (double)r->options.epochs, r->lr_peak,
                            r->options.min_lr);
    }
    if (r->poisoned) return STATUS_OK;
    Status status = r->task->set_batch(r, b, err);
    if (status != STATUS_OK) return status;
    status = step_micro_batch(r->step, &loss, &reason);
    if (status == STATUS_OK && step_is_due(r->step)) {
        status = step_update(r->step, r->lr, &loss, &reason);
        r->progress.batch = b->index + 1;
        if (status == STATUS_OK) return count_update(r, loss, err);
    }
    return status == STATUS_OK ? STATUS_OK : skip_update(r, &reason, err);
}

/* --- the end of an epoch ---------------------------------------------------------------------- */

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
    if (r->task->end_epoch) TRY(r->task->end_epoch(r, &line, err));
    if (p->epoch_count) TRY(runlog_write(r->log, &line, err));
    r->last_epoch = line;
    p->epoch_loss = 0;
    p->epoch_count = 0;
    p->epoch_open = false;
    bool last = p->epoch == r->options.epochs, due = p->epoch % r->options.save_every == 0 || last;
    if (r->failures > 0) return STATUS_OK; /* a good checkpoint is not given up */
    if (due || r->task->end_epoch) TRY(save_run(r, err));
    if (due) TRY(save_numbered(r, err));
    TRY(curves_write(r->options.out, err));
done:
    return status;
}

static Status end_epoch(Run *r, Error *err) {
    Progress *p = &r->progress;
    Status status = STATUS_OK;
    step_discard(r->step); /* micro-batches that do not fill an update, as published */
    p->epoch++;
    p->batch = 0;
    p->epoch_open = true;
    if (r->task->end_epoch && r->failures == 0) TRY(save_run(r, err));
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
    Status status = save_run(r, err);
    if (status != STATUS_OK) return status;
    return fail(err, STATUS_INTERRUPTED,
                "stopped at step %" PRId64 " and saved in %s; the same command continues",
                r->progress.step, r->options.out);
}

static Status loop(Run *r, Error *err) {
    Status status = STATUS_OK;
    Batch b;
    if (r->progress.epoch_open) TRY(close_epoch(r, err));
    while (!finished(r)) {
        TRY(loader_next(r->loader, &b, err));
        if (b.n == 0) break;
        r->images += (double)b.n;
        TRY(train_batch(r, &b, err));
        if (b.index + 1 == r->batches_per_epoch) TRY(end_epoch(r, err));
        if (events_stop(r->events) && r->step->micro_batches == 0) return interrupted(r, err);
    }
    TRY(save_run(r, err));
    TRY(save_picture(r, err));
    TRY(curves_write(r->options.out, err));
done:
    return status;
}

static void summarize(Run *r, MaeSummary *s) {
    const LogLine *last = &r->last_epoch;
    *s = (MaeSummary){.steps = r->progress.step,
                      .epochs = r->progress.epoch,
                      .images = (int64_t)r->images,
                      .unreadable = loader_unreadable(r->loader),
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
    if (s->unreadable)
        log_line(LOG_WARNING, "%" PRId64 " images could not be read and were left out",
                 s->unreadable);
}

Status run_train(const Task *task, const MaeOptions *o, const MaeEvents *events, MaeSummary *out,
                 Error *err) {
    Status status = STATUS_OK;
    Run r = {.task = task, .events = events};
    TRY(run_open(&r, o, err));
    status = loop(&r, err);
    summarize(&r, out);
    if (status == STATUS_OK)
        status = runfolder_write_summary(r.options.out, task->command, out, err);
done:
    run_close(&r);
    return status;
}
