/* Writes a run's checkpoints in a thread of its own, while training goes on.
 *
 * writer_submit copies the state of now into a snapshot, whose memory is taken at the first save,
 * and returns. The thread writes, checksums, flushes and commits it as manifest.h says, and removes
 * numbered checkpoints beyond those kept. One save is under way at a time; the next one waits for
 * it. What fails in the thread is returned once, by the next call of submit, poll or wait; the
 * checkpoint before stays whole. Without memory for a copy, or when told so, submit writes the same
 * bytes itself. All calls come from one thread. All but writer_new accept NULL, a process that
 * writes nothing. */
#ifndef RUN_CHECKPOINT_WRITER_H
#define RUN_CHECKPOINT_WRITER_H

#include "checkpoint/checkpoint.h"
#include "dist/comm.h"
#include "run/run_state.h"

typedef struct WriterOptions {
    bool asynchronous;
    int64_t keep; /* numbered checkpoints */
    /* Each of these processes writes a part of the training state, rank 0 the weights, too. Then
     * submit and wait are called by all of them and exchange messages; a checkpoint counts from the
     * next of these calls on that comes when all parts are written. NULL: one process writes. */
    Comm *shards;
} WriterOptions;

typedef struct CheckpointWriter CheckpointWriter;
/* What s points to outlives the writer; run is copied. */
Status writer_new(const char *run, const RunState *s, WriterOptions options, CheckpointWriter **out,
                  Error *err);
/* Waits for the save under way; a failure that nobody asked for goes to the log. Accepts NULL. */
void writer_free(CheckpointWriter *w);

/* Nobody will train beside the next save: no memory is taken for a copy, which would cost time. */
void writer_take_no_copy(CheckpointWriter *w); /* accepts NULL */
/* Saves the state of now; numbered: N of the checkpoint-N.safetensors that is to be the same file,
 * -1: none. */
Status writer_submit(CheckpointWriter *w, const CheckpointNotes *notes, int64_t numbered,
                     Error *err);
/* Has a save failed? Does not wait. */
Status writer_poll(CheckpointWriter *w, Error *err);
/* With shards: is the part of this process on disk, waiting for the others? */
bool writer_has_written(CheckpointWriter *w);
/* Until everything submitted is on disk, or has failed. */
Status writer_wait(CheckpointWriter *w, Error *err);

#endif
