/* Any bytes as safetensors: all tensors with all their bytes, all metadata. */
#include <string.h>

#include "formats/safetensors.h"
#include "replay.h"
#include "touch.h"

static void read_stored(const SafeTensors *s, const NamedTensor *t, const uint8_t *data,
                        size_t bytes) {
    const NamedTensor *same;
    const uint8_t *at = t->data;
    ASSERT(safetensors_find(s, t->name) == t, "%s", t->name);
    ASSERT(safetensors_require(s, t->name, t->dtype, t->shape, &same, NULL) == STATUS_OK, "%s",
           t->name);
    ASSERT((size_t)shape_numel(t->shape) * dtype_bytes(t->dtype) == t->bytes, "%s", t->name);
    if (t->bytes == 0) return;
    ASSERT(at >= data && t->bytes <= bytes - (size_t)(at - data), "%s lies outside", t->name);
    touch(at, t->bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
    Error err = {0};
    SafeTensors *s;
    if (safetensors_parse("fuzz", data, bytes, &s, &err) != STATUS_OK) {
        ASSERT(err.message[0] != 0, "a failure without a message");
        return 0;
    }
    for (size_t i = 0; i < safetensors_count(s); i++)
        read_stored(s, safetensors_at(s, i), data, bytes);
    for (size_t i = 0; i < safetensors_meta_count(s); i++) {
        MetaEntry m = safetensors_meta_at(s, i);
        ASSERT(safetensors_meta(s, m.key) != NULL, "%s", m.key);
        touch(m.key, strlen(m.key) + 1);
        touch(m.value, strlen(m.value) + 1);
    }
    ASSERT(strcmp(safetensors_path(s), "fuzz") == 0, "%s", safetensors_path(s));
    safetensors_close(s);
    return 0;
}
