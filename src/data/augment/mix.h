/* Mixup (Zhang et al. 2017) and cutmix (Yun et al. 2019) of whole batches as timm 0.3.2 does them,
 * and the targets that belong to them. Image i is mixed with image B-1-i, its partner, so B must be
 * even: the caller checks. Keyed by RNG_MIX with the number of the batch within its epoch. */
#ifndef DATA_AUGMENT_MIX_H
#define DATA_AUGMENT_MIX_H

#include "base/rng.h"
#include "base/words.h"
#include "data/image/resample.h"

typedef struct MixOptions {
    double mixup, cutmix;      /* alpha of Beta(alpha, alpha), 0 = off; published: 0.8 and 1 */
    double probability;        /* of mixing at all, 1 */
    double switch_probability; /* of cutmix when both are on, 0.5 */
    double minmax[2]; /* sides of the box as shares, instead of cutmix's alpha; 0 0 = off */
    MixMode mode;
} MixOptions;

/* What happens to one image: lambda of it and 1 - lambda of its partner remain; with cutmix the
 * partner's share is the box, and lambda is the true share of what is outside of it. */
typedef struct MixItem {
    double lambda; /* 1: unchanged */
    bool cutmix;
    Box box;
} MixItem;

/* Beta(a, a) for any a > 0. Draws: rejection, so a varying count. */
double mix_beta(Rng *rng, double a);

/* Integer draws of a box. With minmax NULL: the centre's row in [0,height) and column in [0,width);
 * otherwise the box's height, width, top and left. */
typedef struct MixBoxDraws {
    int64_t y, x; /* or height, width */
    int64_t top, left;
} MixBoxDraws;
/* The cutmix of lambda with these draws. */
MixItem mix_cut(double lambda, int64_t height, int64_t width, bool minmax, MixBoxDraws draws);

/* All numbers of a batch into items[B]. One item takes, in this order: u of probability, u of the
 * switch (used or not), lambda, and with cutmix the integers of the box. */
void mix_draw(const MixOptions *o, int64_t B, int64_t height, int64_t width, Rng *rng,
              MixItem *items);

/* images[B,C,height,width], in place, without memory of its own. */
void mix_images(float *images, const MixItem *items, int64_t B, int64_t C, int64_t height,
                int64_t width);

/* targets[B,classes] from labels[B]: 1 - s + s / classes at the label and s / classes elsewhere (s
 * = smoothing), then the same mixture as the images'. items NULL: label smoothing alone. */
void mix_targets(float *targets, const int *labels, const MixItem *items, int64_t B,
                 int64_t classes, double smoothing);

#endif
