/* RUN/log.jsonl: a JSON object a line, appended and flushed; a resumed run first drops the lines
 * that lie after its checkpoint. */
#ifndef TRAIN_RUNLOG_H
#define TRAIN_RUNLOG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

typedef struct RunLog RunLog;

typedef struct LogLine {
    bool epoch_end; /* "kind": "epoch" instead of "step" */
    int64_t step;
    double epoch, loss, lr, images_per_s, gradient_norm;
} LogLine;

/* Keeps lines with step <= keep_step; -1 starts a new file. */
Status runlog_open(const char *path, int64_t keep_step, RunLog **out, Error *err);
Status runlog_write(RunLog *l, const LogLine *line, Error *err);
/* Something that happened: {"kind":"event","step":..,"message":".."}. */
Status runlog_event(RunLog *l, int64_t step, const char *message, Error *err);
void runlog_close(RunLog *l); /* accepts NULL */

#endif
