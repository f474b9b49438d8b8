/* A checkpoint that could be opened, taken further: its sums, and its weights when they are few. */
#ifndef FUZZ_LOAD_MODEL_H
#define FUZZ_LOAD_MODEL_H

#include "checkpoint/checkpoint.h"

static inline Device *fuzz_device(void) {
    static Device *d;
    if (!d) ASSERT(device_open("ref", 1, NULL, &d, NULL) == MAE_OK, "no device");
    return d;
}

static inline void fuzz_load_model(const CheckpointFile *c) {
    Error err = {0};
    Vit *v;
    if (vit_describe(fuzz_device(), &c->config, true, TUNE_ALL, &v, &err) != MAE_OK) return;
    int64_t n = vit_parameters(v);
    ASSERT(n > 0 && vit_encoder_parameters(v) <= n, "%lld parameters", (long long)n);
    vit_free(v);
    if (n > 10000) return;
    ASSERT(vit_new(fuzz_device(), &c->config, false, TUNE_ALL, &v, &err) == MAE_OK, "%s",
           err.message);
    if (checkpoint_read(c, v, &err) != MAE_OK)
        ASSERT(err.message[0] != 0, "a failure without a message");
    vit_free(v);
}

/* Opens PATH as `mae info` does, as everything else does, and for one of several models. */
static inline void fuzz_open_checkpoint(const char *path) {
    static const CheckpointHints describe = {.describe_only = true};
    static const CheckpointHints teacher = {.heads = 2, .prefix = "teacher"};
    Error err = {0};
    CheckpointFile *c;
    if (checkpoint_open(path, NULL, &c, &err) == MAE_OK) {
        fuzz_load_model(c);
        checkpoint_close(c);
    } else {
        ASSERT(err.message[0] != 0, "a failure without a message");
    }
    if (checkpoint_open(path, &describe, &c, NULL) == MAE_OK) checkpoint_close(c);
    if (checkpoint_open(path, &teacher, &c, NULL) == MAE_OK) checkpoint_close(c);
}

#endif
