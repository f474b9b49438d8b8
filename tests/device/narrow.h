/* bf16 for tests of its limits: rounding at random, which says how far correct rounding may be off,
 * and ways to be wrong that look right, which a limit must find. */
#ifndef TESTS_DEVICE_NARROW_H
#define TESTS_DEVICE_NARROW_H

#include "kernels/kernels.h"

/* The rows of refbf16, but for activations and weights that are rounded up or down at random, so
 * that the mean is right. A number is always rounded the same way under one seed. */
void refdrawn_fill_table(Kernels *k);
void narrow_seed(uint32_t seed);

/* The rows of refbf16, but for activations and weights that are cut off. */
void refcut_fill_table(Kernels *k);
/* Each puts bf16 in place of what is Wide into rows of a table of refbf16. */
void narrow_layernorm(Kernels *k);     /* mean and rstd */
void narrow_attention(Kernels *k);     /* logarithms of the softmax denominators */
void narrow_batchnorm(Kernels *k);     /* running mean and variance */
void narrow_losses(Kernels *k);        /* of patches */
void narrow_probabilities(Kernels *k); /* of classes */
void narrow_masters(Kernels *k);       /* weights after an update */

#endif
