/* Finds the format of an image and brings it to the channels wanted, as PIL's convert('RGB') and
 * convert('L') do:
 *
 *   JPEG  accurate integer DCT, smooth chroma upsampling; EXIF orientation ignored; four components
 *         are taken as inverted CMYK whatever the Adobe marker says.
 *   PNG   alpha and transparent colours dropped, not blended; gamma ignored; 16-bit RGB and 16-bit
 *         grey with alpha keep the high byte, but 16-bit grey without alpha is an integer image in
 *         PIL, whose conversion clips to 255.
 *   WebP  first frame only of a still image; alpha dropped.
 *
 * Grey to RGB repeats the value; RGB to grey is the ITU-R 601-2 weighting in 16-bit fixed point. */
#include <string.h>

#include "data/image/image_codec.h"
#include "data/image/image_kind.h"

Status image_convert(const char *name, Image *im, int channels, Error *err) {
    if (im->channels == channels) return MAE_OK;
    Image out;
    Status status = image_new_named(name, &out, MAE_U8, im->width, im->height, channels, err);
    if (status != MAE_OK) return status;
    const uint8_t *p = im->pixels;
    int64_t n = im->width * im->height;
    if (channels == 3) {
        for (int64_t i = 0; i < n; i++)
            out.pixels[3 * i] = out.pixels[3 * i + 1] = out.pixels[3 * i + 2] = p[i];
    } else {
        for (int64_t i = 0; i < n; i++) out.pixels[i] = image_grey(p + 3 * i);
    }
    out.notes = im->notes;
    image_free(im);
    *im = out;
    return MAE_OK;
}

/* Neither JPEG nor PNG nor WebP. */
static Status refuse(const char *name, const void *bytes, size_t n, Error *err) {
    const char *kind = n > 0 ? image_kind(bytes, n) : NULL;
    if (n == 0)
        return error_set(err, MAE_FORMAT, "%s: the file is empty; remove it or copy it again",
                         name);
    if (kind)
        return error_set(err, MAE_FORMAT,
                         "%s: not an image in a known format (JPEG, PNG, WebP) but %s", name, kind);
    return error_set(
        err, MAE_FORMAT,
        "%s: not an image in a known format; JPEG, PNG and WebP are supported, so convert "
        "or remove it",
        name);
}

Status image_decode(const char *name, const void *bytes, size_t n, int channels, Image *out,
                    Error *err) {
    return image_decode_crop(name, bytes, n, channels, 0, NULL, out, err);
}

Status image_decode_crop(const char *name, const void *bytes, size_t n, int channels,
                         int64_t max_pixels, ImageCrop *crop, Image *out, Error *err) {
    ASSERT(channels == 1 || channels == 3, "channels %d", channels);
    ASSERT(max_pixels >= 0 && max_pixels <= IMAGE_PIXELS_CEILING, "%lld pixels",
           (long long)max_pixels);
    Status status = MAE_OK;
    const uint8_t *b = bytes;
    const ImageFile file = {name, b, n, max_pixels ? max_pixels : IMAGE_MAX_PIXELS};
    *out = (Image){0};
    if (crop) crop->box = (Box){0};
    if (n >= 3 && memcmp(b, "\xff\xd8\xff", 3) == 0)
        TRY(image_decode_jpeg(&file, crop, out, err));
    else if (n >= 8 && memcmp(b, "\x89PNG\r\n\x1a\n", 8) == 0)
        TRY(image_decode_png(&file, out, err));
    else if (n >= 12 && memcmp(b, "RIFF", 4) == 0 && memcmp(b + 8, "WEBP", 4) == 0)
        TRY(image_decode_webp(&file, out, err));
    else
        TRY(refuse(name, bytes, n, err));
    TRY(image_convert(name, out, channels, err));
    if (crop && crop->box.width == 0) crop->box = crop->choose(crop->user, out->width, out->height);
done:
    if (status != MAE_OK) image_free(out);
    return status;
}
