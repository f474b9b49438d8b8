/* See given_images.h. */
#include "given_images.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

static int label(void *user, int64_t i) {
    const GivenImages *g = user;
    return dataset_class(g->files, i);
}

static const char *image_name(void *user, int64_t i) {
    const GivenImages *g = user;
    return dataset_name(g->files, i);
}

/* Planes from the last row and column to the first. */
static MaeImage mirrored(const Image *from, uint8_t *to) {
    int64_t n = from->height * from->width, C = from->channels;
    for (int64_t i = 0; i < n; i++)
        for (int64_t c = 0; c < C; c++) to[c * n + n - 1 - i] = from->pixels[i * C + c];
    return (MaeImage){
        .pixels = to + n - 1, .row_stride = -from->width, .pixel_stride = -1, .channel_stride = n};
}

static MaeStatus fetch(void *user, int64_t i, MaeImage *out, MaeError *err) {
    GivenImages *g = user;
    Sample s;
    atomic_fetch_add(&g->fetched, 1);
    if (i == g->broken) {
        if (g->reason) snprintf(err->message, sizeof err->message, "%s", g->reason);
        return g->status;
    }
    MaeStatus status = dataset_fetch(g->files, i, &s, err);
    if (status != MAE_OK) return status;
    uint8_t *pixels = malloc((size_t)(s.image.width * s.image.height * s.image.channels));
    if (g->planar) {
        *out = mirrored(&s.image, pixels);
    } else {
        out->pixels = pixels;
        for (int64_t k = 0; k < s.image.width * s.image.height * s.image.channels; k++)
            pixels[k] = s.image.pixels[k];
    }
    out->width = s.image.width;
    out->height = s.image.height;
    out->channels = s.image.channels;
    out->memory = pixels; /* for release */
    dataset_release(&s);
    return MAE_OK;
}

static void release(void *user, int64_t i, MaeImage *image) {
    GivenImages *g = user;
    atomic_fetch_add(&g->released, 1);
    ck_assert(i != g->broken || !image->memory);
    free(image->memory);
}

void given_open(GivenImages *g, const char *text, const char *name) {
    Error err = {0};
    *g = (GivenImages){.broken = -1};
    Status status = dataset_open(text, (DatasetOptions){.channels = 3}, &g->files, &err);
    ck_assert_msg(status == MAE_OK, "%s", err.message);
    int n = dataset_n_classes(g->files);
    ck_assert_int_le(n, GIVEN_MAX_CLASSES);
    for (int c = 0; c < n; c++) g->class_names[c] = dataset_class_name(g->files, c);
    g->source = (MaeSource){.user = g,
                            .name = name,
                            .count = dataset_count(g->files),
                            .n_classes = n,
                            .class_names = g->class_names,
                            .label = label,
                            .image_name = image_name,
                            .fetch = fetch,
                            .release = release};
}

void given_close(GivenImages *g) {
    dataset_close(g->files);
}
