/* See reducer.h. */
#include "train/reducer.h"

#include "base/memory.h"

enum { LARGEST_BUCKET = 25 << 20, MOST_BUCKETS = 200 };

/* Neighbours in the slab: from the gradient of `first` to the end of that of `last`. */
typedef struct Bucket {
    const Param *first, *last;
    int64_t n_numbers;
    int n_params, n_ready;
    int owner;
} Bucket;

struct Reducer {
    Comm *comm;
    Device *device;
    Params *params;
    size_t wide_bytes;
    bool shard;
    Bucket *bucket;
    int64_t n_buckets, n_sent;
};

/* --- cutting ---------------------------------------------------------------------------------- */

/* Buckets are small, so that the last one, which no computing hides, is short, and that owners get
 * equal shares. They are large enough that there are not many. */
static size_t bucket_bytes(const Reducer *r) {
    size_t total = params_trained_bytes(r->params);
    size_t n = total / ((size_t)comm_size(r->comm) * 4);
    if (n > LARGEST_BUCKET) n = LARGEST_BUCKET;
    return n > total / MOST_BUCKETS ? n : total / MOST_BUCKETS;
}

static size_t end_of(const Reducer *r, const Param *p) {
    return p->offset + (size_t)p->numel * r->wide_bytes;
}

static void close_bucket(const Reducer *r, Bucket *b) {
    b->n_numbers = (int64_t)((end_of(r, b->last) - b->first->offset) / r->wide_bytes);
}

/* Parameters lie in the slab in the order of the list. */
static void cut(Reducer *r) {
    size_t limit = bucket_bytes(r);
    Bucket *b = NULL;
    for (int64_t i = params_count(r->params) - 1; i >= 0; i--) {
        const Param *p = params_at(r->params, i);
        if (!p->trainable) continue;
        if (!b || end_of(r, b->last) - p->offset > limit) {
            b = &r->bucket[r->n_buckets++];
            b->last = p;
        }
        b->first = p;
        b->n_params++;
        close_bucket(r, b);
    }
}

/* Each bucket to the process that has least so far; the same on all of them. */
static bool choose_owners(Reducer *r) {
    int size = comm_size(r->comm);
    int64_t *load = mem_alloc_array((size_t)size, sizeof *load);
    if (!load) return false;
    for (int64_t k = 0; k < r->n_buckets; k++) {
        int least = 0;
        for (int i = 1; i < size; i++)
            if (load[i] < load[least]) least = i;
        r->bucket[k].owner = least;
        load[least] += r->bucket[k].n_numbers;
    }
    mem_free(load);
    return true;
}

Status reducer_new(Comm *c, Device *d, Params *p, bool shard, Reducer **out, Error *err) {
    *out = NULL;
    if (!c) return MAE_OK;
    Reducer *r = mem_alloc(sizeof *r);
    if (r) r->bucket = mem_alloc_array((size_t)params_count(p), sizeof *r->bucket);
    if (r && r->bucket) {
        *r = (Reducer){.comm = c,
                       .device = d,
                       .params = p,
                       .wide_bytes = d->kernels.wide_bytes,
                       .shard = shard,
                       .bucket = r->bucket};
        cut(r);
        if (choose_owners(r)) {
            *out = r;
            return MAE_OK;
        }
    }
    reducer_free(r);
    return error_set(err, MAE_MEMORY, "no memory to exchange gradients");
}

void reducer_free(Reducer *r) {
    if (!r) return;
    mem_free(r->bucket);
    mem_free(r);
}

Comm *reducer_comm(const Reducer *r) {
    return r ? r->comm : NULL;
}

bool reducer_shards(const Reducer *r) {
    return r && r->shard;
}

static Bucket *bucket_of(const Reducer *r, const Param *p) {
    for (int64_t k = 0; k < r->n_buckets; k++) {
        Bucket *b = &r->bucket[k];
        if (p->offset >= b->first->offset && p->offset <= b->last->offset) return b;
    }
    ASSERT(false, "%s is in no bucket", p->name);
    return NULL;
}

bool reducer_owns(const Reducer *r, const Param *p) {
    return !reducer_shards(r) || bucket_of(r, p)->owner == comm_rank(r->comm);
}

/* --- sending ---------------------------------------------------------------------------------- */

static void send_next(Reducer *r) {
    const Bucket *b = &r->bucket[r->n_sent++];
    device_sync(r->device);
    comm_start_sum(r->comm, b->first->grad, b->n_numbers, r->wide_bytes, r->shard ? b->owner : -1);
}

void reducer_ready(void *reducer, Param *p) {
    Reducer *r = reducer;
    bucket_of(r, p)->n_ready++;
    while (r->n_sent < r->n_buckets &&
           r->bucket[r->n_sent].n_ready == r->bucket[r->n_sent].n_params)
        send_next(r);
    comm_progress(r->comm);
}

void reducer_finish(Reducer *r) {
    if (!r) return;
    while (r->n_sent < r->n_buckets) send_next(r);
    comm_wait(r->comm);
    for (int64_t k = 0; k < r->n_buckets; k++) r->bucket[k].n_ready = 0;
    r->n_sent = 0;
}

void reducer_share_weights(Reducer *r) {
    device_sync(r->device);
    for (int64_t k = 0; k < r->n_buckets; k++) {
        const Bucket *b = &r->bucket[k];
        comm_start_broadcast(r->comm, b->first->data, (size_t)b->n_numbers * r->wide_bytes,
                             b->owner);
    }
    comm_wait(r->comm);
}
