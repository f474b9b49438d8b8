/* Files of a run folder other than those of manifest.h. */
#ifndef RUN_RUNFOLDER_H
#define RUN_RUNFOLDER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "mae.h"
#include "run/progress.h"

/* Options of a resumed run: what was given now, over what RUN/config.json says. Free with
 * mae_options_free. */
Status runfolder_merge_options(const MaeOptions *given, MaeCommand command, MaeOptions *out,
                               Error *err);
/* A copy with derived strings of its own. */
Status runfolder_copy_options(const MaeOptions *in, MaeCommand command, MaeOptions *out,
                              Error *err);
/* For the start of a run of `command`. USAGE: the path is no folder; or the folder is not empty and
 * holds no run, whose files would be mixed with a run's or removed by --restart; or it holds the
 * run of another command. */
Status runfolder_check(const char *run, MaeCommand command, Error *err);
/* Removes checkpoint-N.safetensors but for the `keep` highest N. */
Status runfolder_prune(const char *run, int64_t keep, Error *err);
/* With --restart: removes the files of the old run, pictures and all (nothing else). */
Status runfolder_clear(const char *run, Error *err);
/* One process at a time writes in a run folder: takes it until runfolder_unlock, or until the
 * process ends. *lock is -1 when the folder is not there yet, or its file system has no locks. */
Status runfolder_lock(const char *run, int *lock, Error *err);
void runfolder_unlock(int lock); /* accepts -1 */
/* summary.json: s, and what was measured from p. */
Status runfolder_write_summary(const char *run, const MaeSummary *s, const Progress *p, Error *err);
/* What runfolder_write_summary wrote; false: there is none, or it cannot be read. */
bool runfolder_read_summary(const char *run, MaeSummary *out);

#endif
