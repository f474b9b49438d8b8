/* Opening and closing of a loader, and the memory of its slots; see loader_internal.h for the rest.
 */
#include <string.h>

#include "base/memory.h"
#include "data/loader_internal.h"

#define DEFAULT_AHEAD 4

Status loader_no_memory(Error *err) {
    return error_set(err, MAE_MEMORY,
                     "loader: no memory for the batches; lower the batch size or the "
                     "number of batches ahead");
}

static Status make_slots(Loader *l, Error *err) {
    const LoaderOptions *o = &l->options;
    size_t batch = (size_t)o->batch;
    l->sample_values =
        (size_t)(o->augment.height * o->augment.width * dataset_channels(l->dataset));
    if (o->indices_only) l->sample_values = 1;
    l->sample_bytes = l->sample_values * image_value_bytes(dataset_type(l->dataset));
    l->n_slots = o->n_workers ? o->n_ahead : 1;
    l->slots = mem_alloc_array((size_t)l->n_slots, sizeof *l->slots);
    l->unreadable = mem_alloc((size_t)l->count);
    if (!l->slots || !l->unreadable) return loader_no_memory(err);
    for (int64_t k = 0; k < l->n_slots; k++) {
        Slot *slot = &l->slots[k];
        slot->failed_item = -1;
        slot->pixels = mem_alloc_array(batch, l->sample_bytes);
        slot->samples = mem_alloc_array(batch, sizeof *slot->samples);
        slot->labels = mem_alloc_array(batch, sizeof *slot->labels);
        if (!slot->pixels || !slot->samples || !slot->labels) return loader_no_memory(err);
        if (!o->mean) continue;
        slot->images = mem_alloc_array(batch * l->sample_values, sizeof *slot->images);
        if (!slot->images) return loader_no_memory(err);
    }
    return MAE_OK;
}

static void copy_statistics(Loader *l, int channels) {
    if (!l->options.mean) return;
    ASSERT(channels <= IMAGE_MAX_CHANNELS, "channels %d", channels);
    memcpy(l->mean, l->options.mean, (size_t)channels * sizeof *l->mean);
    memcpy(l->std, l->options.std, (size_t)channels * sizeof *l->std);
}

/* Who waits for it with a limit means time that goes on, not that of the day. */
static void init_ready(pthread_cond_t *ready) {
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(ready, &monotonic);
    pthread_condattr_destroy(&monotonic);
}

Status loader_open(Dataset *d, LoaderOptions options, Loader **out, Error *err) {
    Status status = MAE_OK;
    ASSERT(options.batch >= 1 && options.repeat >= 1 && options.n_workers >= 0 &&
               options.n_ahead >= 0 && options.start_epoch >= 0 && options.start_batch >= 0 &&
               options.augment.height >= 1 && options.augment.width >= 1,
           "batch %lld, repeat %lld", (long long)options.batch, (long long)options.repeat);
    ASSERT(!options.mean == !options.std, "mean and std belong together");
    ASSERT(!options.leave_out || (!options.mean && options.repeat == 1), "images left out");
    ASSERT(options.n_ranks < 2 || (options.drop_last && options.rank < options.n_ranks),
           "rank %lld of %lld", (long long)options.rank, (long long)options.n_ranks);
    ASSERT(options.first >= 0 && (options.first == 0 || !options.shuffle), "first %lld",
           (long long)options.first);
    Loader *l = mem_alloc(sizeof *l);
    *out = NULL;
    if (!l) return loader_no_memory(err);
    l->dataset = d;
    l->options = options;
    l->count = dataset_count(d);
    if (options.limit > 0 && options.limit < l->count) l->count = options.limit;
    if (l->options.n_ahead == 0) l->options.n_ahead = DEFAULT_AHEAD;
    pthread_mutex_init(&l->lock, NULL);
    pthread_cond_init(&l->room, NULL);
    init_ready(&l->ready);
    copy_statistics(l, dataset_channels(d));
    TRY(augment_check(&options.augment, dataset_type(d), dataset_channels(d), err));
    TRY(loader_count_batches(l, err));
    TRY(make_slots(l, err));
    TRY(loader_start_workers(l, err));
    *out = l;
    l = NULL;
done:
    loader_close(l);
    return status;
}

void loader_free_labels(const Loader *l, Slot *slot) {
    const LabelKind *k = l->options.labels;
    for (int64_t i = 0; k && slot->labels && i < l->options.batch; i++) {
        if (slot->labels[i].more) k->free(slot->labels[i].more);
        slot->labels[i].more = NULL;
    }
}

int64_t loader_images(const Loader *l) {
    return l->count;
}

void loader_close(Loader *l) {
    if (!l) return;
    loader_stop_workers(l);
    for (int64_t k = 0; l->slots && k < l->n_slots; k++) {
        loader_free_labels(l, &l->slots[k]);
        mem_free(l->slots[k].pixels);
        mem_free(l->slots[k].images);
        mem_free(l->slots[k].samples);
        mem_free(l->slots[k].labels);
    }
    mem_free(l->slots);
    mem_free(l->unreadable);
    mem_free(l->threads);
    resample_scratch_free(&l->scratch);
    pthread_cond_destroy(&l->room);
    pthread_cond_destroy(&l->ready);
    pthread_mutex_destroy(&l->lock);
    mem_free(l);
}
