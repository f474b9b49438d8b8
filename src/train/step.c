/* See step.h. */
#include "train/step.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"

Status step_new(Autoencoder *a, Optimizer *o, StepOptions options, TrainStep **out, Error *err) {
    Status status = STATUS_OK;
    TrainStep *s = mem_alloc(sizeof *s);
    *out = NULL;
    if (!s) return fail(err, STATUS_MEMORY, "no memory for a training step");
    s->model = a;
    s->optimizer = o;
    s->options = options;
    int64_t n_keep = mask_n_keep(options.mask, &a->config, options.mask_ratio);
    TRY(autoencoder_graph(a, FORWARD_TRAIN, options.batch, n_keep, options.float_images, &s->graph,
                          err));
    TRY(graph_plan(s->graph.graph, GRAPH_TRAIN, err));
    size_t B = (size_t)options.batch, P = (size_t)model_patches(&a->config);
    s->ids_keep = mem_alloc_array(B * P, sizeof *s->ids_keep);
    s->ids_restore = mem_alloc_array(B * P, sizeof *s->ids_restore);
    s->ids_pred = mem_alloc_array(B * P, sizeof *s->ids_pred);
    s->mask = mem_alloc_array(B * P, sizeof *s->mask);
    s->scratch = mem_alloc_array(P, sizeof *s->scratch);
    if (!s->ids_keep || !s->ids_restore || !s->ids_pred || !s->mask || !s->scratch) {
        status = fail(err, STATUS_MEMORY, "no memory for the masks of %zu images", B);
        goto done;
    }
    params_zero_grad(a->params);
    *out = s;
    s = NULL;
done:
    step_free(s);
    return status;
}

void step_free(TrainStep *s) {
    if (!s) return;
    graph_free(s->graph.graph);
    mem_free(s->ids_keep);
    mem_free(s->ids_restore);
    mem_free(s->ids_pred);
    mem_free(s->mask);
    mem_free(s->scratch);
    mem_free(s);
}

/* Removed patches in the order of ids_restore: what is predicted. */
static void upload_masks(TrainStep *s) {
    AutoencoderGraph *g = &s->graph;
    int64_t P = model_patches(&s->model->config);
    for (int64_t b = 0; b < g->batch; b++)
        for (int64_t i = 0; i < P; i++) {
            int64_t place = s->ids_restore[b * P + i] - g->n_keep;
            if (place >= 0) s->ids_pred[b * g->n_pred + place] = (int32_t)i;
        }
    graph_set(g->graph, g->ids_keep, s->ids_keep);
    graph_set(g->graph, g->ids_restore, s->ids_restore);
    graph_set(g->graph, g->ids_pred, s->ids_pred);
    graph_set_real(g->graph, g->mask, s->mask);
}

void step_set_batch(TrainStep *s, const uint8_t *pixels, uint64_t epoch, const int64_t *samples) {
    AutoencoderGraph *g = &s->graph;
    int64_t P = model_patches(&s->model->config);
    for (int64_t b = 0; b < g->batch; b++)
        mask_draw(s->options.mask, &s->model->config, s->options.mask_ratio, s->options.seed, epoch,
                  (uint64_t)samples[b], s->ids_keep + b * g->n_keep, s->ids_restore + b * P,
                  s->mask + b * P, s->scratch);
    upload_masks(s);
    graph_set(g->graph, g->pixels, pixels);
}

void step_set_float_batch(TrainStep *s, const float *images, const float *noise) {
    AutoencoderGraph *g = &s->graph;
    int64_t P = model_patches(&s->model->config);
    for (int64_t b = 0; b < g->batch; b++)
        mask_from_noise(noise + b * P, P, g->n_keep, s->ids_keep + b * g->n_keep,
                        s->ids_restore + b * P, s->mask + b * P);
    upload_masks(s);
    graph_set_real(g->graph, g->images, images);
}

void step_discard(TrainStep *s) {
    s->micro_batches = 0;
    s->loss_sum = 0;
    params_zero_grad(s->model->params);
}

static bool all_finite(TrainStep *s, const void *x, int64_t n) {
    Device *d = s->model->device;
    return isfinite(d->kernels.sum_squares(d, x, n));
}

/* A weight that is not finite explains everything after it; then activations in forward order. */
static void find_culprit(TrainStep *s) {
    Params *p = s->model->params;
    for (int64_t i = 0; i < params_count(p); i++) {
        const Param *q = params_at(p, i);
        if (all_finite(s, q->data, q->numel)) continue;
        snprintf(s->culprit, sizeof s->culprit, "weight %.120s", q->name);
        return;
    }
    const Value *v = graph_first_nonfinite(s->graph.graph);
    snprintf(s->culprit, sizeof s->culprit, "activation %.120s", v ? v->name : "loss");
}

/* Backward runs from the last parameter to the first, so the last one in the list went first. */
static void find_gradient_culprit(TrainStep *s) {
    Params *p = s->model->params;
    for (int64_t i = params_count(p) - 1; i >= 0; i--) {
        const Param *q = params_at(p, i);
        if (!q->grad || all_finite(s, q->grad, q->numel)) continue;
        snprintf(s->culprit, sizeof s->culprit, "gradient of %.120s", q->name);
        return;
    }
    snprintf(s->culprit, sizeof s->culprit, "gradient norm");
}

static Status not_finite(TrainStep *s, Error *err) {
    step_discard(s);
    return fail(err, STATUS_NONFINITE, "not finite: %s", s->culprit);
}

Status step_micro_batch(TrainStep *s, double *loss, Error *err) {
    const float one = 1;
    float value;
    AutoencoderGraph *g = &s->graph;
    graph_forward(g->graph);
    graph_get(g->graph, g->loss, &value);
    *loss = (double)value;
    if (!isfinite(value)) {
        find_culprit(s);
        return not_finite(s, err);
    }
    graph_set_grad(g->graph, g->loss, &one);
    graph_backward(g->graph, g->loss, NULL, NULL);
    s->micro_batches++;
    s->loss_sum += *loss;
    return STATUS_OK;
}

bool step_is_due(const TrainStep *s) {
    return s->micro_batches >= s->options.accumulate;
}

Status step_update(TrainStep *s, double lr, double *loss, Error *err) {
    ASSERT(s->micro_batches > 0, "update without a gradient");
    double scale = 1.0 / (double)s->micro_batches;
    *loss = s->loss_sum * scale;
    s->last_norm = optimizer_gradient_norm(s->optimizer) * scale;
    if (!isfinite(s->last_norm)) {
        find_gradient_culprit(s);
        return not_finite(s, err);
    }
    double clip = s->options.clip_grad;
    if (clip > 0 && s->last_norm > clip) scale *= clip / (s->last_norm + 1e-6);
    optimizer_step(s->optimizer, lr, scale);
    step_discard(s);
    return STATUS_OK;
}

double step_flops_per_image(const TrainStep *s) {
    return graph_flops_step(s->graph.graph) / (double)s->graph.batch;
}
