/* See checkpoint_writer.h. */
#include "run/checkpoint_writer.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/memory.h"
#include "base/threads.h"
#include "run/manifest.h"
#include "run/run_state.h"
#include "run/runfolder.h"
#include "run/snapshot.h"

struct CheckpointWriter {
    char *run;
    WriterOptions options;
    const Progress *progress;
    Snapshot *snapshot; /* of the thread while busy, else of the caller */
    Thread thread;
    bool started;
    pthread_mutex_t lock;   /* guards what follows */
    pthread_cond_t changed; /* busy or stop */
    bool busy, stop;
    bool written;          /* with shards: by this process, not yet committed by rank 0 */
    Error failure;         /* of a save, not yet returned */
    int64_t saves, waits;  /* saves that found another one under way */
    double waited_seconds; /* of the calling thread, over all saves */
};

static Status write_snapshot(CheckpointWriter *w, Error *err) {
    Error reason = {0};
    bool alone = !w->options.shards;
    Status status = alone ? snapshot_write(w->snapshot, w->run, &reason)
                          : snapshot_write_files(w->snapshot, w->run, &reason);
    if (status == MAE_OK && alone) status = runfolder_prune(w->run, w->options.keep, &reason);
    if (status != MAE_OK)
        (void)error_set(
            err, status,
            "%.800s; what was saved before is whole, and the same command continues from "
            "there",
            reason.message);
    pthread_mutex_lock(&w->lock);
    w->written = status == MAE_OK && !alone;
    pthread_mutex_unlock(&w->lock);
    return status;
}

static void work(void *user) {
    CheckpointWriter *w = user;
    pthread_mutex_lock(&w->lock);
    for (;;) {
        while (!w->busy && !w->stop) pthread_cond_wait(&w->changed, &w->lock);
        if (!w->busy) break;
        pthread_mutex_unlock(&w->lock);
        Error err = {0};
        (void)write_snapshot(w, &err);
        pthread_mutex_lock(&w->lock);
        if (err.status != MAE_OK) w->failure = err;
        w->busy = false;
        pthread_cond_broadcast(&w->changed);
    }
    pthread_mutex_unlock(&w->lock);
}

Status writer_new(const char *run, const RunState *s, WriterOptions options, CheckpointWriter **out,
                  Error *err) {
    Status status = MAE_OK;
    CheckpointWriter *w = mem_alloc(sizeof *w);
    *out = NULL;
    if (!w) return error_set(err, MAE_MEMORY, "no memory to write checkpoints");
    w->options = options;
    w->progress = s->progress;
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->changed, NULL);
    w->run = mem_strdup(run);
    if (!w->run) {
        status = error_set(err, MAE_MEMORY, "no memory to write checkpoints");
        goto done;
    }
    TRY(snapshot_new(s, comm_rank(options.shards), comm_size(options.shards), &w->snapshot, err));
    *out = w;
    w = NULL;
done:
    writer_free(w);
    return status;
}

void writer_free(CheckpointWriter *w) {
    if (!w) return;
    pthread_mutex_lock(&w->lock);
    w->stop = true;
    pthread_cond_broadcast(&w->changed);
    pthread_mutex_unlock(&w->lock);
    if (w->started) thread_join(&w->thread);
    if (w->failure.status != MAE_OK) log_line(LOG_ERROR, "%s", w->failure.message);
    if (w->waits > 0)
        log_line(LOG_INFO, "%" PRId64 " of %" PRId64 " saves waited for the one before, %.1f s",
                 w->waits, w->saves, w->waited_seconds);
    pthread_cond_destroy(&w->changed);
    pthread_mutex_destroy(&w->lock);
    snapshot_free(w->snapshot);
    mem_free(w->run);
    mem_free(w);
}

/* At the first save; when it cannot be, once and for all without a thread. */
static void start(CheckpointWriter *w) {
    if (w->started || !w->options.asynchronous) return;
    double megabytes = 1e-6 * (double)snapshot_bytes(w->snapshot);
    if (snapshot_reserve(w->snapshot)) {
        w->started = thread_start(&w->thread, work, w) == 0;
        if (!w->started)
            log_line(LOG_WARNING,
                     "no thread to write checkpoints with; training waits while they are written");
    } else {
        log_line(LOG_WARNING,
                 "no memory for a copy of %.1f MB; training waits while checkpoints are written",
                 megabytes);
    }
    w->options.asynchronous = w->started;
}

void writer_take_no_copy(CheckpointWriter *w) {
    if (w && !w->started) w->options.asynchronous = false;
}

/* With the lock held. */
static Status take_failure(CheckpointWriter *w, Error *err) {
    Error failure = w->failure;
    w->failure = (Error){0};
    return failure.status == MAE_OK ? MAE_OK
                                    : error_set(err, failure.status, "%s", failure.message);
}

static Status wait_for_thread(CheckpointWriter *w, bool saving, Error *err) {
    pthread_mutex_lock(&w->lock);
    if (w->busy && saving) w->waits++;
    double start = clock_seconds();
    while (w->busy) pthread_cond_wait(&w->changed, &w->lock);
    if (saving) w->waited_seconds += clock_seconds() - start;
    Status status = take_failure(w, err);
    pthread_mutex_unlock(&w->lock);
    return status;
}

/* What is left of parts that will not be a checkpoint. */
static void give_up(CheckpointWriter *w) {
    if (comm_is_root(w->options.shards)) (void)manifest_recover(w->run, NULL);
    w->written = false;
}

static Status commit(CheckpointWriter *w, const FileDigest *states, Error *err) {
    Status status = snapshot_commit(w->snapshot, w->run, states, err);
    return status == MAE_OK ? runfolder_prune(w->run, w->options.keep, err) : status;
}

/* All parts are written, or one failed: rank 0 makes them the checkpoint, or nobody does. */
static Status commit_shards(CheckpointWriter *w, Status status, Error *err) {
    Comm *c = w->options.shards;
    bool pending = w->written; /* so it is in all, or a part has failed */
    status = comm_agree(c, status, err);
    if (status != MAE_OK) give_up(w);
    if (status != MAE_OK || !pending) return status;
    FileDigest mine = snapshot_state_digest(w->snapshot);
    FileDigest *states = mem_alloc_array((size_t)comm_size(c), sizeof *states);
    if (!states) status = error_set(err, MAE_MEMORY, "no memory to complete a checkpoint");
    status = comm_agree(c, status, err);
    if (status == MAE_OK) {
        comm_gather(c, states, &mine, sizeof mine);
        if (comm_is_root(c)) status = commit(w, states, err);
        status = comm_agree(c, status, err);
    }
    if (status != MAE_OK) give_up(w);
    w->written = false;
    mem_free(states);
    return status;
}

static Status wait_until_idle(CheckpointWriter *w, bool saving, Error *err) {
    Status status = wait_for_thread(w, saving, err);
    return w->options.shards ? commit_shards(w, status, err) : status;
}

/* Nobody writes before rank 0 has cleared the place. */
static Status prepare_shards(CheckpointWriter *w, Error *err) {
    Comm *c = w->options.shards;
    Status status = c && comm_is_root(c) ? manifest_recover(w->run, err) : MAE_OK;
    return comm_agree(c, status, err);
}

Status writer_submit(CheckpointWriter *w, const CheckpointNotes *notes, int64_t numbered,
                     Error *err) {
    char name[64];
    if (!w) return MAE_OK;
    Status status = wait_until_idle(w, true, err);
    if (status == MAE_OK) status = prepare_shards(w, err);
    if (status != MAE_OK) return status;
    start(w);
    snprintf(name, sizeof name, "checkpoint-%" PRId64 ".safetensors", numbered);
    status = snapshot_take(w->snapshot, w->progress, notes, numbered < 0 ? NULL : name, err);
    if (status != MAE_OK) return status;
    w->saves++;
    if (!w->started) return write_snapshot(w, err);
    pthread_mutex_lock(&w->lock);
    w->busy = true;
    pthread_cond_broadcast(&w->changed);
    pthread_mutex_unlock(&w->lock);
    return MAE_OK;
}

bool writer_has_written(CheckpointWriter *w) {
    if (!w) return false;
    pthread_mutex_lock(&w->lock);
    bool written = w->written && !w->busy;
    pthread_mutex_unlock(&w->lock);
    return written;
}

Status writer_poll(CheckpointWriter *w, Error *err) {
    if (!w) return MAE_OK;
    pthread_mutex_lock(&w->lock);
    Status status = take_failure(w, err);
    pthread_mutex_unlock(&w->lock);
    return status;
}

Status writer_wait(CheckpointWriter *w, Error *err) {
    return w ? wait_until_idle(w, false, err) : MAE_OK;
}
