/* WebP through libwebp: lossy and lossless still images, alpha dropped. Animations are refused. */
#include <limits.h>

#include <webp/decode.h>

#include "data/image/image_codec.h"
#include "data/image/image_notes.h"

Status image_decode_webp(const ImageFile *file, Image *out, Error *err) {
    Status status = MAE_OK;
    const char *name = file->name;
    WebPBitstreamFeatures features;
    *out = (Image){0};
    if (WebPGetFeatures(file->bytes, file->n, &features) != VP8_STATUS_OK)
        TRY(error_set(err, MAE_FORMAT, "%s: the WebP header is damaged; copy the file again",
                      name));
    if (features.has_animation)
        TRY(error_set(err, MAE_UNSUPPORTED,
                      "%s: an animated WebP; only still images are supported, so extract a frame",
                      name));
    TRY(image_check_header(file, features.width, features.height, err));
    TRY(image_new_named(name, out, MAE_U8, features.width, features.height, 3, err));
    ASSERT(out->width <= INT_MAX / 3, "a WebP side has at most 14 bits");
    size_t size = (size_t)(out->width * out->height * 3);
    if (!WebPDecodeRGBInto(file->bytes, file->n, out->pixels, size, (int)(out->width * 3)))
        TRY(error_set(err, MAE_FORMAT,
                      "%s: the WebP is truncated or damaged; remove it or copy it again", name));
    out->notes = image_webp_notes(file->bytes, file->n);
    if (features.has_alpha) out->notes |= IMAGE_TRANSPARENT;
done:
    if (status != MAE_OK) image_free(out);
    return status;
}
