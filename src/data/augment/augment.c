/* Augmentations. Geometry is drawn as numbers first (augment_crop_size, augment_draw) and applied
 * as one resampling; colour works on the small result, in place. Everything follows the arithmetic
 * of torchvision on PIL images, including Python's rounding of halves to even. A sample takes all
 * its numbers from streams keyed by (seed, epoch, index). */
#include "data/augment/augment.h"

#include <math.h>
#include <string.h>

enum { CROP_TRIES = 10 };

/* Python's round(). */
static int64_t round_half_even(double x) {
    double down = floor(x), rest = x - down;
    int64_t i = (int64_t)down;
    if (rest > 0.5 || (rest == 0.5 && i % 2 != 0)) i++;
    return i;
}

static Box crop_fallback(int64_t width, int64_t height, double min_ratio, double max_ratio) {
    double ratio = (double)width / (double)height;
    int64_t w = width, h = height;
    if (ratio < min_ratio)
        h = round_half_even((double)w / min_ratio);
    else if (ratio > max_ratio)
        w = round_half_even((double)h * max_ratio);
    return (Box){(width - w) / 2, (height - h) / 2, w, h};
}

Box augment_crop_size(int64_t width, int64_t height, const double (*draws)[2], int n_draws,
                      double min_ratio, double max_ratio, bool *fallback) {
    double area = (double)width * (double)height;
    *fallback = false;
    for (int i = 0; i < n_draws && i < CROP_TRIES; i++) {
        double target = area * draws[i][0];
        /* float, because torchvision takes the exponential of a float tensor */
        double aspect = (float)exp((double)(float)draws[i][1]);
        double w_real = sqrt(target * aspect), h_real = sqrt(target / aspect);
        if (!(w_real < (double)width + 1.0 && h_real < (double)height + 1.0)) continue;
        int64_t w = round_half_even(w_real), h = round_half_even(h_real);
        if (w > 0 && w <= width && h > 0 && h <= height) return (Box){0, 0, w, h};
    }
    *fallback = true;
    return crop_fallback(width, height, min_ratio, max_ratio);
}

Box augment_crop_once_size(int64_t width, int64_t height, const double draw[2]) {
    double target = (double)width * (double)height * draw[0];
    double aspect = (float)exp((double)(float)draw[1]); /* float as in augment_crop_size */
    int64_t w = round_half_even(fmin(sqrt(target * aspect), (double)width));
    int64_t h = round_half_even(fmin(sqrt(target / aspect), (double)height));
    return (Box){0, 0, w > 0 ? w : 1, h > 0 ? h : 1};
}

void augment_resized_size(const Augment *a, int64_t width, int64_t height, int64_t *out_width,
                          int64_t *out_height) {
    int64_t size = a->width > a->height ? a->width : a->height;
    int64_t shorter = size > 224 ? size : size * 256 / 224;
    *out_width = width <= height ? shorter : shorter * width / height;
    *out_height = width <= height ? shorter * height / width : shorter;
}

/* --- drawing ---------------------------------------------------------------------------------- */

/* Somewhere inside. */
static void draw_place(Geometry *g, Rng *rng) {
    g->box.top = rng_below(rng, g->whole_height - g->box.height + 1);
    g->box.left = rng_below(rng, g->whole_width - g->box.width + 1);
}

/* Always draws all tries, so that the place of the later numbers in the stream is fixed. */
static void draw_crop(const Augment *a, Geometry *g, Rng *rng) {
    double draws[CROP_TRIES][2];
    for (int i = 0; i < CROP_TRIES; i++) {
        draws[i][0] = rng_range(rng, a->min_scale, a->max_scale);
        draws[i][1] = rng_range(rng, log(a->min_ratio), log(a->max_ratio));
    }
    g->box = augment_crop_size(g->in_width, g->in_height, (const double(*)[2])draws, CROP_TRIES,
                               a->min_ratio, a->max_ratio, &g->fallback);
    if (!g->fallback) draw_place(g, rng);
}

static void draw_once(const Augment *a, Geometry *g, Rng *rng) {
    double draw[2];
    draw[0] = rng_range(rng, a->min_scale, a->max_scale);
    draw[1] = rng_range(rng, log(a->min_ratio), log(a->max_ratio));
    g->box = augment_crop_once_size(g->in_width, g->in_height, draw);
    draw_place(g, rng);
}

/* The box has the size of the output. */
static void resize_whole(const Augment *a, Geometry *g) {
    augment_resized_size(a, g->in_width, g->in_height, &g->whole_width, &g->whole_height);
    g->box =
        (Box){round_half_even((double)(g->whole_width - a->width) / 2.0),
              round_half_even((double)(g->whole_height - a->height) / 2.0), a->width, a->height};
}

Geometry augment_draw(const Augment *a, int64_t width, int64_t height, uint64_t seed,
                      uint64_t epoch, uint64_t index) {
    Rng rng = rng_make(seed, RNG_CROP, epoch, index);
    Geometry g = {width, height, width, height, {0, 0, width, height}, a->width, a->height, 0, 0};
    switch (a->kind) {
    case AUGMENT_NONE: return g;
    case AUGMENT_EVAL:
        if (!a->keeps_exact || width != a->width || height != a->height) resize_whole(a, &g);
        return g;
    case AUGMENT_CROP_FIXED:
        resize_whole(a, &g);
        draw_place(&g, &rng);
        break;
    case AUGMENT_CROP:
    case AUGMENT_CROP_JITTER: draw_crop(a, &g, &rng); break;
    case AUGMENT_CROP_ONCE: draw_once(a, &g, &rng); break;
    }
    g.flip = rng_uniform(&rng) < a->flip;
    return g;
}

void geometry_map(const Geometry *g, double *x, double *y) {
    *x = *x * (double)g->whole_width / (double)g->in_width - (double)g->box.left;
    *y = *y * (double)g->whole_height / (double)g->in_height - (double)g->box.top;
    *x *= (double)g->out_width / (double)g->box.width;
    *y *= (double)g->out_height / (double)g->box.height;
    if (g->flip) *x = (double)g->out_width - *x;
}

/* --- applying --------------------------------------------------------------------------------- */

static inline void flip_row(uint8_t *row, int64_t width, size_t pixel_bytes) {
    uint8_t *left = row, *right = row + (size_t)(width - 1) * pixel_bytes;
    for (; left < right; left += pixel_bytes, right -= pixel_bytes) {
        uint8_t pixel[IMAGE_MAX_CHANNELS * sizeof(float)];
        memcpy(pixel, left, pixel_bytes);
        memcpy(left, right, pixel_bytes);
        memcpy(right, pixel, pixel_bytes);
    }
}

static void flip_rows(Image *im) {
    size_t pixel_bytes = (size_t)im->channels * image_value_bytes(im->type);
    for (int64_t y = 0; y < im->height; y++) {
        uint8_t *row = im->pixels + (size_t)(y * im->width) * pixel_bytes;
        if (pixel_bytes == 3)
            flip_row(row, im->width, 3); /* a constant: a third of the time */
        else
            flip_row(row, im->width, pixel_bytes);
    }
}

/* max(0, 1 - x) .. 1 + x */
static double draw_factor(Rng *rng, double x) {
    return rng_range(rng, x < 1.0 ? 1.0 - x : 0.0, 1.0 + x);
}

/* All four factors are drawn before anything is done, whatever their strengths. */
static void jitter(const Augment *a, Image *im, Rng *rng) {
    int order[4] = {0, 1, 2, 3};
    for (int i = 3; i > 0; i--) {
        int j = (int)rng_below(rng, i + 1), v = order[i];
        order[i] = order[j];
        order[j] = v;
    }
    double brightness = draw_factor(rng, a->brightness), contrast = draw_factor(rng, a->contrast);
    double saturation = draw_factor(rng, a->saturation), hue = rng_range(rng, -a->hue, a->hue);
    for (int i = 0; i < 4; i++) {
        if (order[i] == 0 && a->brightness > 0) augment_brightness(im, brightness);
        if (order[i] == 1 && a->contrast > 0) augment_contrast(im, contrast);
        if (order[i] == 2 && a->saturation > 0) augment_saturation(im, saturation);
        if (order[i] == 3 && a->hue > 0) augment_hue(im, hue);
    }
}

static bool has_jitter(const Augment *a) {
    return a->jitter || a->kind == AUGMENT_CROP_JITTER;
}

Status augment_check(const Augment *a, MaeType type, int64_t channels, Error *err) {
    bool colour = type == MAE_U8 && (channels == 1 || channels == 3);
    const char *what = has_jitter(a)              ? "colour jitter"
                       : a->randaugment.n_ops > 0 ? "RandAugment"
                       : a->severity > 0          ? "a corruption"
                                                  : NULL;
    if (colour || !what) return MAE_OK;
    return error_set(err, MAE_USAGE,
                     "%s is for 8-bit images of 1 or 3 channels, these are %s of %lld; leave it "
                     "out, cropping and flipping stay",
                     what, image_type_name(type), (long long)channels);
}

bool augment_crops(const Augment *a) {
    return a->kind == AUGMENT_CROP || a->kind == AUGMENT_CROP_JITTER ||
           a->kind == AUGMENT_CROP_ONCE;
}

/* All that is done to the image of the final size. */
static Status finish(const Augment *a, Image *out, bool flip, uint64_t seed, uint64_t epoch,
                     uint64_t index, ResampleScratch *scratch, Error *err) {
    Status status = MAE_OK;
    Rng rng;
    if (flip) flip_rows(out);
    if (has_jitter(a)) {
        rng = rng_make(seed, RNG_JITTER, epoch, index);
        jitter(a, out, &rng);
    }
    rng = rng_make(seed, RNG_RANDAUGMENT, epoch, index);
    TRY(randaugment_apply(&a->randaugment, out, &rng, scratch, err));
    if (a->severity > 0) {
        uint64_t stream =
            (uint64_t)a->corruption * (CORRUPTION_SEVERITIES + 1) + (uint64_t)a->severity;
        rng = rng_make(seed, RNG_CORRUPT, stream, index);
        TRY(corrupt_apply(a->corruption, a->severity, out, &rng, err));
    }
done:
    return status;
}

Status augment_apply_drawn(const Augment *a, const Image *in, const Geometry *g, Box box,
                           uint64_t seed, uint64_t epoch, uint64_t index, void *dst,
                           ResampleScratch *scratch, Error *err) {
    Status status = MAE_OK;
    Box whole = {0, 0, in->width, in->height};
    ImageView view = image_view(in);
    Resample r = resample_make(box, a->width, a->height);
    Image out = {
        .width = a->width, .height = a->height, .channels = in->channels, .type = in->type};
    if (a->kind == AUGMENT_EVAL || a->kind == AUGMENT_CROP_FIXED) {
        r = resample_make(whole, g->whole_width, g->whole_height);
        r.window = box;
    }
    out.pixels = dst;
    TRY(resample_into(&view, &r, dst, scratch, err));
    TRY(finish(a, &out, g->flip, seed, epoch, index, scratch, err));
done:
    return status;
}

Status augment_apply(const Augment *a, const Image *in, uint64_t seed, uint64_t epoch,
                     uint64_t index, void *dst, ResampleScratch *scratch, Error *err) {
    Geometry g = augment_draw(a, in->width, in->height, seed, epoch, index);
    return augment_apply_drawn(a, in, &g, g.box, seed, epoch, index, dst, scratch, err);
}

/* One channel plane of n pixels, which begin at the channel. Of 8 bits there are 256 results. */
static void normalize_plane(const Image *im, int64_t c, float mean, float std, float *dst) {
    int64_t n = im->height * im->width, C = im->channels;
    float table[256];
    for (int v = 0; v < 256 && im->type == MAE_U8; v++) {
        float unit = (float)v / 255.0f;
        float centred = unit - mean;
        table[v] = centred / std;
    }
    for (int64_t i = 0; i < n && im->type == MAE_U8; i++) dst[i] = table[im->pixels[i * C + c]];
    for (int64_t i = 0; i < n && im->type != MAE_U8; i++) {
        float unit =
            im->type == MAE_U16 ? (float)im->u16[i * C + c] / 65535.0f : im->f32[i * C + c];
        float centred = unit - mean;
        dst[i] = centred / std;
    }
}

void augment_normalize(const Augment *a, const Image *im, const float *mean, const float *std,
                       uint64_t seed, uint64_t epoch, uint64_t index, float *dst) {
    int64_t n = im->height * im->width;
    for (int64_t c = 0; c < im->channels; c++) normalize_plane(im, c, mean[c], std[c], dst + c * n);
    Rng rng = rng_make(seed, RNG_ERASE, epoch, index);
    erase_apply(&a->erase, dst, im->channels, im->height, im->width, &rng);
}
