/* What a run does so that several processes train one model; see run_internal.h. */

#include "base/memory.h"
#include "run/run_internal.h"

/* --- failures --------------------------------------------------------------------------------- */

/* Rank 0 could not write, say. */
Status run_agree_on_fault(Run *r, Error *err) {
    Error fault = r->fault;
    r->fault = (Error){0};
    Status status = comm_agree(r->comm, fault.status, &fault);
    return status == MAE_OK ? MAE_OK : error_set(err, status, "%s", fault.message);
}

/* --- state ------------------------------------------------------------------------------------ */

static void share_moments(Run *r, const Param *p, size_t bytes) {
    if (!p->trainable) return;
    for (int i = 0; i < optimizer_n_moments(r->optimizer) && !reducer_shards(r->reducer); i++)
        comm_broadcast(r->comm, optimizer_moment(r->optimizer, i, p), bytes);
    if (r->ema) comm_broadcast(r->comm, ema_average(r->ema, p), bytes);
}

void run_share_state(Run *r) {
    int64_t updates = optimizer_updates(r->optimizer);
    device_sync(r->device);
    for (int64_t i = 0; i < params_count(r->model->params); i++) {
        const Param *p = params_at(r->model->params, i);
        size_t bytes = device_bytes(r->device, NUMBER_WIDE, p->numel);
        comm_broadcast(r->comm, p->data, bytes);
        share_moments(r, p, bytes);
    }
    comm_broadcast(r->comm, &r->progress, sizeof r->progress);
    comm_broadcast(r->comm, &updates, sizeof updates);
    optimizer_set_updates(r->optimizer, updates);
}

/* --- place in the data ------------------------------------------------------------------------ */

/* Batches of so many images in an epoch. */
static int64_t batches_of(const Run *r, int64_t images) {
    return dataset_count(r->dataset) * r->loader_options.repeat / images;
}

void run_find_place(Run *r) {
    Progress *p = &r->progress;
    int64_t images = r->options.batch * comm_size(r->comm), n = batches_of(r, images);
    if (p->batch_images > 0) p->batch = p->batch * p->batch_images / images;
    if (p->batch >= n) p->batch = n > 0 ? n - 1 : 0; /* larger ones may not fit what is left */
    p->batch -= p->batch % r->options.accumulate;
    p->batch_images = images;
    p->update_images = images * r->options.accumulate;
    p->data_images = dataset_available(r->dataset);
    p->val_images = r->val_images;
}

/* --- counting --------------------------------------------------------------------------------- */

/* Two processes may have met the same image. */
int64_t run_unreadable(Run *r) {
    int64_t n = loader_images(r->loader), unreadable = 0, part = 4096;
    uint8_t *mine = r->comm ? mem_alloc((size_t)n) : NULL;
    double one[4096];
    if (!r->comm) return loader_unreadable(r->loader);
    if (mine) loader_unreadable_images(r->loader, mine);
    for (int64_t at = 0; at < n; at += part) {
        int64_t m = n - at < part ? n - at : part;
        for (int64_t i = 0; i < m; i++) one[i] = mine ? mine[at + i] : 0;
        comm_sum(r->comm, one, m);
        for (int64_t i = 0; i < m; i++) unreadable += one[i] > 0;
    }
    mem_free(mine);
    return unreadable;
}
