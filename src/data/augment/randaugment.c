/* RandAugment: the text form, the table from magnitudes to arguments, and the operations. Most are
 * a table of 256 values a channel; colour is that of augment_color.c, geometry that of affine.c.
 * Python's arithmetic is followed step by step (level / 10 first, int() truncates). */
#include "data/augment/randaugment.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "data/augment/affine.h"
#include "data/augment/augment.h"
#include "data/image/image_codec.h"

static const double MAX_MAGNITUDE = 10.0;
static const uint8_t FILL[3] = {124, 116, 104}; /* ImageNet's mean colour */

/* --- text ------------------------------------------------------------------------------------- */

enum { PART_M, PART_N, PART_STD, PART_INC, N_PARTS };

static const struct {
    const char *key;
    double least, most;
    bool whole;
} PARTS[N_PARTS] = {
    [PART_M] = {"m", 0, 10, false},
    [PART_N] = {"n", 1, 100, true},
    [PART_STD] = {"mstd", 0, 100, false},
    [PART_INC] = {"inc", 0, 1, true},
};

/* Reads text[0..n), letters and then a plain number, into values; false: it is none of the parts,
 * or is there twice. */
static bool parse_part(const char *text, size_t n, double values[N_PARTS], bool given[N_PARTS]) {
    char copy[32], *end;
    if (n == 0 || n >= sizeof copy) return false;
    memcpy(copy, text, n);
    copy[n] = '\0';
    size_t letters = strspn(copy, "abcdefghijklmnopqrstuvwxyz");
    if (strspn(copy + letters, "0123456789.") != n - letters || letters == n) return false;
    double v = strtod(copy + letters, &end);
    for (int i = 0; i < N_PARTS && *end == '\0'; i++) {
        if (strlen(PARTS[i].key) != letters || strncmp(copy, PARTS[i].key, letters) != 0) continue;
        if (given[i] || v < PARTS[i].least || v > PARTS[i].most) return false;
        if (PARTS[i].whole && v != floor(v)) return false;
        values[i] = v;
        return given[i] = true;
    }
    return false;
}

Status randaugment_parse(const char *text, RandAugment *out, Error *err) {
    double values[N_PARTS] = {[PART_N] = 2};
    bool given[N_PARTS] = {false};
    const char *rest = strncmp(text, "rand-", 5) == 0 ? text + 5 : text;
    *out = (RandAugment){0};
    if (strcmp(text, "none") == 0) return MAE_OK;
    for (;;) {
        size_t n = strcspn(rest, "-");
        if (!parse_part(rest, n, values, given))
            return error_set(
                err, MAE_USAGE,
                "RandAugment '%s': '%.*s' is not a part of it, is there twice or is out of "
                "range; write for example m9-n2-mstd0.5-inc1 (m 0..10, n at least 1, inc 0 "
                "or 1), or none",
                text, (int)n, rest);
        if (rest[n] == '\0') break;
        rest += n + 1;
    }
    if (!given[PART_M])
        return error_set(err, MAE_USAGE,
                         "RandAugment '%s': the magnitude m is missing; write for example "
                         "m9-n2-mstd0.5-inc1",
                         text);
    *out = (RandAugment){.n_ops = (int64_t)values[PART_N],
                         .magnitude = values[PART_M],
                         .magnitude_std = values[PART_STD],
                         .increasing = values[PART_INC] == 1,
                         .probability = 0.5};
    return MAE_OK;
}

/* --- arguments -------------------------------------------------------------------------------- */

static double enhance_factor(double level, bool increasing, bool negate) {
    if (!increasing) return level * 1.8 + 0.1;
    double change = level * 0.9;
    return 1.0 + (negate ? -change : change);
}

double randaugment_argument(RandAugmentOp op, double magnitude, bool increasing, bool negate) {
    double level = magnitude / MAX_MAGNITUDE, sign = negate ? -1.0 : 1.0;
    switch (op) {
    case RANDAUGMENT_ROTATE: return sign * (level * 30.0);
    case RANDAUGMENT_POSTERIZE: return increasing ? 4.0 - trunc(level * 4.0) : trunc(level * 4.0);
    case RANDAUGMENT_SOLARIZE:
        return increasing ? 256.0 - trunc(level * 256.0) : trunc(level * 256.0);
    case RANDAUGMENT_SOLARIZE_ADD: return trunc(level * 110.0);
    case RANDAUGMENT_COLOR:
    case RANDAUGMENT_CONTRAST:
    case RANDAUGMENT_BRIGHTNESS:
    case RANDAUGMENT_SHARPNESS: return enhance_factor(level, increasing, negate);
    case RANDAUGMENT_SHEAR_X:
    case RANDAUGMENT_SHEAR_Y: return sign * (level * 0.3);
    case RANDAUGMENT_TRANSLATE_X:
    case RANDAUGMENT_TRANSLATE_Y: return sign * (level * 0.45);
    case RANDAUGMENT_AUTO_CONTRAST:
    case RANDAUGMENT_EQUALIZE:
    case RANDAUGMENT_INVERT:
    case RANDAUGMENT_N_OPS: break;
    }
    return 0.0;
}

/* --- tables of values ------------------------------------------------------------------------- */

static uint8_t clip_int(int64_t v) {
    return (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v);
}

/* Channel c of im through table. */
static void map_channel(Image *im, int64_t c, const uint8_t table[256]) {
    int64_t n = im->width * im->height * im->channels;
    for (int64_t i = c; i < n; i += im->channels) im->pixels[i] = table[im->pixels[i]];
}

static void map_all(Image *im, const uint8_t table[256]) {
    int64_t n = im->width * im->height * im->channels;
    for (int64_t i = 0; i < n; i++) im->pixels[i] = table[im->pixels[i]];
}

static void histogram(const Image *im, int64_t c, int64_t count[256]) {
    int64_t n = im->width * im->height * im->channels;
    memset(count, 0, 256 * sizeof *count);
    for (int64_t i = c; i < n; i += im->channels) count[im->pixels[i]]++;
}

/* From the darkest and brightest value to 0 and 255. */
static void auto_contrast(Image *im) {
    for (int64_t c = 0; c < im->channels; c++) {
        int64_t count[256];
        uint8_t table[256];
        int lo = 0, hi = 255;
        histogram(im, c, count);
        while (lo < 255 && count[lo] == 0) lo++;
        while (hi > 0 && count[hi] == 0) hi--;
        if (hi <= lo) continue;
        double scale = 255.0 / (double)(hi - lo), offset = (double)-lo * scale;
        for (int i = 0; i < 256; i++) {
            double stretched = (double)i * scale;
            table[i] = clip_int((int64_t)(stretched + offset));
        }
        map_channel(im, c, table);
    }
}

/* Towards equally many pixels of each value. */
static void equalize(Image *im) {
    for (int64_t c = 0; c < im->channels; c++) {
        int64_t count[256], last = 0;
        uint8_t table[256];
        histogram(im, c, count);
        for (int i = 0; i < 256; i++)
            if (count[i] > 0) last = count[i];
        int64_t step = (im->width * im->height - last) / 255;
        if (step == 0) continue;
        int64_t below = step / 2;
        for (int i = 0; i < 256; i++) {
            table[i] = clip_int(below / step);
            below += count[i];
        }
        map_channel(im, c, table);
    }
}

static void posterize(Image *im, int bits) {
    uint8_t table[256];
    int keep = ~((1 << (8 - bits)) - 1);
    for (int i = 0; i < 256; i++) table[i] = (uint8_t)(i & keep);
    map_all(im, table);
}

static void solarize(Image *im, int threshold) {
    uint8_t table[256];
    for (int i = 0; i < 256; i++) table[i] = (uint8_t)(i < threshold ? i : 255 - i);
    map_all(im, table);
}

static void solarize_add(Image *im, int add) {
    uint8_t table[256];
    for (int i = 0; i < 256; i++) table[i] = i < 128 ? clip_int(i + add) : (uint8_t)i;
    map_all(im, table);
}

/* --- operations that read a copy -------------------------------------------------------------- */

static Status keep_copy(const Image *im, ResampleScratch *s, Error *err) {
    size_t bytes = (size_t)(im->width * im->height * im->channels);
    size_t room = bytes + AFFINE_PADDING;
    if (room > s->bytes) {
        resample_scratch_free(s);
        s->memory = mem_alloc(room);
        if (!s->memory)
            return error_set(err, MAE_MEMORY, "RandAugment: no memory for a copy of %zu bytes",
                             bytes);
        s->bytes = room;
    }
    memcpy(s->memory, im->pixels, bytes);
    return MAE_OK;
}

static Status transform(Image *im, Affine a, ResampleScratch *scratch, Error *err) {
    const uint8_t grey = image_grey(FILL);
    Status status = keep_copy(im, scratch, err);
    if (status != MAE_OK) return status;
    affine_apply(&a, scratch->memory, im, im->channels == 3 ? FILL : &grey);
    return MAE_OK;
}

static Status rotate(Image *im, double degrees, ResampleScratch *scratch, Error *err) {
    if (fmod(degrees, 360.0) == 0.0) return MAE_OK;
    return transform(im, affine_rotation(degrees, im->width, im->height), scratch, err);
}

static Status sharpen(Image *im, double factor, ResampleScratch *scratch, Error *err) {
    Status status = keep_copy(im, scratch, err);
    if (status == MAE_OK) augment_sharpness(im, factor, scratch->memory);
    return status;
}

Status randaugment_op(RandAugmentOp op, double argument, Image *im, ResampleScratch *scratch,
                      Error *err) {
    const double w = (double)im->width, h = (double)im->height;
    ASSERT(im->channels == 3 || im->channels == 1, "channels %lld", (long long)im->channels);
    switch (op) {
    case RANDAUGMENT_AUTO_CONTRAST: auto_contrast(im); break;
    case RANDAUGMENT_EQUALIZE: equalize(im); break;
    case RANDAUGMENT_INVERT: solarize(im, 0); break;
    case RANDAUGMENT_ROTATE: return rotate(im, argument, scratch, err);
    case RANDAUGMENT_POSTERIZE: posterize(im, (int)argument); break;
    case RANDAUGMENT_SOLARIZE: solarize(im, (int)argument); break;
    case RANDAUGMENT_SOLARIZE_ADD: solarize_add(im, (int)argument); break;
    case RANDAUGMENT_COLOR: augment_saturation(im, argument); break;
    case RANDAUGMENT_CONTRAST: augment_contrast(im, argument); break;
    case RANDAUGMENT_BRIGHTNESS: augment_brightness(im, argument); break;
    case RANDAUGMENT_SHARPNESS: return sharpen(im, argument, scratch, err);
    case RANDAUGMENT_SHEAR_X:
        return transform(im, (Affine){{1, argument, 0, 0, 1, 0}}, scratch, err);
    case RANDAUGMENT_SHEAR_Y:
        return transform(im, (Affine){{1, 0, 0, argument, 1, 0}}, scratch, err);
    case RANDAUGMENT_TRANSLATE_X:
        return transform(im, (Affine){{1, 0, argument * w, 0, 1, 0}}, scratch, err);
    case RANDAUGMENT_TRANSLATE_Y:
        return transform(im, (Affine){{1, 0, 0, 0, 1, argument * h}}, scratch, err);
    case RANDAUGMENT_N_OPS: ASSERT(false, "no operation"); break;
    }
    return MAE_OK;
}

/* --- a whole run ------------------------------------------------------------------------------ */

Status randaugment_apply(const RandAugment *r, Image *im, Rng *rng, ResampleScratch *scratch,
                         Error *err) {
    for (int64_t k = 0; k < r->n_ops; k++) {
        RandAugmentOp op = (RandAugmentOp)rng_below(rng, RANDAUGMENT_N_OPS);
        double u = rng_uniform(rng), noise = rng_normal(rng), sign = rng_uniform(rng);
        if (u > r->probability) continue;
        double magnitude = fmin(fmax(r->magnitude + r->magnitude_std * noise, 0.0), MAX_MAGNITUDE);
        double argument = randaugment_argument(op, magnitude, r->increasing, sign > 0.5);
        Status status = randaugment_op(op, argument, im, scratch, err);
        if (status != MAE_OK) return status;
    }
    return MAE_OK;
}
