/* Names and dispatch of the corruptions. */
#include "data/corrupt/corrupt.h"

#include <string.h>

#include "data/corrupt/corrupt_internal.h"

static const struct {
    const char *name;
    CorruptFunction *apply;
} kinds[CORRUPTION_COUNT] = {
#define X(name, word) {#word, corrupt_##word},
    CORRUPTION_LIST(X)
#undef X
};

const char *corruption_name(Corruption kind) {
    ASSERT((unsigned)kind < CORRUPTION_COUNT, "kind %d", (int)kind);
    return kinds[kind].name;
}

const char *corruption_note(Corruption kind) {
    if (kind != CORRUPTION_FROST) return NULL;
    return "frost is drawn here, the published frost is photographed: do not compare this row, or "
           "a "
           "mean with it in, with published numbers";
}

int corruption_find(const char *name) {
    for (int i = 0; i < CORRUPTION_COUNT; i++)
        if (strcmp(kinds[i].name, name) == 0) return i;
    return -1;
}

Status corrupt_apply(Corruption kind, int severity, Image *im, Rng *rng, Error *err) {
    const char *name = corruption_name(kind);
    if (severity < 1 || severity > CORRUPTION_SEVERITIES)
        return error_set(err, MAE_UNSUPPORTED, "%s: severity %d; choose 1 to %d", name, severity,
                         CORRUPTION_SEVERITIES);
    if (im->channels != 1 && im->channels != 3)
        return error_set(err, MAE_UNSUPPORTED,
                         "%s: an image of %lld channels; 1 and 3 are supported, so convert it",
                         name, (long long)im->channels);
    return kinds[kind].apply(im, severity - 1, rng, err);
}
