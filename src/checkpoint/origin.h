/* Which project weights come from, where the file itself shows it. What a project does to all its
 * models alike (pixel statistics, heads) is then known and need not be assumed. */
#ifndef CHECKPOINT_ORIGIN_H
#define CHECKPOINT_ORIGIN_H

#include "checkpoint/checkpoint.h"

typedef enum Origin {
    ORIGIN_UNKNOWN,
    ORIGIN_MAE, /* facebookresearch/mae: its options, a decoder, or its fixed positions */
    ORIGIN_MOCO /* MoCo v3: its prefixes, or its fixed positions, which count rows first */
} Origin;

/* Of a file whose dialect and sizes are known; reads the positions when names say nothing. */
Origin origin_of(const CheckpointFile *c);
const char *origin_name(Origin o);

/* Heads by the names that timm, DeiT and others give their models ("vit_small_patch16_224"); 0: the
 * name says nothing about a model of this width. */
int64_t origin_heads_of_name(const char *name, int64_t width);
/* The width that such a name stands for; 0: none. */
int64_t origin_width_of_name(const char *name);

#endif
