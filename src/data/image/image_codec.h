/* Private to image_*.c: one decoder per format. Each makes *out with the channels that the file
 * has, reduced to 1 (grey) or 3 (RGB); alpha is dropped; out->notes says what got lost. On failure
 * *out is left zeroed. */
#ifndef DATA_IMAGE_IMAGE_CODEC_H
#define DATA_IMAGE_IMAGE_CODEC_H

#include "data/image/image.h"

/* A file in memory; name is for messages. */
typedef struct ImageFile {
    const char *name;
    const uint8_t *bytes;
    size_t n;
    int64_t max_pixels;
} ImageFile;

/* crop may be NULL; its box stays untouched where it was not asked for one. */
Status image_decode_jpeg(const ImageFile *file, ImageCrop *crop, Image *out, Error *err);
Status image_decode_png(const ImageFile *file, Image *out, Error *err);
Status image_decode_webp(const ImageFile *file, Image *out, Error *err);
/* A .npy array [h,w], [h,w,C] or [C,h,w] with all its channels, as its own type where that is u8,
 * u16 or f32, else as f32, rounded to nearest even. Of three sizes, the smaller one of the first
 * and the last is C; the last one when they are equal. */
Status image_decode_npy(const ImageFile *file, Image *out, Error *err);

/* Bits of ImageNote that can be seen without decoding. The bytes begin as that format does. */
unsigned image_jpeg_notes(const uint8_t *bytes, size_t n);
unsigned image_png_notes(const uint8_t *bytes, size_t n);
unsigned image_webp_notes(const uint8_t *bytes, size_t n);

/* To be called as soon as the header is read. FORMAT for an image without pixels, UNSUPPORTED for
 * one with too many. */
Status image_check_header(const ImageFile *file, int64_t width, int64_t height, Error *err);
/* image_new of a size that was checked, with the file's name in the message. */
Status image_new_named(const char *name, Image *out, MaeType type, int64_t width, int64_t height,
                       int64_t channels, Error *err);

/* *im becomes an image of `channels` (1 or 3) channels. */
Status image_convert(const char *name, Image *im, int channels, Error *err);

/* PIL's grey value of one RGB pixel. */
static inline uint8_t image_grey(const uint8_t *p) {
    return (uint8_t)((19595u * p[0] + 38470u * p[1] + 7471u * p[2] + 32768u) >> 16);
}

#endif
