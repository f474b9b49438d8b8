/* Weather: snow, frost, fog and bright light. */
#include <math.h>

#include "data/corrupt/corrupt_internal.h"

/* OpenCV's grey of a pixel. */
static double grey_of(const uint8_t *p, int64_t channels) {
    return channels == 1 ? p[0] : 0.299 * p[0] + 0.587 * p[1] + 0.114 * p[2];
}

/* --- snow ------------------------------------------------------------------------------------- */

/* Large noise cut off below, smeared downwards, laid over a paler picture twice, the second time
 * turned by 180 degrees. */

typedef struct Snow {
    double mean, deviation, zoom, threshold, radius, sigma, keep;
} Snow;

/* Made for 224 or more and, for a smaller picture, shrunk. */
static Status snow_layer(Plane *layer, const Snow *snow, Rng *rng, Error *err) {
    Status status = MAE_OK;
    Plane noise = {0}, finer = {0};
    TRY(plane_new_finer(&noise, layer->width, layer->height, 224, err));
    TRY(plane_new(&finer, noise.width, noise.height, err));
    int64_t n = noise.width * noise.height;
    double zoom = snow->zoom * plane_scale(noise.width, noise.height);
    for (int64_t i = 0; i < n; i++)
        noise.values[i] = (float)(snow->mean + snow->deviation * rng_normal(rng));
    plane_add_zoomed(&noise, zoom > 1 ? zoom : 1, &finer);
    for (int64_t i = 0; i < n; i++) {
        float v = finer.values[i];
        finer.values[i] = (double)v < snow->threshold ? 0 : v > 1 ? 255 : floorf(255 * v);
    }
    TRY(plane_motion(&finer, snow->radius, snow->sigma, rng_range(rng, -135, -45), err));
    plane_shrink(&finer, layer);
    n = layer->width * layer->height;
    for (int64_t i = 0; i < n; i++) layer->values[i] = floorf(layer->values[i] + 0.5f);
done:
    plane_free(&noise);
    plane_free(&finer);
    return status;
}

Status corrupt_snow(Image *im, int level, Rng *rng, Error *err) {
    static const Snow table[] = {{0.1, 0.3, 3, 0.5, 10, 4, 0.8},
                                 {0.2, 0.3, 2, 0.5, 12, 4, 0.7},
                                 {0.55, 0.3, 4, 0.9, 12, 8, 0.7},
                                 {0.55, 0.3, 4.5, 0.85, 12, 8, 0.65},
                                 {0.55, 0.3, 2.5, 0.85, 12, 12, 0.55}};
    Status status = MAE_OK;
    Plane layer = {0};
    double keep = table[level].keep;
    int64_t n = im->width * im->height, C = im->channels;
    TRY(plane_new(&layer, im->width, im->height, err));
    TRY(snow_layer(&layer, &table[level], rng, err));
    for (int64_t i = 0; i < n; i++) {
        uint8_t *p = im->pixels + i * C;
        double pale = 1.5 * grey_of(p, C) + 127.5;
        double flakes = (double)layer.values[i] + (double)layer.values[n - 1 - i];
        for (int64_t c = 0; c < C; c++)
            p[c] = corrupt_byte(keep * p[c] + (1 - keep) * fmax(p[c], pale) + flakes);
    }
done:
    plane_free(&layer);
    return status;
}

/* ---- Frost: weights of the picture and of the frost as published; the frost is drawn ---- */

Status corrupt_frost(Image *im, int level, Rng *rng, Error *err) {
    static const double picture[] = {1, 0.8, 0.7, 0.65, 0.6}, frost[] = {0.4, 0.6, 0.7, 0.7, 0.75};
    static const double tint[3] = {0.86, 0.96, 1.0}; /* ice: a cold white */
    Status status = MAE_OK;
    Plane ice = {0};
    int64_t n = im->width * im->height, C = im->channels;
    TRY(plane_new(&ice, im->width, im->height, err));
    TRY(frost_texture(&ice, rng, err));
    for (int64_t i = 0; i < n; i++)
        for (int64_t c = 0; c < C; c++) {
            double white = 255 * (double)ice.values[i] * (C == 1 ? 1 : tint[c]);
            uint8_t *p = im->pixels + i * C + c;
            *p = corrupt_byte(picture[level] * *p + frost[level] * white);
        }
done:
    plane_free(&ice);
    return status;
}

/* ---- Fog: a plasma fractal ---- */

/* A value of the map, which wraps around; its side is a power of two. */
static float *at(const Plane *map, int64_t x, int64_t y) {
    int64_t mask = map->width - 1;
    return map->values + (y & mask) * map->width + (x & mask);
}

/* Gives points (x0 + i * step, y0 + j * step) the mean of four points at distance half, beside them
 * or (diagonal) in the corners, and a random height. */
static void displace(Plane *map, int64_t x0, int64_t y0, int64_t step, int diagonal, double height,
                     Rng *rng) {
    int64_t half = step / 2, other = diagonal ? half : 0;
    for (int64_t y = y0; y < map->width; y += step)
        for (int64_t x = x0; x < map->width; x += step) {
            float sum = *at(map, x - half, y - other) + *at(map, x + half, y + other) +
                        *at(map, x + other, y - half) + *at(map, x - other, y + half);
            *at(map, x, y) = sum / 4 + (float)rng_range(rng, -height, height);
        }
}

/* Diamond-square. At each halving of the step the heights shrink by decay squared, as published. */
static void plasma(Plane *map, double decay, Rng *rng) {
    double height = 100 * 100;
    for (int64_t step = map->width; step >= 2; step /= 2, height /= decay * decay) {
        displace(map, step / 2, step / 2, step, 1, height, rng);
        displace(map, step / 2, 0, step, 0, height, rng);
        displace(map, 0, step / 2, step, 0, height, rng);
    }
}

/* To 0 ... 1. */
static void stretch(Plane *map) {
    int64_t n = map->width * map->height;
    float low = map->values[0], high = low;
    for (int64_t i = 1; i < n; i++) {
        low = fminf(low, map->values[i]);
        high = fmaxf(high, map->values[i]);
    }
    for (int64_t i = 0; i < n; i++)
        map->values[i] = high > low ? (map->values[i] - low) / (high - low) : 0;
}

Status corrupt_fog(Image *im, int level, Rng *rng, Error *err) {
    static const double amount[] = {1.5, 2, 2.5, 2.5, 3}, decay[] = {2, 2, 1.7, 1.5, 1.4};
    Status status = MAE_OK;
    Plane map = {0};
    int64_t side = 2, C = im->channels, most = 0;
    while (side < im->width || side < im->height) side *= 2;
    TRY(plane_new(&map, side, side, err));
    plasma(&map, decay[level], rng);
    stretch(&map);
    for (int64_t i = 0; i < im->width * im->height * C; i++)
        if (im->pixels[i] > most) most = im->pixels[i];
    double shrink = (double)most / ((double)most + 255 * amount[level]);
    for (int64_t y = 0; y < im->height; y++)
        for (int64_t i = 0; i < im->width * C; i++) {
            uint8_t *p = im->pixels + y * im->width * C + i;
            double fog = 255 * amount[level] * (double)*at(&map, i / C, y);
            *p = corrupt_byte((*p + fog) * shrink);
        }
done:
    plane_free(&map);
    return status;
}

/* ---- Brightness: V of HSV ---- */

/* With hue and saturation fixed the channels are proportional to V, the largest of them. */
Status corrupt_brightness(Image *im, int level, Rng *rng, Error *err) {
    static const double added[] = {0.1, 0.2, 0.3, 0.4, 0.5};
    int64_t C = im->channels;
    (void)rng, (void)err;
    for (int64_t i = 0; i < im->width * im->height; i++) {
        uint8_t *p = im->pixels + i * C, most = 0;
        for (int64_t c = 0; c < C; c++)
            if (p[c] > most) most = p[c];
        double value = fmin(255, most + 255 * added[level]);
        for (int64_t c = 0; c < C; c++) p[c] = corrupt_byte(most > 0 ? p[c] * value / most : value);
    }
    return MAE_OK;
}
