/* Affine transforms of 8-bit images as PIL does them: Image.transform(size, AFFINE, m, BICUBIC,
 * fillcolor), which interpolates with a cubic of a = -1, in double, and does not antialias. (PIL's
 * resize is another matter: resample.h.) */
#ifndef DATA_AUGMENT_AFFINE_H
#define DATA_AUGMENT_AFFINE_H

#include "data/image/image.h"

/* Output pixel (x, y) shows the input at (m[0] X + m[1] Y + m[2], m[3] X + m[4] Y + m[5]), where X,
 * Y = x + 0.5, y + 0.5 are pixel centres. */
typedef struct Affine {
    double m[6];
} Affine;

/* Counter-clockwise by degrees about the middle, as Image.rotate(degrees) without expand; PIL's
 * special cases at multiples of 90 degrees are left to the caller. */
Affine affine_rotation(double degrees, int64_t width, int64_t height);

/* Fills out, whose size and channels are those of in[height][width][channels], other memory that
 * is readable for AFFINE_PADDING bytes after its end. Points outside of the input give
 * fill[channels]. */
#define AFFINE_PADDING 1
void affine_apply(const Affine *a, const uint8_t *in, Image *out, const uint8_t *fill);

#endif
