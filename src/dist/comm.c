/* See comm.h. */
#include <pthread.h>

#include "base/log.h"
#include "base/processors.h"
#include "dist/backend.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static Comm world;
static bool opened, together;

Status comm_world(Comm **out, Error *err) {
    Status status = MAE_OK;
    pthread_mutex_lock(&lock);
    if (!opened) status = comm_backend_open(&world, &together, err);
    opened = status == MAE_OK;
    *out = opened && together ? &world : NULL;
    log_set_root(comm_is_root(*out));
    pthread_mutex_unlock(&lock);
    return status;
}

int comm_rank(const Comm *c) {
    return c ? c->rank : 0;
}

int comm_size(const Comm *c) {
    return c ? c->size : 1;
}

bool comm_is_root(const Comm *c) {
    return comm_rank(c) == 0;
}

int comm_processors(const Comm *c) {
    return c ? c->processors : processors_available();
}

void comm_sum(Comm *c, double *x, int64_t n) {
    if (c) c->backend->sum(c->state, x, n);
}

void comm_broadcast(Comm *c, void *x, size_t bytes) {
    if (c) c->backend->broadcast(c->state, x, bytes, 0);
}

void comm_gather(Comm *c, void *all, const void *mine, size_t bytes) {
    ASSERT(c, "nobody to gather from");
    c->backend->gather(c->state, all, mine, bytes);
}

/* The lowest rank that failed; the size when none did. */
static int first_failure(Comm *c, Status status) {
    int failed = 0;
    for (int r = 0; r < c->size && !failed; r++) {
        failed = r == c->rank && status != MAE_OK;
        c->backend->broadcast(c->state, &failed, sizeof failed, r);
        if (failed) return r;
    }
    return c->size;
}

Status comm_agree(Comm *c, Status status, Error *err) {
    if (!c) return status;
    double failures = status != MAE_OK;
    comm_sum(c, &failures, 1);
    if (failures == 0) return MAE_OK;
    int rank = first_failure(c, status);
    Error theirs = {0};
    if (rank == c->rank && err) theirs = *err;
    theirs.status = status;
    c->backend->broadcast(c->state, &theirs, sizeof theirs, rank);
    if (err) *err = (Error){0};
    if (rank == 0) return error_set(err, theirs.status, "%s", theirs.message);
    return error_set(err, theirs.status, "rank %d of %d: %s", rank, c->size, theirs.message);
}

Status comm_watch(Comm *c, double timeout_s, Error *err) {
    if (!c) return MAE_OK;
    return comm_agree(c, c->backend->watch(c->state, timeout_s, err), err);
}

void comm_watch_unheard(Comm *c) {
    if (c) c->backend->watch_unheard(c->state);
}

void comm_start_sum(Comm *c, void *x, int64_t n, size_t number_bytes, int root) {
    if (c) c->backend->start_sum(c->state, x, n, number_bytes, root);
}

void comm_start_broadcast(Comm *c, void *x, size_t bytes, int root) {
    if (c) c->backend->start_broadcast(c->state, x, bytes, root);
}

void comm_progress(Comm *c) {
    if (c) c->backend->progress(c->state);
}

void comm_wait(Comm *c) {
    if (c) c->backend->wait(c->state);
}
