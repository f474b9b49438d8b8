/* Pixels that a program gives (MaeImage) as an Image of ours. */
#ifndef DATA_IMAGE_IMAGE_CALLER_H
#define DATA_IMAGE_IMAGE_CALLER_H

#include "data/image/image.h"

/* Copies the pixels, which are of the type and have the channels wanted. 8 bits in 1 or 3 channels
 * become the other: grey to RGB repeats the value, RGB to grey is PIL's convert('L'). name is for
 * messages. max_pixels as in image.h. With a crop only its box is copied. FORMAT: no pixels, or
 * strides with which pixels overlap. UNSUPPORTED: pixels of another type, channels that are not
 * those wanted, more pixels than the limit. */
Status image_from_caller(const char *name, const MaeImage *in, MaeType type, int channels,
                         int64_t max_pixels, ImageCrop *crop, Image *out, Error *err);

/* Where the pixels of a program lie, U8 or F32 and of any number of channels, without a copy.
 * FORMAT and UNSUPPORTED as above; there is no limit but IMAGE_PIXELS_CEILING. */
Status image_view_of_caller(const char *name, const MaeImage *in, ImageView *out, Error *err);
/* dst[h*w*C] packed, of the type of v. */
void image_view_pack(const ImageView *v, void *dst);
/* RGB, U8 or F32: dst[h*w] in grey as image_convert makes it, of the type of v. */
void image_view_grey(const ImageView *v, void *dst);

#endif
