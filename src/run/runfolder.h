/* Files of a run folder other than those of manifest.h. */
#ifndef RUN_RUNFOLDER_H
#define RUN_RUNFOLDER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/result.h"
#include "options/options.h"
#include "run/progress.h"

/* The options of a resumed run: those given now, over those of RUN/config.json. Free with
 * options_clear. */
Status runfolder_merge_options(const MaeOptions *given, MaeOptions *out, Error *err);
/* A copy with derived strings of its own. */
Status runfolder_copy_options(const MaeOptions *in, MaeOptions *out, Error *err);
/* Checks the folder before a run of `command` starts. USAGE: the path is no folder. Or the folder
 * holds no run and is not empty: a run would mix its files with those there, and --restart might
 * remove them. Or it holds the run of another command. */
Status runfolder_check(const char *run, CommandId command, Error *err);
/* Removes all but the `keep` highest N of checkpoint-N.safetensors. */
Status runfolder_prune(const char *run, int64_t keep, Error *err);
/* For --restart: removes the files of the old run with its pictures, and nothing else. */
Status runfolder_clear(const char *run, Error *err);
/* Takes the run folder until runfolder_unlock, or until the process ends: one process at a time
 * writes in it. *lock is -1 when the folder is not there yet, or its file system has no locks. */
Status runfolder_lock(const char *run, int *lock, Error *err);
void runfolder_unlock(int lock); /* accepts -1 */
/* summary.json. What was read is the caller's (json_decref); NULL: there is none, or it cannot be
 * read. */
Status runfolder_write_summary(const char *run, Result summary, Error *err);
json_t *runfolder_read_summary(const char *run);

#endif
