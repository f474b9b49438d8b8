/* The ring of batch slots between workers and consumer. Workers take single samples, in order, from
 * a counter (next_batch, next_item). A slot is open to them once its former batch has been given
 * back. It is ready when all its samples are done. One mutex guards the counters. Pixels are
 * written outside of it, each sample by one worker, and read only after the slot is ready. Errors
 * stay with their batch, so the consumer meets them at the same place for any number of workers. */
#include <string.h>
#include <time.h>

#include "base/memory.h"
#include "data/loader_internal.h"

#define LOOK_MS 100 /* how often a consumer that waits looks whether it is to stop */

/* --- slots ------------------------------------------------------------------------------------ */

/* Sets up the slot of a batch, counted from the start of this loader. */
static void begin_batch(Loader *l, int64_t batch) {
    Slot *slot = &l->slots[batch % l->n_slots];
    loader_free_labels(l, slot);
    loader_place_batch(l, batch, slot);
    slot->n_done = 0;
    slot->failed_item = -1;
}

static void keep_first_failure(Slot *slot, int64_t item, const Error *error) {
    if (slot->failed_item >= 0 && slot->failed_item < item) return;
    slot->failed_item = item;
    slot->error = *error;
}

/* --- workers ---------------------------------------------------------------------------------- */

/* Takes the next sample, waiting for room; false: stop. Called with the lock held. */
static bool take_item(Loader *l, Slot **slot, int64_t *item) {
    while (!l->stop && (l->next_batch >= l->n_batches || l->next_batch - l->returned >= l->n_slots))
        pthread_cond_wait(&l->room, &l->lock);
    if (l->stop) return false;
    if (l->next_item == 0) begin_batch(l, l->next_batch);
    *slot = &l->slots[l->next_batch % l->n_slots];
    *item = l->next_item++;
    if (l->next_item == (*slot)->n) {
        l->next_item = 0;
        l->next_batch++;
    }
    return true;
}

static void worker(void *user) {
    Loader *l = user;
    ResampleScratch scratch = {0};
    Slot *slot;
    int64_t item;
    pthread_mutex_lock(&l->lock);
    while (take_item(l, &slot, &item)) {
        pthread_mutex_unlock(&l->lock);
        Error error = {0};
        Status status = loader_make_sample(l, slot, item, &scratch, &error);
        pthread_mutex_lock(&l->lock);
        if (status != MAE_OK) keep_first_failure(slot, item, &error);
        if (++slot->n_done == slot->n) pthread_cond_signal(&l->ready);
    }
    pthread_mutex_unlock(&l->lock);
    resample_scratch_free(&scratch);
}

Status loader_start_workers(Loader *l, Error *err) {
    Status status = MAE_OK;
    if (l->options.n_workers == 0) return MAE_OK;
    l->threads = mem_alloc_array((size_t)l->options.n_workers, sizeof *l->threads);
    if (!l->threads) return loader_no_memory(err);
    for (int k = 0; k < l->options.n_workers && status == MAE_OK; k++) {
        int rc = thread_start(&l->threads[k], worker, l);
        if (rc == 0)
            l->n_threads++;
        else
            status =
                error_set(err, MAE_MEMORY, "loader: cannot start worker %d: %s; use fewer workers",
                          k + 1, strerror(rc));
    }
    return status;
}

void loader_stop_workers(Loader *l) {
    pthread_mutex_lock(&l->lock);
    l->stop = true;
    pthread_cond_broadcast(&l->room);
    pthread_mutex_unlock(&l->lock);
    for (int k = 0; k < l->n_threads; k++) thread_join(&l->threads[k]);
}

/* --- the consumer ----------------------------------------------------------------------------- */

static bool is_stopped(const Loader *l) {
    return stop_asked(l->options.stop);
}

/* Without workers: the whole batch here and now. NULL: stopped. */
static Slot *make_batch(Loader *l) {
    begin_batch(l, l->taken);
    Slot *slot = &l->slots[l->taken % l->n_slots];
    for (int64_t item = 0; item < slot->n && slot->failed_item < 0; item++) {
        Error error = {0};
        if (is_stopped(l)) return NULL;
        if (loader_make_sample(l, slot, item, &l->scratch, &error) != MAE_OK)
            keep_first_failure(slot, item, &error);
    }
    return slot;
}

/* Until a batch is ready, or for some milliseconds where a stop may come. */
static void wait_for_ready(Loader *l) {
    struct timespec until;
    if (!l->options.stop) {
        pthread_cond_wait(&l->ready, &l->lock);
        return;
    }
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += LOOK_MS * 1000000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    pthread_cond_timedwait(&l->ready, &l->lock, &until);
}

static bool is_ready(const Loader *l, const Slot *slot) {
    /* Before its first sample is taken the slot still holds the counters of an older batch. */
    bool begun = l->next_batch > l->taken || (l->next_batch == l->taken && l->next_item > 0);
    return begun && slot->n_done == slot->n;
}

/* NULL: stopped. */
static Slot *wait_batch(Loader *l) {
    Slot *slot = &l->slots[l->taken % l->n_slots];
    pthread_mutex_lock(&l->lock);
    if (l->returned != l->taken) {
        l->returned = l->taken;
        pthread_cond_broadcast(&l->room);
    }
    while (!is_stopped(l) && !is_ready(l, slot)) wait_for_ready(l);
    if (is_stopped(l)) slot = NULL;
    pthread_mutex_unlock(&l->lock);
    return slot;
}

/* Moves the items that are there to the front; returns how many they are. */
static int64_t close_gaps(const Loader *l, Slot *slot) {
    int64_t n = 0;
    for (int64_t i = 0; i < slot->n; i++) {
        if (slot->samples[i] < 0) continue;
        if (n < i)
            memcpy(slot->pixels + (size_t)n * l->sample_bytes,
                   slot->pixels + (size_t)i * l->sample_bytes, l->sample_bytes);
        Label label = slot->labels[i];
        slot->labels[i].more = NULL; /* each is freed once */
        slot->labels[n] = label;
        slot->samples[n++] = slot->samples[i];
    }
    return n;
}

Status loader_next(Loader *l, Batch *out, Error *err) {
    *out = (Batch){0};
    while (out->n == 0 && l->taken < l->n_batches) {
        Slot *slot = l->n_threads ? wait_batch(l) : make_batch(l);
        if (!slot) return error_set(err, MAE_INTERRUPTED, "stopped while waiting for images");
        /* A failed batch is not counted as taken: asking again gives the same failure. */
        if (slot->failed_item >= 0)
            return error_set(err, slot->error.status, "%s", slot->error.message);
        l->taken++;
        *out = (Batch){.epoch = slot->epoch,
                       .index = slot->index,
                       .end = slot->index * l->options.batch + slot->n,
                       .n = l->options.leave_out ? close_gaps(l, slot) : slot->n,
                       .type = dataset_type(l->dataset),
                       .pixels = slot->pixels,
                       .samples = slot->samples,
                       .labels = slot->labels,
                       .images = slot->images};
    }
    return MAE_OK;
}
