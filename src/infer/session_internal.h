/* What the files of a session share. */
#ifndef INFER_SESSION_INTERNAL_H
#define INFER_SESSION_INTERNAL_H

#include "infer/session.h"
#include "model/autoencoder.h"

/* A result of the graph, or one that is made of such results on the host. */
typedef struct Output {
    Value *value; /* NULL: not asked for, or made on the host */
    float *host;
    int64_t n;     /* elements */
    bool is_there; /* downloaded or made since the last run */
} Output;

typedef enum OutputKind {
    OUT_FEATURES,
    OUT_TOKENS,
    OUT_LOGITS,
    OUT_QKV, /* [B,T,3C] of the block whose attention is asked for */
    /* of a masked session */
    OUT_IMAGES, /* normalised [B,C,h,w] */
    OUT_PREDICTION,
    OUT_PATCH_LOSS,
    OUT_LATENT,
    OUT_PATCH_MEAN,
    OUT_PATCH_STD,
    OUT_RECONSTRUCTION,
    N_OUTPUTS
} OutputKind;

/* Of the normalised pixels of a patch, or interpolated. */
typedef struct PatchStatistics {
    double mean, variance;
} PatchStatistics;

struct Session {
    Vit *model;
    SessionOptions options;
    Graph *graph;
    Value *input, *images, *ids; /* images: normalised, for session_run_floats */
    AutoencoderGraph masked;     /* its graph is `graph`; zeros without masks */
    Masks *masks;                /* the caller's */
    int64_t n;                   /* images of the last run */
    Output outputs[N_OUTPUTS];
    void *staged;                /* the batch as it is given to the graph, a short one filled up */
    float *floats;               /* the same for session_run_floats */
    PatchStatistics *statistics; /* [B,P] */
    float *patch, *basis, *centre; /* one patch; PCA */
};

/* The values of an output of the last run. */
const float *session_download(Session *s, OutputKind kind);
/* Memory for what is made of a masked session's outputs on the host. */
Status session_take_reconstruction(Session *s, Error *err);
void session_free_reconstruction(Session *s);

#endif
