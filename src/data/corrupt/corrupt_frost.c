/* Frost, drawn. The published corruption lays photographs of frost over the picture. This makes a
 * texture of the same kind: a cloudy veil of ice of uneven thickness, and feathery crystals on it,
 * stems whose branches leave them at 60 degrees and branch again. The clouds are gradient noise
 * (Perlin, "Improving noise", 2002). Lengths are given in units of the shorter side, so small
 * pictures get the same kind of frost as large ones. */
#include <math.h>

#include "data/corrupt/corrupt_internal.h"

enum { N_GRADIENTS = 256 };

typedef struct Noise {
    uint8_t order[N_GRADIENTS];
    float gx[N_GRADIENTS], gy[N_GRADIENTS];
} Noise;

static void noise_make(Noise *noise, Rng *rng) {
    for (int i = 0; i < N_GRADIENTS; i++) {
        double angle = rng_range(rng, 0, 2 * acos(-1));
        noise->gx[i] = (float)cos(angle), noise->gy[i] = (float)sin(angle);
        int64_t j = rng_below(rng, i + 1); /* Fisher-Yates, from the inside */
        noise->order[i] = noise->order[j];
        noise->order[j] = (uint8_t)i;
    }
}

static float corner(const Noise *noise, int64_t x, int64_t y, float dx, float dy) {
    uint8_t i = noise->order[(noise->order[x & 255] + y) & 255];
    return noise->gx[i] * dx + noise->gy[i] * dy;
}

static float fade(float t) {
    return t * t * t * (t * (t * 6 - 15) + 10);
}

/* About -0.7 to 0.7, features about one unit wide. */
static float noise_at(const Noise *noise, float x, float y) {
    int64_t left = (int64_t)floorf(x), top = (int64_t)floorf(y);
    float dx = x - (float)left, dy = y - (float)top, fx = fade(dx), fy = fade(dy);
    float a = corner(noise, left, top, dx, dy), b = corner(noise, left + 1, top, dx - 1, dy);
    float c = corner(noise, left, top + 1, dx, dy - 1);
    float d = corner(noise, left + 1, top + 1, dx - 1, dy - 1);
    float above = a + fx * (b - a), below = c + fx * (d - c);
    return above + fy * (below - above);
}

/* 0 to 1: clouds two to a side, and ever finer ones of them down to two pixels. */
static float veil_at(const Noise *noise, float x, float y, float pixel) {
    float sum = 0, size = 1, cells = 2;
    for (; cells * 2 * pixel <= 1 || cells == 2; cells *= 2, size *= 0.62f)
        sum += size * noise_at(noise, x * cells + 3 * cells, y * cells + 5 * cells);
    return fmaxf(0, fminf(1, 0.5f + 0.75f * sum));
}

/* A straight piece of ice from (x, y), in pixels; light 0 to 1. */
typedef struct Stem {
    double x, y, angle, length, width, light;
} Stem;

/* A line with a soft edge, fading towards its end; the brighter of it and what is there stays. What
 * is thinner than a pixel is drawn one pixel wide and darker. */
static void draw_stem(Plane *p, const Stem *s) {
    double ux = cos(s->angle), uy = sin(s->angle), width = fmax(s->width, 0.6);
    double light = s->light * fmin(1, s->width / 0.6), reach = 2 * width;
    double end_x = s->x + s->length * ux, end_y = s->y + s->length * uy;
    int64_t left = (int64_t)fmax(0, fmin(s->x, end_x) - reach);
    int64_t top = (int64_t)fmax(0, fmin(s->y, end_y) - reach);
    int64_t right = (int64_t)fmin((double)p->width - 1, fmax(s->x, end_x) + reach);
    int64_t bottom = (int64_t)fmin((double)p->height - 1, fmax(s->y, end_y) + reach);
    for (int64_t y = top; y <= bottom; y++)
        for (int64_t x = left; x <= right; x++) {
            double dx = (double)x - s->x, dy = (double)y - s->y;
            double along = fmax(0, fmin(s->length, dx * ux + dy * uy));
            double off_x = dx - along * ux, off_y = dy - along * uy;
            double distance = (off_x * off_x + off_y * off_y) / (width * width);
            if (distance > 4) continue;
            float v = (float)(light * (1 - 0.5 * along / s->length) * exp(-distance));
            float *to = p->values + y * p->width + x;
            *to = fmaxf(*to, v);
        }
}

/* A stem and, depth levels deep, its branches: in pairs, shorter towards the end. Stems of less
 * than three pixels have none. */
static void draw_crystal(Plane *p, const Stem *s, int depth, Rng *rng) {
    enum { PAIRS = 9 };
    draw_stem(p, s);
    if (depth == 0 || s->length < 3) return;
    for (int i = 1; i <= PAIRS; i++)
        for (int side = -1; side <= 1; side += 2) {
            double along = (i - rng_uniform(rng)) / (PAIRS + 1);
            double turn = side * rng_range(rng, 0.85, 1.2), share = rng_range(rng, 0.2, 0.5);
            Stem branch = {.x = s->x + along * s->length * cos(s->angle),
                           .y = s->y + along * s->length * sin(s->angle),
                           .angle = s->angle + turn,
                           .length = s->length * (1 - along) * share,
                           .width = s->width * 0.75,
                           .light = s->light * 0.85};
            draw_crystal(p, &branch, depth - 1, rng);
        }
}

static void draw_crystals(Plane *p, double shorter, Rng *rng) {
    double sides = (double)p->width / shorter * ((double)p->height / shorter);
    int64_t count = (int64_t)ceil(fmin(28 * sides, 400));
    for (int64_t i = 0; i < count; i++) {
        Stem stem = {.width = 0.0065 * shorter}; /* one draw a statement: their order is fixed */
        stem.x = rng_range(rng, -0.1, 1.1) * (double)p->width;
        stem.y = rng_range(rng, -0.1, 1.1) * (double)p->height;
        stem.angle = rng_range(rng, 0, 2 * acos(-1));
        stem.length = rng_range(rng, 0.2, 0.7) * shorter;
        stem.light = rng_range(rng, 0.5, 1);
        draw_crystal(p, &stem, 2, rng);
    }
}

static void draw_frost(Plane *p, Rng *rng) {
    double shorter = (double)(p->width < p->height ? p->width : p->height);
    float pixel = (float)(1 / shorter);
    Noise noise;
    noise_make(&noise, rng);
    draw_crystals(p, shorter, rng);
    for (int64_t i = 0; i < p->width * p->height; i++) {
        float x = (float)(i % p->width) * pixel, y = (float)(i / p->width) * pixel;
        float veil = veil_at(&noise, x, y, pixel), crystal = p->values[i];
        p->values[i] = fminf(1, 0.1f + 0.45f * veil + (0.4f + 0.6f * veil) * crystal);
    }
}

/* From 96 on crystals are wide enough to be drawn as they are. */
Status frost_texture(Plane *out, Rng *rng, Error *err) {
    Status status = MAE_OK;
    Plane finer = {0};
    TRY(plane_new_finer(&finer, out->width, out->height, 96, err));
    draw_frost(&finer, rng);
    plane_shrink(&finer, out);
done:
    plane_free(&finer);
    return status;
}
