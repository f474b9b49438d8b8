/* The files of a run's checkpoint are replaced together, or not at all.
 *
 *   last.safetensors          weights
 *   last.state.safetensors    training state; or last.state-K-of-N.safetensors, K = 1 .. N
 *   last.manifest.json        step, epoch, seconds of training; size and CRC-32 of the others
 *
 * A save writes the files as next.*, each under a temporary name that is flushed and renamed. When
 * all are on disk it writes next.manifest.json the same way. From that moment the new checkpoint
 * counts. manifest_commit then makes its numbered name, renames next.* to last.*, flushes the
 * folder, and renames the manifest last. A crash before that moment leaves last.* as they were, and
 * rubbish called next.*. After a later crash manifest_recover does the rest of the renames. Nothing
 * writes into a file in place, so a numbered checkpoint can be a link. One process at a time saves
 * into a folder or recovers it. Others that add files to a set write theirs as next.*, after its
 * manifest_recover and before its manifest_commit. */
#ifndef RUN_MANIFEST_H
#define RUN_MANIFEST_H

#include <stdbool.h>

#include "base/file.h"

#define MANIFEST_NAME 64
#define STATE_NAME "last.state.safetensors"
#define MANIFEST_FILE "last.manifest.json"
#define NEXT_MANIFEST_FILE "next.manifest.json"

typedef struct ManifestFile {
    char name[MANIFEST_NAME]; /* "last.safetensors" */
    FileDigest digest;
} ManifestFile;

typedef struct Manifest {
    int64_t step, epoch;
    double seconds;               /* of training until then, 0: not said */
    char numbered[MANIFEST_NAME]; /* a second name of last.safetensors, "" for none */
    ManifestFile *file;
    size_t n;
} Manifest;

/* Frees the list of files; accepts a zeroed manifest. */
void manifest_free(Manifest *m);
Status manifest_add(Manifest *m, const char *name, FileDigest digest, Error *err);
bool manifest_lists(const Manifest *m, const char *name);
/* RUN/next.X for a file called last.X (mem_free). */
Status manifest_next_path(const char *run, const char *name, char **out, Error *err);
Status manifest_write(const char *path, const Manifest *m, Error *err);
/* FORMAT: not JSON, or not a manifest. */
Status manifest_read(const char *path, Manifest *out, Error *err);

/* Makes the files of m the checkpoint. All of them must be on disk as next.*. */
Status manifest_commit(const char *run, const Manifest *m, Error *err);
/* Completes an interrupted commit, or removes what is left of a save that did not get that far. */
Status manifest_recover(const char *run, Error *err);
/* Are RUN/last.manifest.json and all files that it lists there and whole? *there: is there a
 * manifest? FORMAT: a damaged or exchanged file. */
Status manifest_verify(const char *run, bool *there, Error *err);
/* The files of training state in RUN, without digests. */
Status manifest_find_states(const char *run, Manifest *out, Error *err);
/* Removes the checkpoint and everything left of others, manifests first. */
Status manifest_clear(const char *run, Error *err);

#endif
