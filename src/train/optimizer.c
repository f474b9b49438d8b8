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
    Segment *list; /* what is updated here, in the order of the parameters */
    int64_t n_tensors;
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
        size_t bytes = device_bytes(o->device, NUMBER_WIDE, p->numel);
        o->bytes += (bytes + ALIGN - 1) / ALIGN * ALIGN;
        o->n_tensors++;
    }
    return o->place != NULL;
}

static Segment segment_of(Optimizer *o, const Param *p) {
    ParamGroup group = optimizer_group(o, p);
    ASSERT(p->grad, "%s: an optimiser before there are gradients", p->name);
    return (Segment){
        .p = p->data,
        .g = p->grad,
        .m = optimizer_moment(o, 0, p),
        .v = n_moments(o->options.kind) > 1 ? optimizer_moment(o, 1, p) : NULL,
        .n = p->numel,
        .trust = o->options.kind == OPTIMIZER_LARS && p->shape.n_dims > 1 ? o->options.trust : 0,
        .lr_scale = group.lr_scale,
        .weight_decay = group.weight_decay};
}

static bool make_list(Optimizer *o) {
    o->list = mem_alloc_array((size_t)o->n_tensors, sizeof *o->list);
    Segment *next = o->list;
    for (int64_t i = 0; o->list && i < params_count(o->params); i++)
        if (o->place[i] != NOWHERE) *next++ = segment_of(o, params_at(o->params, i));
    return o->list != NULL;
}

Status optimizer_new(Device *d, Params *p, OptimizerOptions options, Optimizer **out, Error *err) {
    Optimizer *o = mem_alloc(sizeof *o);
    *out = NULL;
    if (!o) return error_set(err, MAE_MEMORY, "no memory for an optimiser");
    o->device = d;
    o->params = p;
    o->options = options;
    bool ok = place_moments(o);
    for (int i = 0; i < n_moments(options.kind) && ok; i++)
        ok = (o->moment[i] = device_alloc(d, o->bytes)) != NULL;
    if (ok && make_list(o)) {
        *out = o;
        return MAE_OK;
    }
    optimizer_free(o);
    return error_set(err, MAE_MEMORY, "no memory for %.1f MB of optimiser state",
                     1e-6 * (double)optimizer_bytes(p, options.kind));
}

void optimizer_free(Optimizer *o) {
    if (!o) return;
    for (int i = 0; i < MAX_MOMENTS; i++) device_free(o->device, o->moment[i], o->bytes);
    mem_free(o->place);
    mem_free(o->list);
    mem_free(o);
}

ParamGroup optimizer_group(const Optimizer *o, const Param *p) {
    return param_group(&o->options.groups, &p->role);
}

int64_t optimizer_tensors(const Optimizer *o) {
    return o->n_tensors;
}

void optimizer_sum_squares(Optimizer *o, double *sums) {
    o->device->kernels.sum_squares(o->device, sums, o->list, o->n_tensors);
}

double optimizer_norm(const Optimizer *o, const double *sums) {
    double sum = 0;
    for (int64_t i = 0; i < o->n_tensors; i++) sum += sums[i];
    if (reducer_shards(o->options.reducer)) comm_sum(reducer_comm(o->options.reducer), &sum, 1);
    return sqrt(sum);
}

static void step_adamw(Optimizer *o, double lr, double gradient_scale) {
    const OptimizerOptions *x = &o->options;
    AdamW a = {.lr = lr,
               .beta1 = x->beta1,
               .beta2 = x->beta2,
               .eps = x->eps,
               .correction1 = 1 - pow(x->beta1, (double)o->updates),
               .correction2 = 1 - pow(x->beta2, (double)o->updates),
               .gradient_scale = gradient_scale};
    o->device->kernels.adamw(o->device, o->list, o->n_tensors, a);
}

void optimizer_step(Optimizer *o, double lr, double gradient_scale) {
    Sgd sgd = {.lr = lr, .momentum = o->options.momentum, .gradient_scale = gradient_scale};
    o->updates++;
    if (o->options.kind == OPTIMIZER_ADAMW)
        step_adamw(o, lr, gradient_scale);
    else
        o->device->kernels.sgd(o->device, o->list, o->n_tensors, sgd);
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
    size_t place = o->place[p->index];
    return place == NOWHERE ? NULL : device_at(o->moment[i], place);
}
