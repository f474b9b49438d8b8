/* Opens and closes a run: makes the pieces in the order in which they need each other, and writes
 * what the run folder has from the start. run_resume.c reads weights and place of a resumed run. */
#include <inttypes.h>
#include <math.h>

#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/threads.h"
#include "checkpoint/statistics.h"
#include "run/machine.h"
#include "run/run_internal.h"
#include "run/run_state.h"
#include "run/runfolder.h"
#include "run/unused.h"

Status run_file(const Run *r, const char *name, char **out, Error *err) {
    return file_path(r->options.out, name, out, err);
}

/* What was given stays as it was written. */
static Status resolve_list(char **out, const float *v, int64_t channels, Error *err) {
    char text[STATISTICS_TEXT_BYTES];
    if (*out) return MAE_OK;
    statistics_print(v, channels, text);
    *out = mem_strdup(text);
    return *out ? MAE_OK : error_set(err, MAE_MEMORY, "no memory for pixel statistics");
}

Status run_resolve_sizes(MaeOptions *o, const ModelConfig *c, Error *err) {
    o->image_size[0] = c->image_height;
    o->image_size[1] = c->image_width;
    o->channels = c->channels;
    o->patch = c->patch;
    o->embed_dim = c->embed_dim;
    o->depth = c->depth;
    o->heads = c->heads;
    o->mlp_ratio = c->mlp_ratio;
    if (c->decoder_depth > 0) {
        o->decoder_embed_dim = c->decoder_embed_dim;
        o->decoder_depth = c->decoder_depth;
        o->decoder_heads = c->decoder_heads;
    }
    Status status = resolve_list(&o->pixel_mean, c->mean, c->channels, err);
    return status == MAE_OK ? resolve_list(&o->pixel_std, c->std, c->channels, err) : status;
}

/* --- pieces ----------------------------------------------------------------------------------- */

OptimizerOptions run_optimizer(const MaeOptions *o, const ModelConfig *c) {
    return (OptimizerOptions){.kind = (OptimizerKind)o->optimizer,
                              .beta1 = o->beta1,
                              .beta2 = o->beta2,
                              .eps = 1e-8,
                              .momentum = o->momentum,
                              .trust = 0.001,
                              .groups = {.weight_decay = o->weight_decay,
                                         .fine_tuning = c->head == HEAD_LINEAR,
                                         .layer_decay = o->layer_decay,
                                         .depth = c->depth}};
}

Status run_make_model(Run *r, Error *err) {
    Status status = MAE_OK;
    const MaeOptions *o = &r->options;
    TRY(vit_new(r->device, &r->config, step_gradients(o->accumulate), o->tune_blocks, &r->model,
                err));
    TRY(reducer_new(r->comm, r->device, r->model->params, o->shard_optimizer != 0, &r->reducer,
                    err));
done:
    return status;
}

Status run_make_step(Run *r, Graph *graph, Value *loss, Error *err) {
    Status status = MAE_OK;
    OptimizerOptions optimizer = run_optimizer(&r->options, &r->config);
    optimizer.reducer = r->reducer;
    StepOptions s = {.batch = r->options.batch,
                     .accumulate = r->options.accumulate,
                     .clip_grad = r->options.clip_grad,
                     .reducer = r->reducer};
    TRY(optimizer_new(r->device, r->model->params, optimizer, &r->optimizer, err));
    TRY(step_new(r->model, graph, loss, r->optimizer, s, &r->step, err));
done:
    return status;
}

/* Averages start as a copy of the first weights; those of a resumed run are read over them. */
static Status open_ema(Run *r, Error *err) {
    if (!(r->options.ema > 0)) return MAE_OK;
    return ema_new(r->device, r->model->params, r->options.ema, &r->ema, err);
}

/* A resumed run reads into everything, so that everything is there first. */
static Status open_weights(Run *r, bool accepted, Error *err) {
    Status status = MAE_OK;
    r->progress = (Progress){.seed = (uint64_t)r->options.seed,
                             .measured = r->progress.measured,
                             .averaged = NAN,
                             .best = NAN};
    if (!r->resumed) TRY(r->task->start(r, err));
    TRY(open_ema(r, err));
    if (r->resumed) TRY(run_resume(r, accepted, err));
done:
    return status;
}

static Status open_loader(Run *r, Error *err) {
    r->loader_options.rank = comm_rank(r->comm);
    r->loader_options.n_ranks = comm_size(r->comm);
    r->loader_options.n_workers = machine_workers(&r->options, r->comm);
    r->loader_options.start_epoch = r->progress.epoch;
    r->loader_options.start_batch = r->progress.batch;
    Status status = loader_open(r->dataset, r->loader_options, &r->loader, err);
    if (status != MAE_OK) return status;
    r->batches_per_epoch = loader_batches_per_epoch(r->loader);
    r->next_batch = r->progress.batch;
    return MAE_OK;
}

/* What will be done, and the peak that progress is compared with, for who listens. */
static Status announce(Run *r, Error *err) {
    bool failed;
    MaeResult *plan = NULL;
    if (!comm_is_root(r->comm)) return MAE_OK;
    if (call_hears_progress()) (void)run_peak_gflops(r);
    if (!call_hears_plan()) return MAE_OK;
    Result out = result_start(&failed);
    Status status = run_tell_plan(r, out, err);
    if (status != MAE_OK) {
        result_drop(out);
        return status;
    }
    status = result_end(out, &plan, err);
    if (status == MAE_OK) call_plan(plan);
    mae_result_free(plan);
    return status;
}

/* Everything up to the weights. */
static Status open_pieces(Run *r, const MaeOptions *o, Error *err) {
    Status status = MAE_OK;
    TRY(r->resumed ? run_take_up(r, o, err) : runfolder_copy_options(o, &r->options, err));
    if (r->complete) goto done;
    TRY(machine_device(&r->options, r->comm, &r->device, err));
    machine_say_threads(&r->options, r->device, r->comm);
    TRY(r->task->configure(r, err));
    if (comm_is_root(r->comm)) option_warn_unused(&r->options, o);
    TRY(run_check_schedule(r, err));
    TRY(announce(r, err));
    TRY(r->task->make(r, err));
    if (r->resumed) TRY(run_check_folder(r, o, err));
    TRY(open_weights(r, o->accept_changes, err));
    run_find_place(r);
    run_watch(r);
    TRY(open_loader(r, err));
done:
    return status;
}

/* --- the run folder --------------------------------------------------------------------------- */

/* A resumed run's log goes back to its checkpoint, and tells what is otherwise from there on. */
static Status open_log(Run *r, Error *err) {
    Status status = MAE_OK;
    char *log = NULL;
    const Progress *p = &r->progress;
    int64_t closed = p->epoch - (p->epoch_open ? 1 : 0);
    TRY(run_file(r, "log.jsonl", &log, err));
    TRY(runlog_open(log, r->resumed ? p->step : -1, closed, &r->log, err));
    if (changes_have(&r->changes, CHANGE_MARKED))
        TRY(runlog_changes(r->log, p->step, run_epoch(r), &r->changes, err));
done:
    mem_free(log);
    return status;
}

static Status save_config(const Run *r, Error *err) {
    char *path = NULL;
    Status status = run_file(r, "config.json", &path, err);
    if (status == MAE_OK) status = mae_options_save(&r->options, path, err);
    mem_free(path);
    return status;
}

/* config.json marks the folder of a run, so a new run writes it first. A run that goes on with
 * changes has logged them before. */
static Status open_folder(Run *r, Error *err) {
    Status status = MAE_OK;
    char *summary = NULL;
    TRY(run_file(r, "summary.json", &summary, err));
    TRY(file_make_directories(r->options.out, err));
    if (r->lock < 0) TRY(runfolder_lock(r->options.out, &r->lock, err));
    if (!r->resumed) TRY(save_config(r, err));
    TRY(open_log(r, err));
    TRY(file_remove(summary, err)); /* of an end that is none any more */
    if (r->resumed) TRY(save_config(r, err));
done:
    mem_free(summary);
    return status;
}

/* Of the run folder rank 0 writes all, but for the parts of a state that is sharded. */
static Status open_writer(Run *r, Error *err) {
    RunState s = run_state(r);
    bool shards = reducer_shards(r->reducer), root = comm_is_root(r->comm);
    WriterOptions o = {.asynchronous = r->options.async_save,
                       .keep = r->options.keep,
                       .shards = shards ? r->comm : NULL};
    r->unsaved = !r->resumed;
    if (!root && !shards) return MAE_OK;
    Status status =
        r->resumed && root ? runfolder_prune(r->options.out, r->options.keep, err) : MAE_OK;
    if (status != MAE_OK) return status;
    return writer_new(r->options.out, &s, o, &r->writer, err);
}

/* Rank 0 looks after the folder; others would clear or repair it at the same time. */
static Status open_run_folder(Run *r, const MaeOptions *o, Error *err) {
    Status status = MAE_OK;
    if (!o->out || !*o->out)
        return error_set(err, MAE_USAGE, "no run folder; name one with --out RUN");
    if (comm_is_root(r->comm)) {
        status = runfolder_check(o->out, r->task->command, err);
        if (status == MAE_OK) status = runfolder_lock(o->out, &r->lock, err);
        if (status == MAE_OK && !o->restart) status = run_state_open(o->out, &r->resumed, err);
    }
    TRY(comm_agree(r->comm, status, err));
    comm_broadcast(r->comm, &r->resumed, sizeof r->resumed);
done:
    return status;
}

/* --- all of it -------------------------------------------------------------------------------- */

static void warn_of_warmup(const Run *r) {
    if (r->options.warmup_epochs >= (double)r->options.epochs && comm_is_root(r->comm))
        log_line(LOG_WARNING,
                 "the learning rate only warms up: --warmup-epochs %g of --epochs %" PRId64,
                 r->options.warmup_epochs, r->options.epochs);
}

/* The old run goes when all that the new one needs is there. */
static Status clear_for_restart(const Run *r, const MaeOptions *o, Error *err) {
    Status status = MAE_OK;
    if (o->restart && comm_is_root(r->comm)) status = runfolder_clear(o->out, err);
    return comm_agree(r->comm, status, err);
}

Status run_open(Run *r, const MaeOptions *o, Error *err) {
    Status status = MAE_OK;
    TRY(comm_world(&r->comm, err));
    TRY(comm_watch(r->comm, o->peer_timeout, err));
    TRY(open_run_folder(r, o, err));
    TRY(comm_agree(r->comm, open_pieces(r, o, err), err));
    if (r->complete) return MAE_OK;
    TRY(comm_watch(r->comm, r->options.peer_timeout, err));
    TRY(clear_for_restart(r, o, err));
    run_share_state(r);
    TRY(r->task->open(r, err));
    TRY(comm_agree(r->comm, comm_is_root(r->comm) ? open_folder(r, err) : MAE_OK, err));
    TRY(comm_agree(r->comm, open_writer(r, err), err));
    r->lr_peak = run_peak_lr(&r->options, r->comm);
    warn_of_warmup(r);
    r->start = r->last_log_time = clock_seconds();
done:
    return status;
}

void run_close(Run *r) {
    comm_watch_unheard(r->comm);
    watch_end(&r->watch);
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
    options_clear(&r->options);
    options_clear(&r->before);
    json_decref(r->summary);
}
