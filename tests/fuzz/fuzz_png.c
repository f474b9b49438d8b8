/* Any bytes as a PNG; what could be read is written and read again. The sums over its chunks are
 * set right first: a mutation would hardly ever get past them. Every eighth input keeps its own. */
#include <zlib.h>

#include "decode_image.h"
#include "replay.h"

static uint32_t png_number(const uint8_t *p) {
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void mend_sums(uint8_t *data, size_t bytes) {
    for (size_t at = 8; bytes - at >= 12 && at < bytes;) {
        size_t n = png_number(data + at);
        if (n > bytes - at - 12) return;
        uint32_t sum = (uint32_t)crc32(0, data + at + 4, (uInt)(n + 4));
        for (int i = 0; i < 4; i++) data[at + 8 + n + (size_t)i] = (uint8_t)(sum >> (24 - 8 * i));
        at += n + 12;
    }
}

static void write_and_read(const uint8_t *data, size_t bytes) {
    Image im, back;
    Error err = {0};
    const char *path = fuzz_path("again.png");
    if (image_decode_crop("fuzz", data, bytes, 3, FUZZ_MAX_PIXELS, NULL, &im, &err) != MAE_OK)
        return;
    ASSERT(image_write_png(path, &im, &err) == MAE_OK, "%s", err.message);
    ASSERT(image_load_crop(path, 3, 0, NULL, &back, &err) == MAE_OK, "%s", err.message);
    fuzz_check_pixels(&back, (Box){0, 0, back.width, back.height}, &im,
                      (Box){0, 0, im.width, im.height});
    image_free(&im);
    image_free(&back);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
    if (bytes < 8 || memcmp(data, "\x89PNG\r\n\x1a\n", 8) != 0) return 0;
    Rng rng = fuzz_rng(data, bytes);
    uint8_t *copy = malloc(bytes);
    ASSERT(copy != NULL, "no memory");
    memcpy(copy, data, bytes);
    if (rng_below(&rng, 8) > 0) mend_sums(copy, bytes);
    fuzz_decode_image(copy, bytes);
    write_and_read(copy, bytes);
    free(copy);
    return 0;
}
