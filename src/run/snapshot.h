/* A checkpoint of a run on its way to disk: the tensors of its files, and, where there is memory
 * for it, a copy of them, which can be written while training changes the originals. */
#ifndef RUN_SNAPSHOT_H
#define RUN_SNAPSHOT_H

#include "base/file.h"
#include "checkpoint/checkpoint.h"
#include "run/run_state.h"

typedef struct Snapshot Snapshot;
/* Of what s points to, which outlives the snapshot. The part of process `rank` of `size`: rank 0
 * has the weights, each the state that its optimizer keeps; alone: 0 of 1. */
Status snapshot_new(const RunState *s, int rank, int size, Snapshot **out, Error *err);
void snapshot_free(Snapshot *s); /* accepts NULL */
/* Memory for a copy; false: there is none. Without it the tensors are read while they are written.
 */
bool snapshot_reserve(Snapshot *s);
size_t snapshot_bytes(const Snapshot *s);
/* About the same of a run that is only planned: what the moments take, and are there averages? */
size_t snapshot_bytes_planned(const Params *p, size_t moment_bytes, bool averages);

/* The state of now: tensors into the copy, counters and notes as metadata. numbered: a second name
 * for the weights, "checkpoint-12.safetensors", or NULL. */
Status snapshot_take(Snapshot *s, const Progress *p, const CheckpointNotes *notes,
                     const char *numbered, Error *err);
/* Makes what was taken the checkpoint of RUN, as manifest.h says. The one before stays whole until
 * then, and when this fails. Alone only. */
Status snapshot_write(Snapshot *s, const char *run, Error *err);
/* The same in two halves: each process writes its files (after manifest_recover by one of them),
 * and when all have, rank 0 commits, given what they say of their states, states[size]. */
Status snapshot_write_files(Snapshot *s, const char *run, Error *err);
FileDigest snapshot_state_digest(const Snapshot *s);
Status snapshot_commit(const Snapshot *s, const char *run, const FileDigest *states, Error *err);

#endif
