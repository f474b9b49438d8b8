/* Noise: every value of every channel on its own. */
#include <math.h>

#include "data/corrupt/corrupt_internal.h"

static int64_t n_values(const Image *im) {
    return im->width * im->height * im->channels;
}

/* Standard deviation, of 1. */
Status corrupt_gaussian_noise(Image *im, int level, Rng *rng, Error *err) {
    static const double deviation[] = {0.08, 0.12, 0.18, 0.26, 0.38};
    (void)err;
    for (int64_t i = 0; i < n_values(im); i++)
        im->pixels[i] = corrupt_byte(im->pixels[i] + 255 * deviation[level] * rng_normal(rng));
    return MAE_OK;
}

/* Walks the distribution function up to a uniform number. The limit, far out in the tail, is for
 * the numbers so close to 1 that the rounded sum never reaches them. */
int64_t corrupt_poisson(Rng *rng, double mean) {
    ASSERT(mean >= 0 && mean <= 500, "mean %g", mean);
    double u = rng_uniform(rng), p = exp(-mean), sum = p;
    int64_t k = 0, limit = (int64_t)(mean + 12 * sqrt(mean) + 20);
    while (u >= sum && k < limit) {
        k++;
        p *= mean / (double)k;
        sum += p;
    }
    return k;
}

/* Photons that a white value stands for. */
Status corrupt_shot_noise(Image *im, int level, Rng *rng, Error *err) {
    static const double photons[] = {60, 25, 12, 5, 3};
    (void)err;
    double per_value = photons[level] / 255;
    for (int64_t i = 0; i < n_values(im); i++)
        im->pixels[i] =
            corrupt_byte((double)corrupt_poisson(rng, im->pixels[i] * per_value) / per_value);
    return MAE_OK;
}

/* Share of the values that become 0 or 255. */
Status corrupt_impulse_noise(Image *im, int level, Rng *rng, Error *err) {
    static const double share[] = {0.03, 0.06, 0.09, 0.17, 0.27};
    (void)err;
    for (int64_t i = 0; i < n_values(im); i++)
        if (rng_uniform(rng) < share[level]) im->pixels[i] = rng_u32(rng) >> 31 ? 255 : 0;
    return MAE_OK;
}
