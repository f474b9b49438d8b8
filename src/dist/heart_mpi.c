/* See heart_mpi.h. */
#include "dist/heart_mpi.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/memory.h"

enum { END_S = 3 }; /* for what should take one or two seconds */

/* --- the end of the job ----------------------------------------------------------------------- */

/* The nearest process above this one that a launcher of Open MPI goes by, or 0. */
static pid_t find_launcher(void) {
    static const char *const names[] = {"mpirun",  "mpiexec", "orterun",
                                        "prterun", "orted",   "prted"};
    int pid = (int)getppid();
    while (pid > 1) {
        char path[64], name[64] = "";
        snprintf(path, sizeof path, "/proc/%d/stat", pid);
        FILE *f = fopen(path, "re");
        int parent = 0, n = f ? fscanf(f, "%*d (%63[^)]) %*c %d", name, &parent) : 0;
        if (f) fclose(f);
        if (n != 2) return 0;
        for (size_t i = 0; i < sizeof names / sizeof *names; i++)
            if (strcmp(name, names[i]) == 0) return (pid_t)pid;
        pid = parent;
    }
    return 0;
}

/* Open MPI's launcher ends what it reaches, then waits for the rest, a quarter of an hour and
 * longer. A process that outlives this one gives it some seconds. (It has no gentler way: once it
 * waits, it answers SIGTERM with a crash.) */
static void end_launcher(void) {
    pid_t launcher = getenv("OMPI_COMM_WORLD_RANK") ? find_launcher() : 0;
    if (launcher == 0 || fork() != 0) return;
    setsid();
    for (int fd = 0; fd < 65536; fd++) close(fd); /* the lock on the run folder, too */
    for (int i = 0; i < 10 * END_S && kill(launcher, 0) == 0; i++) usleep(100 * 1000);
    kill(launcher, SIGKILL);
    kill(getpid(), SIGKILL);
}

/* Nothing here waits for a peer: MPI_Abort may, so that there is an alarm. */
static void end_job(Heart *h) {
    end_launcher();
    signal(SIGTERM, SIG_IGN); /* this end has been told of */
    signal(SIGALRM, SIG_DFL);
    alarm(END_S);
    pthread_mutex_lock(&h->lock);
    h->ended = true;
    MPI_Abort(h->comm, EXIT_FAILURE);
}

/* --- beats ------------------------------------------------------------------------------------ */

static void receive_beats(Heart *h) {
    for (;;) {
        MPI_Status from;
        Beat beat;
        int there = 0;
        MPI_Iprobe(MPI_ANY_SOURCE, 0, h->comm, &there, &from);
        if (!there) return;
        MPI_Recv(&beat, sizeof beat, MPI_BYTE, from.MPI_SOURCE, 0, h->comm, MPI_STATUS_IGNORE);
        watch_heard(h->watch, from.MPI_SOURCE, beat);
    }
}

/* One at a time is under way to each. */
static void send_beat(Heart *h, int to) {
    int done = 1;
    MPI_Test(&h->request[to], &done, MPI_STATUS_IGNORE);
    if (!done || to == h->rank) return;
    h->sent[to] = h->beat;
    MPI_Isend(&h->sent[to], sizeof h->beat, MPI_BYTE, to, 0, h->comm, &h->request[to]);
}

static Beat exchange_beats(Heart *h) {
    receive_beats(h);
    for (int r = 0; r < (h->rank == 0 ? h->size : 1); r++) send_beat(h, r);
    return h->beat;
}

static void rest(Heart *h, double seconds) {
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    long ns = until.tv_nsec + (long)(1e9 * (seconds - (double)(time_t)seconds));
    until.tv_sec += (time_t)seconds + ns / 1000000000;
    until.tv_nsec = ns % 1000000000;
    while (!h->leaving && pthread_cond_timedwait(&h->changed, &h->lock, &until) == 0) continue;
}

static bool look(Heart *h, Beat mine, double timeout_s) {
    pthread_mutex_lock(&h->speech);
    call_set_of_thread(h->call);
    bool too_late = watch_look(h->watch, mine, timeout_s, clock_seconds());
    pthread_mutex_unlock(&h->speech);
    return too_late;
}

void heart_tell(Heart *h, Call *call) {
    pthread_mutex_lock(&h->speech);
    h->call = call;
    pthread_mutex_unlock(&h->speech);
}

static void live(void *user) {
    Heart *h = user;
    pthread_mutex_lock(&h->lock);
    while (!h->leaving) {
        Beat mine = exchange_beats(h);
        double timeout_s = h->timeout_s;
        pthread_mutex_unlock(&h->lock);
        if (look(h, mine, timeout_s)) end_job(h);
        pthread_mutex_lock(&h->lock);
        rest(h, watch_beat_s(timeout_s));
    }
    pthread_mutex_unlock(&h->lock);
}

/* --- start and stop --------------------------------------------------------------------------- */

/* Memory may lack in one of them: all know before they go on. */
static Status take_memory(Heart *h, char **hosts, Error *err) {
    size_t n = (size_t)h->size;
    *hosts = mem_alloc_array(n, HOST_BYTES);
    h->request = mem_alloc_array(n, sizeof *h->request);
    h->sent = mem_alloc_array(n, sizeof *h->sent);
    int there = *hosts && h->request && h->sent;
    MPI_Allreduce(MPI_IN_PLACE, &there, 1, MPI_INT, MPI_MIN, h->comm);
    for (size_t r = 0; r < n && there; r++) h->request[r] = MPI_REQUEST_NULL;
    return there ? MAE_OK : error_set(err, MAE_MEMORY, "no memory to watch %d processes", h->size);
}

static void gather_hosts(const Heart *h, char *hosts) {
    char mine[MPI_MAX_PROCESSOR_NAME + HOST_BYTES] = {0};
    int n;
    MPI_Get_processor_name(mine, &n);
    mine[HOST_BYTES - 1] = '\0';
    MPI_Allgather(mine, HOST_BYTES, MPI_BYTE, hosts, HOST_BYTES, MPI_BYTE, h->comm);
}

static Status start_thread(Heart *h, Error *err) {
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&h->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    h->beats = thread_start(&h->thread, live, h) == 0;
    return h->beats ? MAE_OK : error_set(err, MAE_MEMORY, "no thread to answer other processes");
}

Status heart_start(Heart *h, MPI_Comm comm, double timeout_s, Error *err) {
    Status status = MAE_OK;
    char *hosts = NULL;
    MPI_Comm_dup(comm, &h->comm);
    MPI_Comm_rank(h->comm, &h->rank);
    MPI_Comm_size(h->comm, &h->size);
    h->timeout_s = timeout_s;
    TRY(take_memory(h, &hosts, err));
    gather_hosts(h, hosts);
    TRY(watch_new(h->rank, h->size, hosts, clock_seconds(), &h->watch, err));
    TRY(start_thread(h, err));
done:
    mem_free(hosts);
    return status;
}

/* A beat that nobody has fetched would be left behind. */
void heart_stop(Heart *h) {
    if (!h->beats) return;
    pthread_mutex_lock(&h->lock);
    h->leaving = true;
    pthread_cond_signal(&h->changed);
    pthread_mutex_unlock(&h->lock);
    thread_join(&h->thread);
    receive_beats(h);
    for (int r = 0; r < h->size; r++)
        if (h->request[r] != MPI_REQUEST_NULL) MPI_Request_free(&h->request[r]);
    watch_free(h->watch);
    mem_free(h->request);
    mem_free(h->sent);
}
