/* A picture of a run as a person wants it every morning: RUN/log.jsonl as curves. */
#ifndef DRAW_CURVES_H
#define DRAW_CURVES_H

#include "base/status.h"

/* Reads RUN/log.jsonl (runlog.h) and writes RUN/curves.svg, atomically. Panels show the loss, the
 * learning rate and, when it was measured, the accuracy, over epochs; flags show events. Lines that
 * are torn, foreign or without an epoch are skipped. A log without points gives empty axes. The
 * memory does not depend on the length of the log, and the same log gives the same bytes. MAE_IO:
 * the log cannot be read or the picture not written. MAE_MEMORY. */
Status curves_write(const char *run, Error *err);

#endif
