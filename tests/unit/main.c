/* Runs the unit tests, each in its own process, and ends with one plain line:
 * `unit: N passed, M failed`. With arguments it runs only the suites named. The argument "1/2"
 * means every second suite from the first on, "2/2" means the others, so that two processes can
 * share the work. Exit status 1: a test failed or none ran; 2: an argument names no suite.
 *
 * `--bench kernels` runs no test and prints how long kernels take (kernel_bench.c). */
#include "kernel_case.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SUITE(name) Suite *suite_##name(void);
#include "suites.h"
#undef SUITE

static const struct {
    const char *name;
    Suite *(*make)(void);
} suites[] = {
#define SUITE(name) {#name, suite_##name},
#include "suites.h"
#undef SUITE
};

static int is_in_part(size_t suite, const char *part) {
    int k, n;
    return sscanf(part, "%d/%d", &k, &n) == 2 && n > 0 && (int)suite % n == k - 1;
}

static int wanted(size_t suite, int argc, char **argv) {
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], suites[suite].name) == 0 || is_in_part(suite, argv[i])) return 1;
    return argc < 2;
}

/* True when each argument stands for some suite; says which one does not. */
static int all_known(int argc, char **argv) {
    const size_t n = sizeof suites / sizeof suites[0];
    for (int i = 1; i < argc; i++) {
        size_t s = 0;
        while (s < n && strcmp(argv[i], suites[s].name) != 0 && !is_in_part(s, argv[i])) s++;
        if (s < n) continue;
        fprintf(stderr, "unit: there is no suite %s; tests/unit/suites.h lists them\n", argv[i]);
        return 0;
    }
    return 1;
}

static void print_failures(SRunner *runner) {
    TestResult **failures = srunner_failures(runner);
    for (int i = 0; i < srunner_ntests_failed(runner); i++)
        printf("FAIL %s/%s:%d: %s\n", tr_tcname(failures[i]), tr_lfile(failures[i]),
               tr_lno(failures[i]), tr_msg(failures[i]));
    free(failures);
}

int main(int argc, char **argv) {
    if (argc > 2 && strcmp(argv[1], "--bench") == 0 && strcmp(argv[2], "kernels") == 0)
        return kernel_bench(argc - 3, argv + 3);
    if (!all_known(argc, argv)) return 2;
    setenv("CK_DEFAULT_TIMEOUT", "120", 0);
    SRunner *runner = srunner_create(NULL);
    for (size_t i = 0; i < sizeof suites / sizeof suites[0]; i++)
        if (wanted(i, argc, argv)) srunner_add_suite(runner, suites[i].make());
    fflush(NULL);
    srunner_run_all(runner, CK_SILENT);
    int run = srunner_ntests_run(runner), failed = srunner_ntests_failed(runner);
    print_failures(runner);
    srunner_free(runner);
    printf("unit: %d passed, %d failed\n", run - failed, failed);
    return failed > 0 || run == 0;
}
