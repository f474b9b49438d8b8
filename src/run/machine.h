/* What follows from the options and the machine: the device, its threads, the loader's workers. */
#ifndef RUN_MACHINE_H
#define RUN_MACHINE_H

#include "dist/comm.h"
#include "kernels/device.h"
#include "options/options.h"

/* The kind of device for --device and --precision. UNSUPPORTED: it does not have that precision. */
Status machine_kind(const MaeOptions *o, DeviceKind *out, Error *err);
/* Opens the device for --precision with --threads, or OMP_NUM_THREADS, or as many as processors,
 * which processes share. UNSUPPORTED: it does not have that precision. */
Status machine_device(const MaeOptions *o, const Comm *c, Device **out, Error *err);
/* Logs how many threads run on how many processors, by rank 0. It warns when there are more threads
 * than processors. */
void machine_say_threads(const MaeOptions *o, const Device *d, const Comm *c);
/* Loader threads: --workers, or as many as processors, at most 8. */
int machine_workers(const MaeOptions *o, const Comm *c);

#endif
