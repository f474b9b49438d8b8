/* Where in the data a loader is: how many batches an epoch has, what part of a batch belongs to
 * this process, and which sample stands at a place of the epoch's order. Arithmetic only:
 * everything follows from the options and the number of images. */
#include "base/rng.h"
#include "data/loader_internal.h"

#define MAX_VIRTUAL ((int64_t)1 << 47) /* rng_make's limit on sample numbers, with room */

/* Halves of each process from the front and from the back; the middle ones of odd batches between.
 */
int64_t loader_place(int64_t rank, int64_t n_ranks, int64_t batch, int64_t i) {
    int64_t half = batch / 2, whole = n_ranks * batch;
    if (i < half) return rank * half + i;
    if (i >= batch - half) return whole - 1 - (rank * half + batch - 1 - i);
    return n_ranks * half + rank;
}

int64_t loader_position(const Loader *l, const Slot *slot, int64_t item) {
    const LoaderOptions *o = &l->options;
    if (o->n_ranks < 2) return slot->index * o->batch + item;
    return slot->index * o->batch * o->n_ranks + loader_place(o->rank, o->n_ranks, o->batch, item);
}

int64_t loader_virtual_sample(const Loader *l, int64_t epoch, int64_t position) {
    if (!l->options.shuffle) return l->options.first + position;
    return rng_permute(l->options.seed, (uint64_t)epoch, l->total, position);
}

void loader_place_batch(const Loader *l, int64_t batch, Slot *slot) {
    int64_t at = l->options.start_batch + batch;
    slot->epoch = l->options.start_epoch + at / l->per_epoch;
    slot->index = at % l->per_epoch;
    int64_t left = l->total - slot->index * l->options.batch;
    slot->n = left < l->options.batch ? left : l->options.batch;
}

Status loader_count_batches(Loader *l, Error *err) {
    const LoaderOptions *o = &l->options;
    int64_t count = l->count;
    if (count > MAX_VIRTUAL / o->repeat)
        return error_set(err, MAE_UNSUPPORTED,
                         "loader: %lld images repeated %lld times are too many", (long long)count,
                         (long long)o->repeat);
    int64_t whole = o->batch * (o->n_ranks > 1 ? o->n_ranks : 1);
    l->total = count * o->repeat - o->first;
    l->per_epoch = l->total / whole + (!o->drop_last && l->total % whole != 0);
    if (l->per_epoch == 0)
        return error_set(
            err, MAE_EMPTY,
            "the dataset (%s) gives %lld samples an epoch, fewer than one batch of %lld: "
            "lower the batch size to %lld or less, or repeat each image at least %lld times "
            "(now %lld), or keep incomplete batches",
            dataset_describe(l->dataset), (long long)l->total, (long long)whole,
            (long long)(l->total * o->batch / whole), (long long)((whole + count - 1) / count),
            (long long)o->repeat);
    l->n_batches = INT64_MAX;
    if (o->n_epochs > 0) {
        int64_t left = (o->n_epochs - o->start_epoch) * l->per_epoch - o->start_batch;
        l->n_batches = left > 0 ? left : 0;
    }
    return MAE_OK;
}

int64_t loader_batches_per_epoch(const Loader *l) {
    return l->per_epoch;
}
