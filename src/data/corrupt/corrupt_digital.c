/* Contrast and pixelation. */
#include <math.h>
#include <string.h>

#include "data/corrupt/corrupt_internal.h"

/* Towards the mean of each channel. */
Status corrupt_contrast(Image *im, int level, Rng *rng, Error *err) {
    static const double kept[] = {0.4, 0.3, 0.2, 0.1, 0.05};
    int64_t n = im->width * im->height, C = im->channels;
    (void)rng, (void)err;
    for (int64_t c = 0; c < C; c++) {
        int64_t sum = 0;
        for (int64_t i = 0; i < n; i++) sum += im->pixels[i * C + c];
        double mean = (double)sum / (double)n;
        for (int64_t i = 0; i < n; i++) {
            uint8_t *p = im->pixels + i * C + c;
            *p = corrupt_byte((*p - mean) * kept[level] + mean);
        }
    }
    return MAE_OK;
}

/* The inputs whose centres lie in output i of an axis that goes from n_in to n_out pixels; at least
 * one. */
typedef struct Span {
    int64_t first, count;
} Span;

static Span span_of(int64_t i, int64_t n_in, int64_t n_out) {
    double scale = (double)n_in / (double)n_out, width = scale > 1 ? scale : 1;
    double centre = ((double)i + 0.5) * scale;
    int64_t first = (int64_t)ceil(centre - width / 2 - 0.5);
    int64_t end = (int64_t)ceil(centre + width / 2 - 0.5);
    if (first < 0) first = 0;
    if (end > n_in) end = n_in;
    if (first > end - 1) first = end - 1;
    return (Span){.first = first, .count = end - first};
}

/* PIL's resize with a box filter, one axis: 8 bits in and out, weights of 22 bits. in is
 * [outer][n_in][inner], out [outer][n_out][inner]. */
static void box_axis(const uint8_t *in, uint8_t *out, int64_t outer, int64_t n_in, int64_t n_out,
                     int64_t inner) {
    for (int64_t i = 0; i < n_out; i++) {
        Span span = span_of(i, n_in, n_out);
        int64_t weight = (int64_t)(0.5 + (double)(1 << 22) / (double)span.count);
        for (int64_t o = 0; o < outer; o++)
            for (int64_t k = 0; k < inner; k++) {
                const uint8_t *from = in + (o * n_in + span.first) * inner + k;
                int64_t sum = 1 << 21;
                for (int64_t j = 0; j < span.count; j++) sum += weight * from[j * inner];
                sum >>= 22;
                out[(o * n_out + i) * inner + k] = (uint8_t)(sum > 255 ? 255 : sum);
            }
    }
}

static Status box_resize(const Image *in, int64_t width, int64_t height, Image *out, Error *err) {
    Status status = MAE_OK;
    Image half = {0};
    *out = (Image){0};
    TRY(image_new(&half, MAE_U8, width, in->height, in->channels, err));
    TRY(image_new(out, MAE_U8, width, height, in->channels, err));
    box_axis(in->pixels, half.pixels, in->height, in->width, width, in->channels);
    box_axis(half.pixels, out->pixels, 1, in->height, height, width * in->channels);
done:
    image_free(&half);
    return status;
}

/* Down to a share of the size, and up again without smoothing. */
Status corrupt_pixelate(Image *im, int level, Rng *rng, Error *err) {
    static const double share[] = {0.6, 0.5, 0.4, 0.3, 0.25};
    Status status = MAE_OK;
    Image small = {0}, large = {0};
    int64_t width = (int64_t)((double)im->width * share[level]);
    int64_t height = (int64_t)((double)im->height * share[level]);
    (void)rng;
    TRY(box_resize(im, width > 1 ? width : 1, height > 1 ? height : 1, &small, err));
    TRY(box_resize(&small, im->width, im->height, &large, err));
    memcpy(im->pixels, large.pixels, (size_t)(im->width * im->height * im->channels));
done:
    image_free(&small);
    image_free(&large);
    return status;
}
