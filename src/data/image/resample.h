/* Resampling that agrees with PIL to the last bit: Image.crop(box).resize(size), antialiased when
 * shrinking, the horizontal pass first. (From version 13 on, Pillow sometimes goes vertically
 * first.) 8 bits have fixed-point weights of 22 bits, and each pass rounds to 8 bits. 16 bits and
 * float32, each band as PIL's modes I;16 and F, have weights and sums in double, and each pass
 * rounds to their own type. */
#ifndef DATA_IMAGE_RESAMPLE_H
#define DATA_IMAGE_RESAMPLE_H

#include "data/image/image.h"

typedef enum ResampleFilter {
    RESAMPLE_BICUBIC,
    RESAMPLE_BILINEAR,
    RESAMPLE_LANCZOS
} ResampleFilter;

/* Crops box (inside the image), resizes the crop to width x height, and makes only the window of
 * that: the same pixels as making all and cutting the window out. Pixels outside the box are not
 * seen. */
typedef struct Resample {
    Box box;
    int64_t width, height;
    Box window;
    ResampleFilter filter;
} Resample;

/* Bicubic, the window is everything. */
Resample resample_make(Box box, int64_t width, int64_t height);

/* Memory that calls use one after the other. It grows when it is too small for a call. A caller who
 * gives enough (resample_scratch_bytes) has no memory taken. */
typedef struct ResampleScratch {
    void *memory; /* mem_alloc */
    size_t bytes;
} ResampleScratch;
/* Bytes that a call with these arguments needs. Pixels are not looked at. */
size_t resample_scratch_bytes(const ImageView *in, const Resample *r);
void resample_scratch_free(ResampleScratch *s);

/* dst[window.height * window.width * channels] of the type of `in`. */
Status resample_into(const ImageView *in, const Resample *r, void *dst, ResampleScratch *scratch,
                     Error *err);
/* The same into a fresh image. */
Status resample_crop(const Image *in, Box box, int64_t width, int64_t height, Image *out,
                     Error *err);

#endif
