/* A ring of batch slots between workers and consumer. Workers take single samples, in order, from a
 * counter (next_batch, next_item); a slot is open to them once its former batch has been given
 * back, and ready when all its samples are done. One mutex guards the counters; pixels are written
 * outside of it, each sample by one worker, and read only after the slot is ready. Errors stay with
 * their batch, so that the consumer meets them at the same place for any number of workers. */
#include "data/loader.h"

#include <pthread.h>
#include <signal.h>
#include <string.h>

#include "base/log.h"
#include "base/memory.h"

#define DEFAULT_AHEAD 4
#define MAX_CHANNELS 4
#define MAX_VIRTUAL ((int64_t)1 << 47) /* rng_make's limit on sample numbers, with room */

typedef struct Slot {
    int64_t epoch, index, n;
    int64_t n_done;
    uint8_t *pixels;
    float *images; /* NULL: not wanted */
    int64_t *samples;
    int *labels;
    int64_t failed_item; /* -1: none; otherwise the first item that failed, and why */
    Error error;
} Slot;

struct Loader {
    Dataset *dataset;
    LoaderOptions options;
    float mean[MAX_CHANNELS], std[MAX_CHANNELS];
    int64_t count;     /* images */
    int64_t total;     /* virtual samples in an epoch */
    int64_t per_epoch; /* batches */
    int64_t n_batches; /* until the end, counted from the first one; INT64_MAX: no end */
    size_t sample_bytes;
    Slot *slots;
    int64_t n_slots;
    ResampleScratch scratch; /* for n_workers 0 */

    pthread_mutex_t lock;          /* guards everything below and the counters of the slots */
    pthread_cond_t room;           /* a slot was given back, or stop */
    pthread_cond_t ready;          /* a batch is complete */
    int64_t next_batch, next_item; /* the sample that the next free worker takes */
    int64_t taken;                 /* batches handed to the consumer */
    int64_t returned;              /* batches it has given back, taken or taken - 1 */
    bool stop;
    uint8_t *unreadable; /* [count] */
    int64_t n_unreadable;

    pthread_t *threads;
    int n_threads;
};

/* ---- one sample ---- */

static int64_t virtual_sample(const Loader *l, int64_t epoch, int64_t position) {
    if (!l->options.shuffle) return l->options.first + position;
    return rng_permute(l->options.seed, (uint64_t)epoch, l->total, position);
}

static bool known_unreadable(Loader *l, int64_t image) {
    pthread_mutex_lock(&l->lock);
    bool known = l->unreadable[image];
    pthread_mutex_unlock(&l->lock);
    return known;
}

static void note_unreadable(Loader *l, int64_t image, const char *message) {
    pthread_mutex_lock(&l->lock);
    bool first = !l->unreadable[image];
    l->unreadable[image] = 1;
    l->n_unreadable += first;
    pthread_mutex_unlock(&l->lock);
    if (first) log_line(LOG_WARNING, "skipped, another image takes its place: %s", message);
}

/* Failures that say something about the image rather than about us. */
static bool is_image_fault(Status s) {
    return s == STATUS_IO || s == STATUS_FORMAT || s == STATUS_UNSUPPORTED || s == STATUS_SHAPE ||
           s == STATUS_EMPTY;
}

/* The crop of one sample, drawn when the size of its image is known. */
typedef struct Draw {
    const Loader *loader;
    uint64_t epoch, index;
    bool flip;
} Draw;

static Box draw_crop(void *user, int64_t width, int64_t height) {
    Draw *d = user;
    const LoaderOptions *o = &d->loader->options;
    Rng rng = rng_make(o->seed, RNG_CROP, d->epoch, d->index);
    return augment_draw(&o->augment, width, height, &rng, &d->flip);
}

/* The image at a place of the epoch's order, or the next readable one after it; which sample that
 * is in draw->index. */
static Status fetch_readable(Loader *l, int64_t epoch, int64_t position, Draw *draw,
                             ImageCrop *crop, Sample *out, Error *err) {
    int64_t count = l->count;
    Error first = {0};
    for (int64_t k = 0; k < l->total; k++) {
        Error error = {0};
        int64_t sample = virtual_sample(l, epoch, (position + k) % l->total);
        int64_t image = sample % count;
        if (known_unreadable(l, image)) continue;
        draw->index = (uint64_t)sample;
        Status status = dataset_fetch_crop(l->dataset, image, crop, out, &error);
        if (status == STATUS_OK) return STATUS_OK;
        if (l->options.strict || !is_image_fault(status))
            return fail(err, status, "%s", error.message);
        if (first.status == STATUS_OK) first = error;
        note_unreadable(l, image, error.message);
    }
    return fail(err, STATUS_EMPTY, "none of the %lld images could be read; the last reason: %s",
                (long long)count, first.status == STATUS_OK ? "see the log" : first.message);
}

/* Halves of each process from the front and from the back; the middle ones of odd batches between.
 */
int64_t loader_place(int64_t rank, int64_t n_ranks, int64_t batch, int64_t i) {
    int64_t half = batch / 2, whole = n_ranks * batch;
    if (i < half) return rank * half + i;
    if (i >= batch - half) return whole - 1 - (rank * half + batch - 1 - i);
    return n_ranks * half + rank;
}

/* Where an item of a batch is in the epoch's order. */
static int64_t position_of(const Loader *l, const Slot *slot, int64_t item) {
    const LoaderOptions *o = &l->options;
    if (o->n_ranks < 2) return slot->index * o->batch + item;
    return slot->index * o->batch * o->n_ranks + loader_place(o->rank, o->n_ranks, o->batch, item);
}

/* Augmentation does not know whose image it has. */
static Status name_image(const Loader *l, Status status, const Draw *draw, const Error *why,
                         Error *err) {
    if (status == STATUS_OK) return STATUS_OK;
    return fail(err, status, "%.600s: %s",
                dataset_name(l->dataset, (int64_t)draw->index % l->count), why->message);
}

/* The pixels of one item, and its number in the epoch's list. */
static Status make_pixels(Loader *l, Slot *slot, int64_t item, ResampleScratch *scratch,
                          Error *err) {
    const Augment *a = &l->options.augment;
    Sample sample = {0};
    Error why = {0};
    Draw draw = {.loader = l, .epoch = (uint64_t)slot->epoch};
    ImageCrop crop = {
        .choose = draw_crop, .user = &draw, .min_width = a->width, .min_height = a->height};
    bool crops = augment_crops(a);
    Status status = fetch_readable(l, slot->epoch, position_of(l, slot, item), &draw,
                                   crops ? &crop : NULL, &sample, err);
    if (status != STATUS_OK) return status;
    uint64_t seed = l->options.seed;
    uint8_t *pixels = slot->pixels + (size_t)item * l->sample_bytes;
    if (crops)
        status = augment_apply_crop(a, &sample.image, crop.box, draw.flip, seed, draw.epoch,
                                    draw.index, pixels, scratch, &why);
    else
        status =
            augment_apply(a, &sample.image, seed, draw.epoch, draw.index, pixels, scratch, &why);
    if (status == STATUS_OK && slot->images)
        augment_normalize(a, pixels, sample.image.channels, l->mean, l->std, seed, draw.epoch,
                          draw.index, slot->images + (size_t)item * l->sample_bytes);
    dataset_release(&sample);
    slot->samples[item] = (int64_t)draw.index;
    return name_image(l, status, &draw, &why, err);
}

static Status make_sample(Loader *l, Slot *slot, int64_t item, ResampleScratch *scratch,
                          Error *err) {
    Status status = STATUS_OK;
    if (l->options.indices_only)
        slot->samples[item] = virtual_sample(l, slot->epoch, position_of(l, slot, item));
    else
        status = make_pixels(l, slot, item, scratch, err);
    if (status == STATUS_OK)
        slot->labels[item] = dataset_label(l->dataset, slot->samples[item] % l->count);
    return status;
}

/* ---- the ring ---- */

/* Sets up the slot of a batch, counted from the start of this loader. */
static void begin_batch(Loader *l, int64_t batch) {
    Slot *slot = &l->slots[batch % l->n_slots];
    int64_t at = l->options.start_batch + batch;
    slot->epoch = l->options.start_epoch + at / l->per_epoch;
    slot->index = at % l->per_epoch;
    int64_t left = l->total - slot->index * l->options.batch;
    slot->n = left < l->options.batch ? left : l->options.batch;
    slot->n_done = 0;
    slot->failed_item = -1;
}

static void keep_first_failure(Slot *slot, int64_t item, const Error *error) {
    if (slot->failed_item >= 0 && slot->failed_item < item) return;
    slot->failed_item = item;
    slot->error = *error;
}

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

static void *worker(void *user) {
    Loader *l = user;
    ResampleScratch scratch = {0};
    Slot *slot;
    int64_t item;
    pthread_mutex_lock(&l->lock);
    while (take_item(l, &slot, &item)) {
        pthread_mutex_unlock(&l->lock);
        Error error = {0};
        Status status = make_sample(l, slot, item, &scratch, &error);
        pthread_mutex_lock(&l->lock);
        if (status != STATUS_OK) keep_first_failure(slot, item, &error);
        if (++slot->n_done == slot->n) pthread_cond_signal(&l->ready);
    }
    pthread_mutex_unlock(&l->lock);
    resample_scratch_free(&scratch);
    return NULL;
}

/* Without workers: the whole batch here and now. */
static Slot *make_batch(Loader *l) {
    begin_batch(l, l->taken);
    Slot *slot = &l->slots[l->taken % l->n_slots];
    for (int64_t item = 0; item < slot->n && slot->failed_item < 0; item++) {
        Error error = {0};
        if (make_sample(l, slot, item, &l->scratch, &error) != STATUS_OK)
            keep_first_failure(slot, item, &error);
    }
    return slot;
}

static Slot *wait_batch(Loader *l) {
    Slot *slot = &l->slots[l->taken % l->n_slots];
    pthread_mutex_lock(&l->lock);
    if (l->returned != l->taken) {
        l->returned = l->taken;
        pthread_cond_broadcast(&l->room);
    }
    /* Before its first sample is taken the slot still holds the counters of an older batch. */
    while (l->next_batch < l->taken || (l->next_batch == l->taken && l->next_item == 0) ||
           slot->n_done < slot->n)
        pthread_cond_wait(&l->ready, &l->lock);
    pthread_mutex_unlock(&l->lock);
    return slot;
}

Status loader_next(Loader *l, Batch *out, Error *err) {
    *out = (Batch){0};
    if (l->taken >= l->n_batches) return STATUS_OK;
    Slot *slot = l->n_threads ? wait_batch(l) : make_batch(l);
    /* A failed batch is not counted as taken: asking again gives the same failure. */
    if (slot->failed_item >= 0) return fail(err, slot->error.status, "%s", slot->error.message);
    l->taken++;
    *out = (Batch){.epoch = slot->epoch,
                   .index = slot->index,
                   .n = slot->n,
                   .pixels = slot->pixels,
                   .samples = slot->samples,
                   .labels = slot->labels,
                   .images = slot->images};
    return STATUS_OK;
}

/* ---- opening and closing ---- */

static Status no_memory(Error *err) {
    return fail(err, STATUS_MEMORY,
                "loader: no memory for the batches; lower the batch size or the "
                "number of batches ahead");
}

static Status count_batches(Loader *l, Error *err) {
    const LoaderOptions *o = &l->options;
    int64_t count = l->count;
    if (count > MAX_VIRTUAL / o->repeat)
        return fail(err, STATUS_UNSUPPORTED, "loader: %lld images repeated %lld times are too many",
                    (long long)count, (long long)o->repeat);
    int64_t whole = o->batch * (o->n_ranks > 1 ? o->n_ranks : 1);
    l->total = count * o->repeat - o->first;
    l->per_epoch = l->total / whole + (!o->drop_last && l->total % whole != 0);
    if (l->per_epoch == 0)
        return fail(
            err, STATUS_EMPTY,
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
    return STATUS_OK;
}

static Status make_slots(Loader *l, int channels, Error *err) {
    const LoaderOptions *o = &l->options;
    size_t batch = (size_t)o->batch;
    l->sample_bytes = (size_t)(o->augment.height * o->augment.width * channels);
    if (o->indices_only) l->sample_bytes = 1;
    l->n_slots = o->n_workers ? o->n_ahead : 1;
    l->slots = mem_alloc_array((size_t)l->n_slots, sizeof *l->slots);
    l->unreadable = mem_alloc((size_t)l->count);
    if (!l->slots || !l->unreadable) return no_memory(err);
    for (int64_t k = 0; k < l->n_slots; k++) {
        Slot *slot = &l->slots[k];
        slot->failed_item = -1;
        slot->pixels = mem_alloc_array(batch, l->sample_bytes);
        slot->samples = mem_alloc_array(batch, sizeof *slot->samples);
        slot->labels = mem_alloc_array(batch, sizeof *slot->labels);
        if (!slot->pixels || !slot->samples || !slot->labels) return no_memory(err);
        if (!o->mean) continue;
        slot->images = mem_alloc_array(batch * l->sample_bytes, sizeof *slot->images);
        if (!slot->images) return no_memory(err);
    }
    return STATUS_OK;
}

static void copy_statistics(Loader *l, int channels) {
    if (!l->options.mean) return;
    ASSERT(channels <= MAX_CHANNELS, "channels %d", channels);
    memcpy(l->mean, l->options.mean, (size_t)channels * sizeof *l->mean);
    memcpy(l->std, l->options.std, (size_t)channels * sizeof *l->std);
}

/* Signals are for the thread that called us. */
static Status start_workers(Loader *l, Error *err) {
    Status status = STATUS_OK;
    sigset_t all, before;
    if (l->options.n_workers == 0) return STATUS_OK;
    l->threads = mem_alloc_array((size_t)l->options.n_workers, sizeof *l->threads);
    if (!l->threads) return no_memory(err);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    for (int k = 0; k < l->options.n_workers && status == STATUS_OK; k++) {
        int rc = pthread_create(&l->threads[k], NULL, worker, l);
        if (rc == 0)
            l->n_threads++;
        else
            status =
                fail(err, STATUS_MEMORY, "loader: cannot start worker %d: %s; use fewer workers",
                     k + 1, strerror(rc));
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return status;
}

Status loader_open(Dataset *d, LoaderOptions options, Loader **out, Error *err) {
    Status status = STATUS_OK;
    ASSERT(options.batch >= 1 && options.repeat >= 1 && options.n_workers >= 0 &&
               options.n_ahead >= 0 && options.start_epoch >= 0 && options.start_batch >= 0 &&
               options.augment.height >= 1 && options.augment.width >= 1,
           "batch %lld, repeat %lld", (long long)options.batch, (long long)options.repeat);
    ASSERT(!options.mean == !options.std, "mean and std belong together");
    ASSERT(options.n_ranks < 2 || (options.drop_last && options.rank < options.n_ranks),
           "rank %lld of %lld", (long long)options.rank, (long long)options.n_ranks);
    ASSERT(options.first >= 0 && (options.first == 0 || !options.shuffle), "first %lld",
           (long long)options.first);
    Loader *l = mem_alloc(sizeof *l);
    *out = NULL;
    if (!l) return no_memory(err);
    l->dataset = d;
    l->options = options;
    l->count = dataset_count(d);
    if (options.limit > 0 && options.limit < l->count) l->count = options.limit;
    if (l->options.n_ahead == 0) l->options.n_ahead = DEFAULT_AHEAD;
    pthread_mutex_init(&l->lock, NULL);
    pthread_cond_init(&l->room, NULL);
    pthread_cond_init(&l->ready, NULL);
    copy_statistics(l, dataset_channels(d));
    TRY(count_batches(l, err));
    TRY(make_slots(l, dataset_channels(d), err));
    TRY(start_workers(l, err));
    *out = l;
    l = NULL;
done:
    loader_close(l);
    return status;
}

int64_t loader_batches_per_epoch(const Loader *l) {
    return l->per_epoch;
}

int64_t loader_unreadable(const Loader *l) {
    pthread_mutex_t *lock = (pthread_mutex_t *)&l->lock;
    pthread_mutex_lock(lock);
    int64_t n = l->n_unreadable;
    pthread_mutex_unlock(lock);
    return n;
}

int64_t loader_images(const Loader *l) {
    return l->count;
}

void loader_unreadable_images(const Loader *l, uint8_t *out) {
    pthread_mutex_t *lock = (pthread_mutex_t *)&l->lock;
    pthread_mutex_lock(lock);
    memcpy(out, l->unreadable, (size_t)l->count);
    pthread_mutex_unlock(lock);
}

void loader_close(Loader *l) {
    if (!l) return;
    pthread_mutex_lock(&l->lock);
    l->stop = true;
    pthread_cond_broadcast(&l->room);
    pthread_mutex_unlock(&l->lock);
    for (int k = 0; k < l->n_threads; k++) pthread_join(l->threads[k], NULL);
    for (int64_t k = 0; l->slots && k < l->n_slots; k++) {
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
