/* Images on the host: interleaved, H x W x C, 8-bit with C = 3 (RGB) unless said otherwise.
 * Decoding gives what PIL's open().convert('RGB') gives (see the note at each format in
 * image_decode.c). */
#ifndef DATA_IMAGE_IMAGE_H
#define DATA_IMAGE_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "mae.h"

#define IMAGE_MAX_CHANNELS 64

/* Pixels of one of the types MAE_U8 (the zero of MaeType), MAE_U16 and MAE_F32. */
typedef struct Image {
    int64_t width, height, channels; /* channels: 1 to IMAGE_MAX_CHANNELS */
    MaeType type;
    union {
        uint8_t *pixels; /* mem_alloc; of any type: their bytes */
        uint16_t *u16;   /* the same memory of an image of type MAE_U16 */
        float *f32;      /* and of type MAE_F32 */
    };
    unsigned notes; /* bits of ImageNote: what a decoder left out; 0 for images from elsewhere */
} Image;

/* Pixels that belong to somebody else, at any places in memory. */
typedef struct ImageView {
    int64_t width, height, channels;
    MaeType type;
    const void *pixels;
    int64_t row_stride, pixel_stride, channel_stride; /* bytes from one to the next */
} ImageView;

typedef struct Box {
    int64_t left, top, width, height;
} Box;

/* What a crop needs of an image, so that a decoder may leave the rest out. Nothing may be read
 * outside of box, in which the pixels are those of the whole image to the bit, unless they were
 * asked for smaller. */
typedef struct ImageCrop {
    /* The box wanted of an image of that size; called as soon as the size is known. */
    Box (*choose)(void *user, int64_t width, int64_t height);
    void *user;
    /* > 0: a JPEG may be decoded at a half, quarter or eighth of its size, as long as the box keeps
     * this one. */
    int64_t min_width, min_height;
    bool to_the_end; /* look for damage in the rest of the file too */
    Box box;         /* set by decoding: where the box lies in the image that came */
} ImageCrop;

/* Images with more pixels than a limit are refused when their header has been read, before there is
 * memory for them. This is the limit where none is given (PIL's against decompression bombs), and
 * the largest that may be given: every index into an image then fits 32 bits. */
#define IMAGE_MAX_PIXELS ((int64_t)178956970)
#define IMAGE_PIXELS_CEILING ((int64_t)INT32_MAX)
/* Resizing takes about 50 bytes for each pixel of a side: a row of dots must not cost gigabytes. */
#define IMAGE_MAX_SIDE ((int64_t)1000000)

/* The values are not set. */
Status image_new(Image *out, MaeType type, int64_t width, int64_t height, int64_t channels,
                 Error *err);
/* Bytes of one value of an image of that type. */
size_t image_value_bytes(MaeType type);
/* "8-bit", "16-bit", "float32": for messages. */
const char *image_type_name(MaeType type);
ImageView image_view(const Image *im);
void image_free(Image *im); /* accepts a zeroed one */

/* JPEG, PNG or WebP, recognised by content. `name` is for messages. channels: 3 = RGB, 1 = grey
 * (PIL's convert('L')). */
Status image_decode(const char *name, const void *bytes, size_t n, int channels, Image *out,
                    Error *err);
/* The same with a limit (0: IMAGE_MAX_PIXELS) and a crop in mind; crop NULL: everything.
 * UNSUPPORTED: more pixels than the limit. */
Status image_decode_crop(const char *name, const void *bytes, size_t n, int channels,
                         int64_t max_pixels, ImageCrop *crop, Image *out, Error *err);
Status image_load_crop(const char *path, int channels, int64_t max_pixels, ImageCrop *crop,
                       Image *out, Error *err);
/* Does the name end in an extension that image_decode handles (any case)? */
bool image_is_name(const char *path);
/* Those extensions, for messages. */
#define IMAGE_ENDINGS ".jpg, .jpeg, .jpe, .jfif, .pjpeg, .pjp, .png and .webp"
/* PNG, 8-bit RGB or grey, atomically. */
Status image_write_png(const char *path, const Image *im, Error *err);
/* The same into memory: *n bytes (mem_free). name is for messages. */
Status image_encode_png(const char *name, const Image *im, uint8_t **bytes, size_t *n, Error *err);

#endif
