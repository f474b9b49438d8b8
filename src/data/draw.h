/* Drawing a part of a set by a seed so that every class keeps its share of it. */
#ifndef DATA_DRAW_H
#define DATA_DRAW_H

#include <stdint.h>

#include "base/status.h"

/* taken[n] becomes 1 for `wanted` of the n samples and 0 for the others; 1 <= wanted <= n. A class
 * gets wanted * (its share of the samples), rounded by largest remainders; the seed draws ties.
 * When `wanted` is at least the number of classes that have samples, each of them gets one or more.
 * label[n]: below n_classes, or -1: none, which counts as a class of its own. */
Status draw_by_class(const int *label, int64_t n, int n_classes, int64_t wanted, uint64_t seed,
                     uint8_t *taken, Error *err);

#endif
