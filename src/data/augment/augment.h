/* Augmentations as published, each split in two: the drawing of parameters (keyed randomness) and
 * their application, so that tests can give the parameters. */
#ifndef DATA_AUGMENT_AUGMENT_H
#define DATA_AUGMENT_AUGMENT_H

#include "base/rng.h"
#include "data/augment/erase.h"
#include "data/augment/randaugment.h"
#include "data/corrupt/corrupt.h"
#include "data/image/resample.h"

/* AugmentKind:
 * NONE         resize to the image size, aspect ignored; no flip
 * CROP_FIXED   resize shorter side to int(S*256/224), random crop of S, flip
 * CROP         torchvision RandomResizedCrop, flip
 * CROP_JITTER  the same, colour jitter 0.4/0.4/0.4/0.1
 * CROP_ONCE    the linear probe's crop, flip: one draw, its sides clamped to the image
 * EVAL         shorter side to int(S*256/224) (S > 224: to S), centre crop */
typedef struct Augment {
    AugmentKind kind;
    bool keeps_exact;      /* EVAL: an image of the output's size stays as it is */
    int64_t height, width; /* of the output */
    double min_scale, max_scale;
    double min_ratio, max_ratio; /* 3/4, 4/3 */
    double flip;                 /* probability, 0.5 */
    /* Of the colour jitter, which any kind does when jitter is set and AUGMENT_CROP_JITTER always;
       a strength of 0 leaves that one out. */
    double brightness, contrast, saturation, hue;
    bool jitter;
    RandAugment randaugment; /* after flip and jitter; n_ops 0 = off */
    Erase erase;             /* of the normalised image; probability 0 = off */
    Corruption corruption;   /* last, on the finished 8-bit image */
    int severity;            /* 1..5, 0 = off */
} Augment;

/* Where the pixels of an image go. The whole is resized to whole_width x whole_height, which is its
 * own size where the kind crops first. The box is cut out of that, resized to the output, and
 * mirrored with flip. RandAugment and corruptions may move pixels after that; this is not in here.
 */
typedef struct Geometry {
    int64_t in_width, in_height;
    int64_t whole_width, whole_height;
    Box box;
    int64_t out_width, out_height;
    bool flip;
    bool fallback; /* no try of AUGMENT_CROP fitted, the box is the central one */
} Geometry;

/* Changes a point of the input to the place where it lies in the output, or outside. Pixel i covers
 * i to i + 1. */
void geometry_map(const Geometry *g, double *x, double *y);

/* torchvision RandomResizedCrop.get_params: up to n_draws (area fraction, log aspect) pairs are
 * tried, then the central fallback. draws may be longer than used. Returns the box size with
 * left = top = 0 and *fallback, or the centred box when falling back. */
Box augment_crop_size(int64_t width, int64_t height, const double (*draws)[2], int n_draws,
                      double min_ratio, double max_ratio, bool *fallback);

/* The published crop of the linear probe (util/crop.py, RandomResizedCrop without tries): one draw
 * (area fraction, log aspect); left = top = 0. */
Box augment_crop_once_size(int64_t width, int64_t height, const double draw[2]);

/* The geometry of sample (seed, epoch, index), an image of width x height. */
Geometry augment_draw(const Augment *a, int64_t width, int64_t height, uint64_t seed,
                      uint64_t epoch, uint64_t index);

/* Size of the whole input after "shorter side to int(S*256/224)", S the longer output side. */
void augment_resized_size(const Augment *a, int64_t width, int64_t height, int64_t *out_width,
                          int64_t *out_height);

/* torchvision adjust_* on a PIL image, in place. */
void augment_brightness(Image *im, double factor);
void augment_contrast(Image *im, double factor);
void augment_saturation(Image *im, double factor);
void augment_hue(Image *im, double factor); /* -0.5..0.5 */
/* PIL's ImageEnhance.Sharpness, from smooth (0) over unchanged (1) to sharper; copy is im's pixels
 * once more. */
void augment_sharpness(Image *im, double factor, const uint8_t *copy);

/* USAGE: something that images of this type and these channels cannot undergo, as RandAugment on 16
 * bits. Cropping, resizing, flipping and erasing are for all. Colours and corruptions are for 8
 * bits in 1 or 3 channels. */
Status augment_check(const Augment *a, MaeType type, int64_t channels, Error *err);

/* Does the kind cut its box out of the input itself, and look at nothing else? */
bool augment_crops(const Augment *a);

/* Sample (seed, epoch, index) into dst[height*width*C] of the type of in: crop, flip, jitter,
 * RandAugment, corruption. augment_check has passed. */
Status augment_apply(const Augment *a, const Image *in, uint64_t seed, uint64_t epoch,
                     uint64_t index, void *dst, ResampleScratch *scratch, Error *err);
/* The same from the geometry that augment_draw gave; box: its box in pixels of in, which may be a
 * part of the input where the kind crops. */
Status augment_apply_drawn(const Augment *a, const Image *in, const Geometry *g, Box box,
                           uint64_t seed, uint64_t epoch, uint64_t index, void *dst,
                           ResampleScratch *scratch, Error *err);

/* The rest of the pipeline, dst[C,height,width] from the pixels of im, which has the final size:
 * (unit - mean) / std in float32, the same bits as the kernel image_normalize, then erasing. */
void augment_normalize(const Augment *a, const Image *im, const float *mean, const float *std,
                       uint64_t seed, uint64_t epoch, uint64_t index, float *dst);

#endif
