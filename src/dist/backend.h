/* What comm.c needs of a way to send messages; see comm.h for what the rows promise. */
#ifndef DIST_BACKEND_H
#define DIST_BACKEND_H

#include "dist/comm.h"

typedef struct CommBackend {
    void (*sum)(void *state, double *x, int64_t n);
    void (*broadcast)(void *state, void *x, size_t bytes, int root);
    void (*gather)(void *state, void *all, const void *mine, size_t bytes);
    void (*start_sum)(void *state, void *x, int64_t n, size_t number_bytes, int root);
    void (*start_broadcast)(void *state, void *x, size_t bytes, int root);
    void (*progress)(void *state);
    void (*wait)(void *state);
    Status (*watch)(void *state, double timeout_s, Error *err);
    void (*watch_unheard)(void *state);
} CommBackend;

struct Comm {
    const CommBackend *backend;
    void *state;
    int rank, size;
    int processors;
};

/* Defined by the one file that is linked: fills *c and sets *together, or says that this process is
 * alone. Called once. */
Status comm_backend_open(Comm *c, bool *together, Error *err);

#endif
