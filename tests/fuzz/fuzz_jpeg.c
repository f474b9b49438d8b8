/* Any bytes as a JPEG. Other formats have targets of their own; what begins like them passes. */
#include "decode_image.h"
#include "replay.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
    if (bytes < 3 || memcmp(data, "\xff\xd8\xff", 3) == 0) fuzz_decode_image(data, bytes);
    return 0;
}
