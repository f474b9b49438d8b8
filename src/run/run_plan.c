/* What a training command would need, before anything starts. */
#include <inttypes.h>
#include <stdio.h>

#include "run/machine.h"
#include "run/run_internal.h"
#include "run/run_state.h"
#include "run/runfolder.h"
#include "run/snapshot.h"

void run_describe(const Run *r, const Vit *v, Graph *g, MaePlan *p) {
    const ModelConfig *c = &r->config;
    snprintf(p->model, sizeof p->model, "%s patch %" PRId64 ", %" PRId64 "x%" PRId64,
             r->notes.preset, c->patch, c->image_height, c->image_width);
    p->parameters = vit_parameters(v);
    p->encoder_parameters = vit_encoder_parameters(v);
    p->trained_parameters = vit_trained_parameters(v);
    p->patches = model_patches(c);
    p->gflop_per_image = graph_flops_step(g) / (double)r->options.batch * 1e-9;
    p->bytes_parameters = (int64_t)params_bytes(v->params);
    p->bytes_optimizer = (int64_t)optimizer_bytes(v->params, run_optimizer(&r->options, c).kind);
    if (r->options.shard_optimizer) p->bytes_optimizer /= comm_size(r->comm); /* about */
    p->bytes_activations = (int64_t)graph_bytes(g, GRAPH_TRAIN);
    if (r->options.async_save)
        p->bytes_snapshot = (int64_t)snapshot_bytes_planned(v->params, (size_t)p->bytes_optimizer,
                                                            r->options.ema > 0);
    p->bytes_total =
        p->bytes_parameters + p->bytes_optimizer + p->bytes_activations + p->bytes_snapshot;
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

static void plan_schedule(const Run *r, MaePlan *p) {
    const MaeOptions *o = &r->options;
    p->images = dataset_count(r->dataset);
    snprintf(p->data, sizeof p->data, "%s", dataset_describe(r->dataset));
    p->effective_batch = run_update_images(o, r->comm);
    p->steps_per_epoch = p->images * o->repeat / p->effective_batch;
    p->total_steps = p->steps_per_epoch * o->epochs;
    if (o->steps > 0 && o->steps < p->total_steps) p->total_steps = o->steps;
    p->lr = run_peak_lr(o, r->comm);
}

/* Some milliseconds are enough for a share of the peak in whole percents. */
double run_peak_gflops(Run *r) {
    if (r->peak_gflops == 0) r->peak_gflops = device_peak_gflops(r->device, 0.002, 3);
    return r->peak_gflops;
}

Status run_fill_plan(Run *r, MaePlan *out, Error *err) {
    Status status = MAE_OK;
    Vit *v = NULL;
    *out = (MaePlan){.resumes = r->resumed};
    plan_schedule(r, out);
    TRY(vit_describe(r->device, &r->config, step_gradients(r->options.accumulate),
                     r->options.tune_blocks, &v, err));
    TRY(r->task->describe(r, v, out, err));
    out->peak_gflops = run_peak_gflops(r);
    out->seconds = (double)(out->total_steps * out->effective_batch) * out->gflop_per_image /
                   (0.5 * out->peak_gflops * comm_size(r->comm));
done:
    vit_free(v);
    return status;
}

Status run_plan(const Task *task, const MaeOptions *o, MaePlan *out, Error *err) {
    Status status = MAE_OK;
    Run r = {.task = task};
    r.resumed = o->out && !o->restart && run_state_exists(o->out);
    TRY(r.resumed ? run_take_up(&r, o, err) : runfolder_copy_options(o, &r.options, err));
    TRY(machine_device(&r.options, r.comm, &r.device, err));
    TRY(task->configure(&r, err));
    TRY(run_check_schedule(&r, err));
    if (r.resumed) TRY(run_check_folder(&r, o, err));
    TRY(run_fill_plan(&r, out, err));
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
