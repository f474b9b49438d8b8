/* Which project the weights come from, where the file shows it. What that project does to all its
 * models alike (pixel statistics, heads) then need not be assumed. */
#ifndef CHECKPOINT_ORIGIN_H
#define CHECKPOINT_ORIGIN_H

#include "checkpoint/checkpoint.h"

/* MAE is facebookresearch/mae, known by its options, a decoder, or its fixed positions. MOCO is
 * known by its prefixes, or by its fixed positions, which count rows first. */
#define ORIGIN_WORDS(X)                                                                            \
    X(ORIGIN_UNKNOWN, "")                                                                          \
    X(ORIGIN_MAE, "facebookresearch/mae")                                                          \
    X(ORIGIN_MOCO, "MoCo v3")
WORDS_DECLARE(Origin, origin_words, ORIGIN_WORDS)

/* Dialect and sizes must be known. Reads the positions when names say nothing. */
Origin origin_of(const CheckpointFile *c);

/* Heads by the names that timm, DeiT and others give their models ("vit_small_patch16_224"); 0: the
 * name says nothing about a model of this width. */
int64_t origin_heads_of_name(const char *name, int64_t width);
/* The width that such a name stands for; 0: none. */
int64_t origin_width_of_name(const char *name);

#endif
