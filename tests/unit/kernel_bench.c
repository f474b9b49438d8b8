/* unit_tests --bench kernels [NAME] [--device WORD[/ISA]]... [--threads N]
 *
 * Times the rows that the cases of test_kernels*.c call, in the sizes of vit_base and vit_tiny, and
 * prints a table: the shortest and the median time, and the speed at the shortest. NAME chooses the
 * benchmarks whose names contain it. Without --device it is "cpu", without --threads all there are.
 * The first call warms; whoever compares two programs runs them in turn. */
#include "kernel_case.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/threads.h"

#define SECONDS_EACH 0.25       /* of measuring, for a row */
#define SECONDS_OF_A_LOOK 0.001 /* at least, between two looks at the clock */
enum { FEWEST_TIMES = 3, MOST_DEVICES = 8 };

typedef struct Asked {
    const char *name; /* part of the names of benchmarks */
    const char *device[MOST_DEVICES];
    int n_devices, n_threads;
} Asked;

/* --- work, time and the table ----------------------------------------------------------------- */

Work work_flops(double n) {
    return (Work){n, "GFLOP/s"};
}

Work work_moved(const Device *d, int64_t reals, int64_t wides) {
    return (Work){
        (double)(device_bytes(d, NUMBER_REAL, reals) + device_bytes(d, NUMBER_WIDE, wides)),
        "GB/s"};
}

static int by_size(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void print_shape(const int64_t *dim, char *text, size_t bytes) {
    int used = 0;
    for (int i = 0; i < 6 && dim[i]; i++)
        used +=
            snprintf(text + used, bytes - (size_t)used, i ? " x %lld" : "%lld", (long long)dim[i]);
}

static void tell(RowTimer *t) {
    char shape[128], device[64];
    print_shape(t->c->dim, shape, sizeof shape);
    snprintf(device, sizeof device, "%s/%s %d", t->d->name, t->d->isa, t->d->n_threads);
    qsort(t->seconds, (size_t)t->n, sizeof *t->seconds, by_size);
    printf("%-27s %-14s %-32s %-15s %10.4f %10.4f %8.1f %s\n", t->row, t->c->timed, shape, device,
           1e3 * t->seconds[0], 1e3 * t->seconds[t->n / 2], t->work.amount / 1e9 / t->seconds[0],
           t->work.unit);
    fflush(stdout);
}

RowTimer row_start(const Case *c, Device *d, const char *row, Work work) {
    return (RowTimer){.c = c, .d = d, .row = row, .work = work};
}

/* The first time is that of the warming call, and says how many calls the others have. */
static bool take_time(RowTimer *t, double now) {
    double seconds = (now - t->begun) / t->calls;
    if (t->n < 0) {
        double calls = SECONDS_OF_A_LOOK / (seconds > 1e-6 ? seconds : 1e-6);
        t->calls = calls > 1 ? (int)calls : 1;
    } else {
        t->seconds[t->n] = seconds;
        t->total += now - t->begun;
    }
    t->n++;
    return t->n < FEWEST_TIMES || (t->total < SECONDS_EACH && t->n < MOST_TIMES);
}

bool row_again(RowTimer *t) {
    if (!t->c->timed) return t->calls++ == 0;
    if (t->left-- > 1) return true;
    device_sync(t->d);
    if (t->calls == 0) {
        t->calls = 1;
        t->n = -1;
    } else if (!take_time(t, clock_seconds())) {
        tell(t);
        return false;
    }
    t->left = t->calls;
    t->begun = clock_seconds();
    return true;
}

/* --- what is asked for ------------------------------------------------------------------------ */

static Device *open_one(const char *text, int n_threads) {
    char word[32];
    const char *isa = strchr(text, '/');
    Device *d = NULL;
    Error err = {0};
    snprintf(word, sizeof word, "%.*s", isa ? (int)(isa - text) : 31, text);
    if (device_open(word, n_threads, isa ? isa + 1 : NULL, &d, &err) != MAE_OK)
        fprintf(stderr, "bench: %s\n", err.message);
    return d;
}

static bool read_arguments(int argc, char **argv, Asked *a) {
    *a = (Asked){.name = ""};
    for (int i = 0; i < argc; i++) {
        bool follows = i + 1 < argc;
        if (strcmp(argv[i], "--device") == 0 && follows && a->n_devices < MOST_DEVICES)
            a->device[a->n_devices++] = argv[++i];
        else if (strcmp(argv[i], "--threads") == 0 && follows)
            a->n_threads = (int)strtol(argv[++i], NULL, 10);
        else if (argv[i][0] != '-' && !*a->name)
            a->name = argv[i];
        else
            return false;
    }
    if (a->n_devices == 0) a->device[a->n_devices++] = device_words[DEVICE_CPU];
    return true;
}

/* How many of the list are asked for. */
static int time_list(const Bench *list, const Asked *a, Device *const *d) {
    int n = 0;
    for (const Bench *b = list; b->name; b++) {
        if (!strstr(b->name, a->name)) continue;
        Rng rng = rng_make(0, RNG_SYNTHETIC, 0, 0);
        Case c;
        b->make(&c, &rng, b->n, b->flags);
        c.timed = b->what;
        for (int i = 0; i < a->n_devices; i++) case_run(&c, d[i]);
        case_free(&c);
        n++;
    }
    return n;
}

int kernel_bench(int argc, char **argv) {
    static const Bench *const lists[] = {benches, benches_classify, benches_optim};
    Device *d[MOST_DEVICES] = {NULL};
    Asked a;
    int n = 0, opened = 0;
    if (!read_arguments(argc, argv, &a)) {
        fprintf(stderr, "bench: write: unit_tests --bench kernels [NAME] [--device WORD[/ISA]]... "
                        "[--threads N]\n");
        return 2;
    }
    while (opened < a.n_devices && (d[opened] = open_one(a.device[opened], a.n_threads))) opened++;
    if (opened == a.n_devices) {
        printf("%-27s %-14s %-32s %-15s %10s %10s %8s\n", "row", "of", "shape", "device, threads",
               "ms, least", "median", "speed");
        for (int i = 0; i < 3; i++) n += time_list(lists[i], &a, d);
        if (n == 0) fprintf(stderr, "bench: no benchmark has %s in its name\n", a.name);
    }
    for (int i = 0; i < opened; i++) device_close(d[i]);
    return n > 0 ? 0 : 2;
}
