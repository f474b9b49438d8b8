/* Time of a sum over all processes, for message sizes from 8 bytes to the largest bucket. It gives
 * the latency and the bandwidth that bench/scaling.py counts with. Sums block, or run in place
 * without blocking as a training step makes them (src/dist/comm_mpi.c). Of many repetitions the
 * least is what the network can do, and the middle is what a machine with other work on it does.
 * Bandwidths are bytes of the message over the least time.
 *
 *     mpicc -O2 -o build/allreduce bench/allreduce.c && mpirun -n 2 build/allreduce [--json] */
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LARGEST = 25 << 20, SMALL_REPEATS = 400, LEAST_REPEATS = 15 };

static float x[LARGEST / sizeof(float)];
static double seconds[SMALL_REPEATS];

static int compare(const void *a, const void *b) {
    double p = *(const double *)a, q = *(const double *)b;
    return (p > q) - (p < q);
}

static void sum(int n, int blocking) {
    MPI_Request request;
    int done = 0;
    if (blocking) {
        MPI_Allreduce(MPI_IN_PLACE, x, n, MPI_FLOAT, MPI_SUM, MPI_COMM_WORLD);
        return;
    }
    MPI_Iallreduce(MPI_IN_PLACE, x, n, MPI_FLOAT, MPI_SUM, MPI_COMM_WORLD, &request);
    while (!done) MPI_Test(&request, &done, MPI_STATUS_IGNORE);
}

/* The slowest process of each repetition counts. Sorts what was measured. */
static void measure(int n, int blocking, int repeats) {
    for (int i = -2; i < repeats; i++) {
        MPI_Barrier(MPI_COMM_WORLD);
        double start = MPI_Wtime();
        sum(n, blocking);
        double took = MPI_Wtime() - start, slowest;
        MPI_Allreduce(&took, &slowest, 1, MPI_DOUBLE, MPI_MAX, MPI_COMM_WORLD);
        if (i >= 0) seconds[i] = slowest;
    }
    qsort(seconds, (size_t)repeats, sizeof *seconds, compare);
}

static void report(int bytes, int blocking, int repeats, int json) {
    double least = seconds[0], middle = seconds[repeats / 2];
    const char *kind = blocking ? "blocking" : "background";
    if (json)
        printf("{\"kind\": \"%s\", \"bytes\": %d, \"least_s\": %.9f, \"median_s\": %.9f}\n", kind,
               bytes, least, middle);
    else
        printf("| %s | %d | %.1f | %.1f | %.2f |\n", kind, bytes, 1e6 * least, 1e6 * middle,
               1e-9 * bytes / least);
}

int main(int argc, char **argv) {
    int rank, json = argc > 1 && strcmp(argv[1], "--json") == 0;
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    if (rank == 0 && !json)
        printf("| sum | bytes | least us | median us | GB/s |\n|---|---|---|---|---|\n");
    for (int blocking = 1; blocking >= 0; blocking--)
        for (int bytes = 8; bytes <= LARGEST;
             bytes = bytes * 8 > LARGEST && bytes < LARGEST ? LARGEST : bytes * 8) {
            int repeats = bytes < 100000 ? SMALL_REPEATS : LEAST_REPEATS * 4;
            if (bytes > 1 << 22) repeats = LEAST_REPEATS;
            measure(bytes / (int)sizeof *x, blocking, repeats);
            if (rank == 0) report(bytes, blocking, repeats, json);
        }
    MPI_Finalize();
    return 0;
}
