/* The command mae: finds the function of the command, calls it, and makes sure that what it printed
 * has arrived. */
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#ifdef _OPENMP
#include <omp.h>
#endif

#include "cli.h"

/* Those that do more, or less, than a job of the library. */
static const struct {
    const char *command;
    int (*run)(int argc, char **argv);
} OTHERS[] = {
    {"man", cmd_man},
    {"completion", cmd_completion},
};

static int run_command(int argc, char **argv) {
    for (size_t i = 0; i < sizeof OTHERS / sizeof *OTHERS; i++)
        if (strcmp(OTHERS[i].command, argv[0]) == 0) return OTHERS[i].run(argc, argv);
    return cmd_job(argc, argv);
}

static int help(const char *name, const char *word) {
    const MaeCommand *c = name ? command_find(name) : NULL;
    if (name && !c) return report_no_command(name);
    if (!c) {
        print_commands(stdout);
        return EXIT_DONE;
    }
    MaeOptions *o = command_options(c, word);
    print_help(c, o);
    mae_options_free(o);
    return EXIT_DONE;
}

/* The first line names the version alone; the others are what a report of a bug needs. */
static int print_version(int n_words, char **words) {
    MaeError err = {0};
    MaeResult *r = NULL;
    int status = EXIT_DONE;
    bool as_json = n_words == 1 && strcmp(words[0], "--json") == 0;
    if (n_words > 0 && !as_json) {
        fprintf(stderr, "mae: %s: after --version there may be --json alone\n",
                words[strcmp(words[0], "--json") == 0]);
        return EXIT_USAGE;
    }
    if (mae_build_info(&r, &err)) return report(&err);
    if (as_json) {
        status = print_as_json(r);
    } else {
        printf("mae %s\n", text_of(r, "version"));
        for (int64_t i = 1; i < mae_result_count(r, NULL); i++)
            printf("%-10s %s\n", mae_result_key(r, i), text_of(mae_result_at(r, i), NULL));
    }
    mae_result_free(r);
    return status;
}

/* Threads that wait for each other poll before they sleep. In any program the library makes that
 * 100 times (kernels/waits.h), not 300,000. With 2000 small models are 4 % faster than with 100,
 * and other programs hardly feel it. libgomp reads this number when it is loaded, so the command
 * starts a second time, 3 ms later. A user's own setting stays. Where threads are bound to
 * processors, this thread is bound by now, too; a second start would have only its one processor to
 * share out. */
static void start_with_short_waits(char **argv) {
#ifdef _OPENMP
    char path[PATH_MAX] = {0};
    if (getenv("OMP_WAIT_POLICY") || getenv("GOMP_SPINCOUNT")) return;
    if (omp_get_proc_bind() != omp_proc_bind_false) return;
    if (readlink("/proc/self/exe", path, sizeof path - 1) <= 0) return;
    if (setenv("GOMP_SPINCOUNT", "2000", 1) == 0) execv(path, argv);
    errno = 0; /* as good without it */
#else
    (void)argv;
#endif
}

/* A command that computes can be told how many threads to take. */
static bool computes(const MaeCommand *c) {
    MaeOptions *o = command_options(c, NULL);
    bool threads = o && option_row(o, "threads");
    mae_options_free(o);
    return threads;
}

static int run(int argc, char **argv) {
    if (argc < 2) {
        print_commands(stderr);
        return EXIT_USAGE;
    }
    const char *word = argv[1];
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) return help(NULL, NULL);
    if (strcmp(word, "help") == 0) return help(argv[2], argc > 3 ? argv[3] : NULL);
    if (strcmp(word, "--version") == 0) return print_version(argc - 2, argv + 2);
    const MaeCommand *c = command_find(word);
    if (!c) return report_no_command(word);
    if (computes(c)) start_with_short_waits(argv);
    return run_command(argc - 1, argv + 1);
}

/* A result that could not be written is a failure, whatever the command thought. */
int main(int argc, char **argv) {
    signal(SIGPIPE, SIG_IGN); /* a reader that has gone is seen below */
    int status = run(argc, argv);
    errno = 0;
    if (fflush(stdout) == 0 && !ferror(stdout)) return status;
    fprintf(stderr, "mae: standard output cannot be written%s%s\n", errno ? ": " : "",
            errno ? strerror(errno) : "");
    return status == EXIT_DONE ? EXIT_FAILED : status;
}
