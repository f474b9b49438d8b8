/* What options and the machine say together: the device, its threads, the workers of the loader. */
#ifndef RUN_MACHINE_H
#define RUN_MACHINE_H

#include "dist/comm.h"
#include "kernels/device.h"
#include "mae.h"

/* --threads, or OMP_NUM_THREADS, or all processors; of those that share them with other processes,
 * its part. */
Status machine_device(const MaeOptions *o, const Comm *c, Device **out, Error *err);
/* The line of the log that says how many threads run on how many processors; a warning where they
 * are more than these. By rank 0. */
void machine_say_threads(const MaeOptions *o, const Device *d, const Comm *c);
/* Loader threads: --workers, or as many as processors, at most 8. */
int machine_workers(const MaeOptions *o, const Comm *c);

#endif
