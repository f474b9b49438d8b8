/* Single channels as floats: borders, sampling, and the filters that several corruptions share. */
#include <math.h>
#include <stdlib.h>

#include "base/memory.h"
#include "data/corrupt/corrupt_internal.h"

Status plane_new(Plane *out, int64_t width, int64_t height, Error *err) {
    *out = (Plane){0};
    float *values = mem_alloc_array((size_t)(width * height), sizeof *values);
    if (!values)
        return error_set(err, MAE_MEMORY, "corruption: no memory for %lld x %lld values",
                         (long long)width, (long long)height);
    *out = (Plane){.width = width, .height = height, .values = values};
    return MAE_OK;
}

void plane_free(Plane *p) {
    mem_free(p->values);
    *p = (Plane){0};
}

void plane_load(Plane *p, const Image *im, int64_t c) {
    int64_t n = im->width * im->height;
    for (int64_t i = 0; i < n; i++) p->values[i] = im->pixels[i * im->channels + c];
}

void plane_store(const Plane *p, Image *im, int64_t c, float bias) {
    int64_t n = im->width * im->height;
    for (int64_t i = 0; i < n; i++)
        im->pixels[i * im->channels + c] = corrupt_byte(p->values[i] + bias);
}

Status plane_new_finer(Plane *out, int64_t width, int64_t height, int64_t side, Error *err) {
    int64_t shorter = width < height ? width : height, n = (side + shorter - 1) / shorter;
    if (n > 8) n = 8;
    return plane_new(out, n * width, n * height, err);
}

void plane_shrink(const Plane *finer, Plane *out) {
    int64_t n = finer->width / out->width;
    for (int64_t i = 0; i < out->width * out->height; i++) {
        const float *block = finer->values + i / out->width * n * finer->width + i % out->width * n;
        float sum = 0;
        for (int64_t k = 0; k < n * n; k++) sum += block[k / n * finer->width + k % n];
        out->values[i] = sum / (float)(n * n);
    }
}

double plane_scale(int64_t width, int64_t height) {
    return (double)(width < height ? width : height) / 224;
}

int64_t border_index(Border border, int64_t i, int64_t n) {
    if (i >= 0 && i < n) return i;
    if (border == BORDER_CLAMP || n == 1) return i < 0 ? 0 : n - 1;
    int64_t period = border == BORDER_REFLECT ? 2 * n : 2 * n - 2;
    i %= period;
    if (i < 0) i += period;
    return i < n ? i : border == BORDER_REFLECT ? period - 1 - i : period - i;
}

float plane_sample(const Plane *p, double x, double y, Border border) {
    int64_t left = (int64_t)floor(x), top = (int64_t)floor(y);
    float fx = (float)(x - (double)left), fy = (float)(y - (double)top);
    int64_t x0 = border_index(border, left, p->width);
    int64_t x1 = border_index(border, left + 1, p->width);
    const float *upper = p->values + border_index(border, top, p->height) * p->width;
    const float *lower = p->values + border_index(border, top + 1, p->height) * p->width;
    float above = upper[x0] + fx * (upper[x1] - upper[x0]);
    float below = lower[x0] + fx * (lower[x1] - lower[x0]);
    return above + fy * (below - above);
}

/* ---- Filters ---- */

static Status make_padded(const Plane *p, int64_t reach, Border border, Plane *out, Error *err) {
    Status status = plane_new(out, p->width + 2 * reach, p->height + 2 * reach, err);
    if (status != MAE_OK) return status;
    for (int64_t y = 0; y < out->height; y++) {
        const float *from = p->values + border_index(border, y - reach, p->height) * p->width;
        float *to = out->values + y * out->width;
        for (int64_t x = 0; x < out->width; x++)
            to[x] = from[border_index(border, x - reach, p->width)];
    }
    return MAE_OK;
}

static int64_t largest(int64_t a, int64_t b) {
    return a > b ? a : b;
}

Status plane_filter(Plane *p, const Tap *taps, int64_t n_taps, Border border, Error *err) {
    Status status = MAE_OK;
    Plane padded = {0};
    int64_t reach = 0;
    for (int64_t i = 0; i < n_taps; i++)
        reach = largest(reach, largest(llabs(taps[i].dx), llabs(taps[i].dy)));
    TRY(make_padded(p, reach, border, &padded, err));
    for (int64_t y = 0; y < p->height; y++) {
        float *out = p->values + y * p->width;
        for (int64_t x = 0; x < p->width; x++) out[x] = 0;
        for (int64_t i = 0; i < n_taps; i++) { /* taps outside: the inner loop has no gaps */
            const float *in =
                padded.values + (y + reach + taps[i].dy) * padded.width + reach + taps[i].dx;
            float w = taps[i].weight;
            for (int64_t x = 0; x < p->width; x++) out[x] += w * in[x];
        }
    }
done:
    plane_free(&padded);
    return status;
}

/* Row i: the weights of n inputs in output i, folded at the borders; only the count inputs from
 * first[i] on can have any. Folding matters where the Gaussian is wider than the picture. */
typedef struct Band {
    int64_t count;
    int64_t *first;
    float *weights;
} Band;

static void band_free(Band *b) {
    mem_free(b->first);
    mem_free(b->weights);
}

static Status band_new(Band *b, int64_t n, int64_t radius, double sigma, Border border,
                       Error *err) {
    b->count = 2 * radius + 1 < n ? 2 * radius + 1 : n;
    b->first = mem_alloc_array((size_t)n, sizeof *b->first);
    b->weights = mem_alloc_array((size_t)(n * b->count), sizeof *b->weights);
    if (!b->first || !b->weights)
        return error_set(err, MAE_MEMORY, "corruption: no memory for a blur of %lld pixels",
                         (long long)radius);
    double sum = 0;
    for (int64_t k = -radius; k <= radius; k++)
        sum += exp(-0.5 * (double)(k * k) / (sigma * sigma));
    for (int64_t i = 0; i < n; i++) {
        int64_t first = largest(0, i - radius);
        if (first > n - b->count) first = n - b->count;
        b->first[i] = first;
        float *row = b->weights + i * b->count;
        for (int64_t k = -radius; k <= radius; k++)
            row[border_index(border, i + k, n) - first] +=
                (float)(exp(-0.5 * (double)(k * k) / (sigma * sigma)) / sum);
    }
    return MAE_OK;
}

/* Blurs along the columns and turns the result: out(y, x) from in(x, y). row has in->width. */
static void blur_and_turn(const Plane *in, const Band *band, float *row, Plane *out) {
    for (int64_t y = 0; y < in->height; y++) {
        for (int64_t x = 0; x < in->width; x++) row[x] = 0;
        for (int64_t k = 0; k < band->count; k++) {
            float w = band->weights[y * band->count + k];
            const float *from = in->values + (band->first[y] + k) * in->width;
            for (int64_t x = 0; x < in->width; x++) row[x] += w * from[x];
        }
        for (int64_t x = 0; x < in->width; x++) out->values[x * in->height + y] = row[x];
    }
}

Status plane_gaussian(Plane *p, double sigma, double truncate, Border border, Error *err) {
    Status status = MAE_OK;
    Plane turned = {0}, row = {0};
    Band down = {0}, across = {0};
    int64_t radius = (int64_t)(truncate * sigma + 0.5);
    if (radius < 1) return MAE_OK;
    TRY(plane_new(&turned, p->height, p->width, err));
    TRY(plane_new(&row, largest(p->width, p->height), 1, err));
    TRY(band_new(&down, p->height, radius, sigma, border, err));
    TRY(band_new(&across, p->width, radius, sigma, border, err));
    blur_and_turn(p, &down, row.values, &turned);
    blur_and_turn(&turned, &across, row.values, p);
done:
    plane_free(&turned);
    plane_free(&row);
    band_free(&down);
    band_free(&across);
    return status;
}

/* Above 224 the taps reach further; below they lie closer than a pixel, and several meet in one. */
Status plane_motion(Plane *p, double radius, double sigma, double angle, Error *err) {
    double scale = plane_scale(p->width, p->height);
    double longer = scale > 1 ? scale : 1, step = scale < 1 ? scale : 1;
    double dx = cos(angle * acos(-1) / 180) * step, dy = sin(angle * acos(-1) / 180) * step;
    int64_t n = 2 * (int64_t)ceil(radius * longer) + 1;
    Tap *taps = mem_alloc_array((size_t)n, sizeof *taps);
    if (!taps) return error_set(err, MAE_MEMORY, "corruption: no memory for a motion blur");
    double sum = 0, width = sigma * longer;
    for (int64_t i = 0; i < n; i++) sum += exp(-0.5 * (double)(i * i) / (width * width));
    for (int64_t i = 0; i < n; i++)
        taps[i] = (Tap){.dx = (int64_t)ceil((double)i * dx - 0.5),
                        .dy = (int64_t)ceil((double)i * dy - 0.5),
                        .weight = (float)(exp(-0.5 * (double)(i * i) / (width * width)) / sum)};
    Status status = plane_filter(p, taps, n, BORDER_CLAMP, err);
    mem_free(taps);
    return status;
}

/* Output i of an axis lies at first + i * step of the input. */
typedef struct ZoomAxis {
    double first, step;
} ZoomAxis;

static ZoomAxis zoom_axis(int64_t n, double factor) {
    int64_t crop = (int64_t)ceil((double)n / factor);
    int64_t enlarged = (int64_t)rint((double)crop * factor), trim = (enlarged - n) / 2;
    double step = enlarged > 1 ? (double)(crop - 1) / (double)(enlarged - 1) : 0;
    return (ZoomAxis){.first = (double)((n - crop) / 2) + (double)trim * step, .step = step};
}

void plane_add_zoomed(const Plane *in, double factor, Plane *sum) {
    ZoomAxis across = zoom_axis(in->width, factor), down = zoom_axis(in->height, factor);
    for (int64_t y = 0; y < in->height; y++)
        for (int64_t x = 0; x < in->width; x++)
            sum->values[y * in->width + x] +=
                plane_sample(in, across.first + (double)x * across.step,
                             down.first + (double)y * down.step, BORDER_CLAMP);
}
