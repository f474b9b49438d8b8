/* Blurs: out of focus, through frosted glass, moving, zooming. */
#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "data/corrupt/corrupt_internal.h"

/* ---- Defocus: a disk whose edge is softened a little ---- */

/* OpenCV's GaussianBlur of a square plane with 2 * reach + 1 weights a side. Its mirrored border
 * adds about 1 % to disks that touch it (radius 8 and more), and so to the picture, as published.
 */
static Status soften(Plane *disk, double sigma, int64_t reach, Error *err) {
    Tap taps[25];
    int64_t n = 0;
    double sum = 0;
    for (int64_t k = -reach; k <= reach; k++) sum += exp(-0.5 * (double)(k * k) / (sigma * sigma));
    for (int64_t dy = -reach; dy <= reach; dy++)
        for (int64_t dx = -reach; dx <= reach; dx++) {
            double w = exp(-0.5 * (double)(dx * dx + dy * dy) / (sigma * sigma));
            taps[n++] = (Tap){.dx = dx, .dy = dy, .weight = (float)(w / sum / sum)};
        }
    return plane_filter(disk, taps, n, BORDER_MIRROR, err);
}

/* Equal weights in a square with the disk's centre in its middle, then softened. */
static Status disk_new(Plane *disk, double radius, double alias_sigma, Error *err) {
    int64_t half = radius <= 8 ? 8 : (int64_t)ceil(radius), side = 2 * half + 1, inside = 0;
    Status status = plane_new(disk, side, side, err);
    if (status != MAE_OK) return status;
    for (int pass = 0; pass < 2; pass++) /* count, then fill */
        for (int64_t y = -half; y <= half; y++)
            for (int64_t x = -half; x <= half; x++) {
                if ((double)(x * x + y * y) > radius * radius) continue;
                if (pass == 0)
                    inside++;
                else
                    disk->values[(y + half) * side + x + half] = 1 / (float)inside;
            }
    return soften(disk, alias_sigma, radius <= 8 ? 1 : 2, err);
}

/* The disk with its points step <= 1 pixels apart: each weight is shared, linearly, by the four
 * pixels around its place. */
static Status shrink_disk(const Plane *disk, double step, Plane *out, Error *err) {
    int64_t half = disk->width / 2, half_out = (int64_t)ceil((double)half * step) + 1;
    int64_t side = 2 * half_out + 1;
    Status status = plane_new(out, side, side, err);
    if (status != MAE_OK) return status;
    for (int64_t i = 0; i < disk->width * disk->width; i++) {
        double x = (double)(i % disk->width - half) * step + (double)half_out;
        double y = (double)(i / disk->width - half) * step + (double)half_out;
        float fx = (float)(x - floor(x)), fy = (float)(y - floor(y)), w = disk->values[i];
        float *to = out->values + (int64_t)y * side + (int64_t)x;
        to[0] += w * (1 - fx) * (1 - fy);
        if (fx > 0) to[1] += w * fx * (1 - fy);
        if (fy > 0) to[side] += w * (1 - fx) * fy;
        if (fx > 0 && fy > 0) to[side + 1] += w * fx * fy;
    }
    return MAE_OK;
}

/* The weights that are not 0; *n of them. NULL: no memory. */
static Tap *taps_of(const Plane *kernel, int64_t *n) {
    int64_t side = kernel->width, half = side / 2;
    Tap *taps = mem_alloc_array((size_t)(side * side), sizeof *taps);
    *n = 0;
    for (int64_t i = 0; taps && i < side * side; i++)
        if (kernel->values[i] > 0)
            taps[(*n)++] =
                (Tap){.dx = i % side - half, .dy = i / side - half, .weight = kernel->values[i]};
    return taps;
}

Status corrupt_defocus_blur(Image *im, int level, Rng *rng, Error *err) {
    static const double radius[] = {3, 4, 6, 8, 10}, alias_sigma[] = {0.1, 0.5, 0.5, 0.5, 0.5};
    Status status = MAE_OK;
    Plane disk = {0}, kernel = {0}, plane = {0};
    Tap *taps = NULL;
    int64_t n_taps;
    double scale = plane_scale(im->width, im->height);
    (void)rng;
    TRY(disk_new(&disk, radius[level] * (scale > 1 ? scale : 1), alias_sigma[level], err));
    TRY(shrink_disk(&disk, scale < 1 ? scale : 1, &kernel, err));
    TRY(plane_new(&plane, im->width, im->height, err));
    taps = taps_of(&kernel, &n_taps);
    if (!taps) TRY(error_set(err, MAE_MEMORY, "defocus_blur: no memory for the kernel"));
    for (int64_t c = 0; c < im->channels; c++) {
        plane_load(&plane, im, c);
        TRY(plane_filter(&plane, taps, n_taps, BORDER_MIRROR, err));
        plane_store(&plane, im, c, 0);
    }
done:
    mem_free(taps);
    plane_free(&disk);
    plane_free(&kernel);
    plane_free(&plane);
    return status;
}

/* ---- Glass: pixels move about between two Gaussian blurs ---- */

static Status blur_channels(Image *im, double sigma, Error *err) {
    Status status = MAE_OK;
    Plane plane = {0};
    TRY(plane_new(&plane, im->width, im->height, err));
    for (int64_t c = 0; c < im->channels; c++) {
        plane_load(&plane, im, c);
        TRY(plane_gaussian(&plane, sigma, 4, BORDER_CLAMP, err));
        plane_store(&plane, im, c, 0);
    }
done:
    plane_free(&plane);
    return status;
}

/* A whole number of pixels whose mean is scale * {-distance ... distance - 1}. */
static int64_t draw_offset(Rng *rng, int64_t distance, double scale) {
    double exact = scale * (double)(rng_below(rng, 2 * distance) - distance);
    return (int64_t)floor(exact + rng_uniform(rng));
}

/* Every pixel becomes a copy of one nearby, from the lower right on, so copies are copied again. */
static void shuffle(Image *im, int64_t distance, Rng *rng) {
    double scale = plane_scale(im->width, im->height);
    int64_t margin = (int64_t)ceil((double)distance * scale), C = im->channels;
    for (int64_t y = im->height - margin; y > margin; y--)
        for (int64_t x = im->width - margin; x > margin; x--) {
            int64_t from_x = x + draw_offset(rng, distance, scale);
            int64_t from_y = y + draw_offset(rng, distance, scale);
            from_x = border_index(BORDER_CLAMP, from_x, im->width);
            from_y = border_index(BORDER_CLAMP, from_y, im->height);
            memmove(im->pixels + (y * im->width + x) * C,
                    im->pixels + (from_y * im->width + from_x) * C, (size_t)C);
        }
}

Status corrupt_glass_blur(Image *im, int level, Rng *rng, Error *err) {
    static const struct {
        double sigma;
        int64_t distance;
        int rounds;
    } table[] = {{0.7, 1, 2}, {0.9, 2, 1}, {1, 2, 3}, {1.1, 3, 2}, {1.5, 4, 2}};
    Status status = MAE_OK;
    double sigma = table[level].sigma * plane_scale(im->width, im->height);
    TRY(blur_channels(im, sigma, err));
    for (int i = 0; i < table[level].rounds; i++) shuffle(im, table[level].distance, rng);
    TRY(blur_channels(im, sigma, err));
done:
    return status;
}

/* ---- Motion and zoom ---- */

Status corrupt_motion_blur(Image *im, int level, Rng *rng, Error *err) {
    static const double radius[] = {10, 15, 15, 15, 20}, sigma[] = {3, 5, 8, 12, 15};
    Status status = MAE_OK;
    Plane plane = {0};
    double angle = rng_range(rng, -45, 45);
    TRY(plane_new(&plane, im->width, im->height, err));
    for (int64_t c = 0; c < im->channels; c++) {
        plane_load(&plane, im, c);
        TRY(plane_motion(&plane, radius[level], sigma[level], angle, err));
        plane_store(&plane, im, c, 0.5f);
    }
done:
    plane_free(&plane);
    return status;
}

/* The mean of the picture and of its enlargements by 1, 1 + step, ... */
Status corrupt_zoom_blur(Image *im, int level, Rng *rng, Error *err) {
    static const struct {
        double step;
        int count;
    } table[] = {{0.01, 12}, {0.01, 16}, {0.02, 11}, {0.02, 13}, {0.03, 11}};
    Status status = MAE_OK;
    Plane plane = {0}, sum = {0};
    int64_t n = im->width * im->height;
    double step = (1 + table[level].step) - 1; /* numpy.arange's: the crops are cut with ceil() */
    (void)rng;
    TRY(plane_new(&plane, im->width, im->height, err));
    TRY(plane_new(&sum, im->width, im->height, err));
    for (int64_t c = 0; c < im->channels; c++) {
        plane_load(&plane, im, c);
        memcpy(sum.values, plane.values, (size_t)n * sizeof *sum.values);
        for (int i = 0; i < table[level].count; i++) plane_add_zoomed(&plane, 1 + i * step, &sum);
        for (int64_t i = 0; i < n; i++) sum.values[i] /= (float)(table[level].count + 1);
        plane_store(&sum, im, c, 0);
    }
done:
    plane_free(&plane);
    plane_free(&sum);
    return status;
}
