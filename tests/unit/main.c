/* Runs the unit tests, each in its own process, and ends with one plain line:
 * `unit: N passed, M failed`. With arguments, only the suites named; "1/2" is every second suite
 * from the first on, "2/2" the others, so that two processes share the work. Exit status 1 when a
 * test fails or none ran. */
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

static void print_failures(SRunner *runner) {
    TestResult **failures = srunner_failures(runner);
    for (int i = 0; i < srunner_ntests_failed(runner); i++)
        printf("FAIL %s/%s:%d: %s\n", tr_tcname(failures[i]), tr_lfile(failures[i]),
               tr_lno(failures[i]), tr_msg(failures[i]));
    free(failures);
}

int main(int argc, char **argv) {
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
