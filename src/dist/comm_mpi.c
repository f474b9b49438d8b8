/* Messages by MPI (Open MPI, MPICH and their kin), linked with `make MPI=1`. MPI is started only
 * when a launcher started this process: a plain call costs nothing.
 *
 * Whoever waits polls, so that it can sleep when processes are more than processors, and so that a
 * process that never answers ends in a message instead of a hang. Errors of MPI itself end the job
 * (its default). */
#include <mpi.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "base/memory.h"
#include "base/threads.h"
#include "dist/backend.h"

enum { IN_FLIGHT = 512, SPINS = 2000, LARGEST = 1 << 30 };

#define PATIENCE_S 1800 /* a validation or a slow disk may take that long on one rank */

typedef struct Mpi {
    MPI_Comm comm;
    MPI_Request request[IN_FLIGHT];
    MPI_Status status[IN_FLIGHT]; /* nobody looks at them */
    int n;
    int rank;
} Mpi;

/* --- waiting ---------------------------------------------------------------------------------- */

static bool done(Mpi *m) {
    int all = 1;
    if (m->n) MPI_Testall(m->n, m->request, &all, m->status);
    if (all) m->n = 0;
    return all != 0;
}

static void give_up(Mpi *m) {
    log_line(LOG_ERROR, "rank %d waited %d s for the others; the job is ended", m->rank,
             PATIENCE_S);
    MPI_Abort(m->comm, 1);
}

static void wait_all(void *state) {
    Mpi *m = state;
    double start = 0;
    for (int spins = 0; !done(m); spins++) {
        if (spins < SPINS) continue;
        const struct timespec nap = {.tv_nsec = 50 * 1000};
        nanosleep(&nap, NULL);
        if (start == 0) start = clock_seconds();
        if (clock_seconds() - start > PATIENCE_S) give_up(m);
    }
}

static void progress(void *state) {
    (void)done(state);
}

/* --- messages --------------------------------------------------------------------------------- */

static MPI_Request *next_request(Mpi *m) {
    if (m->n == IN_FLIGHT) wait_all(m);
    return &m->request[m->n++];
}

/* MPI counts in int: long messages go in parts. */
static void start_broadcast(void *state, void *x, size_t bytes, int root) {
    Mpi *m = state;
    for (size_t at = 0; at < bytes; at += LARGEST) {
        size_t n = bytes - at < LARGEST ? bytes - at : LARGEST;
        MPI_Ibcast((char *)x + at, (int)n, MPI_BYTE, root, m->comm, next_request(m));
    }
}

static void start_sum(void *state, void *x, int64_t n, size_t real_bytes, int root) {
    Mpi *m = state;
    MPI_Datatype type = real_bytes == sizeof(float) ? MPI_FLOAT : MPI_DOUBLE;
    int64_t part = LARGEST / 8;
    for (int64_t at = 0; at < n; at += part) {
        int count = (int)(n - at < part ? n - at : part);
        void *p = (char *)x + (size_t)at * real_bytes;
        if (root < 0)
            MPI_Iallreduce(MPI_IN_PLACE, p, count, type, MPI_SUM, m->comm, next_request(m));
        else if (root == m->rank)
            MPI_Ireduce(MPI_IN_PLACE, p, count, type, MPI_SUM, root, m->comm, next_request(m));
        else
            MPI_Ireduce(p, NULL, count, type, MPI_SUM, root, m->comm, next_request(m));
    }
}

static void sum(void *state, double *x, int64_t n) {
    start_sum(state, x, n, sizeof *x, -1);
    wait_all(state);
}

static void broadcast(void *state, void *x, size_t bytes, int root) {
    start_broadcast(state, x, bytes, root);
    wait_all(state);
}

static void gather(void *state, void *all, const void *mine, size_t bytes) {
    Mpi *m = state;
    ASSERT(bytes <= LARGEST, "%zu bytes of each process", bytes);
    MPI_Iallgather(mine, (int)bytes, MPI_BYTE, all, (int)bytes, MPI_BYTE, m->comm, next_request(m));
    wait_all(m);
}

static const CommBackend MPI = {.sum = sum,
                                .broadcast = broadcast,
                                .gather = gather,
                                .start_sum = start_sum,
                                .start_broadcast = start_broadcast,
                                .progress = progress,
                                .wait = wait_all};

/* --- joining ---------------------------------------------------------------------------------- */

static Mpi job;

static void leave(void) {
    int finalized = 0;
    MPI_Finalized(&finalized);
    if (!finalized) MPI_Finalize();
}

/* Open MPI adds in the background along a binomial tree, whose root moves every message 2 log2(n)
 * times; with recursive halving (its number 3) nobody moves more than two. A setting of the user
 * stays. */
static void prefer_halving(void) {
    (void)setenv("OMPI_MCA_coll_libnbc_iallreduce_algorithm", "3", 0);
    (void)setenv("OMPI_MCA_coll_libnbc_ireduce_algorithm", "3", 0);
}

/* What Open MPI, MPICH and its kin, PMIx and Slurm leave in the environment of what they start. A
 * batch script of Slurm itself is a step of one task. */
static bool was_launched(void) {
    static const char *const names[] = {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "PMI_RANK", "PMIX_RANK",
                                        "MV2_COMM_WORLD_SIZE"};
    const char *tasks = getenv("SLURM_STEP_NUM_TASKS");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (getenv(names[i])) return true;
    return tasks && strcmp(tasks, "1") != 0;
}

/* Processes on this machine that may run on the same processors share them. */
static int fair_share(MPI_Comm comm, int rank) {
    MPI_Comm machine;
    int size, sharing = 0;
    cpu_set_t mine, *all;
    CPU_ZERO(&mine);
    if (sched_getaffinity(0, sizeof mine, &mine) != 0) CPU_ZERO(&mine);
    MPI_Comm_split_type(comm, MPI_COMM_TYPE_SHARED, rank, MPI_INFO_NULL, &machine);
    MPI_Comm_size(machine, &size);
    all = mem_alloc_array((size_t)size, sizeof *all);
    if (all) {
        MPI_Allgather(&mine, sizeof mine, MPI_BYTE, all, sizeof mine, MPI_BYTE, machine);
        for (int i = 0; i < size; i++) sharing += CPU_EQUAL(&mine, &all[i]) != 0;
    }
    mem_free(all);
    MPI_Comm_free(&machine);
    int n = threads_available() / (sharing > 0 ? sharing : size);
    return n > 0 ? n : 1;
}

Status comm_backend_open(Comm *c, bool *together, Error *err) {
    int started = 0, level = MPI_THREAD_FUNNELED;
    *together = false;
    MPI_Initialized(&started);
    if (!started && !was_launched()) return STATUS_OK;
    if (!started) {
        prefer_halving();
        if (MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &level) != MPI_SUCCESS)
            return fail(err, STATUS_UNSUPPORTED,
                        "MPI cannot be started; is this the mpirun of the "
                        "MPI that the program was built with?");
        atexit(leave);
    }
    MPI_Comm_size(MPI_COMM_WORLD, &c->size);
    if (c->size == 1) return STATUS_OK;
    if (level < MPI_THREAD_FUNNELED)
        return fail(err, STATUS_UNSUPPORTED, "this MPI allows no threads beside it");
    MPI_Comm_dup(MPI_COMM_WORLD, &job.comm);
    MPI_Comm_rank(job.comm, &job.rank);
    c->rank = job.rank;
    c->backend = &MPI;
    c->state = &job;
    c->processors = fair_share(job.comm, job.rank);
    *together = true;
    return STATUS_OK;
}
