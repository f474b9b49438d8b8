/* Any bytes as an image file, through everything that decodes one: whole, as grey, in parts, at a
 * fraction of the size, and as a sample of a dataset. What comes out has to agree with itself. What
 * is asked for (boxes, sizes) is drawn from the bytes, so that an input always does the same. */
#ifndef FUZZ_DECODE_IMAGE_H
#define FUZZ_DECODE_IMAGE_H

#include <string.h>

#include "base/rng.h"
#include "data/dataset.h"
#include "data/image/image_codec.h"
#include "folder.h"

/* Small, so that runs are fast and the limit is met often. */
enum { FUZZ_MAX_PIXELS = 1 << 16 };

static inline Rng fuzz_rng(const uint8_t *data, size_t bytes) {
    uint64_t hash = 14695981039346656037u;
    for (size_t i = 0; i < bytes; i++) hash = (hash ^ data[i]) * 1099511628211u;
    return rng_make(hash, RNG_SYNTHETIC, 0, 0);
}

static inline void fuzz_check_image(Status status, const Image *im, int channels,
                                    const Error *err) {
    ASSERT((status == MAE_OK) == (im->pixels != NULL), "status %d", status);
    ASSERT((status == MAE_OK) == (err->message[0] == 0), "%s", err->message);
    if (status != MAE_OK) return;
    ASSERT(im->width >= 1 && im->height >= 1 && im->width * im->height <= FUZZ_MAX_PIXELS,
           "%lld x %lld", (long long)im->width, (long long)im->height);
    ASSERT(im->channels == channels, "%lld channels", (long long)im->channels);
}

static inline Box fuzz_box(Rng *rng, int64_t width, int64_t height) {
    Box b = {.width = 1 + rng_below(rng, width), .height = 1 + rng_below(rng, height)};
    b.left = rng_below(rng, width - b.width + 1);
    b.top = rng_below(rng, height - b.height + 1);
    return b;
}

/* A crop's user: the box it wants, drawn when the size is known. */
typedef struct FuzzWish {
    Rng rng;
    Box box;
    int64_t width, height;
} FuzzWish;

static inline Box fuzz_choose(void *user, int64_t width, int64_t height) {
    FuzzWish *w = user;
    w->width = width;
    w->height = height;
    w->box = fuzz_box(&w->rng, width, height);
    return w->box;
}

static inline void fuzz_check_inside(Box b, const Image *im) {
    ASSERT(b.left >= 0 && b.top >= 0 && b.width >= 1 && b.height >= 1 &&
               b.left + b.width <= im->width && b.top + b.height <= im->height,
           "box %lldx%lld+%lld+%lld of %lldx%lld", (long long)b.width, (long long)b.height,
           (long long)b.left, (long long)b.top, (long long)im->width, (long long)im->height);
}

/* box of part has the pixels that the wish's box has in the whole. */
static inline void fuzz_check_pixels(const Image *part, Box box, const Image *whole, Box wanted) {
    int64_t C = whole->channels;
    ASSERT(part->channels == C, "%lld channels", (long long)part->channels);
    ASSERT(box.width == wanted.width && box.height == wanted.height, "another size");
    fuzz_check_inside(box, part);
    for (int64_t y = 0; y < box.height; y++) {
        const uint8_t *is = part->pixels + ((box.top + y) * part->width + box.left) * C;
        const uint8_t *must = whole->pixels + ((wanted.top + y) * whole->width + wanted.left) * C;
        ASSERT(memcmp(is, must, (size_t)(box.width * C)) == 0, "row %lld differs", (long long)y);
    }
}

static inline void fuzz_check_grey(const uint8_t *data, size_t bytes, const Image *rgb) {
    Image grey;
    Error err = {0};
    Status status = image_decode_crop("fuzz", data, bytes, 1, FUZZ_MAX_PIXELS, NULL, &grey, &err);
    fuzz_check_image(status, &grey, 1, &err);
    ASSERT((status == MAE_OK) == (rgb->pixels != NULL), "%s", err.message);
    if (status != MAE_OK) return;
    ASSERT(grey.width == rgb->width && grey.height == rgb->height, "another size");
    for (int64_t i = 0; i < grey.width * grey.height; i++)
        ASSERT(grey.pixels[i] == image_grey(rgb->pixels + 3 * i), "pixel %lld", (long long)i);
    image_free(&grey);
}

/* Fails when and only when the whole fails, where it looks to the end. */
static inline void fuzz_check_crop(const uint8_t *data, size_t bytes, const Image *whole, Rng rng,
                                   bool to_the_end) {
    Image part;
    Error err = {0};
    FuzzWish wish = {.rng = rng};
    ImageCrop crop = {.choose = fuzz_choose, .user = &wish, .to_the_end = to_the_end};
    Status status = image_decode_crop("fuzz", data, bytes, 3, FUZZ_MAX_PIXELS, &crop, &part, &err);
    fuzz_check_image(status, &part, 3, &err);
    if (to_the_end)
        ASSERT((status == MAE_OK) == (whole->pixels != NULL), "%s", err.message);
    else
        ASSERT(status == MAE_OK || !whole->pixels, "%s", err.message);
    if (whole->pixels) fuzz_check_pixels(&part, crop.box, whole, wish.box);
    image_free(&part);
}

/* Smaller, but not the box smaller than asked for. */
static inline void fuzz_check_fraction(const uint8_t *data, size_t bytes, const Image *whole,
                                       Rng rng) {
    Image part;
    Error err = {0};
    FuzzWish wish = {.rng = rng};
    ImageCrop crop = {.choose = fuzz_choose,
                      .user = &wish,
                      .min_width = 1 + rng_below(&rng, 32),
                      .min_height = 1 + rng_below(&rng, 32),
                      .to_the_end = true};
    Status status = image_decode_crop("fuzz", data, bytes, 3, FUZZ_MAX_PIXELS, &crop, &part, &err);
    fuzz_check_image(status, &part, 3, &err);
    ASSERT((status == MAE_OK) == (whole->pixels != NULL), "%s", err.message);
    if (status != MAE_OK) return;
    fuzz_check_inside(crop.box, &part);
    ASSERT(crop.box.width >= crop.min_width || crop.box.width == wish.box.width, "too narrow");
    ASSERT(crop.box.height >= crop.min_height || crop.box.height == wish.box.height, "too low");
    image_free(&part);
}

/* The only image of a dataset, with a cache or a limit on its side or neither. */
static inline void fuzz_check_sample(const uint8_t *data, size_t bytes, const Image *whole,
                                     Rng rng) {
    static const int64_t sides[] = {0, 0, 8, 60};
    const char *path = fuzz_path("image.png");
    Dataset *d;
    Error err = {0};
    DatasetOptions options = {.channels = 3,
                              .max_side = sides[rng_below(&rng, 4)],
                              .cache_bytes = rng_below(&rng, 2) << 20,
                              .limits = {.max_pixels = FUZZ_MAX_PIXELS}};
    fuzz_write(path, data, bytes);
    fuzz_write(fuzz_path("list.txt"), "image.png\n", 10);
    ASSERT(dataset_open(fuzz_path("list.txt"), options, &d, &err) == MAE_OK, "%s", err.message);
    for (int i = 0; i < 2; i++) { /* the second time it is known to be sound, or in the cache */
        Sample s;
        FuzzWish wish = {.rng = rng};
        ImageCrop crop = {.choose = fuzz_choose, .user = &wish};
        err = (Error){0};
        Status status = dataset_fetch_crop(d, 0, &crop, &s, &err);
        fuzz_check_image(status, &s.image, 3, &err);
        ASSERT((status == MAE_OK) == (whole->pixels != NULL), "%s", err.message);
        if (status != MAE_OK) continue;
        if (options.max_side == 0)
            fuzz_check_pixels(&s.image, crop.box, whole, wish.box);
        else
            fuzz_check_inside(crop.box, &s.image);
        dataset_release(&s);
    }
    dataset_close(d);
}

static inline void fuzz_decode_image(const uint8_t *data, size_t bytes) {
    Image whole;
    Error err = {0};
    Rng rng = fuzz_rng(data, bytes);
    Status status = image_decode_crop("fuzz", data, bytes, 3, FUZZ_MAX_PIXELS, NULL, &whole, &err);
    fuzz_check_image(status, &whole, 3, &err);
    fuzz_check_grey(data, bytes, &whole);
    fuzz_check_crop(data, bytes, &whole, rng, true);
    fuzz_check_crop(data, bytes, &whole, rng, false);
    fuzz_check_fraction(data, bytes, &whole, rng);
    fuzz_check_sample(data, bytes, &whole, rng);
    image_free(&whole);
}

#endif
