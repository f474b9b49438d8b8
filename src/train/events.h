/* What jobs over images tell the listener of the public interface. */
#ifndef TRAIN_EVENTS_H
#define TRAIN_EVENTS_H

#include <stdbool.h>

#include "mae.h"

/* done of total images since `start` (clock_seconds). events may be NULL. */
void events_images(const MaeEvents *events, const char *phase, int64_t done, int64_t total,
                   double start);
bool events_stop(const MaeEvents *events);

#endif
