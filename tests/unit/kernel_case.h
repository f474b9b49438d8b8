/* One call of a kernel, run on every device that tests know (deferred.h), on "cpu" with every ISA
 * that runs here. The buffers hold host data; run on ref64 the call gives the expected values, run
 * on the others it must agree, and give the same bits for any number of threads. Outputs start as
 * NaN, so one that is not written shows. A call gets device addresses; what else it needs on the
 * device it takes, fills and reads through the functions of device.h, and checks there itself. */
#ifndef TESTS_UNIT_KERNEL_CASE_H
#define TESTS_UNIT_KERNEL_CASE_H

#include "base/rng.h"
#include "kernels/device.h"

enum { CASE_BUFFERS = 12 };

typedef enum BufferKind { INPUT, OUTPUT, IN_OUT } BufferKind;

typedef struct Case Case;
typedef void (*KernelCall)(Device *d, void **p, const Case *c);

struct Case {
    KernelCall call;
    int64_t dim[6]; /* as the call reads them */
    int flags;      /* likewise */
    bool accumulate;
    double growth;      /* allowed error in units of float epsilon, relative to max(1, value);
                           INFINITY: the call itself checks */
    bool nan_expected;  /* where ref64 gives NaN, so must the others */
    const int32_t *ids; /* [n_ids]; calls get a copy on the device */
    int64_t n_ids;
    int n;
    struct {
        BufferKind kind;
        int64_t n;
        float *host;
    } buffers[CASE_BUFFERS];
};

/* Adds a buffer of n random values in [-1,1] (NaN for OUTPUT) and returns its host data. */
float *case_add(Case *c, Rng *rng, BufferKind kind, int64_t n);
/* Runs on all devices, checks, and frees the buffers. */
void case_check(Case *c);

Device *open_device(const char *name, int n_threads, const char *isa);
/* Scratch full of NaN. */
void *scratch_new(Device *d, size_t bytes);
/* ids[B,M]: for each image M different patches of P, in random order. Free with free(). */
int32_t *random_ids(Rng *rng, int64_t B, int64_t M, int64_t P);

#endif
