/* Messages by MPI (Open MPI, MPICH and their kin), linked with `make MPI=1`. MPI is started only
 * when a launcher started this process, so a plain call costs nothing.
 *
 * A process that waits polls. It can then sleep when there are more processes than processors, and
 * heart_mpi.c, whose thread watches for those that do not answer, finds MPI free. Errors of MPI
 * itself end the job, which is MPI's default. */
#include <mpi.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "base/memory.h"
#include "base/processors.h"
#include "dist/backend.h"
#include "dist/heart_mpi.h"

enum { IN_FLIGHT = 512, SPINS = 2000, LARGEST = 1 << 30 };

typedef struct Mpi {
    MPI_Comm comm;
    MPI_Request request[IN_FLIGHT];
    MPI_Status status[IN_FLIGHT]; /* nobody looks at them */
    int n;
    int rank;
    bool threads; /* MPI may be called from more than one */
    Heart heart;
} Mpi;

static void lock(Mpi *m) {
    pthread_mutex_lock(&m->heart.lock);
}

static void unlock(Mpi *m) {
    pthread_mutex_unlock(&m->heart.lock);
}

/* --- waiting ---------------------------------------------------------------------------------- */

static bool done(Mpi *m) {
    int all = 1;
    lock(m);
    if (m->n) MPI_Testall(m->n, m->request, &all, m->status);
    if (all) m->heart.beat.waits = 0;
    unlock(m);
    if (all) m->n = 0;
    return all != 0;
}

static void note_wait(Mpi *m) {
    lock(m);
    m->heart.beat.waits = 1;
    unlock(m);
}

static void wait_all(void *state) {
    Mpi *m = state;
    for (int spins = 0; !done(m); spins++) {
        if (spins < SPINS) continue;
        if (spins == SPINS) note_wait(m);
        const struct timespec nap = {.tv_nsec = 50 * 1000};
        nanosleep(&nap, NULL);
    }
}

static void progress(void *state) {
    (void)done(state);
}

/* --- messages --------------------------------------------------------------------------------- */

/* Whoever begins a message unlocks when it has. */
static MPI_Request *next_request(Mpi *m) {
    if (m->n == IN_FLIGHT) wait_all(m);
    lock(m);
    m->heart.beat.exchanges++;
    return &m->request[m->n++];
}

/* MPI counts in int: long messages go in parts. */
static void start_broadcast(void *state, void *x, size_t bytes, int root) {
    Mpi *m = state;
    for (size_t at = 0; at < bytes; at += LARGEST) {
        size_t n = bytes - at < LARGEST ? bytes - at : LARGEST;
        MPI_Request *request = next_request(m);
        MPI_Ibcast((char *)x + at, (int)n, MPI_BYTE, root, m->comm, request);
        unlock(m);
    }
}

static void start_sum(void *state, void *x, int64_t n, size_t number_bytes, int root) {
    Mpi *m = state;
    MPI_Datatype type = number_bytes == sizeof(float) ? MPI_FLOAT : MPI_DOUBLE;
    int64_t part = LARGEST / 8;
    for (int64_t at = 0; at < n; at += part) {
        int count = (int)(n - at < part ? n - at : part);
        void *p = (char *)x + (size_t)at * number_bytes;
        MPI_Request *request = next_request(m);
        if (root < 0)
            MPI_Iallreduce(MPI_IN_PLACE, p, count, type, MPI_SUM, m->comm, request);
        else if (root == m->rank)
            MPI_Ireduce(MPI_IN_PLACE, p, count, type, MPI_SUM, root, m->comm, request);
        else
            MPI_Ireduce(p, NULL, count, type, MPI_SUM, root, m->comm, request);
        unlock(m);
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
    MPI_Request *request = next_request(m);
    MPI_Iallgather(mine, (int)bytes, MPI_BYTE, all, (int)bytes, MPI_BYTE, m->comm, request);
    unlock(m);
    wait_all(m);
}

/* Without threads in MPI, nobody is watched: a program that starts MPI itself decides that. */
static Status watch(void *state, double timeout_s, Error *err) {
    Mpi *m = state;
    if (!m->threads) {
        if (m->rank == 0)
            log_line(LOG_WARNING, "a process that does not answer is not noticed, and "
                                  "--peer-timeout does nothing: MPI was started without "
                                  "MPI_THREAD_MULTIPLE");
        return MAE_OK;
    }
    heart_tell(&m->heart, call_of_thread());
    if (!m->heart.beats) return heart_start(&m->heart, m->comm, timeout_s, err);
    lock(m);
    m->heart.timeout_s = timeout_s;
    unlock(m);
    return MAE_OK;
}

static void watch_unheard(void *state) {
    Mpi *m = state;
    heart_tell(&m->heart, NULL);
}

static const CommBackend MPI = {.sum = sum,
                                .broadcast = broadcast,
                                .gather = gather,
                                .start_sum = start_sum,
                                .start_broadcast = start_broadcast,
                                .progress = progress,
                                .wait = wait_all,
                                .watch = watch,
                                .watch_unheard = watch_unheard};

/* --- joining ---------------------------------------------------------------------------------- */

static Mpi job = {
    .heart = {.lock = PTHREAD_MUTEX_INITIALIZER, .speech = PTHREAD_MUTEX_INITIALIZER}};

/* A process that is done before the others answers until they are, too. */
static void leave(void) {
    int finalized = 0;
    if (job.heart.ended) return;
    MPI_Finalized(&finalized);
    if (finalized) return;
    if (job.heart.beats) {
        MPI_Request *request = next_request(&job);
        MPI_Ibarrier(job.comm, request);
        unlock(&job);
        wait_all(&job);
    }
    heart_stop(&job.heart);
    MPI_Finalize();
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
    processors_allowed(&mine);
    MPI_Comm_split_type(comm, MPI_COMM_TYPE_SHARED, rank, MPI_INFO_NULL, &machine);
    MPI_Comm_size(machine, &size);
    all = mem_alloc_array((size_t)size, sizeof *all);
    if (all) {
        MPI_Allgather(&mine, sizeof mine, MPI_BYTE, all, sizeof mine, MPI_BYTE, machine);
        for (int i = 0; i < size; i++) sharing += CPU_EQUAL(&mine, &all[i]) != 0;
    }
    mem_free(all);
    MPI_Comm_free(&machine);
    int n = processors_available() / (sharing > 0 ? sharing : size);
    return n > 0 ? n : 1;
}

/* The text may be pages long; a sentence of it says which. */
void comm_library(char *text, size_t bytes) {
    char all[MPI_MAX_LIBRARY_VERSION_STRING];
    int n;
    MPI_Get_library_version(all, &n);
    snprintf(text, bytes, "%.*s", (int)strcspn(all, ",\n"), all);
    for (char *p = text; *p; p++)
        if (*p == '\t') *p = ' ';
}

Status comm_backend_open(Comm *c, bool *together, Error *err) {
    int started = 0, level = MPI_THREAD_FUNNELED;
    *together = false;
    MPI_Initialized(&started);
    if (!started && !was_launched()) return MAE_OK;
    if (!started) {
        if (MPI_Init_thread(NULL, NULL, MPI_THREAD_SERIALIZED, &level) != MPI_SUCCESS)
            return error_set(err, MAE_UNSUPPORTED,
                             "MPI cannot be started; is this the mpirun of the "
                             "MPI that the program was built with?");
        atexit(leave);
    }
    MPI_Comm_size(MPI_COMM_WORLD, &c->size);
    if (c->size == 1) return MAE_OK;
    MPI_Query_thread(&level);
    if (level < MPI_THREAD_FUNNELED)
        return error_set(err, MAE_UNSUPPORTED, "this MPI allows no threads beside it");
    MPI_Comm_dup(MPI_COMM_WORLD, &job.comm);
    MPI_Comm_rank(job.comm, &job.rank);
    job.threads = started ? level >= MPI_THREAD_MULTIPLE : level >= MPI_THREAD_SERIALIZED;
    c->rank = job.rank;
    c->backend = &MPI;
    c->state = &job;
    c->processors = fair_share(job.comm, job.rank);
    *together = true;
    return MAE_OK;
}
