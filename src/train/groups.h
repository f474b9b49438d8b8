/* Parameter groups as published: which parameters are decayed, and by how much the learning rate of
 * each layer is scaled. */
#ifndef TRAIN_GROUPS_H
#define TRAIN_GROUPS_H

#include "graph/graph.h"

typedef struct GroupOptions {
    double weight_decay;
    bool fine_tuning;   /* embeddings are not decayed, and layers have their own rate */
    double layer_decay; /* fine-tuning: rate of a layer over that of the next; 1 = all the same */
    int64_t depth;      /* blocks */
} GroupOptions;

typedef struct ParamGroup {
    int64_t layer; /* 0 stem, i+1 block i, depth+1 what follows */
    double lr_scale, weight_decay;
} ParamGroup;

/* Source: timm's add_weight_decay (pre-training), util/lr_decay of the published code
 * (fine-tuning). */
ParamGroup param_group(const GroupOptions *o, const ParamRole *role);

#endif
