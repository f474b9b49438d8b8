/* A picture of a run as a person wants it every morning: RUN/log.jsonl as curves. */
#ifndef DRAW_CURVES_H
#define DRAW_CURVES_H

#include "base/status.h"

/* Reads RUN/log.jsonl (runlog.h) and writes RUN/curves.svg, atomically: panels for the loss, the
 * learning rate and, when it was measured, the accuracy, over epochs; events as flags. Lines that
 * are torn, foreign or without an epoch are skipped; a log without points gives empty axes. Takes
 * memory independent of the length of the log; the same log gives the same bytes.
 * MAE_IO: the log cannot be read or the picture not written. MAE_MEMORY. */
Status curves_write(const char *run, Error *err);

#endif
