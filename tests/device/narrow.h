/* Ways to be wrong in bf16 that look right, for tests that show that a limit finds them. */
#ifndef TESTS_DEVICE_NARROW_H
#define TESTS_DEVICE_NARROW_H

#include "kernels/kernels.h"

/* The rows of refbf16, but for activations that are cut off where they should be rounded. */
void refcut_fill_table(Kernels *k);
/* x[n] as it would be if it were stored in bf16. */
void narrow_floats(float *x, int64_t n);

#endif
