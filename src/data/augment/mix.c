/* See mix.h. Products and sums of float32 in separate statements, as the published code's. */
#include "data/augment/mix.h"

#include <math.h>

/* --- draws ------------------------------------------------------------------------------------ */

/* The logarithm of a Gamma(a, 1) number, which stays finite for small a (Marsaglia and Tsang, "A
 * simple method for generating gamma variables", 2000, with their step from a + 1 for a < 1). */
static double log_gamma_draw(Rng *rng, double a) {
    double boost = a < 1.0 ? log(1.0 - rng_uniform(rng)) / a : 0.0;
    double d = (a < 1.0 ? a + 1.0 : a) - 1.0 / 3.0, c = 1.0 / sqrt(9.0 * d);
    for (;;) {
        double x = rng_normal(rng), u = 1.0 - rng_uniform(rng), t = 1.0 + c * x;
        if (t <= 0.0) continue;
        double v = t * t * t;
        if (log(u) < 0.5 * x * x + d - d * v + d * log(v)) return log(d * v) + boost;
    }
}

/* One gamma number over the sum of two. */
double mix_beta(Rng *rng, double a) {
    ASSERT(a > 0.0, "alpha %g", a);
    double one = log_gamma_draw(rng, a), other = log_gamma_draw(rng, a);
    return 1.0 / (1.0 + exp(other - one));
}

static int64_t clamp(int64_t v, int64_t most) {
    return v < 0 ? 0 : v > most ? most : v;
}

MixItem mix_cut(double lambda, int64_t height, int64_t width, bool minmax, MixBoxDraws draws) {
    Box box = {draws.left, draws.top, draws.x, draws.y};
    if (!minmax) {
        double side = sqrt(1.0 - lambda);
        int64_t half_h = (int64_t)((double)height * side) / 2;
        int64_t half_w = (int64_t)((double)width * side) / 2;
        box.top = clamp(draws.y - half_h, height);
        box.left = clamp(draws.x - half_w, width);
        box.height = clamp(draws.y + half_h, height) - box.top;
        box.width = clamp(draws.x + half_w, width) - box.left;
    }
    double area = (double)(box.width * box.height) / (double)(width * height);
    return (MixItem){1.0 - area, true, box};
}

/* [lo, hi), and lo when that is empty. */
static int64_t draw_between(Rng *rng, int64_t lo, int64_t hi) {
    return hi > lo ? lo + rng_below(rng, hi - lo) : lo;
}

static MixItem draw_cut(const MixOptions *o, double lambda, int64_t height, int64_t width,
                        Rng *rng) {
    bool minmax = o->minmax[1] > 0.0;
    MixBoxDraws d = {0};
    if (minmax) {
        double h = (double)height, w = (double)width;
        d.y = draw_between(rng, (int64_t)(h * o->minmax[0]), (int64_t)(h * o->minmax[1]));
        d.x = draw_between(rng, (int64_t)(w * o->minmax[0]), (int64_t)(w * o->minmax[1]));
        d.top = draw_between(rng, 0, height - d.y);
        d.left = draw_between(rng, 0, width - d.x);
    } else {
        d.y = rng_below(rng, height);
        d.x = rng_below(rng, width);
    }
    return mix_cut(lambda, height, width, minmax, d);
}

static MixItem draw_item(const MixOptions *o, int64_t height, int64_t width, Rng *rng) {
    double cutmix_alpha = o->minmax[1] > 0.0 ? 1.0 : o->cutmix;
    bool mixed = rng_uniform(rng) < o->probability;
    bool cut = rng_uniform(rng) < o->switch_probability;
    if (o->mixup <= 0.0) cut = true;
    if (cutmix_alpha <= 0.0) cut = false;
    double alpha = cut ? cutmix_alpha : o->mixup;
    if (!mixed || alpha <= 0.0) return (MixItem){.lambda = 1.0};
    double lambda = mix_beta(rng, alpha);
    if (cut) return draw_cut(o, lambda, height, width, rng);
    return (MixItem){.lambda = lambda};
}

void mix_draw(const MixOptions *o, int64_t B, int64_t height, int64_t width, Rng *rng,
              MixItem *items) {
    ASSERT(B % 2 == 0, "batch %lld", (long long)B);
    for (int64_t i = 0; i < B; i++) {
        if (o->mode == MIX_BATCH && i > 0)
            items[i] = items[0];
        else if (o->mode == MIX_PAIR && i >= B / 2)
            items[i] = items[B - 1 - i];
        else
            items[i] = draw_item(o, height, width, rng);
    }
}

/* --- images ----------------------------------------------------------------------------------- */

static bool in_box(const MixItem *m, int64_t y, int64_t x) {
    return y >= m->box.top && y < m->box.top + m->box.height && x >= m->box.left &&
           x < m->box.left + m->box.width;
}

static inline float blend(float own, float other, float own_weight, float other_weight) {
    float a = own * own_weight, b = other * other_weight;
    return a + b;
}

static float mixed_value(const MixItem *m, int64_t y, int64_t x, float own, float other) {
    if (m->cutmix) return in_box(m, y, x) ? other : own;
    if (m->lambda == 1.0) return own;
    return blend(own, other, (float)m->lambda, (float)(1.0 - m->lambda));
}

/* One plane of both partners at once, so that neither has to be kept. */
static void mix_plane(float *a, float *b, const MixItem *of_a, const MixItem *of_b, int64_t height,
                      int64_t width) {
    for (int64_t y = 0; y < height; y++)
        for (int64_t x = 0; x < width; x++) {
            int64_t i = y * width + x;
            float own = a[i], other = b[i];
            a[i] = mixed_value(of_a, y, x, own, other);
            b[i] = mixed_value(of_b, y, x, other, own);
        }
}

/* The same where both are blended alike, which is usual: a loop that vectorises. */
static void blend_plane(float *a, float *b, double lambda, int64_t n) {
    float w = (float)lambda, v = (float)(1.0 - lambda);
    for (int64_t i = 0; i < n; i++) {
        float own = a[i], other = b[i];
        a[i] = blend(own, other, w, v);
        b[i] = blend(other, own, w, v);
    }
}

/* The same where both take the same box. */
static void swap_box(float *a, float *b, Box box, int64_t width) {
    for (int64_t y = box.top; y < box.top + box.height; y++)
        for (int64_t i = y * width + box.left; i < y * width + box.left + box.width; i++) {
            float own = a[i];
            a[i] = b[i];
            b[i] = own;
        }
}

static bool same_box(Box a, Box b) {
    return a.left == b.left && a.top == b.top && a.width == b.width && a.height == b.height;
}

void mix_images(float *images, const MixItem *items, int64_t B, int64_t C, int64_t height,
                int64_t width) {
    ASSERT(B % 2 == 0, "batch %lld", (long long)B);
    int64_t plane = height * width;
    for (int64_t i = 0; i < B / 2; i++) {
        const MixItem *m = &items[i], *partner = &items[B - 1 - i];
        if (m->lambda == 1.0 && partner->lambda == 1.0) continue;
        bool blended = !m->cutmix && !partner->cutmix && m->lambda == partner->lambda;
        bool swapped = m->cutmix && partner->cutmix && same_box(m->box, partner->box);
        for (int64_t c = 0; c < C; c++) {
            float *a = images + (i * C + c) * plane, *b = images + ((B - 1 - i) * C + c) * plane;
            if (blended)
                blend_plane(a, b, m->lambda, plane);
            else if (swapped)
                swap_box(a, b, m->box, width);
            else
                mix_plane(a, b, m, partner, height, width);
        }
    }
}

/* --- targets ---------------------------------------------------------------------------------- */

void mix_targets(float *targets, const int *labels, const MixItem *items, int64_t B,
                 int64_t classes, double smoothing) {
    float off = (float)(smoothing / (double)classes);
    float on = (float)(1.0 - smoothing + smoothing / (double)classes);
    for (int64_t i = 0; i < B; i++) {
        int own = labels[i], other = labels[B - 1 - i];
        double lambda = items ? items[i].lambda : 1.0;
        ASSERT(own >= 0 && own < classes, "label %d of %lld", own, (long long)classes);
        for (int64_t k = 0; k < classes; k++) {
            float a = k == own ? on : off, b = k == other ? on : off;
            targets[i * classes + k] =
                lambda == 1.0 ? a : blend(a, b, (float)lambda, (float)(1.0 - lambda));
        }
    }
}
