/* See groups.h. */
#include "train/groups.h"

#include <math.h>

static int64_t layer_of(const ParamRole *role, int64_t depth) {
    if (role->part == PART_STEM) return 0;
    return role->part == PART_BLOCK ? role->half / 2 + 1 : depth + 1;
}

ParamGroup param_group(const GroupOptions *o, const ParamRole *role) {
    bool decayed = role->decayed && !(o->fine_tuning && role->embedding);
    ParamGroup g = {.layer = layer_of(role, o->depth),
                    .lr_scale = 1,
                    .weight_decay = decayed ? o->weight_decay : 0};
    if (o->fine_tuning) g.lr_scale = pow(o->layer_decay, (double)(o->depth + 1 - g.layer));
    return g;
}
