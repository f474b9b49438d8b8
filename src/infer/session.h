/* A trained model looks at images, a batch at a time and with nothing masked. Autoencoders and bare
 * encoders give features and attention, classifiers also logits. A session has a graph of a fixed
 * batch and fills short batches up. It reads the weights as they are when it runs. */
#ifndef INFER_SESSION_H
#define INFER_SESSION_H

#include "data/loader.h"
#include "dist/comm.h"
#include "mae.h"
#include "model/classifier.h"

typedef struct SessionOptions {
    int64_t batch;
    PoolKind pool; /* of the features; ALL: cls, then raster order */
    /* 0: features after the final norm; of a classifier, what its head reads. N, from 1: the tokens
     * that block N puts out, without the final norm; later blocks are not computed. */
    int64_t block;
    bool attention; /* session_attention will be called */
    /* Gives those of a classifier and what its head reads. pool, block, attention do nothing. */
    bool logits;
    bool from_features; /* with logits: features are given, only the head runs */
} SessionOptions;

typedef struct Session Session;
/* USAGE: a block that the model does not have; block 0 of a classifier with another pool than it
 * was trained with. */
Status session_new(Vit *v, SessionOptions o, Session **out, Error *err);
void session_free(Session *s); /* accepts NULL */
int64_t session_batch(const Session *s);
/* Features of an image: D values, or (1+P)*D for all tokens. */
int64_t session_values(const Session *s);
int64_t session_classes(const Session *s); /* logits of an image */
/* The graph behind it, to measure and to watch: its FLOPs, bytes and ops. */
Graph *session_graph(Session *s);

/* Runs n <= batch images u8 [n,h,w,C], or with from_features their features float [n,D]. False: the
 * graph was stopped (watch_images), and there are no results. */
bool session_run(Session *s, const void *images, int64_t n);
/* Results of the last run, valid until the next: [n, session_values], and with logits [n, classes].
 * They are downloaded when first asked for. */
const float *session_features(Session *s);
const float *session_logits(Session *s);
/* Writes the attention of the cls token to the patches for image i of the last run: out[H,P]. It is
 * that of options.block (0: the last one). A head's values sum to at most 1. */
void session_attention(Session *s, int64_t i, float *out);

/* --- the images of a dataset ------------------------------------------------------------------ */

typedef struct SessionJob {
    Dataset *data;
    Augment augment;
    int workers;
    bool strict;       /* an unreadable image is an error, otherwise it is left out */
    uint64_t seed;     /* of corruptions */
    int64_t limit;     /* the first images, 0: all */
    Comm *comm;        /* each process takes a part of them; NULL: alone */
    const char *phase; /* for the progress: "validate" */
    const MaeEvents *events;
} SessionJob;

/* Called after each batch, in order of the samples; the session has its results. */
typedef Status (*SessionSink)(void *user, Session *s, const Batch *b, Error *err);
/* Runs each image once and leaves out those that cannot be read. A failure of one process is that
 * of all. EMPTY: no process could read any. INTERRUPTED: a stop was asked for. */
Status session_stream(Session *s, const SessionJob *job, SessionSink sink, void *user, Error *err);

#endif
