/* A classifier: the encoder sees all patches, and a head reads its pooled and normalised tokens.
 * The config of the Vit has a head. Source: models_vit and main_linprobe of the published code. */
#ifndef MODEL_CLASSIFIER_H
#define MODEL_CLASSIFIER_H

#include "model/encoder.h"

typedef struct ClassifierOptions {
    int64_t batch;
    bool train;         /* targets and loss; a probe's batch norm takes the batch's statistics */
    bool float_images;  /* images are given normalised instead of as pixels */
    MaeType type;       /* of the pixels */
    bool from_features; /* a probe over features that are given: no encoder in the graph */
    double drop_path;   /* rate of the last block; rises linearly from 0 in the first */
    const GraphPeers *peers; /* their batches are one with this one; NULL: none */
} ClassifierOptions;

typedef struct ClassifierGraph {
    Graph *graph;
    int64_t batch;
    EncoderGraph encoder; /* ids are set by classifier_plan; zeroed with from_features */
    Value *features;      /* [B,D], input of the head; an input with from_features */
    Value *logits;        /* [B,classes] */
    Value *targets;       /* input [B,classes], rows sum to 1 */
    Value *loss;          /* [1], cross-entropy, mean over the batch */
    Value **drop;         /* stochastic depth: 2*depth inputs [B] (attention, MLP of each block), an
                             entry NULL where the rate is 0; NULL without stochastic depth */
} ClassifierGraph;

/* Built, not yet planned. */
Status classifier_graph(Vit *v, ClassifierOptions o, ClassifierGraph *out, Error *err);
/* Plans the graph, with features, logits and loss kept readable, and sets the patch numbers. */
Status classifier_plan(ClassifierGraph *g, GraphMode mode, Error *err);
void classifier_graph_free(ClassifierGraph *g); /* accepts a zeroed one */
/* Rate of block i: linear from 0 to `rate`. */
double classifier_drop_rate(double rate, int64_t i, int64_t depth);
/* The factor of a branch for a uniform number u: 0, or 1 / (1 - rate). */
float classifier_drop_scale(double rate, double u);

#endif
