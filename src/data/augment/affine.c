/* PIL's affine transform with its cubic of a = -1. Results are truncated, so every rounding step
 * counts: sums and products stay in the order given here, in double. Rows and columns beyond the
 * image repeat the border. */
#include "data/augment/affine.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/augment/affine_row.h"

/* Python's round(x, 15): to decimal digits and back. */
static double round_15(double x) {
    char text[64];
    snprintf(text, sizeof text, "%.15f", x);
    return strtod(text, NULL);
}

Affine affine_rotation(double degrees, int64_t width, int64_t height) {
    double turn = fmod(degrees, 360.0);
    if (turn < 0.0) turn += 360.0;
    double angle = -(turn * (3.14159265358979323846 / 180.0));
    double c = round_15(cos(angle)), s = round_15(sin(angle)), minus_s = round_15(-sin(angle));
    double x = (double)width / 2.0, y = (double)height / 2.0;
    return (Affine){{c, s, c * -x + s * -y + x, minus_s, c, minus_s * -x + c * -y + y}};
}

/* Between v2 (d = 0) and v3 (d = 1). */
static inline double cubic(double v1, double v2, double v3, double v4, double d) {
    double p2 = v3 - v1, p3 = 2.0 * (v1 - v2) + v3 - v4, p4 = v2 - v1 - v3 + v4;
    return v2 + d * (p2 + d * (p3 + d * p4));
}

static inline double cubic_of_bytes(const uint8_t *p, const AffineTaps *t) {
    return cubic(p[t->at[0]], p[t->at[1]], p[t->at[2]], p[t->at[3]], t->d);
}

static double value_at(const uint8_t *in, const AffineTaps *x, const AffineTaps *y) {
    if (y->d == 0.0) return cubic_of_bytes(in + y->at[1], x);
    if (x->d == 0.0) return cubic_of_bytes(in + x->at[1], y);
    return cubic(cubic_of_bytes(in + y->at[0], x), cubic_of_bytes(in + y->at[1], x),
                 cubic_of_bytes(in + y->at[2], x), cubic_of_bytes(in + y->at[3], x), y->d);
}

void affine_row(const Affine *a, const uint8_t *in, Image *out, int64_t y, const uint8_t *fill) {
    int64_t channels = out->channels;
    uint8_t *dst = out->pixels + y * out->width * channels;
    for (int64_t x = 0; x < out->width; x++, dst += channels) {
        double from_x, from_y;
        if (!affine_point(a, out, x, y, &from_x, &from_y)) {
            memcpy(dst, fill, (size_t)channels);
            continue;
        }
        AffineTaps tx = affine_taps(from_x, out->width, channels);
        AffineTaps ty = affine_taps(from_y, out->height, out->width * channels);
        for (int64_t c = 0; c < channels; c++) {
            double v = value_at(in + c, &tx, &ty);
            dst[c] = (uint8_t)(v <= 0.0 ? 0.0 : v >= 255.0 ? 255.0 : v);
        }
    }
}

void affine_apply(const Affine *a, const uint8_t *in, Image *out, const uint8_t *fill) {
    bool fast = out->channels == 3 && affine_has_avx2();
    for (int64_t y = 0; y < out->height; y++) {
        if (fast)
            affine_row_avx2(a, in, out, y, fill);
        else
            affine_row(a, in, out, y, fill);
    }
}
