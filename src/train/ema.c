/* See ema.h. */
#include "train/ema.h"

#include "base/memory.h"

struct Ema {
    Device *device;
    Params *params;
    double decay;
    void *average; /* laid out like the trainable parameters */
    size_t bytes;
};

Status ema_new(Device *d, Params *p, double decay, Ema **out, Error *err) {
    Ema *e = mem_alloc(sizeof *e);
    *out = NULL;
    if (!e) return fail(err, MAE_MEMORY, "no memory for averaged weights");
    *e = (Ema){.device = d, .params = p, .decay = decay, .bytes = params_trained_bytes(p)};
    e->average = device_alloc(d, e->bytes);
    if (!e->average) {
        double megabytes = 1e-6 * (double)e->bytes;
        ema_free(e);
        return fail(err, MAE_MEMORY, "no memory for %.1f MB of averaged weights; use --ema 0",
                    megabytes);
    }
    for (int64_t i = 0; i < params_count(p); i++) {
        const Param *q = params_at(p, i);
        if (q->trainable)
            device_copy(d, ema_average(e, q), q->data, (size_t)q->numel * d->kernels.real_bytes);
    }
    *out = e;
    return MAE_OK;
}

void ema_free(Ema *e) {
    if (!e) return;
    device_free(e->device, e->average, e->bytes);
    mem_free(e);
}

void ema_update(Ema *e) {
    for (int64_t i = 0; i < params_count(e->params); i++) {
        const Param *p = params_at(e->params, i);
        if (p->trainable)
            e->device->kernels.average(e->device, ema_average(e, p), p->data, e->decay, p->numel);
    }
}

void ema_swap(Ema *e) {
    for (int64_t i = 0; i < params_count(e->params); i++) {
        const Param *p = params_at(e->params, i);
        if (p->trainable)
            device_swap(e->device, p->data, ema_average(e, p),
                        (size_t)p->numel * e->device->kernels.real_bytes);
    }
}

void *ema_average(Ema *e, const Param *p) {
    return device_at(e->average, p->offset);
}
