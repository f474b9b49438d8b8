/* See optimizer.h. */
#include "train/optimizer.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"

struct Optimizer {
    Device *device;
    Params *params;
    AdamWOptions options;
    int64_t updates;
    void *exp_avg, *exp_avg_sq; /* laid out like the trainable parameters */
    size_t bytes;               /* of each */
};

static size_t moment_bytes(const Params *p, const Device *d) {
    size_t end = 0;
    for (int64_t i = 0; i < params_count(p); i++) {
        const Param *q = params_at(p, i);
        size_t last = q->offset + (size_t)q->numel * d->kernels.real_bytes;
        if (q->trainable && last > end) end = last;
    }
    return end;
}

size_t optimizer_bytes(const Params *p, const Device *d) {
    return 2 * moment_bytes(p, d);
}

Status optimizer_new(Device *d, Params *p, AdamWOptions options, Optimizer **out, Error *err) {
    Optimizer *o = mem_alloc(sizeof *o);
    *out = o;
    if (!o) return fail(err, STATUS_MEMORY, "no memory for an optimiser");
    o->device = d;
    o->params = p;
    o->options = options;
    o->bytes = moment_bytes(p, d);
    o->exp_avg = device_alloc(d, o->bytes);
    o->exp_avg_sq = device_alloc(d, o->bytes);
    if (o->exp_avg && o->exp_avg_sq) return STATUS_OK;
    optimizer_free(o);
    *out = NULL;
    return fail(err, STATUS_MEMORY, "no memory for %.1f MB of optimiser state",
                2e-6 * (double)moment_bytes(p, d));
}

void optimizer_free(Optimizer *o) {
    if (!o) return;
    device_free(o->device, o->exp_avg, o->bytes);
    device_free(o->device, o->exp_avg_sq, o->bytes);
    mem_free(o);
}

bool optimizer_decays(const Param *p) {
    return p->shape.n_dims > 1;
}

double optimizer_gradient_norm(Optimizer *o) {
    double sum = 0;
    for (int64_t i = 0; i < params_count(o->params); i++) {
        const Param *p = params_at(o->params, i);
        if (p->grad) sum += o->device->kernels.sum_squares(o->device, p->grad, p->numel);
    }
    return sqrt(sum);
}

void optimizer_step(Optimizer *o, double lr, double gradient_scale) {
    o->updates++;
    AdamW a = {.lr = lr,
               .beta1 = o->options.beta1,
               .beta2 = o->options.beta2,
               .eps = o->options.eps,
               .correction1 = 1 - pow(o->options.beta1, (double)o->updates),
               .correction2 = 1 - pow(o->options.beta2, (double)o->updates),
               .gradient_scale = gradient_scale};
    for (int64_t i = 0; i < params_count(o->params); i++) {
        const Param *p = params_at(o->params, i);
        if (!p->grad) continue;
        a.weight_decay = optimizer_decays(p) ? o->options.weight_decay : 0;
        o->device->kernels.adamw(o->device, p->data, p->grad, optimizer_exp_avg(o, p),
                                 optimizer_exp_avg_sq(o, p), p->numel, a);
    }
}

int64_t optimizer_updates(const Optimizer *o) {
    return o->updates;
}

void optimizer_set_updates(Optimizer *o, int64_t n) {
    o->updates = n;
}

void *optimizer_exp_avg(Optimizer *o, const Param *p) {
    return device_at(o->exp_avg, p->offset);
}

void *optimizer_exp_avg_sq(Optimizer *o, const Param *p) {
    return device_at(o->exp_avg_sq, p->offset);
}
