/* Any bytes as safetensors: where all tensors lie, all metadata. */
#include <string.h>

#include "formats/safetensors.h"
#include "replay.h"
#include "touch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
    Error err = {0};
    TensorTable table;
    ByteSource source = byte_source_of("fuzz", data, bytes);
    if (safetensors_parse(&source, &table, &err) != MAE_OK) {
        ASSERT(err.message[0] != 0, "a failure without a message");
        return 0;
    }
    for (size_t i = 0; i < table.n_tensors; i++) {
        const StridedTensor *t = &table.tensor[i];
        size_t n = (size_t)t->bytes;
        ASSERT(t->source == &source && t->at <= bytes && n <= bytes - t->at, "%s lies outside",
               t->name);
    }
    for (size_t i = 0; i < table.n_meta; i++) {
        touch(table.meta[i].key, strlen(table.meta[i].key) + 1);
        touch(table.meta[i].value, strlen(table.meta[i].value) + 1);
    }
    tensor_table_free(&table);
    return 0;
}
