/* Resampling that agrees with PIL to the last bit: Image.resize(size, BICUBIC, box) in 8 bits, two
 * passes, each rounded to 8 bits, fixed-point weights of 22 bits, antialiased when shrinking. */
#ifndef DATA_IMAGE_RESAMPLE_H
#define DATA_IMAGE_RESAMPLE_H

#include "data/image/image.h"

/* Crops box (inside the image) and resizes the crop to width x height; out is made fresh. As PIL's
 * crop().resize(): pixels outside the box are not seen. */
Status resample_crop(const Image *in, Box box, int64_t width, int64_t height, Image *out,
                     Error *err);
/* The same into caller's memory dst[height*width*channels], scratch reused between calls. */
typedef struct ResampleScratch {
    void *memory;
    size_t bytes;
} ResampleScratch;
Status resample_crop_into(const Image *in, Box box, int64_t width, int64_t height, uint8_t *dst,
                          ResampleScratch *scratch, Error *err);
/* Only the window of the width x height result (dst[window.height*window.width*channels]): the same
 * pixels as making all of it and cutting the window out. */
Status resample_window_into(const Image *in, Box box, int64_t width, int64_t height, Box window,
                            uint8_t *dst, ResampleScratch *scratch, Error *err);
void resample_scratch_free(ResampleScratch *s);

#endif
