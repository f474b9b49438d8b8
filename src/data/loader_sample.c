/* One sample: which image it is, or which readable one takes its place, its crop and augmentation,
 * its label; and the images that could not be read, each named once. Nothing here depends on which
 * thread calls, or when. */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "data/loader_internal.h"

/* --- unreadable images ------------------------------------------------------------------------ */

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
    if (!*l->fault) snprintf(l->fault, sizeof l->fault, "%s", message);
    pthread_mutex_unlock(&l->lock);
    if (l->options.leave_out) first = dataset_leave_out(l->dataset, image);
    if (!first) return;
    if (l->options.named)
        log_line(LOG_ERROR, "%s", message);
    else
        log_line(LOG_WARNING, "skipped%s: %s",
                 l->options.leave_out ? "" : ", another image takes its place", message);
}

int64_t loader_unreadable(const Loader *l) {
    pthread_mutex_t *lock = (pthread_mutex_t *)&l->lock;
    pthread_mutex_lock(lock);
    int64_t n = l->n_unreadable;
    pthread_mutex_unlock(lock);
    return n;
}

const char *loader_fault(const Loader *l) {
    return l->fault;
}

void loader_unreadable_images(const Loader *l, uint8_t *out) {
    pthread_mutex_t *lock = (pthread_mutex_t *)&l->lock;
    pthread_mutex_lock(lock);
    memcpy(out, l->unreadable, (size_t)l->count);
    pthread_mutex_unlock(lock);
}

/* --- making ----------------------------------------------------------------------------------- */

/* The geometry of one sample, drawn when the size of its image is known. */
typedef struct Draw {
    const Loader *loader;
    uint64_t epoch, index;
    Geometry geometry;
} Draw;

static Box draw_box(void *user, int64_t width, int64_t height) {
    Draw *d = user;
    const LoaderOptions *o = &d->loader->options;
    d->geometry = augment_draw(&o->augment, width, height, o->seed, d->epoch, d->index);
    return d->geometry.box;
}

/* The image at a place of the epoch's order, or the next readable one after it; which sample that
 * is in draw->index. */
static Status fetch_readable(Loader *l, int64_t epoch, int64_t position, Draw *draw,
                             ImageCrop *crop, Sample *out, Error *err) {
    int64_t count = l->count;
    Error first = {0};
    for (int64_t k = 0; k < l->total; k++) {
        Error error = {0};
        int64_t sample = loader_virtual_sample(l, epoch, (position + k) % l->total);
        int64_t image = sample % count;
        if (known_unreadable(l, image)) continue;
        draw->index = (uint64_t)sample;
        Status status = dataset_fetch_crop(l->dataset, image, crop, out, &error);
        if (status == MAE_OK) return MAE_OK;
        if (l->options.strict || !dataset_is_image_fault(status))
            return error_set(err, status, "%s", error.message);
        if (first.status == MAE_OK) first = error;
        note_unreadable(l, image, error.message);
    }
    return error_set(err, MAE_EMPTY, "none of the %lld images could be read; the last reason: %s",
                     (long long)count, first.status == MAE_OK ? "see the log" : first.message);
}

/* The image at a place, or none: out->image.pixels NULL. */
static Status fetch_if_readable(Loader *l, int64_t epoch, int64_t position, Draw *draw,
                                ImageCrop *crop, Sample *out, Error *err) {
    Error error = {0};
    int64_t image = loader_virtual_sample(l, epoch, position);
    *out = (Sample){0};
    draw->index = (uint64_t)image;
    if (dataset_is_left_out(l->dataset, image)) return MAE_OK;
    Status status = dataset_fetch_crop(l->dataset, image, crop, out, &error);
    if (status == MAE_OK) return MAE_OK;
    if (!dataset_is_image_fault(status)) return error_set(err, status, "%s", error.message);
    note_unreadable(l, image, error.message);
    return MAE_OK;
}

/* Augmentation does not know whose image it has. */
static Status name_image(const Loader *l, Status status, int64_t sample, const Error *why,
                         Error *err) {
    if (status == MAE_OK) return MAE_OK;
    return error_set(err, status, "%.600s: %s", dataset_name(l->dataset, sample % l->count),
                     why->message);
}

/* The pixels of one item, where they came from, and its number in the epoch's list. */
static Status make_pixels(Loader *l, Slot *slot, int64_t item, ResampleScratch *scratch,
                          Geometry *geometry, Error *err) {
    const Augment *a = &l->options.augment;
    Sample sample = {0};
    Error why = {0};
    Draw draw = {.loader = l, .epoch = (uint64_t)slot->epoch};
    ImageCrop crop = {
        .choose = draw_box, .user = &draw, .min_width = a->width, .min_height = a->height};
    bool crops = augment_crops(a);
    bool leave_out = l->options.leave_out && !l->options.strict;
    Status status = (leave_out ? fetch_if_readable : fetch_readable)(
        l, slot->epoch, loader_position(l, slot, item), &draw, crops ? &crop : NULL, &sample, err);
    if (status != MAE_OK) return status;
    slot->samples[item] = sample.image.pixels ? (int64_t)draw.index : -1;
    if (!sample.image.pixels) return MAE_OK;
    uint64_t seed = l->options.seed;
    uint8_t *pixels = slot->pixels + (size_t)item * l->sample_bytes;
    if (!crops) crop.box = draw_box(&draw, sample.image.width, sample.image.height);
    status = augment_apply_drawn(a, &sample.image, &draw.geometry, crop.box, seed, draw.epoch,
                                 draw.index, pixels, scratch, &why);
    Image done = {.width = a->width,
                  .height = a->height,
                  .channels = sample.image.channels,
                  .type = sample.image.type,
                  .pixels = pixels};
    if (status == MAE_OK && slot->images)
        augment_normalize(a, &done, l->mean, l->std, seed, draw.epoch, draw.index,
                          slot->images + (size_t)item * l->sample_values);
    dataset_release(&sample);
    *geometry = draw.geometry;
    Error named = {0};
    status = name_image(l, status, (int64_t)draw.index, &why, &named);
    if (status == MAE_OK) return MAE_OK;
    if (!leave_out || !dataset_is_image_fault(status))
        return error_set(err, status, "%s", named.message);
    note_unreadable(l, (int64_t)draw.index, named.message);
    slot->samples[item] = -1;
    return MAE_OK;
}

static Status make_label(const Loader *l, const Slot *slot, int64_t item, const Geometry *geometry,
                         Error *err) {
    const LabelKind *k = l->options.labels;
    int64_t image = slot->samples[item] % l->count;
    Label *label = &slot->labels[item];
    Error why = {0};
    label->class = dataset_class(l->dataset, image);
    if (!k) return MAE_OK;
    Status status = k->make(k->user, l->dataset, image, geometry, label, &why);
    return name_image(l, status, image, &why, err);
}

Status loader_make_sample(Loader *l, Slot *slot, int64_t item, ResampleScratch *scratch,
                          Error *err) {
    Status status = MAE_OK;
    Geometry geometry = {0};
    bool pixels = !l->options.indices_only;
    if (pixels)
        status = make_pixels(l, slot, item, scratch, &geometry, err);
    else
        slot->samples[item] = loader_virtual_sample(l, slot->epoch, loader_position(l, slot, item));
    if (status != MAE_OK || slot->samples[item] < 0) return status;
    return make_label(l, slot, item, pixels ? &geometry : NULL, err);
}
