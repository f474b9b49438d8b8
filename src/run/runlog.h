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

/* Keeps lines with step <= keep_step, and of those that end an epoch the ones up to keep_epoch;
 * keep_step -1 starts a new file. */
Status runlog_open(const char *path, int64_t keep_step, int64_t keep_epoch, RunLog **out,
                   Error *err);
Status runlog_write(RunLog *l, const LogLine *line, Error *err);
/* Something that happened: {"kind":"event","step":..,"message":".."}. */
Status runlog_event(RunLog *l, int64_t step, const char *message, Error *err);
/* Options and data that are otherwise from this place on: an event with "epoch" and "changes":
 * [{"what":..,"before":..,"now":..}], those that want a mark. */
Status runlog_changes(RunLog *l, int64_t step, double epoch, const Changes *c, Error *err);
/* What was written is on disk. */
Status runlog_flush(RunLog *l, Error *err);
void runlog_close(RunLog *l); /* accepts NULL */

#endif
