/* Keyed randomness: every number is a pure function of (seed, purpose, epoch, sample) and its place
 * in the stream, so crops, flips, masks and initial weights do not depend on threads, ranks, device
 * or resume. Generator: Philox4x32-10 (Salmon et al., SC 2011). */
#ifndef BASE_RNG_H
#define BASE_RNG_H

#include <stdint.h>

/* Never renumber: the numbers are part of what a seed means. */
typedef enum RngPurpose {
    RNG_INIT = 1,   /* initial weights; sample = parameter index */
    RNG_ORDER = 2,  /* order of the samples in an epoch */
    RNG_CROP = 3,   /* crop box and flip of a sample */
    RNG_JITTER = 4, /* colour jitter of a sample */
    RNG_MASK = 5,   /* which patches of a sample are hidden */
    RNG_SYNTHETIC = 6,
    RNG_RANDAUGMENT = 8, /* operations, magnitudes and signs of a sample */
    RNG_ERASE = 9,       /* boxes and noise of random erasing of a sample */
    RNG_MIX = 10,        /* mixup and cutmix; sample = batch of the epoch */
    RNG_DROP_PATH = 11,  /* which branches a sample skips */
    RNG_CORRUPT = 12,    /* damage done to a sample for a robustness test */
} RngPurpose;

typedef struct Rng {
    uint32_t key[2];
    uint32_t counter[4];
    uint32_t block[4];
    int used; /* numbers of block already handed out; 4 = none left */
} Rng;

/* One Philox4x32-10 block, exposed for the known-answer test. */
void philox4x32(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]);

/* epoch < 2^32, sample < 2^48. */
Rng rng_make(uint64_t seed, RngPurpose purpose, uint64_t epoch, uint64_t sample);
uint32_t rng_u32(Rng *r);
float rng_uniform_f32(Rng *r); /* [0,1), 24 bits */
double rng_uniform(Rng *r);    /* [0,1), 53 bits, two draws */
double rng_range(Rng *r, double lo, double hi);
/* out[i] = (float)rng_range(r, lo, hi) for i from 0 to n - 1, several times faster. */
void rng_fill_range(Rng *r, double lo, double hi, float *out, int64_t n);
int64_t rng_below(Rng *r, int64_t n); /* unbiased integer in [0,n), n >= 1, n < 2^32 */
double rng_normal(Rng *r);            /* mean 0, std 1 (Box-Muller, one value a call) */

/* The i-th element of a pseudo-random permutation of [0,n) keyed by (seed, epoch): a Feistel
 * network with cycle walking, so no table is stored. 0 <= i < n. */
int64_t rng_permute(uint64_t seed, uint64_t epoch, int64_t n, int64_t i);

#endif
