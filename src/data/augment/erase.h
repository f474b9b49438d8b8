/* Random erasing (Zhong et al. 2017) as timm 0.3.2 does it: with a probability, a rectangle of the
 * normalised image is replaced by noise. Keyed by RNG_ERASE. */
#ifndef DATA_AUGMENT_ERASE_H
#define DATA_AUGMENT_ERASE_H

#include "base/rng.h"
#include "base/words.h"
#include "data/image/resample.h"

typedef struct Erase {
    double probability;        /* 0 = off; published: 0.25 */
    double min_area, max_area; /* shares of the image, 0.02 and 1/3 */
    double min_aspect;         /* 0.3; the largest is 1 over it */
    int64_t count;             /* 1..count rectangles share the area; 0 = 1 */
    EraseMode mode;
} Erase;

/* The size of a rectangle of that share of a width x height image, of aspect exp(log_aspect) =
 * height / width; false when it is not smaller than the image in both directions. */
bool erase_box_size(double area_share, double log_aspect, int64_t width, int64_t height, Box *box);

/* Fills box of image[C,height,width] from noise: [C,box.height,box.width] for ERASE_PIXEL, else
 * [C]. */
void erase_fill(float *image, int64_t C, int64_t height, int64_t width, Box box, EraseMode mode,
                const float *noise);

/* All of it on image[C,height,width]. Draws: u, which must be <= probability; with count > 1 how
 * many rectangles; for each up to ten (area, log aspect) until one fits, then top, left and the
 * noise in the order of memory. */
void erase_apply(const Erase *e, float *image, int64_t C, int64_t height, int64_t width, Rng *rng);

#endif
