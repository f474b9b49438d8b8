/* The cpu table is the ref table for float, with the rows that pay overwritten. Files *_simd.c are
 * compiled once per instruction set and export cpu_<isa>_fill_*; the others export cpu_fill_*.
 *
 * Results do not depend on the number of threads. The shape alone cuts a loop, one thread computes
 * every piece in one order, and partial sums are combined in order. */
#ifndef KERNELS_CPU_CPU_H
#define KERNELS_CPU_CPU_H

#include "kernels/device.h"

/* Threads for a loop of about `work` elementary operations: below a few microseconds a second
 * thread costs more than it brings, above all on a busy machine, where it may have to wait for its
 * turn. */
static inline int team(const Device *d, double work) {
    return work < 2e5 ? 1 : d->n_threads;
}

/* Rows that are copies and short sums: nothing to gain from an instruction set. */
void cpu_fill_patch(Kernels *k);
void cpu_fill_tokens(Kernels *k);

/* X(isa): the tables there are. fill_table overwrites the rows that pay; peak_gflops measures. */
#define CPU_ISAS_BEST_FIRST(X) CPU_ISAS_X86(X) X(plain)
#if defined(__x86_64__)
#define CPU_ISAS_X86(X) X(avx512) X(avx2)
#else
#define CPU_ISAS_X86(X)
#endif

#define X(isa)                                                                                     \
    void cpu_##isa##_fill_table(Kernels *k);                                                       \
    double cpu_##isa##_peak_gflops(int n_threads, double seconds_each, int runs);
CPU_ISAS_BEST_FIRST(X)
#undef X

#endif
