/* See ema.h. */
#include "train/ema.h"

#include "base/memory.h"

struct Ema {
    Device *device;
    double decay;
    void *average; /* laid out like the trainable parameters */
    size_t bytes;
    Segment *list; /* weights and averages of these */
    int64_t n_tensors;
};

Status ema_new(Device *d, Params *p, double decay, Ema **out, Error *err) {
    Ema *e = mem_alloc(sizeof *e);
    *out = NULL;
    if (!e) return error_set(err, MAE_MEMORY, "no memory for averaged weights");
    *e = (Ema){.device = d, .decay = decay, .bytes = params_trained_bytes(p)};
    e->average = device_alloc(d, e->bytes);
    e->list = mem_alloc_array((size_t)params_count(p), sizeof *e->list);
    if (!e->average || !e->list) {
        double megabytes = 1e-6 * (double)e->bytes;
        ema_free(e);
        return error_set(err, MAE_MEMORY, "no memory for %.1f MB of averaged weights; use --ema 0",
                         megabytes);
    }
    for (int64_t i = 0; i < params_count(p); i++) {
        const Param *q = params_at(p, i);
        if (!q->trainable) continue;
        void *average = ema_average(e, q);
        device_copy(d, average, q->data, device_bytes(d, NUMBER_WIDE, q->numel));
        e->list[e->n_tensors++] = (Segment){.p = q->data, .m = average, .n = q->numel};
    }
    *out = e;
    return MAE_OK;
}

void ema_free(Ema *e) {
    if (!e) return;
    device_free(e->device, e->average, e->bytes);
    mem_free(e->list);
    mem_free(e);
}

void ema_update(Ema *e) {
    e->device->kernels.average(e->device, e->list, e->n_tensors, e->decay);
}

void ema_swap(Ema *e) {
    for (int64_t i = 0; i < e->n_tensors; i++)
        device_swap(e->device, e->list[i].p, e->list[i].m,
                    device_bytes(e->device, NUMBER_WIDE, e->list[i].n));
}

void *ema_average(Ema *e, const Param *p) {
    return device_at(e->average, p->offset);
}
