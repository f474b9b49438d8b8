/* Any bytes as a file of tensors: recognised, read, every tensor both ways. */
#include "base/memory.h"
#include "formats/tensorfile.h"
#include "replay.h"

enum { MAX_ELEMENTS = 1 << 16 }; /* expanded tensors may be large without being wrong */

static void read_tensor(const TensorFile *f, const TensorEntry *t) {
    int64_t n = shape_numel(t->shape);
    if (n > MAX_ELEMENTS) return;
    float *reals = mem_alloc_array((size_t)n, sizeof *reals);
    void *raw = mem_alloc_array((size_t)n, dtype_bytes(t->dtype));
    ASSERT(reals != NULL && raw != NULL, "no memory for %lld elements", (long long)n);
    Status wanted = t->refusal == NULL ? MAE_OK : MAE_UNSUPPORTED;
    ASSERT(tensorfile_read(f, t, reals, NULL) == wanted, "%s", t->name);
    ASSERT(tensorfile_read_raw(f, t, raw, NULL) == wanted, "%s", t->name);
    mem_free(reals);
    mem_free(raw);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
    Error err = {0};
    TensorFile *f;
    if (tensorfile_parse("fuzz", data, bytes, &f, &err) != MAE_OK) {
        ASSERT(err.message[0] != 0, "a failure without a message");
        return 0;
    }
    for (size_t i = 0; i < tensorfile_count(f) && i < 256; i++) read_tensor(f, tensorfile_at(f, i));
    for (size_t i = 0; i < tensorfile_meta_count(f); i++)
        ASSERT(tensorfile_meta(f, tensorfile_meta_at(f, i).key) != NULL, "entry %zu", i);
    tensorfile_close(f);
    return 0;
}
