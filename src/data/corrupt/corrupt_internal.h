/* Private to corrupt_*.c: one function a corruption, and what several of them share. Values are on
 * the scale of the bytes, 0 to 255, so that what is whole stays exactly whole in float. */
#ifndef DATA_CORRUPT_CORRUPT_INTERNAL_H
#define DATA_CORRUPT_CORRUPT_INTERNAL_H

#include "data/corrupt/corrupt.h"

/* level = severity - 1, an index into the published constants. */
typedef Status CorruptFunction(Image *im, int level, Rng *rng, Error *err);

#define X(name, word) CorruptFunction corrupt_##word;
CORRUPTION_LIST(X)
#undef X

/* As the published code stores floats: clipped and cut off. A value that a rounding error has put
 * just below a whole number counts as that number. */
static inline uint8_t corrupt_byte(double v) {
    return v <= 0 ? 0 : v >= 255 ? 255 : (uint8_t)(v + 1.0 / 1024);
}

/* A Poisson variable of that mean, 0 <= mean <= 500; one uniform number a call. */
int64_t corrupt_poisson(Rng *rng, double mean);

/* One channel as floats, rows one after another. */
typedef struct Plane {
    int64_t width, height;
    float *values; /* mem_alloc */
} Plane;

Status plane_new(Plane *out, int64_t width, int64_t height, Error *err); /* zeros */
void plane_free(Plane *p);                                               /* accepts a zeroed one */
/* Between channel c of im and a plane of the same size; storing adds bias first (0.5 rounds). */
void plane_load(Plane *p, const Image *im, int64_t c);
void plane_store(const Plane *p, Image *im, int64_t c, float bias);

/* Factor for lengths given for 224 x 224. */
double plane_scale(int64_t width, int64_t height);

/* What lies outside n pixels "abcd": aaaa (CLAMP), dcba (REFLECT), edcb (MIRROR, the border pixel
 * is not repeated). */
typedef enum Border { BORDER_CLAMP, BORDER_REFLECT, BORDER_MIRROR } Border;
int64_t border_index(Border border, int64_t i, int64_t n);

/* Between pixels, linearly. */
float plane_sample(const Plane *p, double x, double y, Border border);

/* out(x, y) = sum of weight * in(x + dx, y + dy); in place. */
typedef struct Tap {
    int64_t dx, dy;
    float weight;
} Tap;
Status plane_filter(Plane *p, const Tap *taps, int64_t n_taps, Border border, Error *err);

/* Gaussian of sigma pixels, cut off at int(truncate * sigma + 0.5) pixels as in scipy; in place. */
Status plane_gaussian(Plane *p, double sigma, double truncate, Border border, Error *err);

/* ImageMagick's one-sided motion blur: half a Gaussian along angle (degrees), 2 * radius + 1 long.
 * radius and sigma are for 224 x 224; in place. */
Status plane_motion(Plane *p, double radius, double sigma, double angle, Error *err);

/* The middle of in enlarged by factor >= 1 to the size of in, as scipy.ndimage.zoom (order 1) does
 * it; added to sum. */
void plane_add_zoomed(const Plane *in, double factor, Plane *sum);

/* For what has details finer than a pixel of a small picture: a plane n times as large each way, n
 * (at most 8) such that its shorter side is `side` or more, and the means of its n x n blocks. */
Status plane_new_finer(Plane *out, int64_t width, int64_t height, int64_t side, Error *err);
void plane_shrink(const Plane *finer, Plane *out);

/* Drawn frost, values 0 to 1. */
Status frost_texture(Plane *out, Rng *rng, Error *err);

#endif
