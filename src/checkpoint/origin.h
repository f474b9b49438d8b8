/* Which project weights come from, where the file itself shows it. What a project does to all its
 * models alike (pixel statistics, heads) is then known and need not be assumed. */
#ifndef CHECKPOINT_ORIGIN_H
#define CHECKPOINT_ORIGIN_H

#include "checkpoint/checkpoint.h"

/* MAE: facebookresearch/mae, by its options, a decoder, or its fixed positions. MOCO: by its
 * prefixes, or its fixed positions, which count rows first. */
#define ORIGIN_WORDS(X)                                                                            \
    X(ORIGIN_UNKNOWN, "")                                                                          \
    X(ORIGIN_MAE, "facebookresearch/mae")                                                          \
    X(ORIGIN_MOCO, "MoCo v3")
WORDS_DECLARE(Origin, origin_words, ORIGIN_WORDS)

/* Of a file whose dialect and sizes are known; reads the positions when names say nothing. */
Origin origin_of(const CheckpointFile *c);

/* Heads by the names that timm, DeiT and others give their models ("vit_small_patch16_224"); 0: the
 * name says nothing about a model of this width. */
int64_t origin_heads_of_name(const char *name, int64_t width);
/* The width that such a name stands for; 0: none. */
int64_t origin_width_of_name(const char *name);

#endif
