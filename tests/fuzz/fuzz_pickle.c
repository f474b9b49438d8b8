/* Any bytes as a pickle: read, then dissolved into leaves. */
#include <string.h>

#include "base/memory.h"
#include "formats/pickle/pickle.h"
#include "formats/pickle/pickle_flatten.h"
#include "replay.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
    Error err = {0};
    Pickle pickle;
    PickleLeaves leaves = {0};
    Arena *arena = arena_new();
    ByteSource source = byte_source_of("fuzz", data, bytes);
    if (arena != NULL && pickle_parse(&source, 0, bytes, arena, &pickle, &err) == MAE_OK &&
        pickle_flatten("fuzz", &pickle, arena, &leaves, &err) == MAE_OK)
        for (size_t i = 0; i < leaves.n; i++) {
            const PickleLeaf *l = &leaves.leaf[i];
            ASSERT(l->name != NULL && (l->tensor != NULL) != (l->text != NULL), "leaf %zu", i);
            /* At most eight characters a byte: \xc3\xbf. */
            ASSERT(l->tensor != NULL || strlen(l->text) < 8 * bytes + 64, "leaf %zu", i);
        }
    mem_free(leaves.leaf);
    arena_free(arena);
    return 0;
}
