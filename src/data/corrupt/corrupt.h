/* The 15 corruptions x 5 severities of ImageNet-C (Hendrycks & Dietterich, "Benchmarking Neural
 * Network Robustness to Common Corruptions and Perturbations", ICLR 2019), made from clean
 * pictures. Algorithms and constants are the published ones for 224 x 224, with these exceptions:
 *
 *   frost          The original lays photographs of frost over the picture. Here the frost is
 *                  drawn, feathery crystals on a cloudy veil (corrupt_frost.c), and blended with
 *                  the published weights. Compare its results with each other only.
 *   JPEG           The published files were saved as JPEG of quality 85 at last; here nothing is.
 *   random numbers They are ours: the same kind of noise, other pictures.
 *
 * The published glass_blur means to exchange two pixels and copies one; so does this.
 *
 * Other sizes: with s = min(height, width) / 224, lengths in pixels are multiplied by s. These are
 * radius and sigma of the blurs and of snow's streaks, size of the flakes, distances of glass_blur
 * and elastic_transform, features of frost and fog. Strengths, probabilities, quality, zoom factors
 * and the share of pixelate stay. Below s = 1, kernels and layers are made as for 224 and shrunk
 * (up to 8 times), so radii and flakes of less than a pixel still show. glass_blur rounds its
 * distances up or down at random, with the right mean. Gaussians of a sigma below 1/8 (glass_blur)
 * or 1/6 pixel (elastic_transform) change nothing. CIFAR-10-C is another benchmark, with milder
 * constants: this at 32 x 32 is not it. */
#ifndef DATA_CORRUPT_CORRUPT_H
#define DATA_CORRUPT_CORRUPT_H

#include "base/rng.h"
#include "data/image/image.h"

/* In the order of the paper: noise, blur, weather, digital. */
#define CORRUPTION_LIST(X)                                                                         \
    X(GAUSSIAN_NOISE, gaussian_noise)                                                              \
    X(SHOT_NOISE, shot_noise)                                                                      \
    X(IMPULSE_NOISE, impulse_noise)                                                                \
    X(DEFOCUS_BLUR, defocus_blur)                                                                  \
    X(GLASS_BLUR, glass_blur)                                                                      \
    X(MOTION_BLUR, motion_blur)                                                                    \
    X(ZOOM_BLUR, zoom_blur)                                                                        \
    X(SNOW, snow)                                                                                  \
    X(FROST, frost)                                                                                \
    X(FOG, fog)                                                                                    \
    X(BRIGHTNESS, brightness)                                                                      \
    X(CONTRAST, contrast)                                                                          \
    X(ELASTIC_TRANSFORM, elastic_transform)                                                        \
    X(PIXELATE, pixelate)                                                                          \
    X(JPEG_COMPRESSION, jpeg_compression)

typedef enum Corruption {
#define X(name, word) CORRUPTION_##name,
    CORRUPTION_LIST(X)
#undef X
        CORRUPTION_COUNT
} Corruption;

enum { CORRUPTION_SEVERITIES = 5 };

/* "gaussian_noise", ... */
const char *corruption_name(Corruption kind);
/* A sentence to print beside results of that kind, or NULL: what keeps them from being compared
 * with published numbers. */
const char *corruption_note(Corruption kind);
/* The kind of that name, or -1. */
int corruption_find(const char *name);

/* Corrupts im in place; severity 1 to 5. Everything random comes from rng, whose purpose is
 * RNG_CORRUPT, so the same stream gives the same bytes. defocus_blur, zoom_blur, brightness,
 * contrast, pixelate and jpeg_compression draw nothing. im has 1 or 3 channels. Grey is treated as
 * a picture whose three channels agree, but noise is drawn once and frost has no tint. UNSUPPORTED:
 * another number of channels or severity. MEMORY. After an error the pixels are undefined. */
Status corrupt_apply(Corruption kind, int severity, Image *im, Rng *rng, Error *err);

#endif
