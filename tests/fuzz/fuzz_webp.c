/* Any bytes as a WebP. */
#include "decode_image.h"
#include "replay.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
    if (bytes < 4 || memcmp(data, "RIFF", 4) == 0) fuzz_decode_image(data, bytes);
    return 0;
}
