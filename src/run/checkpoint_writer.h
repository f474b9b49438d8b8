/* Writes a run's checkpoints in a thread of its own, while training goes on.
 *
 * writer_submit copies the present state into a snapshot and returns. The first save takes the
 * memory of the copy. The thread writes, checksums, flushes and commits it as manifest.h says, and
 * removes numbered checkpoints beyond those kept. One save is under way at a time, and the next one
 * waits for it. The next call of submit, poll or wait returns a failure of the thread, once; the
 * previous checkpoint stays whole. Without memory for a copy, or when told so, submit writes the
 * same bytes itself. All calls come from one thread. All but writer_new accept NULL, which is a
 * process that writes nothing. */
#ifndef RUN_CHECKPOINT_WRITER_H
#define RUN_CHECKPOINT_WRITER_H

#include "checkpoint/checkpoint.h"
#include "dist/comm.h"
#include "run/run_state.h"

typedef struct WriterOptions {
    bool asynchronous;
    int64_t keep; /* numbered checkpoints */
    /* Each of these processes writes a part of the training state, and rank 0 also the weights. All
     * of them then call submit and wait, which exchange messages. The first such call after all
     * parts are written makes them the checkpoint. NULL: one process writes. */
    Comm *shards;
} WriterOptions;

typedef struct CheckpointWriter CheckpointWriter;
/* What s points to outlives the writer; run is copied. */
Status writer_new(const char *run, const RunState *s, WriterOptions options, CheckpointWriter **out,
                  Error *err);
/* Waits for the save under way. A failure not yet returned goes to the log. Accepts NULL. */
void writer_free(CheckpointWriter *w);

/* The next save takes no memory for a copy: nobody trains beside it, and a copy costs time. */
void writer_take_no_copy(CheckpointWriter *w); /* accepts NULL */
/* Saves the present state. numbered: N of checkpoint-N.safetensors, a second name for the weights;
 * -1: none. */
Status writer_submit(CheckpointWriter *w, const CheckpointNotes *notes, int64_t numbered,
                     Error *err);
/* Has a save failed? Does not wait. */
Status writer_poll(CheckpointWriter *w, Error *err);
/* With shards: is the part of this process on disk, waiting for the others? */
bool writer_has_written(CheckpointWriter *w);
/* Waits until everything submitted is on disk, or has failed. */
Status writer_wait(CheckpointWriter *w, Error *err);

#endif
