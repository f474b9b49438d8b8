/* RUN/curves.svg: what RUN/log.jsonl says, as a person would rather see it: loss, learning rate
 * and, of classifiers, accuracy, over epochs. */
#ifndef TRAIN_CURVES_H
#define TRAIN_CURVES_H

#include "base/status.h"

/* Reads the log a line at a time (lines that are none are left out) and replaces the picture. The
 * same log gives the same bytes. IO, MEMORY. */
Status curves_write(const char *run, Error *err);

#endif
