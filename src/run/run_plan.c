/* What a training command would need, before anything starts. */
#include <inttypes.h>
#include <stdio.h>

#include "run/machine.h"
#include "run/run_internal.h"
#include "run/run_state.h"
#include "run/runfolder.h"
#include "run/snapshot.h"

void run_cost(const Run *r, Graph *g, int64_t kept_patches, GraphCost *out) {
    *out = (GraphCost){.kept_patches = kept_patches,
                       .gflop_per_image = graph_flops_step(g) / (double)r->options.batch * 1e-9,
                       .bytes = (int64_t)graph_bytes(g, GRAPH_TRAIN)};
}

Status run_check_schedule(const Run *r, Error *err) {
    const MaeOptions *o = &r->options;
    int64_t samples = dataset_count(r->dataset) * o->repeat, update = run_update_images(o, r->comm);
    if (samples >= update) return MAE_OK;
    return error_set(
        err, MAE_EMPTY,
        "0 updates an epoch: it has %" PRId64 " samples, an update takes %" PRId64
        " (--batch %" PRId64 " --accumulate %" PRId64 " in %d process%s); use a smaller "
        "--batch or --accumulate, or --repeat %" PRId64,
        samples, update, o->batch, o->accumulate, comm_size(r->comm),
        comm_size(r->comm) == 1 ? "" : "es", (update * o->repeat + samples - 1) / samples);
}

/* --- what it says ----------------------------------------------------------------------------- */

static void tell_model(const Run *r, const Vit *v, Result out) {
    const ModelConfig *c = &r->config;
    char model[96];
    snprintf(model, sizeof model, "%s patch %" PRId64 ", %" PRId64 "x%" PRId64, r->notes.preset,
             c->patch, c->image_height, c->image_width);
    result_text(out, "model", model);
    result_text(out, "data", dataset_describe(r->dataset));
    result_count(out, "parameters", vit_parameters(v));
    result_count(out, "encoder_parameters", vit_encoder_parameters(v));
    result_count(out, "trained_parameters", vit_trained_parameters(v));
    result_count(out, "images", dataset_count(r->dataset));
    result_count(out, "patches", model_patches(c));
}

/* Returns the images that all updates take together. */
static int64_t tell_schedule(const Run *r, Result out) {
    const MaeOptions *o = &r->options;
    int64_t update = run_update_images(o, r->comm);
    int64_t epoch = dataset_count(r->dataset) * o->repeat / update, steps = epoch * o->epochs;
    if (o->steps > 0 && o->steps < steps) steps = o->steps;
    result_count(out, "effective_batch", update);
    result_count(out, "steps_per_epoch", epoch);
    result_count(out, "total_steps", steps);
    result_number(out, "lr", run_peak_lr(o, r->comm));
    return steps * update;
}

/* Gradients count among the activations, where they lie. With --accumulate above 1 they have memory
 * of their own, which counts among the parameters. The snapshot is what checkpoints are written
 * from while training goes on. */
static void tell_bytes(const Run *r, const Vit *v, int64_t activations, Result out) {
    const MaeOptions *o = &r->options;
    int64_t parameters = (int64_t)params_bytes(v->params), snapshot = 0;
    int64_t optimizer = (int64_t)optimizer_bytes(v->params, run_optimizer(o, &r->config).kind);
    if (o->shard_optimizer) optimizer /= comm_size(r->comm); /* about */
    if (o->async_save)
        snapshot = (int64_t)snapshot_bytes_planned(v->params, (size_t)optimizer, o->ema > 0);
    result_count(out, "bytes_parameters", parameters);
    result_count(out, "bytes_optimizer", optimizer);
    result_count(out, "bytes_activations", activations);
    result_count(out, "bytes_snapshot", snapshot);
    result_count(out, "bytes_total", parameters + optimizer + activations + snapshot);
}

/* Some milliseconds are enough for a share of the peak in whole percents. */
double run_peak_gflops(Run *r) {
    if (r->peak_gflops == 0) r->peak_gflops = device_peak_gflops(r->device, 0.002, 3);
    return r->peak_gflops;
}

Status run_tell_plan(Run *r, Result out, Error *err) {
    Status status = MAE_OK;
    Vit *v = NULL;
    GraphCost cost;
    TRY(vit_describe(r->device, &r->config, step_gradients(r->options.accumulate),
                     r->options.tune_blocks, &v, err));
    TRY(r->task->describe(r, v, &cost, err));
    tell_model(r, v, out);
    result_count(out, "kept_patches", cost.kept_patches);
    double images = (double)tell_schedule(r, out);
    result_number(out, "gflop_per_image", cost.gflop_per_image);
    tell_bytes(r, v, cost.bytes, out);
    double peak = run_peak_gflops(r);
    result_number(out, "peak_gflops", peak);
    result_number(out, "seconds",
                  images * cost.gflop_per_image / (0.5 * peak * comm_size(r->comm)));
    result_switch(out, "resumes", r->resumed);
done:
    vit_free(v);
    return status;
}

Status run_plan(const Task *task, const MaeOptions *o, Result out, Error *err) {
    Status status = MAE_OK;
    Run r = {.task = task};
    r.resumed = o->out && !o->restart && run_state_exists(o->out);
    TRY(r.resumed ? run_take_up(&r, o, err) : runfolder_copy_options(o, &r.options, err));
    TRY(machine_device(&r.options, r.comm, &r.device, err));
    TRY(task->configure(&r, err));
    TRY(run_check_schedule(&r, err));
    if (r.resumed) TRY(run_check_folder(&r, o, err));
    TRY(run_tell_plan(&r, out, err));
done:
    dataset_close(r.dataset);
    device_close(r.device);
    checkpoint_notes_free(&r.notes);
    options_clear(&r.options);
    options_clear(&r.before);
    return status;
}

int64_t run_update_images(const MaeOptions *o, const Comm *c) {
    return o->batch * o->accumulate * comm_size(c);
}

double run_peak_lr(const MaeOptions *o, const Comm *c) {
    return o->lr > 0 ? o->lr : o->base_lr * (double)run_update_images(o, c) / 256;
}
