/* mae finetune and mae probe: a classifier is made on the encoder of a checkpoint (or on fresh
 * weights), trained by the training loop, and validated after every epoch. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/memory.h"
#include "infer/cached_features.h"
#include "infer/evaluate.h"
#include "jobs/jobs.h"
#include "jobs/recipe.h"
#include "jobs/setup.h"
#include "jobs/unseen.h"
#include "options/options.h"
#include "run/machine.h"
#include "train/labelled_batch.h"

typedef struct Tuning {
    LabelledBatch *batch;
    Dataset *val;
    int *train_map, *val_map; /* classes of the data to classes of the model */
    Augment val_augment;
    Session *session;                              /* to validate, and for the caches */
    CachedFeatures *train_features, *val_features; /* --cache-features */
    GraphPeers peers;                              /* n 0: batch norm keeps to itself */
} Tuning;

/* --- what is trained -------------------------------------------------------------------------- */

static bool is_scratch(const MaeOptions *o) {
    return strcmp(o->init, "none") == 0;
}

/* An option that was given must agree with the checkpoint. */
static Status agree(const char *option, int64_t given, int64_t there, const char *path,
                    Error *err) {
    if (given <= 0 || given == there) return MAE_OK;
    return fail(err, MAE_USAGE,
                "--%s %" PRId64 ": %s has %" PRId64 "; leave the option out, or use --init none",
                option, given, path, there);
}

static bool was_given(const MaeOptions *o, const char *name) {
    return o->given[option_find(MAE_COMMAND_FINETUNE, name)] != 0;
}

static Status agree_on_names(const MaeOptions *o, const ModelConfig *c, const char *preset,
                             const char *path, Error *err) {
    const char *model = model_size_words[o->model];
    if (was_given(o, "mlp-ratio") && fabs(o->mlp_ratio - c->mlp_ratio) > 1e-9)
        return fail(err, MAE_USAGE,
                    "--mlp-ratio %g: %s has %g; leave the option out, or use --init none",
                    o->mlp_ratio, path, c->mlp_ratio);
    if (!was_given(o, "model") || strcmp(preset, model) == 0 || strncmp(preset, "vit_", 4) != 0)
        return MAE_OK;
    return fail(err, MAE_USAGE, "--model %s: %s has a %s; leave the option out, or use --init none",
                model, path, preset);
}

/* So that config.json names the model that is there. */
static void adopt_preset(MaeOptions *o, const char *preset) {
    MaeError ignored = {0};
    mae_option_set(o, MAE_COMMAND_FINETUNE, "model", preset, &ignored);
}

static Status config_of_checkpoint(Run *r, const char *path, Error *err) {
    Status status = MAE_OK;
    MaeOptions *o = &r->options;
    ModelConfig *c = &r->config;
    CheckpointNotes *notes = &r->notes;
    CheckpointFile *file = NULL;
    CheckpointHints hints = setup_hints(o);
    if (path != o->init) hints.prefix = NULL; /* the run's own */
    hints.said = !comm_is_root(r->comm);
    TRY(checkpoint_open(path, &hints, &file, err));
    *c = file->config;
    *notes = file->notes;
    if (!r->resumed) notes->classes = NULL;     /* the file's own */
    if (r->resumed) file->notes.classes = NULL; /* moved */
    TRY(agree("patch", o->patch, c->patch, path, err));
    TRY(agree("embed-dim", o->embed_dim, c->embed_dim, path, err));
    TRY(agree("depth", o->depth, c->depth, path, err));
    TRY(agree("heads", o->heads, c->heads, path, err));
    if (was_given(o, "channels")) TRY(agree("channels", o->channels, c->channels, path, err));
    TRY(agree_on_names(o, c, notes->preset, path, err));
    adopt_preset(o, notes->preset);
    if (o->image_size[0] > 0) {
        c->image_height = o->image_size[0];
        c->image_width = o->image_size[1];
    }
done:
    checkpoint_close(file);
    return status;
}

/* The encoder, from the run itself, from the checkpoint, or from the options. The classes of a run
 * are those that it began with, in their order. */
static Status configure_encoder(Run *r, Error *err) {
    Status status = MAE_OK;
    MaeOptions *o = &r->options;
    char *last = NULL;
    if (!o->init)
        return fail(err, MAE_USAGE,
                    "no checkpoint to start from; name one with --init CKPT, or say --init none");
    if (r->resumed) {
        TRY(run_file(r, "last.safetensors", &last, err));
        TRY(config_of_checkpoint(r, last, err));
    } else if (is_scratch(o)) {
        TRY(setup_model_config(o, &r->config, err));
        setup_notes(o, &r->config, &r->notes);
    } else {
        TRY(config_of_checkpoint(r, o->init, err));
    }
    r->config.decoder_depth = 0;
    r->config.mask_token_in_encoder = false;
    r->config.target = TARGET_PIXEL;
done:
    mem_free(last);
    return status;
}

static Status check_tuning(const Run *r, Error *err) {
    const MaeOptions *o = &r->options;
    if (o->tune_blocks > (double)r->config.depth)
        return fail(err, MAE_USAGE, "--tune-blocks %g: the model has %" PRId64 " blocks",
                    o->tune_blocks, r->config.depth);
    if (o->tune_blocks >= 0 && fmod(o->tune_blocks, 0.5) != 0)
        return fail(err, MAE_USAGE, "--tune-blocks %g: whole and half blocks only, as 0.5 or 4",
                    o->tune_blocks);
    bool mixing = o->mix_prob > 0 && (o->mixup > 0 || o->cutmix > 0);
    if (mixing && o->batch % 2)
        return fail(err, MAE_USAGE,
                    "--batch %" PRId64 ": mixup and cutmix pair images, which needs an even batch; "
                    "change it, or use --mixup 0 --cutmix 0",
                    o->batch);
    return MAE_OK;
}

static Status check_probe(const Run *r, Error *err) {
    const MaeOptions *o = &r->options;
    if (o->cache_features && (o->augment != 0 || o->repeat != 1))
        return fail(err, MAE_USAGE,
                    "--cache-features: features are the same in every epoch only with --augment "
                    "none and --repeat 1");
    return MAE_OK;
}

static Status configure(Run *r, Error *err) {
    Status status = MAE_OK;
    MaeOptions *o = &r->options;
    bool probe = r->task->command == MAE_COMMAND_PROBE;
    TRY(configure_encoder(r, err));
    TRY(setup_train_set(o, r->config.channels, events_stop_flag(r->events), &r->dataset, err));
    TRY(evaluate_check_labels(r->dataset, "--data", err));
    r->config.head = probe ? HEAD_PROBE : HEAD_LINEAR;
    r->config.pool = (PoolKind)o->head_pool;
    if (!r->notes.classes) TRY(classes_from_dataset(r->dataset, &r->notes.classes, err));
    r->config.classes = r->notes.classes->n;
    TRY(model_check(&r->config, err));
    if (!probe) TRY(recipe_finetune(o, &r->config, is_scratch(o), err));
    TRY(probe ? check_probe(r, err) : check_tuning(r, err));
    TRY(run_resolve_sizes(o, &r->config, err));
    r->notes.mask_ratio = 0;
    r->notes.top1 = -1;
    r->notes.averaged = false;
done:
    return status;
}

/* --- making ----------------------------------------------------------------------------------- */

static OptimizerOptions optimizer_of(const Run *r) {
    const MaeOptions *o = &r->options;
    bool probe = r->config.head == HEAD_PROBE;
    return (OptimizerOptions){.kind = probe ? (OptimizerKind)o->optimizer : OPTIMIZER_ADAMW,
                              .beta1 = o->beta1,
                              .beta2 = o->beta2,
                              .eps = 1e-8,
                              .momentum = o->momentum,
                              .trust = 0.001,
                              .groups = {.weight_decay = o->weight_decay,
                                         .fine_tuning = !probe,
                                         .layer_decay = o->layer_decay,
                                         .depth = r->config.depth},
                              .reducer = r->reducer};
}

static void gather(void *user, void *all, const void *mine, size_t bytes) {
    comm_gather(user, all, mine, bytes);
}

static LabelledOptions batch_options(const Run *r) {
    const MaeOptions *o = &r->options;
    const LoaderOptions *l = &r->loader_options;
    const Tuning *t = r->task_data;
    return (LabelledOptions){.batch = o->batch,
                             .drop_path = o->drop_path,
                             .smoothing = o->label_smoothing,
                             .mix = {.mixup = o->mixup,
                                     .cutmix = o->cutmix,
                                     .probability = o->mix_prob,
                                     .switch_probability = o->mix_switch_prob,
                                     .mode = (MixMode)o->mix_mode},
                             .seed = (uint64_t)o->seed,
                             .float_images = l->mean != NULL,
                             .from_features = o->cache_features != 0,
                             .rank = comm_rank(r->comm),
                             .n_ranks = comm_size(r->comm),
                             .peers = t->peers.n ? &t->peers : NULL};
}

/* Images come normalised from the loader when something happens to them after that. */
static Status make_loader_options(Run *r, Error *err) {
    const MaeOptions *o = &r->options;
    LoaderOptions l = setup_loader(o, &r->config);
    bool mixing = o->mix_prob > 0 && (o->mixup > 0 || o->cutmix > 0);
    Status status = setup_labelled_augment(o, &l.augment, err);
    if (mixing || l.augment.erase.probability > 0) {
        l.mean = r->config.mean;
        l.std = r->config.std;
    }
    l.indices_only = o->cache_features != 0;
    r->loader_options = l;
    return status;
}

static void warn_of_missing(const Run *r) {
    const Tuning *t = r->task_data;
    const ClassNames *names = r->notes.classes;
    const char *val = r->options.val ? "--val" : "what --val-share holds out";
    classes_warn_of_missing(names, names->n, r->dataset, t->train_map, NULL, "--data");
    classes_warn_of_missing(names, names->n, t->val, t->val_map, NULL, val);
}

static Status make(Run *r, Error *err) {
    Status status = MAE_OK;
    const MaeOptions *o = &r->options;
    Tuning *t = mem_alloc(sizeof *t);
    if (!t) return fail(err, MAE_MEMORY, "no memory for a run");
    r->task_data = t;
    if (r->comm && o->sync_batchnorm)
        t->peers = (GraphPeers){comm_size(r->comm), comm_rank(r->comm), r->comm, gather};
    TRY(setup_val_set(o, r->config.channels, events_stop_flag(r->events), &t->val, err));
    TRY(evaluate_check_labels(t->val, "--val", err));
    TRY(unseen_check(o, r->dataset, t->val, err));
    r->val_images = dataset_available(t->val);
    TRY(classes_map(r->notes.classes, r->config.classes, r->dataset, "--data", &t->train_map, err));
    TRY(classes_map(r->notes.classes, r->config.classes, t->val, "--val", &t->val_map, err));
    if (comm_is_root(r->comm)) warn_of_missing(r);
    TRY(setup_eval_augment(t->val, &r->config, &t->val_augment, err));
    TRY(make_loader_options(r, err));
    TRY(vit_new(r->device, &r->config, step_gradients(o->accumulate), o->tune_blocks, &r->model,
                err));
    TRY(run_make_reducer(r, err));
    StepOptions s = {.batch = o->batch,
                     .accumulate = o->accumulate,
                     .clip_grad = o->clip_grad,
                     .reducer = r->reducer};
    TRY(optimizer_new(r->device, r->model->params, optimizer_of(r), &r->optimizer, err));
    TRY(labelled_batch_new(r->model, batch_options(r), &t->batch, err));
    TRY(step_new(r->model, t->batch->graph.graph, t->batch->graph.loss, r->optimizer, s, &r->step,
                 err));
    log_line(LOG_INFO, "training %" PRId64 " of %" PRId64 " parameters, %" PRId64 " classes",
             vit_trained_parameters(r->model), vit_parameters(r->model), r->config.classes);
done:
    return status;
}

static bool is_permutation(const int *rows, int64_t n) {
    for (int64_t i = 0; i < n; i++)
        for (int64_t k = 0; k < i; k++)
            if (rows[i] == rows[k]) return false;
    return true;
}

static bool is_identity(const int *rows, int64_t n) {
    for (int64_t i = 0; i < n; i++)
        if (rows[i] != i) return false;
    return true;
}

static void say_head(const Run *r, const CheckpointFile *file, const int *rows) {
    const char *path = tensorfile_path(file->file);
    if (!file->notes.classes)
        log_line(LOG_INFO,
                 "the head of %s is kept; it has no class names, its classes are taken for those "
                 "of --data in their order",
                 path);
    else if (is_identity(rows, r->config.classes))
        log_line(LOG_INFO, "the head of %s is kept", path);
    else
        log_line(LOG_INFO, "the head of %s is kept, its classes in the order of those of --data",
                 path);
}

/* The row of the file's head for each class of the data; NULL: a new head. One for classes of other
 * names knows nothing of these, even when there are as many. */
static Status map_head(const Run *r, const CheckpointFile *file, int **rows, Error *err) {
    const ModelConfig *there = &file->config, *here = &r->config;
    Error why = {0};
    *rows = NULL;
    if (there->head == HEAD_NONE) return MAE_OK;
    Status status =
        there->head == here->head && there->classes == here->classes
            ? classes_map(file->notes.classes, there->classes, r->dataset, "--data", rows, &why)
            : fail(&why, MAE_SHAPE, "it has %" PRId64 " classes, --data %" PRId64, there->classes,
                   here->classes);
    if (status == MAE_MEMORY) return fail(err, status, "%s", why.message);
    if (status == MAE_OK && !is_permutation(*rows, here->classes)) {
        mem_free(*rows);
        *rows = NULL;
        status = fail(&why, MAE_SHAPE, "several classes of --data are one of it");
    }
    if (status == MAE_OK)
        say_head(r, file, *rows);
    else if (there->head != here->head && there->classes == here->classes)
        log_line(LOG_INFO, "a new head, of another kind than that of %s",
                 tensorfile_path(file->file));
    else
        log_line(LOG_INFO, "a new head, not that of %s: %s", tensorfile_path(file->file),
                 why.message);
    return MAE_OK;
}

static Status start(Run *r, Error *err) {
    Status status = MAE_OK;
    int *rows = NULL;
    CheckpointFile *file = NULL;
    CheckpointHints hints = setup_hints(&r->options);
    hints.said = true; /* by configure_encoder */
    TRY(vit_init(r->model, (uint64_t)r->options.seed, err));
    if (is_scratch(&r->options)) return MAE_OK;
    TRY(checkpoint_open(r->options.init, &hints, &file, err));
    TRY(map_head(r, file, &rows, err));
    TRY(checkpoint_read_encoder(file, r->model, rows, err));
done:
    mem_free(rows);
    checkpoint_close(file);
    return status;
}

/* The encoder is frozen, so its features can be taken once, also by a resumed run. */
static Status open_caches(Run *r, Error *err) {
    Status status = MAE_OK;
    Tuning *t = r->task_data;
    CacheJob job = {.data = r->dataset,
                    .augment = r->loader_options.augment,
                    .workers = machine_workers(&r->options, r->comm),
                    .strict = r->options.strict != 0,
                    .batch = r->options.batch,
                    .comm = r->comm};
    TRY(cached_features_new(t->session, r->model, &job, r->events, &t->train_features, err));
    job.data = t->val;
    job.augment = t->val_augment;
    TRY(cached_features_new(t->session, r->model, &job, r->events, &t->val_features, err));
done:
    return status;
}

static Status open(Run *r, Error *err) {
    Status status = MAE_OK;
    Tuning *t = r->task_data;
    int64_t batch = r->options.batch < 64 ? r->options.batch : 64;
    SessionOptions s = {.batch = batch, .logits = true};
    TRY(comm_agree(r->comm, session_new(r->model, s, &t->session, err), err));
    if (r->options.cache_features) TRY(open_caches(r, err));
done:
    return status;
}

/* --- training --------------------------------------------------------------------------------- */

static Status set_batch(Run *r, Batch *b, Error *err) {
    Tuning *t = r->task_data;
    const float *features = NULL;
    (void)err;
    if (t->train_features) features = cached_features_gather(t->train_features, b);
    labelled_batch_set(t->batch, b, t->train_map, features);
    return MAE_OK;
}

static Status measure(Run *r, Evaluation *out, Error *err) {
    Tuning *t = r->task_data;
    EvaluationJob job = {.data = t->val,
                         .augment = t->val_augment,
                         .workers = machine_workers(&r->options, r->comm),
                         .strict = r->options.strict != 0,
                         .comm = r->comm,
                         .label_of = t->val_map,
                         .phase = "validate"};
    Status status = MAE_OK;
    if (t->val_features) {
        status = cached_features_evaluate(t->val_features, r->model, t->val_map, out, err);
        status = comm_agree(r->comm, status, err);
    } else {
        status = evaluate_run(t->session, &job, r->events, out, err);
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

static Status end_epoch(Run *r, LogLine *line, Error *err) {
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

static void close_task(Run *r) {
    Tuning *t = r->task_data;
    if (!t) return;
    labelled_batch_free(t->batch);
    session_free(t->session);
    cached_features_free(t->train_features);
    cached_features_free(t->val_features);
    dataset_close(t->val);
    mem_free(t->train_map);
    mem_free(t->val_map);
    mem_free(t);
}

static Status describe(Run *r, MaePlan *p, Error *err) {
    Status status = MAE_OK;
    const MaeOptions *o = &r->options;
    Vit *v = NULL;
    ClassifierGraph g = {0};
    ClassifierOptions c = {.batch = o->batch,
                           .train = true,
                           .from_features = o->cache_features != 0,
                           .drop_path = o->drop_path};
    TRY(vit_describe(r->device, &r->config, step_gradients(o->accumulate), o->tune_blocks, &v,
                     err));
    TRY(classifier_graph(v, c, &g, err));
    p->kept_patches = model_patches(&r->config);
    run_describe(r, v, g.graph, optimizer_of(r).kind, p);
done:
    classifier_graph_free(&g);
    vit_free(v);
    return status;
}

#define TASK(which)                                                                                \
    {                                                                                              \
        .command = which, .configure = configure, .make = make, .start = start, .open = open,      \
        .set_batch = set_batch, .end_epoch = end_epoch, .close = close_task, .describe = describe  \
    }

const Task finetune_task = TASK(MAE_COMMAND_FINETUNE);
const Task probe_task = TASK(MAE_COMMAND_PROBE);
