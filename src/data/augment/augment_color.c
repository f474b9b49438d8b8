/* Colour changes of torchvision on 8-bit PIL images, in place. The first three blend the image with
 * a plainer one: black (brightness), its mean grey (contrast), its own grey (saturation). Products
 * and sums are float32 in separate statements, so that no compiler fuses them, and are truncated.
 * Hue is turned in PIL's 8-bit HSV. Saturation and hue leave grey images alone. */
#include <math.h>
#include <string.h>

#include "data/augment/augment.h"
#include "data/image/image_codec.h"

/* From plain (factor 0) to value (factor 1) and beyond. */
static inline uint8_t blend(int plain, int value, float factor) {
    float step = factor * (float)(value - plain);
    float v = (float)plain + step;
    if (factor >= 0.0f && factor <= 1.0f) return (uint8_t)v;
    return (uint8_t)(v <= 0.0f ? 0.0f : v >= 255.0f ? 255.0f : v);
}

static void blend_all(Image *im, int plain, double factor) {
    uint8_t table[256];
    for (int v = 0; v < 256; v++) table[v] = blend(plain, v, (float)factor);
    int64_t n = im->width * im->height * im->channels;
    for (int64_t i = 0; i < n; i++) im->pixels[i] = table[im->pixels[i]];
}

void augment_brightness(Image *im, double factor) {
    blend_all(im, 0, factor);
}

void augment_contrast(Image *im, double factor) {
    int64_t n = im->width * im->height, sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += im->channels == 3 ? image_grey(im->pixels + 3 * i) : im->pixels[i];
    blend_all(im, (int)((double)sum / (double)n + 0.5), factor);
}

void augment_saturation(Image *im, double factor) {
    if (im->channels != 3) return;
    int64_t n = im->width * im->height;
    for (int64_t i = 0; i < n; i++) {
        uint8_t *p = im->pixels + 3 * i;
        int grey = image_grey(p);
        for (int c = 0; c < 3; c++) p[c] = blend(grey, p[c], (float)factor);
    }
}

/* 3x3 mean in which the middle counts 5 of 13. A sum over 13 is never half way between integers,
 * so integers round as PIL's floats do. */
static int smooth_at(const uint8_t *p, int64_t step, int64_t stride) {
    int sum = 4 * p[0];
    for (int64_t row = -stride; row <= stride; row += stride)
        sum += p[row - step] + p[row] + p[row + step];
    return (2 * sum + 13) / 26;
}

/* The border is not smoothed, so the blend leaves it as it is. */
void augment_sharpness(Image *im, double factor, const uint8_t *copy) {
    int64_t c = im->channels, stride = im->width * c;
    for (int64_t y = 1; y + 1 < im->height; y++)
        for (int64_t i = y * stride + c; i < (y + 1) * stride - c; i++)
            im->pixels[i] = blend(smooth_at(copy + i, c, stride), copy[i], (float)factor);
}

typedef struct Hsv {
    uint8_t h, s, v;
} Hsv;

static Hsv hsv_from_rgb(const uint8_t *p) {
    int r = p[0], g = p[1], b = p[2];
    int most = r > g ? r : g, least = r < g ? r : g;
    if (b > most) most = b;
    if (b < least) least = b;
    if (most == least) return (Hsv){0, 0, (uint8_t)most};
    float range = (float)(most - least);
    float s = range / (float)most;
    float rc = (float)(most - r) / range, gc = (float)(most - g) / range;
    float bc = (float)(most - b) / range;
    float h;
    if (r == most)
        h = bc - gc;
    else if (g == most)
        h = (float)(2.0 + (double)rc - (double)bc);
    else
        h = (float)(4.0 + (double)gc - (double)rc);
    h = (float)fmod((double)h / 6.0 + 1.0, 1.0);
    return (Hsv){(uint8_t)((double)h * 255.0), (uint8_t)((double)s * 255.0), (uint8_t)most};
}

/* v * (1 - x), rounded half away from zero. */
static uint8_t dim(int v, double x) {
    double rest = 1.0 - x;
    return (uint8_t)round((double)(float)v * rest);
}

static void rgb_from_hsv(uint8_t *out, Hsv c) {
    double turn = (double)(float)c.h * 6.0 / 255.0;
    int sector = (int)floor(turn);
    float f = (float)(turn - (double)(float)sector);
    float s = (float)((double)(float)c.s / 255.0);
    uint8_t v = c.v, p = dim(v, (double)s);
    float sf = s * f;
    double other = 1.0 - (double)f;
    uint8_t q = dim(v, (double)sf), t = dim(v, (double)s * other);
    const uint8_t rgb[6][3] = {{v, t, p}, {q, v, p}, {p, v, t}, {p, q, v}, {t, p, v}, {v, p, q}};
    memcpy(out, rgb[sector % 6], 3);
}

void augment_hue(Image *im, double factor) {
    if (im->channels != 3) return;
    int turn = (int)(factor * 255.0);
    int64_t n = im->width * im->height;
    for (int64_t i = 0; i < n; i++) {
        Hsv c = hsv_from_rgb(im->pixels + 3 * i);
        c.h = (uint8_t)(c.h + turn);
        rgb_from_hsv(im->pixels + 3 * i, c);
    }
}
