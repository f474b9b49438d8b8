/* Private to affine*.c: where a point's neighbours are, and one output row in plain C and AVX2. */
#ifndef DATA_AUGMENT_AFFINE_ROW_H
#define DATA_AUGMENT_AFFINE_ROW_H

#include "data/augment/affine.h"

/* Four neighbours along one axis: their offsets in bytes, and how far the point is past the second.
 */
typedef struct AffineTaps {
    int64_t at[4];
    double d;
} AffineTaps;

static inline int64_t affine_clamp(int64_t i, int64_t n) {
    return i < 0 ? 0 : i >= n ? n - 1 : i;
}

/* Of a point inside of [0, n). */
static inline AffineTaps affine_taps(double point, int64_t n, int64_t stride) {
    double from = point - 0.5;
    int64_t i = (int64_t)from - (from < 0.0); /* floor: from is at least -0.5 */
    int64_t first = (i - 1) * stride;
    AffineTaps t = {{first, first + stride, first + 2 * stride, first + 3 * stride},
                    from - (double)i};
    if (i < 1 || i + 2 >= n)
        for (int k = 0; k < 4; k++) t.at[k] = affine_clamp(i - 1 + k, n) * stride;
    return t;
}

/* The input point of output pixel (x, y); false: outside. The order of the sums counts. */
static inline bool affine_point(const Affine *a, const Image *out, int64_t x, int64_t y,
                                double *from_x, double *from_y) {
    double X = (double)x + 0.5, Y = (double)y + 0.5;
    *from_x = a->m[0] * X + a->m[1] * Y + a->m[2];
    *from_y = a->m[3] * X + a->m[4] * Y + a->m[5];
    return *from_x >= 0.0 && *from_x < (double)out->width && *from_y >= 0.0 &&
           *from_y < (double)out->height;
}

/* Row y of out. With d = 0 the cubic is its second value exactly, so shears and translations, which
 * leave one axis on the grid, need one cubic instead of five. */
void affine_row(const Affine *a, const uint8_t *in, Image *out, int64_t y, const uint8_t *fill);

/* The same bits, for 3 channels; `in` must be readable for one more byte. Call it only where
 * affine_has_avx2(). */
bool affine_has_avx2(void);
void affine_row_avx2(const Affine *a, const uint8_t *in, Image *out, int64_t y,
                     const uint8_t *fill);

#endif
