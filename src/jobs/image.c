/* See image.h. */
#include "jobs/image.h"

#include "base/memory.h"
#include "data/image/image_caller.h"
#include "options/options.h"

#define IN_MEMORY "image in memory"

/* What mae_image_free frees. */
static void lend(const Image *im, MaeImage *out) {
    *out = (MaeImage){.pixels = im->pixels,
                      .type = im->type,
                      .height = im->height,
                      .width = im->width,
                      .channels = im->channels,
                      .memory = im->pixels};
}

static Status channels_of(const MaeOptions *o, int *out, Error *err) {
    *out = o ? (int)o->channels : 3;
    if (*out == 1 || *out == 3) return MAE_OK;
    return error_set(err, MAE_USAGE, "--channels %d: an image file gives 1 (grey) or 3 (RGB)",
                     *out);
}

static int64_t limit_of(const MaeOptions *o) {
    return o ? o->max_pixels : 0;
}

Status caller_image_load(const char *path, const MaeOptions *o, MaeImage *out, Error *err) {
    Image im = {0};
    int channels;
    Status status = channels_of(o, &channels, err);
    if (status == MAE_OK) status = image_load_crop(path, channels, limit_of(o), NULL, &im, err);
    lend(&im, out);
    return status;
}

Status caller_image_decode(const void *bytes, size_t n, const MaeOptions *o, MaeImage *out,
                           Error *err) {
    Image im = {0};
    int channels;
    Status status = channels_of(o, &channels, err);
    if (status == MAE_OK)
        status = image_decode_crop(IN_MEMORY, bytes, n, channels, limit_of(o), NULL, &im, err);
    lend(&im, out);
    return status;
}

/* 0..1 -> 0..255 */
static void to_bytes(const Image *from, uint8_t *to) {
    for (int64_t i = 0; i < from->height * from->width * from->channels; i++) {
        float v = from->f32[i] * 255 + 0.5f;
        to[i] = (uint8_t)(!(v > 0) ? 0 : v > 255 ? 255 : v);
    }
}

/* Packed bytes of an image, for PNG; image_free it. */
static Status pack_bytes(const char *name, const MaeImage *image, Image *out, Error *err) {
    Status status = MAE_OK;
    ImageView view;
    Image packed = {0};
    *out = (Image){0};
    TRY(image_view_of_caller(name, image, &view, err));
    if (view.channels != 1 && view.channels != 3)
        TRY(error_set(err, MAE_UNSUPPORTED,
                      "%s: %lld channels, where PNG has 1 (grey) or 3 (RGB); choose some with "
                      "pixels and strides",
                      name, (long long)view.channels));
    TRY(image_new(&packed, view.type, view.width, view.height, view.channels, err));
    image_view_pack(&view, packed.pixels);
    if (view.type == MAE_F32) {
        TRY(image_new(out, MAE_U8, view.width, view.height, view.channels, err));
        to_bytes(&packed, out->pixels);
    } else {
        *out = packed;
        packed = (Image){0};
    }
done:
    image_free(&packed);
    return status;
}

Status caller_image_encode(const MaeImage *image, void **bytes, size_t *n, Error *err) {
    Status status = MAE_OK;
    Image packed;
    uint8_t *png = NULL;
    *n = 0;
    TRY(pack_bytes(IN_MEMORY, image, &packed, err));
    TRY(image_encode_png(IN_MEMORY, &packed, &png, n, err));
done:
    *bytes = png;
    image_free(&packed);
    return status;
}

Status caller_image_save(const char *path, const MaeImage *image, Error *err) {
    Status status = MAE_OK;
    Image packed;
    TRY(pack_bytes(path, image, &packed, err));
    TRY(image_write_png(path, &packed, err));
done:
    image_free(&packed);
    return status;
}
