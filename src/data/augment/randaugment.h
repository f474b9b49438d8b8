/* RandAugment (Cubuk et al. 2019) as timm 0.3.2 does it on PIL images; the published fine-tuning
 * uses it as "rand-m9-mstd0.5-inc1". A few operations are drawn with replacement from fifteen. Each
 * is applied with a probability, at a magnitude of 0..10 with a little noise, in place. Images have
 * 3 channels; on grey ones Color does nothing, and geometric operations fill with the grey of the
 * published colour. */
#ifndef DATA_AUGMENT_RANDAUGMENT_H
#define DATA_AUGMENT_RANDAUGMENT_H

#include "base/rng.h"
#include "data/image/resample.h"

typedef struct RandAugment {
    int64_t n_ops;    /* 0 = off */
    double magnitude; /* 0..10 */
    double magnitude_std;
    bool
        increasing; /* stronger with the magnitude, where the plain forms weaken or run both ways */
    double probability; /* of each operation, 0.5 */
} RandAugment;

/* "m9-n2-mstd0.5-inc1": parts in any order, each at most once, m needed; without n, 2 operations,
 * without mstd, 0, without inc, plain. A leading "rand-" is allowed. "none" gives n_ops 0. USAGE
 * for anything else. */
Status randaugment_parse(const char *text, RandAugment *out, Error *err);

/* In timm's order, which is that of the draws. */
typedef enum RandAugmentOp {
    RANDAUGMENT_AUTO_CONTRAST,
    RANDAUGMENT_EQUALIZE,
    RANDAUGMENT_INVERT,
    RANDAUGMENT_ROTATE,
    RANDAUGMENT_POSTERIZE,
    RANDAUGMENT_SOLARIZE,
    RANDAUGMENT_SOLARIZE_ADD,
    RANDAUGMENT_COLOR,
    RANDAUGMENT_CONTRAST,
    RANDAUGMENT_BRIGHTNESS,
    RANDAUGMENT_SHARPNESS,
    RANDAUGMENT_SHEAR_X,
    RANDAUGMENT_SHEAR_Y,
    RANDAUGMENT_TRANSLATE_X,
    RANDAUGMENT_TRANSLATE_Y,
    RANDAUGMENT_N_OPS
} RandAugmentOp;

/* What a magnitude of 0..10 means: degrees, bits kept, a threshold, an added value, a factor, a
 * shear, a share of the side; 0 for the operations that have no argument. negate is ignored where
 * timm draws no sign. */
double randaugment_argument(RandAugmentOp op, double magnitude, bool increasing, bool negate);

/* One operation with such an argument. MEMORY. */
Status randaugment_op(RandAugmentOp op, double argument, Image *im, ResampleScratch *scratch,
                      Error *err);

/* n_ops operations. Each takes four draws, used or not: the operation, u (it is applied when u <=
 * probability), the normal noise of the magnitude, u of the sign (negated when > 0.5). MEMORY. */
Status randaugment_apply(const RandAugment *r, Image *im, Rng *rng, ResampleScratch *scratch,
                         Error *err);

#endif
