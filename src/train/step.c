/* See step.h. */
#include "train/step.h"

#include <math.h>
#include <stdio.h>

#include "base/memory.h"

ParamGradients step_gradients(int64_t accumulate) {
    return accumulate > 1 ? GRADIENTS_SUMMED : GRADIENTS_FRESH;
}

/* Of micro-batch i among the results; behind the last one they end. */
static size_t loss_place(const TrainStep *s, int64_t i) {
    size_t sums_bytes = (size_t)optimizer_tensors(s->optimizer) * sizeof *s->sums;
    return sums_bytes + (size_t)i * s->model->device->kernels.wide_bytes;
}

Status step_new(Vit *v, Graph *graph, Value *loss, Optimizer *o, StepOptions options,
                TrainStep **out, Error *err) {
    ASSERT(options.accumulate == 1 || params_gradients(v->params) != GRADIENTS_FRESH,
           "%lld passes over gradients that live through one", (long long)options.accumulate);
    TrainStep *s = mem_alloc(sizeof *s);
    *out = s;
    if (!s) return error_set(err, MAE_MEMORY, "no memory for a training step");
    *s = (TrainStep){.model = v, .graph = graph, .loss = loss, .optimizer = o, .options = options};
    s->statistics_bytes = graph_statistics_bytes(graph);
    s->results_bytes = loss_place(s, options.accumulate);
    s->statistics = device_alloc(v->device, s->statistics_bytes);
    s->results = device_alloc(v->device, s->results_bytes);
    s->sums = device_alloc_host(v->device, s->results_bytes);
    params_zero_grad(v->params);
    if (s->statistics && s->results && s->sums) return MAE_OK;
    step_free(s);
    *out = NULL;
    return error_set(err, MAE_MEMORY, "no memory for a training step");
}

void step_free(TrainStep *s) {
    if (!s) return;
    device_free(s->model->device, s->statistics, s->statistics_bytes);
    device_free(s->model->device, s->results, s->results_bytes);
    device_free_host(s->model->device, s->sums, s->results_bytes);
    mem_free(s);
}

void step_begin(TrainStep *s) {
    graph_keep_statistics(s->graph, s->statistics);
}

void step_discard(TrainStep *s) {
    s->micro_batches = 0;
    s->is_read = false;
    s->loss_sum = 0;
    params_zero_grad(s->model->params);
}

void step_give_up(TrainStep *s) {
    graph_put_back_statistics(s->graph, s->statistics);
    step_discard(s);
}

/* A weight that is not finite explains everything after it; then activations in forward order. */
static void find_culprit(TrainStep *s) {
    Params *p = s->model->params;
    for (int64_t i = 0; i < params_count(p); i++) {
        const Param *q = params_at(p, i);
        if (device_all_finite(s->model->device, q->data, NUMBER_WIDE, q->numel)) continue;
        snprintf(s->culprit, sizeof s->culprit, "weight %.120s", q->name);
        return;
    }
    const Value *v = graph_first_nonfinite(s->graph);
    snprintf(s->culprit, sizeof s->culprit, "activation %.120s", v ? v->name : "loss");
}

/* The backward pass goes from the last parameter to the first, so the last one in the list went
 * first. When each gradient has one owner, only that process has it, and all look together. */
static void find_gradient_culprit(TrainStep *s) {
    Reducer *r = s->options.reducer;
    Params *p = s->model->params;
    const double *sum = s->sums + optimizer_tensors(s->optimizer);
    for (int64_t i = params_count(p) - 1; i >= 0; i--) {
        const Param *q = params_at(p, i);
        double bad = q->trainable && reducer_owns(r, q) && !isfinite(*--sum);
        if (reducer_shards(r)) comm_sum(reducer_comm(r), &bad, 1);
        if (bad == 0) continue;
        snprintf(s->culprit, sizeof s->culprit, "gradient of %.120s", q->name);
        return;
    }
    snprintf(s->culprit, sizeof s->culprit, "gradient norm");
}

static Status not_finite(TrainStep *s, Error *err) {
    step_discard(s);
    return error_set(err, MAE_NONFINITE, "not finite: %s", s->culprit);
}

static Status given_up(Error *err) {
    return error_set(err, MAE_INTERRUPTED, "the update was given up");
}

Status step_micro_batch(TrainStep *s, Error *err) {
    Device *d = s->model->device;
    const float one = 1;
    float loss = 0;
    if (!graph_forward(s->graph)) return given_up(err);
    if (d->kernels.is_host) graph_get(s->graph, s->loss, &loss);
    if (!isfinite(loss)) {
        find_culprit(s);
        return not_finite(s, err);
    }
    device_copy(d, device_at(s->results, loss_place(s, s->micro_batches)), s->loss->data,
                d->kernels.wide_bytes);
    graph_set_grad(s->graph, s->loss, &one);
    bool last = s->micro_batches + 1 == s->options.accumulate;
    if (!graph_backward(s->graph, s->loss, last && s->options.reducer ? reducer_ready : NULL,
                        s->options.reducer))
        return given_up(err);
    s->micro_batches++;
    return MAE_OK;
}

/* The one wait of an update. On a device that is the host, a loss that is not finite was found
 * before. On others, only the last micro-batch can be looked at, whose inputs are still there. */
static Status read_results(TrainStep *s, Error *err) {
    Device *d = s->model->device;
    double loss = 0;
    optimizer_sum_squares(s->optimizer, s->results);
    device_download(d, s->sums, s->results, s->results_bytes);
    s->is_read = true;
    for (int64_t i = 0; i < s->micro_batches; i++) {
        const void *wide = (const char *)s->sums + loss_place(s, i);
        bool is_float = d->kernels.wide_bytes == sizeof(float);
        loss = is_float ? (double)*(const float *)wide : *(const double *)wide;
        s->loss_sum += loss;
    }
    if (isfinite(s->loss_sum)) return MAE_OK;
    if (!isfinite(loss)) (void)graph_forward(s->graph);
    find_culprit(s);
    return not_finite(s, err);
}

Status step_gather(TrainStep *s, StepVotes *votes, Error *err) {
    Status status = MAE_OK;
    if (s->micro_batches == 0 && s->options.reducer) graph_zero_gradients(s->graph);
    reducer_finish(s->options.reducer);
    if (s->micro_batches > 0 || s->options.reducer) status = read_results(s, err);
    double sums[] = {(double)s->micro_batches,
                     s->loss_sum,
                     votes->bad + (status != MAE_OK),
                     votes->fault,
                     votes->stop,
                     votes->written};
    comm_sum(reducer_comm(s->options.reducer), sums, sizeof sums / sizeof *sums);
    s->micro_batches = (int64_t)sums[0];
    s->loss_sum = sums[1];
    *votes = (StepVotes){sums[2], sums[3], sums[4], sums[5]};
    return status;
}

Status step_update(TrainStep *s, double lr, double *loss, Error *err) {
    ASSERT(s->micro_batches > 0, "update without a gradient");
    Status status = s->is_read ? MAE_OK : read_results(s, err);
    if (status != MAE_OK) return status;
    double scale = 1.0 / (double)s->micro_batches;
    *loss = s->loss_sum * scale;
    s->last_norm = optimizer_norm(s->optimizer, s->sums) * scale;
    if (!isfinite(s->last_norm)) {
        find_gradient_culprit(s);
        return not_finite(s, err);
    }
    double clip = s->options.clip_grad;
    if (clip > 0 && s->last_norm > clip) scale *= clip / (s->last_norm + 1e-6);
    optimizer_step(s->optimizer, lr, scale);
    step_discard(s);
    return MAE_OK;
}

double step_flops_per_image(const TrainStep *s) {
    return graph_flops_step(s->graph) / (double)s->options.batch;
}
