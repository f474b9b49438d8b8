/* See events.h. */
#include "train/events.h"

#include "base/threads.h"

void events_images(const MaeEvents *events, const char *phase, int64_t done, int64_t total,
                   double start) {
    if (!events || !events->progress) return;
    double seconds = clock_seconds() - start, rate = seconds > 0 ? (double)done / seconds : 0;
    MaeProgress p = {.step = done,
                     .total_steps = total,
                     .images_per_s = rate,
                     .phase = phase,
                     .eta_s = rate > 0 ? (double)(total - done) / rate : 0};
    events->progress(events->user, &p);
}

bool events_stop(const MaeEvents *events) {
    return events && events->stop && *events->stop;
}
