/* The masked autoencoder of the paper: graphs over a Vit that has a decoder.
 * Encoder: patch embedding of the kept patches, cls token, fixed sin-cos positions, blocks, norm.
 * Decoder: embedding, mask tokens, positions, blocks, norm, prediction. */
#ifndef MODEL_AUTOENCODER_H
#define MODEL_AUTOENCODER_H

#include "model/mask.h"

/* What a graph computes. */
typedef enum ForwardKind {
    FORWARD_TRAIN, /* loss; prediction for the removed patches only */
    FORWARD_FULL   /* loss; prediction for all patches */
} ForwardKind;

typedef struct AutoencoderGraph {
    Graph *graph;
    int64_t batch, n_keep, n_pred;
    Value *pixels;      /* input [B,h,w,C], NULL when built for float images */
    Value *images;      /* [B,C,h,w] normalised; an input when pixels is NULL */
    Value *ids_keep;    /* input i32 [B,K] */
    Value *ids_restore; /* input i32 [B,P] */
    Value *ids_pred;    /* input i32 [B,M]: patches predicted */
    Value *mask;        /* input real [B,P] */
    Value *latent;      /* [B,1+K,D] (all tokens when the encoder sees mask tokens) */
    Value *pred, *target, *loss_per_patch, *loss;
} AutoencoderGraph;

/* Built, not yet planned. input: as in layer_images. USAGE: impossible n_keep. */
Status autoencoder_graph(Vit *a, ForwardKind kind, int64_t batch, int64_t n_keep, Number input,
                         AutoencoderGraph *out, Error *err);
/* Uploads the masks of a batch. m has the batch and the kept patches of the graph. */
void autoencoder_set_masks(AutoencoderGraph *g, Masks *m);

#endif
