/* A trained model looks at images, a batch at a time. With nothing removed, autoencoders and bare
 * encoders give features, tokens and attention, classifiers also logits. With patches removed, an
 * autoencoder gives what it predicts, and the pictures that this makes. A session has a graph of a
 * fixed batch and fills short batches up. It reads the weights as they are when it runs. */
#ifndef INFER_SESSION_H
#define INFER_SESSION_H

#include "data/loader.h"
#include "dist/comm.h"
#include "mae.h"
#include "model/classifier.h"
#include "model/mask.h"

typedef struct SessionOptions {
    int64_t batch;
    PoolKind pool; /* of the features; ALL: cls, then raster order */
    /* 0: features after the final norm; of a classifier, what its head reads. N, from 1: the tokens
     * that block N puts out, without the final norm; later blocks are not computed. */
    int64_t block;
    bool attention; /* session_attention will be called */
    bool tokens;    /* session_tokens will be called */
    /* Gives those of a classifier and what its head reads; with `features`, features by pool and
     * block instead of what the head reads. */
    bool logits, features;
    bool from_features; /* with logits: features are given, only the head runs */
    bool floats;        /* session_run_floats will be called */
    MaeType type;       /* of the pixels that session_run gets */
    /* Of an autoencoder: n_keep patches of an image stay, the others are removed. Of the above,
     * batch and floats alone have an effect then. */
    bool masked;
    int64_t n_keep;
    bool paste;        /* reconstructions show the patches that stayed as they are */
    bool interpolated; /* norm-pix: statistics of removed patches from those that stayed */
} SessionOptions;

typedef struct Session Session;
/* USAGE: a block that the model does not have; block 0 of a classifier with another pool than it
 * was trained with; an impossible n_keep. UNSUPPORTED: masked, and the model has no decoder. */
Status session_new(Vit *v, SessionOptions o, Session **out, Error *err);
void session_free(Session *s); /* accepts NULL */
int64_t session_batch(const Session *s);
/* Features of an image: D values, or (1+P)*D for all tokens. */
int64_t session_values(const Session *s);
int64_t session_classes(const Session *s); /* logits of an image */
/* The graph behind it, to measure and to watch: its FLOPs, bytes and ops. */
Graph *session_graph(Session *s);

/* Runs n <= batch images [n,h,w,C], or with from_features their features float [n,D]. False: the
 * graph was stopped (watch_images), and there are no results. */
bool session_run(Session *s, const void *images, int64_t n);
/* The same with normalised images [n,C,h,w]. */
bool session_run_floats(Session *s, const float *images, int64_t n);
/* Memory of the session for a whole batch, for whoever has no images of his own to give to
 * session_run and session_run_floats. */
void *session_staged(Session *s);
float *session_staged_floats(Session *s);
/* Before the first run of a masked session: the masks of the runs that follow. m has the batch of
 * the session and its n_keep; it is read until other masks are set. */
void session_set_masks(Session *s, Masks *m);

/* Results of the last run, valid until the next: [n, session_values], and with logits [n, classes].
 * They are downloaded when first asked for. */
const float *session_features(Session *s);
const float *session_tokens(Session *s); /* [n,1+P,D], after the same norm as the features */
const float *session_logits(Session *s);
/* The softmax of the logits of image i of the last run: p[classes]. */
void session_probabilities(Session *s, int64_t i, double *p);
/* Writes the attention of the cls token to the patches for image i of the last run: out[H,P]. It is
 * that of options.block (0: the last one). A head's values sum to at most 1. */
void session_attention(Session *s, int64_t i, float *out);

/* Of a masked session; V values of a predicted patch, patches in raster order. */
const float *session_images(Session *s);     /* [n,C,h,w], as the model sees them: normalised */
const float *session_prediction(Session *s); /* [n,P,V] */
const float *session_patch_loss(Session *s); /* [n,P] */
/* [n,1+n_keep,D]: cls, then the patches that stayed in the order of Masks.ids_keep. With mask
 * tokens in the encoder [n,1+P,D] in raster order. */
const float *session_latent(Session *s);
int64_t session_latent_tokens(const Session *s);
/* The mean of the patch losses of image i over its removed patches; NaN: it has none. */
float session_loss(Session *s, int64_t i);
/* [n,P]: mean and deviation of the normalised pixels of a patch. A prediction for norm-pix times
 * the deviation plus the mean are normalised pixels. The variance is a sample's, plus 1e-6. */
const float *session_patch_mean(Session *s);
const float *session_patch_std(Session *s);
/* [n,C,h,w]: the prediction as pixels, cut to 0..1. */
const float *session_reconstruction(Session *s);
/* The masks of the last run. */
const Masks *session_masks(const Session *s);

/* --- the images of a dataset ------------------------------------------------------------------ */

typedef struct SessionJob {
    Dataset *data;
    Augment augment;
    int workers;
    bool strict;       /* an unreadable image is an error, otherwise it is left out */
    bool named;        /* then an error in the log, as LoaderOptions has it */
    uint64_t seed;     /* of corruptions */
    int64_t limit;     /* the first images, 0: all */
    Comm *comm;        /* each process takes a part of them; NULL: alone */
    const char *phase; /* for the progress: "validate" */
} SessionJob;

/* Called after each batch, in order of the samples; the session has its results. */
typedef Status (*SessionSink)(void *user, Session *s, const Batch *b, Error *err);
/* Runs each image once and leaves out those that cannot be read. A failure of one process is that
 * of all. EMPTY: no process could read any, and they are not named. INTERRUPTED: a stop was asked
 * for. */
Status session_stream(Session *s, const SessionJob *job, SessionSink sink, void *user, Error *err);

#endif
