/* The encoder on all patches, nothing masked: what features, classifiers and exports compute of an
 * image. A masked autoencoder's encoder sees some of the patches only (autoencoder.h). */
#ifndef MODEL_ENCODER_H
#define MODEL_ENCODER_H

#include "model/layers.h"

typedef struct EncoderGraph {
    Value *pixels; /* input u8 [B,h,w,C]; NULL when built for float images */
    Value *images; /* [B,C,h,w] normalised; an input when pixels is NULL */
    Value *ids;    /* input i32 [B,P]: all patches in order, see encoder_set_ids */
    Value *tokens; /* [B,1+P,D] as the last block puts them out: cls, then raster order */
} EncoderGraph;

/* Adds the embedding and the first `blocks` blocks to the graph of l. The tokens after each block,
 * before any final norm, are there under its name: graph_find of "blocks.0" and so on. */
EncoderGraph encoder_build(Layers *l, int64_t batch, bool float_images, int64_t blocks);
/* tokens[B,1+P,D] -> [B,D]: mean of the patch tokens, or the cls token; ALL: as they are. */
Value *encoder_pool(Graph *g, PoolKind pool, Value *tokens);
/* The same after the final norm. Without a head the tokens are normalised; a classifier normalises
 * what it pooled, as its head reads it. */
Value *encoder_features(Layers *l, PoolKind pool, Value *tokens);
/* All patches in order, once the graph is planned. */
Status encoder_set_ids(Graph *g, Value *ids, Error *err);

#endif
