/* Elastic transform: a random affine map, then a random displacement of every pixel. */
#include <math.h>

#include "data/corrupt/corrupt_internal.h"

/* Input (x, y) = (a x + b y + c, d x + e y + f) of the output. */
typedef struct Affine {
    double a, b, c, d, e, f;
} Affine;

/* The map that takes three corners of a square in the middle, moved by up to `distance` each way,
 * to where they were. Corners that are moved (almost) onto one line are drawn again. */
static Affine draw_affine(int64_t width, int64_t height, double distance, Rng *rng) {
    double cx = (double)(width / 2), cy = (double)(height / 2);
    double half = fmax(1, (double)((width < height ? width : height) / 3));
    double from[3][2] = {{cx + half, cy + half}, {cx + half, cy - half}, {cx - half, cy - half}};
    double to[3][2], det;
    double ux, uy, vx, vy;
    do {
        for (int i = 0; i < 3; i++)
            for (int k = 0; k < 2; k++) to[i][k] = from[i][k] + rng_range(rng, -distance, distance);
        ux = to[0][0] - to[1][0], uy = to[0][1] - to[1][1];
        vx = to[2][0] - to[1][0], vy = to[2][1] - to[1][1];
        det = ux * vy - uy * vx;
    } while (fabs(det) < 1e-3 * half * half);
    /* Backwards, (ux, uy) is the edge (0, 2 half) and (vx, vy) the edge (-2 half, 0). */
    double side = 2 * half / det;
    Affine m = {.a = uy * side, .b = -ux * side, .d = vy * side, .e = -vx * side};
    m.c = from[1][0] - m.a * to[1][0] - m.b * to[1][1];
    m.f = from[1][1] - m.d * to[1][0] - m.e * to[1][1];
    return m;
}

static Status draw_displacement(Plane *p, double sigma, double amount, Rng *rng, Error *err) {
    int64_t n = p->width * p->height;
    for (int64_t i = 0; i < n; i++) p->values[i] = (float)rng_range(rng, -amount, amount);
    return plane_gaussian(p, sigma, 3, BORDER_REFLECT, err);
}

static void warp_affine(const Plane *in, const Affine *m, Plane *out) {
    for (int64_t i = 0; i < in->width * in->height; i++) {
        double x = (double)(i % in->width), y = (double)(i / in->width);
        out->values[i] =
            plane_sample(in, m->a * x + m->b * y + m->c, m->d * x + m->e * y + m->f, BORDER_MIRROR);
    }
}

static void warp(const Plane *in, const Plane *dx, const Plane *dy, Plane *out) {
    for (int64_t i = 0; i < in->width * in->height; i++)
        out->values[i] =
            plane_sample(in, (double)(i % in->width) + (double)dx->values[i],
                         (double)(i / in->width) + (double)dy->values[i], BORDER_REFLECT);
}

/* The published lengths are multiples of 244, not 224. The displacement is the mean of about sigma
 * squared random numbers, so to grow with s its amount must grow with s squared. */
Status corrupt_elastic_transform(Image *im, int level, Rng *rng, Error *err) {
    static const double amount[] = {2, 2, 0.05, 0.07, 0.12},
                        sigma[] = {0.7, 0.08, 0.01, 0.01, 0.01};
    static const double distance[] = {0.1, 0.2, 0.02, 0.02, 0.02};
    Status status = MAE_OK;
    Plane dx = {0}, dy = {0}, plane = {0}, moved = {0};
    double s = plane_scale(im->width, im->height);
    TRY(plane_new(&dx, im->width, im->height, err));
    TRY(plane_new(&dy, im->width, im->height, err));
    TRY(plane_new(&plane, im->width, im->height, err));
    TRY(plane_new(&moved, im->width, im->height, err));
    Affine m = draw_affine(im->width, im->height, 244 * distance[level] * s, rng);
    TRY(draw_displacement(&dx, 244 * sigma[level] * s, 244 * amount[level] * s * s, rng, err));
    TRY(draw_displacement(&dy, 244 * sigma[level] * s, 244 * amount[level] * s * s, rng, err));
    for (int64_t c = 0; c < im->channels; c++) {
        plane_load(&plane, im, c);
        warp_affine(&plane, &m, &moved);
        warp(&moved, &dx, &dy, &plane);
        plane_store(&plane, im, c, 0);
    }
done:
    plane_free(&dx);
    plane_free(&dy);
    plane_free(&plane);
    plane_free(&moved);
    return status;
}
