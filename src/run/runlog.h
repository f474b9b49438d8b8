/* RUN/log.jsonl: a JSON object a line, appended and flushed; a resumed run first drops the lines
 * that lie after its checkpoint. */
#ifndef RUN_RUNLOG_H
#define RUN_RUNLOG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/metrics.h"
#include "base/status.h"
#include "run/changes.h"

typedef struct RunLog RunLog;

typedef struct LogLine {
    bool epoch_end; /* "kind": "epoch" instead of "step" */
    int64_t step;
    double epoch, loss, lr, images_per_s, gradient_norm; /* not finite: null in the file */
    Metrics metrics, averaged; /* measured at the end of an epoch: of weights, of their averages */
} LogLine;

/* Keeps the lines up to keep_step; those that end an epoch must also be up to keep_epoch. With
 * keep_step -1 the file starts anew. */
Status runlog_open(const char *path, int64_t keep_step, int64_t keep_epoch, RunLog **out,
                   Error *err);
Status runlog_write(RunLog *l, const LogLine *line, Error *err);
/* Something that happened: {"kind":"event","step":..,"message":".."}. */
Status runlog_event(RunLog *l, int64_t step, const char *message, Error *err);
/* Writes which options and data differ from here on, of those that need a mark: an event with
 * "epoch" and "changes": [{"what":..,"before":..,"now":..}]. */
Status runlog_changes(RunLog *l, int64_t step, double epoch, const Changes *c, Error *err);
/* Puts on disk what was written. */
Status runlog_flush(RunLog *l, Error *err);
void runlog_close(RunLog *l); /* accepts NULL */

#endif
