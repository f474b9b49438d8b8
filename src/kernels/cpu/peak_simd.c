/* The FMA throughput that other timings are measured against: per thread, ACCUMULATORS chains of
 * multiply-adds that do not wait for each other. */
#include "base/threads.h"
#include "kernels/cpu/simd.h"

enum { ACCUMULATORS = 12, PER_CALL = 4096 };

/* Keeps the results alive. The values rise towards 0.5 and none starts there: a chain that never
 * changes would be taken out by the compiler. */
static float multiply_add(int64_t n_calls) {
    Vec a[ACCUMULATORS], factor, addend, sum = {0};
    for (int i = 0; i < VEC_LANES; i++) {
        factor[i] = 0.999f;
        addend[i] = 0.0005f;
    }
    for (int i = 0; i < ACCUMULATORS; i++) a[i] = sum + (float)i / (2 * ACCUMULATORS);
    for (int64_t n = 0; n < n_calls * PER_CALL; n++) {
        for (int i = 0; i < ACCUMULATORS; i++) a[i] = a[i] * factor + addend;
    }
    for (int i = 0; i < ACCUMULATORS; i++) sum += a[i];
    return sum[0];
}

/* Seconds that n_threads take for n_calls each. What is volatile keeps the work between the two
 * readings of the clock: without OpenMP the compiler sees that it touches nothing else. */
static double time_run(int n_threads, int64_t n_calls) {
    volatile int64_t calls = n_calls;
    volatile float kept;
    float sum = 0;
    double start = clock_seconds();
#pragma omp parallel num_threads(n_threads) reduction(+ : sum)
    sum += multiply_add(calls);
    kept = sum;
    double seconds = clock_seconds() - start;
    return kept >= 0 ? seconds : INFINITY;
}

double SIMD(peak_gflops)(int n_threads, double seconds_each, int runs) {
    int64_t n_calls = 256; /* some milliseconds: waking a thread must not be what is measured */
    double best = 0;
    /* The faster of two: a thread that had to be woken must not end the search. */
    while (fmin(time_run(n_threads, n_calls), time_run(n_threads, n_calls)) < seconds_each / 2)
        n_calls *= 2;
    for (int run = 0; run < runs; run++) {
        double flops = 2.0 * VEC_LANES * ACCUMULATORS * PER_CALL * (double)n_calls * n_threads;
        double seconds = time_run(n_threads, n_calls); /* 0 when the clock was set back meanwhile */
        if (seconds > 0 && flops / seconds * 1e-9 > best) best = flops / seconds * 1e-9;
    }
    return best;
}
