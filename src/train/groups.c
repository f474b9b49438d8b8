/* See groups.h. */
#include "train/groups.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static bool is_embedding(const char *name) {
    return strcmp(name, "cls_token") == 0 || strcmp(name, "pos_embed") == 0;
}

static int64_t layer_of(const char *name, int64_t depth) {
    if (is_embedding(name) || strncmp(name, "patch_embed.", 12) == 0) return 0;
    if (strncmp(name, "blocks.", 7) == 0) return strtoll(name + 7, NULL, 10) + 1;
    return depth + 1;
}

ParamGroup param_group(const GroupOptions *o, const char *name, int n_dims) {
    bool decayed = n_dims > 1 && !(o->fine_tuning && is_embedding(name));
    ParamGroup g = {.layer = layer_of(name, o->depth),
                    .lr_scale = 1,
                    .weight_decay = decayed ? o->weight_decay : 0};
    if (o->fine_tuning) g.lr_scale = pow(o->layer_decay, (double)(o->depth + 1 - g.layer));
    return g;
}
