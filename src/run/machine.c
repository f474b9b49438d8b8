/* See machine.h. */
#include "run/machine.h"

#include <stdio.h>

#include "base/log.h"
#include "base/processors.h"
#include "base/words.h"

Status machine_kind(const MaeOptions *o, DeviceKind *out, Error *err) {
    bool bf16 = o->precision == PRECISION_BF16;
    *out = (DeviceKind)o->device;
    if (bf16 && *out != DEVICE_REF)
        return error_set(err, MAE_UNSUPPORTED,
                         "--precision bf16 on the %s is not there yet; use fp32, or --device ref",
                         device_words[*out]);
    if (bf16) *out = DEVICE_REFBF16;
    return MAE_OK;
}

Status machine_device(const MaeOptions *o, const Comm *c, Device **out, Error *err) {
    int threads = o->threads > 0 ? (int)o->threads : processors_threads(comm_processors(c));
    bool bf16 = o->precision == PRECISION_BF16;
    DeviceKind kind;
    Status status = machine_kind(o, &kind, err);
    if (status != MAE_OK) return status;
    if (bf16 && o->target == TARGET_PCA)
        return error_set(err, MAE_UNSUPPORTED,
                         "--target pca with --precision bf16 is not there yet; use fp32");
    return device_open(device_words[kind], threads, NULL, out, err);
}

/* What decided about the number of threads, in brackets, where it was not the processors. */
static const char *thread_source(const MaeOptions *o, const Device *d) {
    if (d->kind != DEVICE_CPU) return " (--device ref)";
    if (o->threads > 0) return " (--threads)";
    if (d->n_threads == processors_thread_limit()) return " (OMP_THREAD_LIMIT)";
    return processors_told_threads() > 0 ? " (OMP_NUM_THREADS)" : "";
}

/* Several processes bind their threads to the same places, the first ones. */
static void warn_of_places(const Comm *c) {
    if (processors_are_bound() && comm_processors(c) < processors_available())
        log_line(LOG_WARNING,
                 "OpenMP binds the threads of several processes to the same processors; let mpirun "
                 "or srun bind each process to its own, or unset OMP_PROC_BIND, OMP_PLACES and "
                 "GOMP_CPU_AFFINITY");
}

void machine_say_threads(const MaeOptions *o, const Device *d, const Comm *c) {
    int limit = processors_thread_limit(), processors = comm_processors(c), n = d->n_threads;
    char place[64] = "";
    if (!comm_is_root(c)) return;
    if (d->kind != DEVICE_CPU) n = 1;
    if (n > limit) {
        log_line(LOG_WARNING, "--threads %d: OMP_THREAD_LIMIT allows %d", n, limit);
        n = limit;
    }
    if (c) snprintf(place, sizeof place, ", in each of %d processes", comm_size(c));
    log_line(n > processors ? LOG_WARNING : LOG_INFO, "%d thread%s%s on %d processor%s%s%s%s", n,
             n == 1 ? "" : "s", thread_source(o, d), processors, processors == 1 ? "" : "s",
             processors_are_bound() ? ", bound" : "", place,
             n > processors ? ": they wait for each other; fewer are faster" : "");
    warn_of_places(c);
}

int machine_workers(const MaeOptions *o, const Comm *c) {
    if (o->workers >= 0) return (int)o->workers;
    int n = comm_processors(c);
    return n < 2 ? 1 : n > 8 ? 8 : n;
}
