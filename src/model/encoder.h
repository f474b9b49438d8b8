/* The encoder on all patches, with nothing masked. Features, classifiers and exports use it. The
 * encoder of a masked autoencoder sees some of the patches only (autoencoder.h). */
#ifndef MODEL_ENCODER_H
#define MODEL_ENCODER_H

#include "model/layers.h"

typedef struct EncoderGraph {
    Value *pixels; /* input [B,h,w,C]; NULL when built for float images */
    Value *images; /* [B,C,h,w] normalised; an input when pixels is NULL */
    Value *ids;    /* input i32 [B,P]: all patches in order, see encoder_set_ids */
    Value *tokens; /* [B,1+P,D] as the last block puts them out: cls, then raster order */
} EncoderGraph;

/* Adds the embedding and the first `blocks` blocks to the graph of l. graph_find of "blocks.0" and
 * so on gives the tokens after each block, before any final norm. */
EncoderGraph encoder_build(Layers *l, int64_t batch, Number input, int64_t blocks);
/* tokens[B,1+P,D] -> [B,D]: mean of the patch tokens, or the cls token; ALL: as they are. */
Value *encoder_pool(Graph *g, PoolKind pool, Value *tokens);
/* The same with the final norm. Without a head the tokens are normalised, then pooled. A classifier
 * pools first and normalises the result, which its head reads. */
Value *encoder_features(Layers *l, PoolKind pool, Value *tokens);
/* Sets ids to all patches in order. The graph must be planned. MEMORY. */
Status encoder_set_ids(Graph *g, Value *ids, Error *err);

#endif
