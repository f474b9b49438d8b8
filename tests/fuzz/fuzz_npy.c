/* Any bytes as a .npy image, in all channels and as its own type. */
#include <string.h>

#include "data/image/image_codec.h"
#include "replay.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
    enum { MAX_PIXELS = 1 << 16 };
    Image im;
    Error err = {0};
    const ImageFile file = {"fuzz", data, bytes, MAX_PIXELS};
    Status status = image_decode_npy(&file, &im, &err);
    ASSERT((status == MAE_OK) == (im.pixels != NULL), "status %d", status);
    ASSERT((status == MAE_OK) == (err.message[0] == 0), "%s", err.message);
    if (status != MAE_OK) return 0;
    ASSERT(im.width >= 1 && im.height >= 1 && im.width * im.height <= MAX_PIXELS, "%lld x %lld",
           (long long)im.width, (long long)im.height);
    ASSERT(im.channels >= 1 && im.channels <= IMAGE_MAX_CHANNELS, "%lld channels",
           (long long)im.channels);
    size_t n = (size_t)(im.width * im.height * im.channels) * image_value_bytes(im.type);
    ASSERT(n <= 8 * bytes, "%zu bytes of pixels from %zu", n, bytes);
    unsigned sum = 0;
    for (size_t i = 0; i < n; i++) sum += im.pixels[i];
    ASSERT(sum <= n * 255, "%u", sum);
    image_free(&im);
    return 0;
}
