/* See erase.h. The arithmetic of the box is Python's: double, halves rounded to even. */
#include "data/augment/erase.h"

#include <math.h>

enum { ERASE_TRIES = 10 };

bool erase_box_size(double area_share, double log_aspect, int64_t width, int64_t height, Box *box) {
    double area = area_share * (double)(width * height), aspect = exp(log_aspect);
    *box = (Box){0, 0, (int64_t)nearbyint(sqrt(area / aspect)),
                 (int64_t)nearbyint(sqrt(area * aspect))};
    return box->width < width && box->height < height;
}

/* The next value of a box: from noise or, without it, from rng. */
typedef struct Source {
    const float *noise;
    Rng *rng;
} Source;

static inline float next_value(Source *s) {
    return s->noise ? *s->noise++ : (float)rng_normal(s->rng);
}

static void fill_box(float *image, int64_t C, int64_t height, int64_t width, Box box,
                     EraseMode mode, Source source) {
    for (int64_t c = 0; c < C; c++) {
        float flat = mode == ERASE_RAND ? next_value(&source) : 0.0f;
        for (int64_t y = 0; y < box.height; y++) {
            float *row = image + (c * height + box.top + y) * width + box.left;
            for (int64_t x = 0; x < box.width; x++)
                row[x] = mode == ERASE_PIXEL ? next_value(&source) : flat;
        }
    }
}

void erase_fill(float *image, int64_t C, int64_t height, int64_t width, Box box, EraseMode mode,
                const float *noise) {
    fill_box(image, C, height, width, box, mode, (Source){.noise = noise});
}

static bool draw_box(const Erase *e, double share, int64_t height, int64_t width, Rng *rng,
                     Box *box) {
    double log_aspect = log(e->min_aspect);
    for (int i = 0; i < ERASE_TRIES; i++) {
        double area = rng_range(rng, e->min_area, e->max_area) * share;
        double aspect = rng_range(rng, log_aspect, -log_aspect);
        if (!erase_box_size(area, aspect, width, height, box)) continue;
        box->top = rng_below(rng, height - box->height + 1);
        box->left = rng_below(rng, width - box->width + 1);
        return true;
    }
    return false;
}

void erase_apply(const Erase *e, float *image, int64_t C, int64_t height, int64_t width, Rng *rng) {
    if (e->probability <= 0.0 || rng_uniform(rng) > e->probability) return;
    int64_t n = e->count > 1 ? 1 + rng_below(rng, e->count) : 1;
    for (int64_t k = 0; k < n; k++) {
        Box box;
        if (draw_box(e, 1.0 / (double)n, height, width, rng, &box))
            fill_box(image, C, height, width, box, e->mode, (Source){.rng = rng});
    }
}
