/* See pretrain.h. A Run is opened (pieces made, checkpoint read), goes through batches, and is
 * closed; it stops only between updates, so that what is saved continues bit for bit. */
#include "train/pretrain.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/threads.h"
#include "train/pca.h"
#include "train/picture.h"
#include "train/runfolder.h"
#include "train/runlog.h"
#include "train/schedule.h"
#include "train/setup.h"
#include "train/step.h"

#define PICTURE_ROWS 4
#define ROLL_BACK_AFTER 3 /* updates in a row that were not finite */
#define GIVE_UP_AFTER 10

typedef struct Run {
    MaeOptions options;
    const MaeEvents *events;
    ModelConfig config;
    CheckpointNotes notes;
    Device *device;
    Dataset *dataset;
    Autoencoder *model;
    Optimizer *optimizer;
    TrainStep *step;
    Loader *loader;
    RunLog *log;
    Painter *painter;
    uint8_t *samples; /* pixels of the pictures' images */
    int64_t n_samples;
    Progress progress;
    int64_t batches_per_epoch;
    double lr_peak, lr, peak_gflops;
    double start, images; /* of this process */
    double last_log_time, last_log_images;
    int failures;  /* updates in a row that were not finite */
    bool poisoned; /* the rest of this update's micro-batches is left out */
    bool resumed;
    double last_loss;
    char picture[1024];
} Run;

/* --- opening ---------------------------------------------------------------------------------- */

static Status check_options(const MaeOptions *o, Error *err) {
    if (!o->out || !*o->out)
        return fail(err, STATUS_USAGE, "no run folder; name one with --out RUN");
    if (o->mask_ratio >= 1 || o->mask_ratio < 0)
        return fail(err, STATUS_USAGE, "--mask-ratio %g: must be at least 0 and below 1",
                    o->mask_ratio);
    return STATUS_OK;
}

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
    TRY(compare("target number", a->target, b->target, run, err));
    TRY(compare("mask token in encoder", a->mask_token_in_encoder, b->mask_token_in_encoder, run,
                err));
done:
    return status;
}

static Status check_run_folder(Run *r, Error *err) {
    Status status = STATUS_OK;
    SafeTensors *file = NULL;
    ModelConfig there;
    CheckpointNotes notes;
    char *path = mem_printf("%s/last.safetensors", r->options.out);
    if (!path) return fail(err, STATUS_MEMORY, "no memory for a path");
    TRY(safetensors_open(path, &file, err));
    TRY(checkpoint_config(file, &there, &notes, err));
    TRY(check_same_model(&r->config, &there, r->options.out, err));
done:
    safetensors_close(file);
    mem_free(path);
    return status;
}

static Status start_weights(Run *r, Error *err) {
    Status status = STATUS_OK;
    SafeTensors *file = NULL;
    TRY(autoencoder_init(r->model, (uint64_t)r->options.seed, err));
    r->progress.seed = (uint64_t)r->options.seed;
    if (r->options.init) {
        TRY(safetensors_open(r->options.init, &file, err));
        TRY(checkpoint_load_weights(file, r->model, err));
    } else if (r->config.target == TARGET_PCA) {
        log_line(LOG_INFO,
                 "fitting %" PRId64 " principal components of the patches of %" PRId64 " images",
                 r->config.pca_components, r->options.pca_images);
        LoaderOptions l = setup_loader(&r->options, &r->config);
        TRY(pca_fit(r->model, r->dataset, l, r->options.pca_images, err));
    }
done:
    safetensors_close(file);
    return status;
}

static Status open_weights(Run *r, Error *err) {
    Status status = STATUS_OK;
    if (!r->resumed) return start_weights(r, err);
    TRY(checkpoint_load_run(r->options.out, r->model, r->optimizer, &r->progress, err));
    if (r->progress.seed != (uint64_t)r->options.seed)
        return compare("seed", r->options.seed, (int64_t)r->progress.seed, r->options.out, err);
    log_line(LOG_INFO, "resuming %s at step %" PRId64 " (epoch %" PRId64 ")", r->options.out,
             r->progress.step, r->progress.epoch);
done:
    return status;
}

static Status open_loader(Run *r, Error *err) {
    LoaderOptions l = setup_loader(&r->options, &r->config);
    l.start_epoch = r->progress.epoch;
    l.start_batch = r->progress.batch;
    Status status = loader_open(r->dataset, l, &r->loader, err);
    if (status != STATUS_OK) return status;
    r->batches_per_epoch = loader_batches_per_epoch(r->loader);
    if (r->batches_per_epoch >= r->options.accumulate) return STATUS_OK;
    return fail(err, STATUS_EMPTY,
                "an epoch has %" PRId64 " batches of %" PRId64 ", fewer than --accumulate %" PRId64
                "; use a smaller --batch or --accumulate, or --repeat",
                r->batches_per_epoch, r->options.batch, r->options.accumulate);
}

static Status open_step(Run *r, Error *err) {
    Status status = STATUS_OK;
    const MaeOptions *o = &r->options;
    StepOptions s = {.batch = o->batch,
                     .accumulate = o->accumulate,
                     .mask = (MaskKind)o->mask,
                     .mask_ratio = o->mask_ratio,
                     .clip_grad = o->clip_grad,
                     .seed = (uint64_t)o->seed};
    AdamWOptions adamw = {o->beta1, o->beta2, 1e-8, o->weight_decay};
    TRY(optimizer_new(r->device, r->model->params, adamw, &r->optimizer, err));
    TRY(step_new(r->model, r->optimizer, s, &r->step, err));
done:
    return status;
}

/* The first images of the data, always the same, are what the pictures show. */
static Status open_pictures(Run *r, Error *err) {
    Status status = STATUS_OK;
    Augment augment;
    ResampleScratch scratch = {0};
    size_t image = (size_t)(r->config.image_height * r->config.image_width * r->config.channels);
    int64_t n_keep = mask_n_keep((MaskKind)r->options.mask, &r->config, r->options.mask_ratio);
    TRY(painter_new(r->model, n_keep, &r->painter, err));
    TRY(setup_eval_augment(r->dataset, &r->config, &augment, err));
    r->samples = mem_alloc(image * PICTURE_ROWS);
    if (!r->samples) {
        status = fail(err, STATUS_MEMORY, "no memory for pictures");
        goto done;
    }
    for (int64_t i = 0; i < dataset_count(r->dataset) && r->n_samples < PICTURE_ROWS; i++) {
        Sample s;
        Error unreadable = {0};
        if (dataset_fetch(r->dataset, i, &s, &unreadable) != STATUS_OK) continue;
        status = augment_apply(&augment, &s.image, 0, 0, 0,
                               r->samples + image * (size_t)r->n_samples, &scratch, err);
        dataset_release(&s);
        if (status != STATUS_OK) goto done;
        r->n_samples++;
    }
done:
    resample_scratch_free(&scratch);
    return status;
}

static Status open_folder(Run *r, Error *err) {
    Status status = STATUS_OK;
    MaeError e = {0};
    char *pictures = mem_printf("%s/reconstructions", r->options.out);
    char *config = mem_printf("%s/config.json", r->options.out);
    char *log = mem_printf("%s/log.jsonl", r->options.out);
    if (!pictures || !config || !log) {
        status = fail(err, STATUS_MEMORY, "no memory for paths");
        goto done;
    }
    TRY(file_make_directories(pictures, err));
    if (mae_options_save(&r->options, MAE_COMMAND_PRETRAIN, config, &e) != MAE_OK) {
        status = fail(err, (Status)e.status, "%s", e.message);
        goto done;
    }
    TRY(runlog_open(log, r->resumed ? r->progress.step : -1, &r->log, err));
done:
    mem_free(pictures);
    mem_free(config);
    mem_free(log);
    return status;
}

/* Sizes that came from the preset are written out, so that config.json says all. */
static void resolve_sizes(MaeOptions *o, const ModelConfig *c) {
    o->patch = c->patch;
    o->embed_dim = c->embed_dim;
    o->depth = c->depth;
    o->heads = c->heads;
    o->decoder_embed_dim = c->decoder_embed_dim;
    o->decoder_depth = c->decoder_depth;
    o->decoder_heads = c->decoder_heads;
}

static Status open_options(Run *r, const MaeOptions *o, Error *err) {
    Status status = STATUS_OK;
    TRY(check_options(o, err));
    if (o->restart) TRY(runfolder_clear(o->out, err));
    r->resumed = checkpoint_run_exists(o->out);
    TRY(r->resumed ? runfolder_merge_options(o, MAE_COMMAND_PRETRAIN, &r->options, err)
                   : runfolder_copy_options(o, MAE_COMMAND_PRETRAIN, &r->options, err));
    TRY(setup_model_config(&r->options, &r->config, err));
    resolve_sizes(&r->options, &r->config);
    if (r->resumed) TRY(check_run_folder(r, err));
    setup_notes(&r->options, &r->notes);
done:
    return status;
}

static Status run_open(Run *r, const MaeOptions *o, Error *err) {
    Status status = STATUS_OK;
    TRY(open_options(r, o, err));
    TRY(setup_device(&r->options, &r->device, err));
    TRY(setup_dataset(&r->options, r->options.data, r->config.channels, &r->dataset, err));
    TRY(autoencoder_new(r->device, &r->config, true, &r->model, err));
    TRY(open_step(r, err));
    TRY(open_weights(r, err));
    r->peak_gflops = device_peak_gflops(r->device, 0.05, 4); /* before the loader's threads work */
    TRY(open_loader(r, err));
    TRY(open_pictures(r, err));
    TRY(open_folder(r, err));
    r->lr_peak = setup_lr(&r->options);
    r->start = r->last_log_time = clock_seconds();
done:
    return status;
}

static void run_close(Run *r) {
    runlog_close(r->log);
    loader_close(r->loader);
    painter_free(r->painter);
    mem_free(r->samples);
    step_free(r->step);
    optimizer_free(r->optimizer);
    autoencoder_free(r->model);
    dataset_close(r->dataset);
    device_close(r->device);
    mae_options_free(&r->options);
}

/* --- saving ----------------------------------------------------------------------------------- */

static Status save_run(Run *r, Error *err) {
    r->notes.epochs = r->progress.epoch;
    r->notes.step = r->progress.step;
    return checkpoint_save_run(r->options.out, r->model, &r->notes, r->optimizer, &r->progress,
                               err);
}

static Status save_picture(Run *r, Error *err) {
    Status status = STATUS_OK;
    Image picture = {0};
    int64_t width, height, P = model_patches(&r->config);
    int64_t stride = r->config.image_height * r->config.image_width * r->config.channels;
    int32_t *ids = mem_alloc_array((size_t)(2 * P), sizeof *ids);
    float *mask = mem_alloc_array((size_t)P, sizeof *mask);
    painter_row_size(r->painter, &width, &height);
    int64_t row = height + painter_panel_gap();
    TRY(image_new(&picture, width, row * r->n_samples - painter_panel_gap(), 3, err));
    memset(picture.pixels, 255, (size_t)(picture.width * picture.height * 3));
    if (!ids || !mask) {
        status = fail(err, STATUS_MEMORY, "no memory for a picture");
        goto done;
    }
    for (int64_t i = 0; i < r->n_samples; i++) {
        mask_draw((MaskKind)r->options.mask, &r->config, r->options.mask_ratio,
                  (uint64_t)r->options.seed, 0, (uint64_t)i, ids, ids + P, mask, NULL);
        painter_draw(r->painter, r->samples + i * stride, ids, ids + P, mask, (PictureOptions){0},
                     picture.pixels + i * row * width * 3, NULL);
    }
    snprintf(r->picture, sizeof r->picture, "%.900s/reconstructions/%" PRId64 ".png",
             r->options.out, r->progress.epoch);
    TRY(image_write_png(r->picture, &picture, err));
done:
    image_free(&picture);
    mem_free(ids);
    mem_free(mask);
    return status;
}

static Status save_epoch(Run *r, Error *err) {
    Status status = STATUS_OK;
    char *path =
        mem_printf("%s/checkpoint-%" PRId64 ".safetensors", r->options.out, r->progress.epoch);
    if (!path) return fail(err, STATUS_MEMORY, "no memory for a path");
    TRY(save_run(r, err));
    TRY(checkpoint_write(path, r->model, &r->notes, err));
    TRY(runfolder_prune(r->options.out, r->options.keep, err));
    if (r->n_samples > 0) TRY(save_picture(r, err));
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
    p->step++;
    p->log_loss += loss;
    p->log_norm += r->step->last_norm;
    p->log_count++;
    p->epoch_loss += loss;
    p->epoch_count++;
    report(r, loss);
    return log_step(r, err);
}

/* Weights and moments of the last save; counters go on, so that other data come next. */
static Status roll_back(Run *r, Error *err) {
    Progress saved;
    if (!checkpoint_run_exists(r->options.out)) return STATUS_OK;
    Status status = checkpoint_load_run(r->options.out, r->model, r->optimizer, &saved, err);
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

static Status train_batch(Run *r, const Batch *b, Error *err) {
    double loss;
    Error reason = {0};
    if (b->index % r->options.accumulate == 0) {
        r->poisoned = false;
        r->lr = schedule_lr((double)b->epoch + (double)b->index / (double)r->batches_per_epoch,
                            r->options.warmup_epochs, (double)r->options.epochs, r->lr_peak,
                            r->options.min_lr);
    }
    if (r->poisoned) return STATUS_OK;
    step_set_batch(r->step, b->pixels, (uint64_t)b->epoch, b->samples);
    Status status = step_micro_batch(r->step, &loss, &reason);
    if (status == STATUS_OK && step_is_due(r->step)) {
        status = step_update(r->step, r->lr, &loss, &reason);
        r->progress.batch = b->index + 1;
        if (status == STATUS_OK) return count_update(r, loss, err);
    }
    return status == STATUS_OK ? STATUS_OK : skip_update(r, &reason, err);
}

static Status end_epoch(Run *r, Error *err) {
    Progress *p = &r->progress;
    Status status = STATUS_OK;
    step_discard(r->step); /* micro-batches that do not fill an update, as published */
    p->epoch++;
    p->batch = 0;
    LogLine line = {.epoch_end = true,
                    .step = p->step,
                    .epoch = (double)p->epoch,
                    .loss = p->epoch_count ? p->epoch_loss / (double)p->epoch_count : NAN,
                    .lr = r->lr,
                    .images_per_s = images_per_second(r),
                    .gradient_norm = r->step->last_norm};
    if (p->epoch_count) TRY(runlog_write(r->log, &line, err));
    p->epoch_loss = 0;
    p->epoch_count = 0;
    bool due = p->epoch % r->options.save_every == 0 || p->epoch == r->options.epochs;
    if (due && r->failures == 0) TRY(save_epoch(r, err)); /* a good checkpoint is not given up */
done:
    return status;
}

/* --- the loop --------------------------------------------------------------------------------- */

static bool stop_requested(const Run *r) {
    return r->events && r->events->stop && *r->events->stop;
}

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
    while (!finished(r)) {
        TRY(loader_next(r->loader, &b, err));
        if (b.n == 0) break;
        r->images += (double)b.n;
        TRY(train_batch(r, &b, err));
        if (b.index + 1 == r->batches_per_epoch) TRY(end_epoch(r, err));
        if (stop_requested(r) && r->step->micro_batches == 0) return interrupted(r, err);
    }
    TRY(save_run(r, err));
    if (r->n_samples > 0) TRY(save_picture(r, err));
done:
    return status;
}

static void summarize(Run *r, MaeSummary *s) {
    *s = (MaeSummary){.steps = r->progress.step,
                      .epochs = r->progress.epoch,
                      .images = (int64_t)r->images,
                      .unreadable = loader_unreadable(r->loader),
                      .skipped_steps = r->progress.skipped,
                      .loss = r->last_loss,
                      .seconds = clock_seconds() - r->start,
                      .images_per_s = images_per_second(r)};
    snprintf(s->checkpoint, sizeof s->checkpoint, "%.900s/last.safetensors", r->options.out);
    snprintf(s->picture, sizeof s->picture, "%s", r->picture);
    if (s->unreadable)
        log_line(LOG_WARNING, "%" PRId64 " images could not be read and were left out",
                 s->unreadable);
}

Status pretrain_run(const MaeOptions *o, const MaeEvents *events, MaeSummary *out, Error *err) {
    Status status = STATUS_OK;
    Run r = {.events = events};
    TRY(run_open(&r, o, err));
    status = loop(&r, err);
    summarize(&r, out);
    if (status == STATUS_OK) status = runfolder_write_summary(r.options.out, out, err);
done:
    run_close(&r);
    return status;
}

/* --- the plan --------------------------------------------------------------------------------- */

static void plan_schedule(const MaeOptions *o, const Dataset *d, MaePlan *p) {
    p->images = dataset_count(d);
    snprintf(p->data, sizeof p->data, "%s", dataset_describe(d));
    p->effective_batch = o->batch * o->accumulate;
    p->steps_per_epoch = p->images * o->repeat / o->batch / o->accumulate;
    p->total_steps = p->steps_per_epoch * o->epochs;
    if (o->steps > 0 && o->steps < p->total_steps) p->total_steps = o->steps;
    p->lr = setup_lr(o);
}

static Status plan_model(const MaeOptions *o, const ModelConfig *c, Device *d, MaePlan *p,
                         Error *err) {
    Status status = STATUS_OK;
    Autoencoder *a = NULL;
    AutoencoderGraph g = {0};
    CheckpointNotes notes;
    setup_notes(o, &notes);
    TRY(autoencoder_describe(d, c, true, &a, err));
    p->kept_patches = mask_n_keep((MaskKind)o->mask, c, o->mask_ratio);
    TRY(autoencoder_graph(a, FORWARD_TRAIN, o->batch, p->kept_patches, false, &g, err));
    snprintf(p->model, sizeof p->model, "%s patch %" PRId64 ", %" PRId64 "x%" PRId64, notes.preset,
             c->patch, c->image_height, c->image_width);
    p->parameters = autoencoder_parameters(a, false);
    p->encoder_parameters = autoencoder_parameters(a, true);
    p->patches = model_patches(c);
    p->gflop_per_image = graph_flops_step(g.graph) / (double)o->batch * 1e-9;
    p->bytes_parameters = (int64_t)params_bytes(a->params);
    p->bytes_optimizer = (int64_t)optimizer_bytes(a->params, d);
    p->bytes_activations = (int64_t)graph_bytes(g.graph, GRAPH_TRAIN);
    p->bytes_total = p->bytes_parameters + p->bytes_optimizer + p->bytes_activations;
done:
    graph_free(g.graph);
    autoencoder_free(a);
    return status;
}

Status pretrain_plan(const MaeOptions *o, MaePlan *out, Error *err) {
    Status status = STATUS_OK;
    MaeOptions merged = {0};
    ModelConfig c;
    Device *device = NULL;
    Dataset *dataset = NULL;
    *out = (MaePlan){0};
    out->resumes = o->out && !o->restart && checkpoint_run_exists(o->out);
    TRY(out->resumes ? runfolder_merge_options(o, MAE_COMMAND_PRETRAIN, &merged, err)
                     : runfolder_copy_options(o, MAE_COMMAND_PRETRAIN, &merged, err));
    TRY(setup_model_config(&merged, &c, err));
    TRY(setup_device(&merged, &device, err));
    TRY(setup_dataset(&merged, merged.data, c.channels, &dataset, err));
    plan_schedule(&merged, dataset, out);
    TRY(plan_model(&merged, &c, device, out, err));
    out->peak_gflops = device_peak_gflops(device, 0.05, 4);
    out->seconds = (double)(out->total_steps * out->effective_batch) * out->gflop_per_image /
                   (0.5 * out->peak_gflops);
done:
    dataset_close(dataset);
    device_close(device);
    mae_options_free(&merged);
    return status;
}
