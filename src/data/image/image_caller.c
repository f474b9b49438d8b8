/* Pixels of a program: their memory (mae_image_new, mae_image_free), whether their description can
 * be true, and their copy. Sizes and strides are checked before any pixel is read. */
#include "data/image/image_caller.h"

#include <string.h>

#include "base/memory.h"
#include "data/image/image_codec.h"

/* Of a stride that is given, and of an axis: no offset in an image leaves 64 bits. */
#define MAX_STRIDE ((int64_t)1 << 40)
#define MAX_BYTES ((int64_t)1 << 60)

static const char *type_name(MaeType type) {
    static const char *const names[] = {
        [MAE_U8] = "U8", [MAE_U16] = "U16", [MAE_F32] = "F32", [MAE_I64] = "I64"};
    return (unsigned)type < sizeof names / sizeof *names ? names[type] : "unknown";
}

/* --- where the pixels lie --------------------------------------------------------------------- */

static int64_t absolute(int64_t v) {
    return v < 0 ? -v : v;
}

/* The stride given, or that of n packed things of `bytes`; at most MAX_BYTES. */
static int64_t or_packed(int64_t given, int64_t n, int64_t bytes) {
    if (given) return given;
    return absolute(bytes) > MAX_BYTES / n ? MAX_BYTES : n * absolute(bytes);
}

/* The strides given; 0 is that of packed pixels. */
static ImageView view_of(const MaeImage *m) {
    int64_t value = (int64_t)image_value_bytes(m->type);
    ImageView v = {.width = m->width,
                   .height = m->height,
                   .channels = m->channels,
                   .type = m->type,
                   .pixels = m->pixels,
                   .row_stride = m->row_stride,
                   .pixel_stride = m->pixel_stride,
                   .channel_stride = m->channel_stride};
    if (m->planar) {
        v.pixel_stride = or_packed(v.pixel_stride, 1, value);
        v.row_stride = or_packed(v.row_stride, v.width, v.pixel_stride);
        v.channel_stride = or_packed(v.channel_stride, v.height, v.row_stride);
    } else {
        v.channel_stride = or_packed(v.channel_stride, 1, value);
        v.pixel_stride = or_packed(v.pixel_stride, v.channels, v.channel_stride);
        v.row_stride = or_packed(v.row_stride, v.width, v.pixel_stride);
    }
    return v;
}

/* The stride and number of one axis; an axis of one thing has no stride. */
typedef struct Axis {
    int64_t stride, n;
} Axis;

/* Does every value have bytes of its own? From the shortest stride to the longest, each must
 * lead past what lies within the axes before. */
static bool are_apart(const ImageView *v) {
    Axis axis[3] = {{absolute(v->row_stride), v->height},
                    {absolute(v->pixel_stride), v->width},
                    {absolute(v->channel_stride), v->channels}};
    int64_t covered = (int64_t)image_value_bytes(v->type);
    for (int k = 0; k < 3; k++) {
        int least = k;
        for (int j = k + 1; j < 3; j++)
            if (axis[j].stride < axis[least].stride) least = j;
        Axis a = axis[least];
        axis[least] = axis[k];
        if (a.n > 1 && (a.stride < covered || a.stride > MAX_BYTES / a.n)) return false;
        covered += (a.n - 1) * a.stride;
    }
    return true;
}

static bool are_possible(const MaeImage *m) {
    const int64_t given[] = {m->row_stride, m->pixel_stride, m->channel_stride};
    for (int k = 0; k < 3; k++)
        if (given[k] < -MAX_STRIDE || given[k] > MAX_STRIDE) return false;
    ImageView v = view_of(m);
    return are_apart(&v);
}

/* Are values at addresses where the processor reads them? */
static bool are_aligned(const ImageView *v) {
    int64_t value = (int64_t)image_value_bytes(v->type);
    return (uintptr_t)v->pixels % (uintptr_t)value == 0 && v->row_stride % value == 0 &&
           v->pixel_stride % value == 0 && v->channel_stride % value == 0;
}

static Status impossible(const char *name, const MaeImage *m, Error *err) {
    return error_set(err, MAE_FORMAT,
                     "%s: strides of %lld (row), %lld (pixel) and %lld (channel) bytes cannot be "
                     "those of %lld x %lld pixels of %lld channels of type %s",
                     name, (long long)m->row_stride, (long long)m->pixel_stride,
                     (long long)m->channel_stride, (long long)m->width, (long long)m->height,
                     (long long)m->channels, type_name(m->type));
}

/* Sizes, and pixels that are there. */
static Status check(const char *name, const MaeImage *m, int64_t max_pixels, Error *err) {
    const ImageFile limits = {.name = name, .max_pixels = max_pixels};
    if (!m->pixels)
        return error_set(err, MAE_FORMAT, "%s: an image without pixels: the pointer is NULL", name);
    return image_check_header(&limits, m->width, m->height, err);
}

static Status refuse_type(const char *name, const MaeImage *m, const char *read, Error *err) {
    return error_set(err, MAE_UNSUPPORTED, "%s: pixels of type %s, where %s", name,
                     type_name(m->type), read);
}

Status image_view_of_caller(const char *name, const MaeImage *in, ImageView *out, Error *err) {
    Status status = check(name, in, IMAGE_PIXELS_CEILING, err);
    if (status != MAE_OK) return status;
    if (in->type != MAE_U8 && in->type != MAE_F32)
        return refuse_type(name, in,
                           "U8 and F32 are read; scale them to 0 to 255, or to 0 to 1 as F32", err);
    if (in->channels < 1 || in->channels > IMAGE_MAX_CHANNELS)
        return error_set(err, MAE_UNSUPPORTED, "%s: %lld channels, where 1 to %d can be", name,
                         (long long)in->channels, IMAGE_MAX_CHANNELS);
    if (!are_possible(in)) return impossible(name, in, err);
    *out = view_of(in);
    return are_aligned(out) ? MAE_OK : impossible(name, in, err);
}

/* --- copies ----------------------------------------------------------------------------------- */

static void pack_row(const ImageView *v, const uint8_t *row, uint8_t *to) {
    size_t value = image_value_bytes(v->type);
    for (int64_t x = 0; x < v->width; x++, row += v->pixel_stride)
        for (int64_t c = 0; c < v->channels; c++) {
            const uint8_t *from = row + c * v->channel_stride;
            if (v->type == MAE_U8) {
                *to++ = *from;
            } else {
                memcpy(to, from, value);
                to += value;
            }
        }
}

void image_view_pack(const ImageView *v, void *dst) {
    int64_t value = (int64_t)image_value_bytes(v->type), pixel = v->channels * value;
    bool whole_rows = v->channel_stride == value && v->pixel_stride == pixel;
    uint8_t *to = dst;
    for (int64_t y = 0; y < v->height; y++, to += v->width * pixel) {
        const uint8_t *row = (const uint8_t *)v->pixels + y * v->row_stride;
        if (whole_rows)
            memcpy(to, row, (size_t)(v->width * pixel));
        else
            pack_row(v, row, to);
    }
}

static float float_at(const uint8_t *p) {
    float v;
    memcpy(&v, p, sizeof v);
    return v;
}

void image_view_grey(const ImageView *v, void *dst) {
    for (int64_t y = 0; y < v->height; y++)
        for (int64_t x = 0; x < v->width; x++) {
            const uint8_t *p = (const uint8_t *)v->pixels + y * v->row_stride + x * v->pixel_stride;
            int64_t at = y * v->width + x;
            if (v->type == MAE_U8) {
                const uint8_t rgb[3] = {p[0], p[v->channel_stride], p[2 * v->channel_stride]};
                ((uint8_t *)dst)[at] = image_grey(rgb);
            } else {
                ((float *)dst)[at] =
                    (19595 * float_at(p) + 38470 * float_at(p + v->channel_stride) +
                     7471 * float_at(p + 2 * v->channel_stride)) /
                    65536;
            }
        }
}

static Status check_channels(const char *name, const MaeImage *m, int channels, Error *err) {
    bool convertible = m->type == MAE_U8 && (channels == 1 || channels == 3);
    if (convertible ? m->channels == 1 || m->channels == 3 : m->channels == channels) return MAE_OK;
    if (convertible)
        return error_set(err, MAE_UNSUPPORTED,
                         "%s: %lld channels, where 1 (grey) and 3 (RGB) are read; choose some with "
                         "pixels and strides",
                         name, (long long)m->channels);
    return error_set(err, MAE_UNSUPPORTED, "%s: %lld channels, where the model has %d", name,
                     (long long)m->channels, channels);
}

static Status check_wanted(const char *name, const MaeImage *m, MaeType type, int channels,
                           int64_t max_pixels, Error *err) {
    static const char *const read[] = {[MAE_U8] = "U8 are read; scale them to 0 to 255",
                                       [MAE_U16] = "U16 are read",
                                       [MAE_F32] = "F32 are read"};
    Status status = check(name, m, max_pixels, err);
    if (status != MAE_OK) return status;
    if (m->type != type) return refuse_type(name, m, read[type], err);
    status = check_channels(name, m, channels, err);
    if (status != MAE_OK) return status;
    return are_possible(m) ? MAE_OK : impossible(name, m, err);
}

Status image_from_caller(const char *name, const MaeImage *in, MaeType type, int channels,
                         int64_t max_pixels, ImageCrop *crop, Image *out, Error *err) {
    Status status = MAE_OK;
    ImageView v;
    *out = (Image){0};
    TRY(check_wanted(name, in, type, channels, max_pixels ? max_pixels : IMAGE_MAX_PIXELS, err));
    v = view_of(in);
    if (crop) {
        Box box = crop->choose(crop->user, in->width, in->height);
        crop->box = (Box){0, 0, box.width, box.height};
        v.pixels = (const uint8_t *)v.pixels + box.top * v.row_stride + box.left * v.pixel_stride;
        v.width = box.width;
        v.height = box.height;
    }
    TRY(image_new_named(name, out, type, v.width, v.height, v.channels, err));
    image_view_pack(&v, out->pixels);
    if (type == MAE_U8) TRY(image_convert(name, out, channels, err));
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
