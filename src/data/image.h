/* Images on the host: 8-bit, interleaved, H x W x C with C = 3 (RGB) unless said otherwise.
 * Decoding gives what PIL's open().convert('RGB') gives (see the note at each format in
 * image_decode.c). */
#ifndef DATA_IMAGE_H
#define DATA_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

typedef struct Image {
    int64_t width, height, channels;
    uint8_t *pixels; /* mem_alloc */
} Image;

/* Larger images are refused (PIL's decompression-bomb limit). */
#define IMAGE_MAX_PIXELS ((int64_t)178956970)

Status image_new(Image *out, int64_t width, int64_t height, int64_t channels, Error *err);
void image_free(Image *im); /* accepts a zeroed one */

/* JPEG, PNG or WebP, recognised by content. `name` is for messages. channels: 3 = RGB, 1 = grey
 * (PIL's convert('L')). */
Status image_decode(const char *name, const void *bytes, size_t n, int channels, Image *out,
                    Error *err);
Status image_load(const char *path, int channels, Image *out, Error *err);
/* Does the name end in an extension that image_decode handles (any case)? */
bool image_is_name(const char *path);
/* PNG, 8-bit RGB or grey, atomically. */
Status image_write_png(const char *path, const Image *im, Error *err);

#endif
