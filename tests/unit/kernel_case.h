/* One call of a kernel, run on every device that tests know (deferred.h), on "cpu" with every ISA
 * that runs here. The buffers hold host data; run on ref64 the call gives the expected values, run
 * on the others it must agree, and give the same bits for any number of threads. Where a device
 * has a narrow Real, ref64 gets what that device reads: rounded inputs, and for `then` what the
 * call has stored there. So a Real may be one rounding (2^-8) off, and a Wide none. Outputs start
 * as NaN, so one that is not written shows. A call gets device addresses; what else it needs on the
 * device it takes, fills and reads through the functions of device.h, and checks there itself.
 *
 * kernel_bench.c makes the same cases in the sizes of real models and times their rows. */
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
    KernelCall then; /* NULL, or rows that read OUTPUTs of the call */
    int64_t dim[6];  /* as the call reads them */
    int flags;       /* likewise */
    bool accumulate;
    double growth;     /* allowed error in units of float epsilon, relative to max(1, value);
                      INFINITY: the call itself checks */
    bool nan_expected; /* where ref64 gives NaN, so must the others */
    int32_t *ids;      /* [n_ids]; calls get a copy on the device */
    int64_t n_ids;
    const char *timed; /* what is timed, in words; NULL: every row is called once */
    int n;
    struct {
        BufferKind kind;
        Number type;
        bool is_weight;
        int64_t n;
        float *host;
    } buffers[CASE_BUFFERS];
};

/* Adds a buffer of n random values in [-1,1] (NaN for OUTPUT) and returns its host data. */
float *case_real(Case *c, Rng *rng, BufferKind kind, int64_t n);
float *case_wide(Case *c, Rng *rng, BufferKind kind, int64_t n);
/* Of Wides that a product reads rounded to Real. */
float *case_weight(Case *c, Rng *rng, BufferKind kind, int64_t n);
/* For each of B images M different patches of P, in random order; returns them. */
int32_t *case_ids(Case *c, Rng *rng, int64_t B, int64_t M, int64_t P);
/* Runs on all devices, checks, and frees what the case has. */
void case_check(Case *c);
/* Checks that "refbf16" agrees with ref64, and does not with a fault (narrow.h); frees the case. */
void case_finds(Case *c, void (*put_fault_in)(Kernels *k));
/* Runs on one device, for what the call does beside its results. */
void case_run(const Case *c, Device *d);
void case_free(Case *c);

/* --- rows, and how long they take ------------------------------------------------------------- */

/* What a row does in one call: FLOPs, or bytes read and written. */
typedef struct Work {
    double amount;
    const char *unit; /* of amount / 1e9 in a second */
} Work;

Work work_flops(double n);
/* Numbers read and written; what the caches surely keep is left out. */
Work work_moved(const Device *d, int64_t reals, int64_t wides);

enum { MOST_TIMES = 99 };

typedef struct RowTimer {
    const Case *c;
    Device *d;
    const char *row;
    Work work;
    int calls, left; /* between two looks at the clock */
    double begun, total, seconds[MOST_TIMES];
    int n;
} RowTimer;

RowTimer row_start(const Case *c, Device *d, const char *row, Work work);
bool row_again(RowTimer *t);

/* Calls a row of the device, as d->kernels.row(d, ...): once, or, where the case is timed, until
 * its time is known. Memory and scratch are taken outside. */
#define ROW(c, d, work, row, ...)                                                                  \
    for (RowTimer timer_ = row_start(c, d, #row, work); row_again(&timer_);)                       \
    (d)->kernels.row(d, __VA_ARGS__)

/* Makes the case of a shape. */
typedef void CaseMaker(Case *c, Rng *rng, const int64_t *n, int flags);

typedef struct Bench {
    const char *name, *what;
    CaseMaker *make;
    int64_t n[6];
    int flags;
} Bench;

/* Each ends with a name NULL. */
extern const Bench benches[], benches_classify[], benches_optim[];
/* unit_tests --bench kernels; gives the exit status. */
int kernel_bench(int argc, char **argv);

Device *open_device(const char *name, int n_threads, const char *isa);
/* Scratch full of NaN. */
void *scratch_new(Device *d, size_t bytes);
/* ids[B,M]: for each image M different patches of P, in random order. Free with free(). */
int32_t *random_ids(Rng *rng, int64_t B, int64_t M, int64_t P);

#endif
