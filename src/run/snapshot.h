/* A checkpoint of a run on its way to disk: the tensors of its files, and a copy of them if there
 * is memory for it. The copy is written while training changes the originals. */
#ifndef RUN_SNAPSHOT_H
#define RUN_SNAPSHOT_H

#include "base/file.h"
#include "checkpoint/checkpoint.h"
#include "run/run_state.h"

typedef struct Snapshot Snapshot;
/* Takes a part of what s points to, which outlives it: that of process `rank` of `size` (alone 0 of
 * 1). Rank 0 has the weights, each process the state that its optimizer keeps. */
Status snapshot_new(const RunState *s, int rank, int size, Snapshot **out, Error *err);
void snapshot_free(Snapshot *s); /* accepts NULL */
/* Takes memory for a copy. False: there is none; tensors are then read while they are written. */
bool snapshot_reserve(Snapshot *s);
size_t snapshot_bytes(const Snapshot *s);
/* About the same for a run that is only planned. moment_bytes: those of the moments. */
size_t snapshot_bytes_planned(const Params *p, size_t moment_bytes, bool averages);

/* Takes the present state: tensors into the copy, counters and notes as metadata. numbered: a
 * second name for the weights, "checkpoint-12.safetensors", or NULL. */
Status snapshot_take(Snapshot *s, const Progress *p, const CheckpointNotes *notes,
                     const char *numbered, Error *err);
/* Makes what was taken the checkpoint of RUN, as manifest.h says. The previous one stays whole
 * until then, and after a failure. For a process alone. */
Status snapshot_write(Snapshot *s, const char *run, Error *err);
/* The same in two halves. Each process writes its files, after manifest_recover by one. When all
 * have written, rank 0 commits with their digests, states[size]. */
Status snapshot_write_files(Snapshot *s, const char *run, Error *err);
FileDigest snapshot_state_digest(const Snapshot *s);
Status snapshot_commit(const Snapshot *s, const char *run, const FileDigest *states, Error *err);

#endif
