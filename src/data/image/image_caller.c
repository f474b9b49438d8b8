/* Pixels of a program: their memory (mae_image_new, mae_image_free), whether their description can
 * be true, and their copy. Sizes and strides are checked before any pixel is read. */
#include "data/image/image_caller.h"

#include <string.h>

#include "base/memory.h"
#include "data/image/image_codec.h"

/* Of a stride, so that no offset in the largest image leaves 64 bits. */
#define MAX_STRIDE ((int64_t)1 << 40)

/* Bytes from one row, pixel and channel to the next. */
typedef struct Strides {
    int64_t row, pixel, channel;
} Strides;

static int64_t absolute(int64_t v) {
    return v < 0 ? -v : v;
}

static int64_t or_packed(int64_t given, int64_t packed) {
    return given ? given : packed;
}

/* Those given; 0 is that of packed pixels. The values of an image are bytes. */
static Strides strides_of(const MaeImage *m) {
    Strides s = {m->row_stride, m->pixel_stride, m->channel_stride};
    if (m->planar) {
        s.pixel = or_packed(s.pixel, 1);
        s.row = or_packed(s.row, m->width * absolute(s.pixel));
        s.channel = or_packed(s.channel, m->height * absolute(s.row));
    } else {
        s.channel = or_packed(s.channel, 1);
        s.pixel = or_packed(s.pixel, m->channels * absolute(s.channel));
        s.row = or_packed(s.row, m->width * absolute(s.pixel));
    }
    return s;
}

/* The stride and number of one axis; an axis of one thing has no stride. */
typedef struct Axis {
    int64_t stride, n;
} Axis;

/* Does every value have a byte of its own? From the shortest stride to the longest, each must
 * lead past what lies within the axes before. */
static bool are_apart(const MaeImage *m, const Strides *s) {
    Axis axis[3] = {{absolute(s->row), m->height},
                    {absolute(s->pixel), m->width},
                    {absolute(s->channel), m->channels}};
    int64_t covered = 1;
    for (int k = 0; k < 3; k++) {
        int least = k;
        for (int j = k + 1; j < 3; j++)
            if (axis[j].stride < axis[least].stride) least = j;
        Axis a = axis[least];
        axis[least] = axis[k];
        if (a.n > 1 && a.stride < covered) return false;
        covered += (a.n - 1) * a.stride;
    }
    return true;
}

static bool are_possible(const MaeImage *m) {
    const int64_t given[] = {m->row_stride, m->pixel_stride, m->channel_stride};
    for (int k = 0; k < 3; k++)
        if (given[k] < -MAX_STRIDE || given[k] > MAX_STRIDE) return false;
    Strides s = strides_of(m);
    return are_apart(m, &s);
}

static const char *type_name(MaeType type) {
    static const char *const names[] = {
        [MAE_U8] = "U8", [MAE_U16] = "U16", [MAE_F32] = "F32", [MAE_I64] = "I64"};
    return (unsigned)type < sizeof names / sizeof *names ? names[type] : "unknown";
}

static Status check(const char *name, const MaeImage *m, int64_t max_pixels, Error *err) {
    const ImageFile limits = {.name = name, .max_pixels = max_pixels};
    if (!m->pixels)
        return error_set(err, MAE_FORMAT, "%s: an image without pixels: the pointer is NULL", name);
    if (m->type != MAE_U8)
        return error_set(err, MAE_UNSUPPORTED,
                         "%s: pixels of type %s, where U8 are read; scale them to 0 to 255", name,
                         type_name(m->type));
    Status status = image_check_header(&limits, m->width, m->height, err);
    if (status != MAE_OK) return status;
    if (m->channels != 1 && m->channels != 3)
        return error_set(err, MAE_UNSUPPORTED,
                         "%s: %lld channels, where 1 (grey) and 3 (RGB) are read; choose some with "
                         "pixels and strides",
                         name, (long long)m->channels);
    if (are_possible(m)) return MAE_OK;
    return error_set(err, MAE_FORMAT,
                     "%s: strides of %lld (row), %lld (pixel) and %lld (channel) bytes cannot be "
                     "those of %lld x %lld pixels of %lld channels",
                     name, (long long)m->row_stride, (long long)m->pixel_stride,
                     (long long)m->channel_stride, (long long)m->width, (long long)m->height,
                     (long long)m->channels);
}

static void copy_row(const uint8_t *from, const Strides *s, const Image *out, uint8_t *to) {
    int64_t C = out->channels;
    if (s->channel == 1 && s->pixel == C) {
        memcpy(to, from, (size_t)(out->width * C));
        return;
    }
    for (int64_t x = 0; x < out->width; x++)
        for (int64_t c = 0; c < C; c++) to[x * C + c] = from[x * s->pixel + c * s->channel];
}

Status image_from_caller(const char *name, const MaeImage *in, int channels, int64_t max_pixels,
                         ImageCrop *crop, Image *out, Error *err) {
    Status status = MAE_OK;
    *out = (Image){0};
    TRY(check(name, in, max_pixels ? max_pixels : IMAGE_MAX_PIXELS, err));
    Box box = {0, 0, in->width, in->height};
    Strides s = strides_of(in);
    if (crop) {
        box = crop->choose(crop->user, in->width, in->height);
        crop->box = (Box){0, 0, box.width, box.height};
    }
    TRY(image_new_named(name, out, MAE_U8, box.width, box.height, in->channels, err));
    const uint8_t *first = (const uint8_t *)in->pixels + box.left * s.pixel;
    for (int64_t y = 0; y < box.height; y++)
        copy_row(first + (box.top + y) * s.row, &s, out,
                 out->pixels + y * box.width * in->channels);
    TRY(image_convert(name, out, channels, err));
done:
    if (status != MAE_OK) image_free(out);
    return status;
}

/* --- memory that is lent to programs ---------------------------------------------------------- */

MaeStatus mae_image_new(MaeType type, int64_t height, int64_t width, int64_t channels,
                        MaeImage *out, MaeError *err) {
    static const size_t bytes[] = {[MAE_U8] = 1, [MAE_U16] = 2, [MAE_F32] = 4};
    error_clear(err);
    *out = (MaeImage){0};
    if ((unsigned)type >= sizeof bytes / sizeof *bytes)
        return error_set(err, MAE_USAGE, "an image of type %s: take U8, U16 or F32",
                         type_name(type));
    if (height < 1 || width < 1 || channels < 1 || height > IMAGE_PIXELS_CEILING / width ||
        channels > IMAGE_PIXELS_CEILING / (height * width))
        return error_set(
            err, MAE_USAGE,
            "an image of %lld x %lld pixels and %lld channels: each is at least 1, and all "
            "together at most %lld values",
            (long long)width, (long long)height, (long long)channels,
            (long long)IMAGE_PIXELS_CEILING);
    void *memory = mem_alloc_array((size_t)(height * width * channels), bytes[type]);
    if (!memory)
        return error_set(err, MAE_MEMORY, "no memory for an image of %lld x %lld pixels",
                         (long long)width, (long long)height);
    *out = (MaeImage){.pixels = memory,
                      .type = type,
                      .height = height,
                      .width = width,
                      .channels = channels,
                      .memory = memory};
    return MAE_OK;
}

void mae_image_free(MaeImage *image) {
    if (!image) return;
    mem_free(image->memory);
    *image = (MaeImage){0};
}
