/* See optimizer.h. */
#include "train/optimizer.h"

#include <math.h>

#include "base/memory.h"

#define MAX_MOMENTS 2
#define ALIGN 64
#define NOWHERE SIZE_MAX

struct Optimizer {
    Device *device;
    Params *params;
    OptimizerOptions options;
    int64_t updates;
    void *moment[MAX_MOMENTS];
    size_t *place; /* of a parameter in each of them, by its index; NOWHERE: not updated here */
    size_t bytes;  /* of each */
};

static int n_moments(OptimizerKind kind) {
    return kind == OPTIMIZER_ADAMW ? 2 : 1;
}

size_t optimizer_bytes(const Params *p, OptimizerKind kind) {
    return (size_t)n_moments(kind) * params_trained_bytes(p);
}

/* Moments lie in the order of the parameters; those that others update take no room. */
static bool place_moments(Optimizer *o) {
    o->place = mem_alloc_array((size_t)params_count(o->params), sizeof *o->place);
    for (int64_t i = 0; o->place && i < params_count(o->params); i++) {
        const Param *p = params_at(o->params, i);
        bool here = p->trainable && reducer_owns(o->options.reducer, p);
        o->place[i] = here ? o->bytes : NOWHERE;
        if (!here) continue;
        size_t bytes = (size_t)p->numel * o->device->kernels.real_bytes;
        o->bytes += (bytes + ALIGN - 1) / ALIGN * ALIGN;
    }
    return o->place != NULL;
}

Status optimizer_new(Device *d, Params *p, OptimizerOptions options, Optimizer **out, Error *err) {
    Optimizer *o = mem_alloc(sizeof *o);
    *out = NULL;
    if (!o) return fail(err, MAE_MEMORY, "no memory for an optimiser");
    o->device = d;
    o->params = p;
    o->options = options;
    bool ok = place_moments(o);
    for (int i = 0; i < n_moments(options.kind) && ok; i++)
        ok = (o->moment[i] = device_alloc(d, o->bytes)) != NULL;
    if (ok) {
        *out = o;
        return MAE_OK;
    }
    optimizer_free(o);
    return fail(err, MAE_MEMORY, "no memory for %.1f MB of optimiser state",
                1e-6 * (double)optimizer_bytes(p, options.kind));
}

void optimizer_free(Optimizer *o) {
    if (!o) return;
    for (int i = 0; i < MAX_MOMENTS; i++) device_free(o->device, o->moment[i], o->bytes);
    mem_free(o->place);
    mem_free(o);
}

ParamGroup optimizer_group(const Optimizer *o, const Param *p) {
    return param_group(&o->options.groups, &p->role);
}

static bool is_here(const Optimizer *o, const Param *p) {
    return o->place[p->index] != NOWHERE;
}

double optimizer_gradient_norm(Optimizer *o) {
    double sum = 0;
    for (int64_t i = 0; i < params_count(o->params); i++) {
        const Param *p = params_at(o->params, i);
        if (p->grad && is_here(o, p))
            sum += o->device->kernels.sum_squares(o->device, p->grad, p->numel);
    }
    if (reducer_shards(o->options.reducer)) comm_sum(reducer_comm(o->options.reducer), &sum, 1);
    return sqrt(sum);
}

static void step_adamw(Optimizer *o, const Param *p, double lr, double gradient_scale) {
    const OptimizerOptions *x = &o->options;
    ParamGroup group = optimizer_group(o, p);
    AdamW a = {.lr = lr * group.lr_scale,
               .beta1 = x->beta1,
               .beta2 = x->beta2,
               .eps = x->eps,
               .correction1 = 1 - pow(x->beta1, (double)o->updates),
               .correction2 = 1 - pow(x->beta2, (double)o->updates),
               .gradient_scale = gradient_scale,
               .weight_decay = group.weight_decay};
    o->device->kernels.adamw(o->device, p->data, p->grad, optimizer_moment(o, 0, p),
                             optimizer_moment(o, 1, p), p->numel, a);
}

/* |p| and |g| decide the rate; where one of them is zero it stays what it is. */
static double lars_rate(Optimizer *o, const Param *p) {
    Device *d = o->device;
    double weight = sqrt(d->kernels.sum_squares(d, p->data, p->numel));
    double gradient = sqrt(d->kernels.sum_squares(d, p->grad, p->numel));
    return weight > 0 && gradient > 0 ? o->options.trust * weight / gradient : 1;
}

static void step_momentum(Optimizer *o, const Param *p, double lr, double gradient_scale) {
    Device *d = o->device;
    ParamGroup group = optimizer_group(o, p);
    double rate = 1;
    if (gradient_scale != 1) d->kernels.scale(d, p->grad, gradient_scale, p->numel);
    if (group.weight_decay > 0)
        d->kernels.add_scaled(d, p->grad, p->data, group.weight_decay, p->numel);
    if (o->options.kind == OPTIMIZER_LARS && p->shape.n_dims > 1) rate = lars_rate(o, p);
    d->kernels.sgd(d, p->data, p->grad, optimizer_moment(o, 0, p), p->numel, lr * group.lr_scale,
                   o->options.momentum, rate);
}

void optimizer_step(Optimizer *o, double lr, double gradient_scale) {
    o->updates++;
    for (int64_t i = 0; i < params_count(o->params); i++) {
        const Param *p = params_at(o->params, i);
        if (!p->grad || !is_here(o, p)) continue;
        if (o->options.kind == OPTIMIZER_ADAMW)
            step_adamw(o, p, lr, gradient_scale);
        else
            step_momentum(o, p, lr, gradient_scale);
    }
    if (reducer_shards(o->options.reducer)) reducer_share_weights(o->options.reducer);
}

int64_t optimizer_updates(const Optimizer *o) {
    return o->updates;
}

void optimizer_set_updates(Optimizer *o, int64_t n) {
    o->updates = n;
}

int optimizer_n_moments(const Optimizer *o) {
    return n_moments(o->options.kind);
}

const char *optimizer_moment_name(const Optimizer *o, int i) {
    if (o->options.kind != OPTIMIZER_ADAMW) return "momentum_buffer";
    return i == 0 ? "exp_avg" : "exp_avg_sq";
}

void *optimizer_moment(Optimizer *o, int i, const Param *p) {
    return is_here(o, p) ? device_at(o->moment[i], o->place[p->index]) : NULL;
}
