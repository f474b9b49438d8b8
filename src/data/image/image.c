/* Image memory, names and loading. Sizes are checked before anything is multiplied, so a header
 * that promises a gigantic image costs nothing. */
#include "data/image/image.h"

#include <string.h>
#include <strings.h>

#include "base/file.h"
#include "base/memory.h"
#include "data/image/image_codec.h"

#define MAX_FILE_BYTES ((size_t)1 << 30)

static Status check_not_empty(const char *name, int64_t width, int64_t height, Error *err) {
    if (width >= 1 && height >= 1) return MAE_OK;
    return error_set(err, MAE_FORMAT, "%s: the image is %lld x %lld pixels; it needs at least 1",
                     name, (long long)width, (long long)height);
}

Status image_check_header(const ImageFile *file, int64_t width, int64_t height, Error *err) {
    int64_t limit = file->max_pixels;
    Status status = check_not_empty(file->name, width, height, err);
    if (status != MAE_OK) return status;
    if (width > IMAGE_MAX_SIDE || height > IMAGE_MAX_SIDE)
        return error_set(
            err, MAE_UNSUPPORTED, "%s: %lld x %lld pixels, where a side may have %lld; cut it up",
            file->name, (long long)width, (long long)height, (long long)IMAGE_MAX_SIDE);
    if (height <= limit / width) return MAE_OK;
    return error_set(
        err, MAE_UNSUPPORTED,
        "%s: %lld x %lld pixels are more than the limit of %lld; shrink the image, or raise "
        "the limit with --max-pixels",
        file->name, (long long)width, (long long)height, (long long)limit);
}

size_t image_value_bytes(MaeType type) {
    ASSERT(type == MAE_U8 || type == MAE_U16 || type == MAE_F32, "type %d", (int)type);
    return type == MAE_U8 ? sizeof(uint8_t) : type == MAE_U16 ? sizeof(uint16_t) : sizeof(float);
}

const char *image_type_name(MaeType type) {
    return type == MAE_U8 ? "8-bit" : type == MAE_U16 ? "16-bit" : "float32";
}

Status image_new_named(const char *name, Image *out, MaeType type, int64_t width, int64_t height,
                       int64_t channels, Error *err) {
    *out = (Image){0};
    ASSERT(channels >= 1 && channels <= IMAGE_MAX_CHANNELS, "channels %lld", (long long)channels);
    ASSERT(width >= 1 && height >= 1 && height <= IMAGE_PIXELS_CEILING / width, "%lld x %lld",
           (long long)width, (long long)height);
    uint8_t *pixels =
        mem_alloc_array((size_t)(width * height), (size_t)channels * image_value_bytes(type));
    if (!pixels)
        return error_set(err, MAE_MEMORY, "%s: no memory for %lld x %lld pixels", name,
                         (long long)width, (long long)height);
    *out = (Image){.width = width, .height = height, .channels = channels, .type = type};
    out->pixels = pixels;
    return MAE_OK;
}

Status image_new(Image *out, MaeType type, int64_t width, int64_t height, int64_t channels,
                 Error *err) {
    *out = (Image){0};
    Status status = check_not_empty("image", width, height, err);
    if (status != MAE_OK) return status;
    if (height > IMAGE_MAX_PIXELS / width)
        return error_set(
            err, MAE_UNSUPPORTED,
            "image: %lld x %lld pixels are more than the limit of %lld; make it smaller",
            (long long)width, (long long)height, (long long)IMAGE_MAX_PIXELS);
    return image_new_named("image", out, type, width, height, channels, err);
}

ImageView image_view(const Image *im) {
    int64_t value = (int64_t)image_value_bytes(im->type), pixel = im->channels * value;
    return (ImageView){.width = im->width,
                       .height = im->height,
                       .channels = im->channels,
                       .type = im->type,
                       .pixels = im->pixels,
                       .row_stride = im->width * pixel,
                       .pixel_stride = pixel,
                       .channel_stride = value};
}

void image_free(Image *im) {
    mem_free(im->pixels);
    *im = (Image){0};
}

bool image_is_name(const char *path) {
    static const char *const known[] = {".jpg",   ".jpeg", ".jpe", ".jfif",
                                        ".pjpeg", ".pjp",  ".png", ".webp"};
    const char *slash = strrchr(path, '/');
    const char *base = slash ? slash + 1 : path;
    const char *dot = strrchr(base, '.');
    if (!dot || dot == base) return false; /* a hidden file called ".jpg" has no extension */
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (strcasecmp(dot, known[i]) == 0) return true;
    return false;
}

/* Read, not mapped: of a mapped file, a disk that fails or a file that is cut short would be a
 * signal instead of an error. */
Status image_load_crop(const char *path, int channels, int64_t max_pixels, ImageCrop *crop,
                       Image *out, Error *err) {
    Status status = MAE_OK;
    uint8_t *data = NULL;
    size_t bytes;
    *out = (Image){0};
    TRY(file_read_regular(path, MAX_FILE_BYTES, &data, &bytes, err));
    TRY(image_decode_crop(path, data, bytes, channels, max_pixels, crop, out, err));
done:
    mem_free(data);
    return status;
}
