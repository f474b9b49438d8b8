/* The command mae: finds the row of the command in the table, calls it, and makes sure that what it
 * printed has arrived. */
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#ifdef _OPENMP
#include <omp.h>
#endif

#include "cli.h"

const Command COMMANDS[] = {
    {"pretrain", "--data SRC --out RUN", "pre-train; continues when RUN holds a run",
     MAE_COMMAND_PRETRAIN, cmd_pretrain},
    {"reconstruct", "--model CKPT --out PNG IMAGE...",
     "masked, reconstructed, original side by side, a row an image", MAE_COMMAND_RECONSTRUCT,
     cmd_reconstruct},
    {"finetune", "--data SRC --val SRC --init CKPT --out RUN",
     "train a classifier end to end, in part (--tune-blocks), or from scratch (--init none)",
     MAE_COMMAND_FINETUNE, cmd_finetune},
    {"probe", "--data SRC --val SRC --init CKPT --out RUN",
     "train a linear layer on the frozen encoder", MAE_COMMAND_PROBE, cmd_probe},
    {"eval", "--model CKPT --val SRC", "top-1, top-5 and loss of a classifier; --corruptions",
     MAE_COMMAND_EVAL, cmd_eval},
    {"classify", "--model CKPT IMAGE...", "classes and probabilities", MAE_COMMAND_CLASSIFY,
     cmd_classify},
    {"knn", "--model CKPT --data SRC --val SRC", "k-nearest-neighbour accuracy of frozen features",
     MAE_COMMAND_KNN, cmd_knn},
    {"features", "--model CKPT --data SRC --out FILE.npy",
     "features of images; FILE.txt names the rows", MAE_COMMAND_FEATURES, cmd_features},
    {"convert", "IN OUT --to official|timm|hf|onnx",
     "between checkpoint dialects; what is written is read back and compared", MAE_COMMAND_CONVERT,
     cmd_convert},
    {"info", "FILE", "what a checkpoint is: dialect, model, tensors, metadata", MAE_COMMAND_INFO,
     cmd_info},
    {"plan", "pretrain|finetune|probe --data SRC ...",
     "parameters, FLOPs, bytes and time, before anything starts", MAE_COMMAND_PRETRAIN, cmd_plan},
    {"bench", "step|kernels|data",
     "a whole step, the kernels it is made of, or the loader, measured", MAE_COMMAND_BENCH,
     cmd_bench},
    {"man", "[COMMAND]", "the manual page of mae or of a command, as man reads it", 0, cmd_man},
    {"completion", "bash|zsh|fish", "what a shell reads to complete commands and options", 0,
     cmd_completion},
    {NULL, NULL, NULL, 0, NULL},
};

const Command *command_find(const char *name) {
    for (const Command *c = COMMANDS; c->name; c++)
        if (strcmp(c->name, name) == 0) return c;
    return NULL;
}

int report_no_command(const char *name) {
    const char *near = NULL;
    int least = INT_MAX;
    for (const Command *c = COMMANDS; c->name; c++) {
        int d = mae_name_distance(name, c->name);
        if (d < least) {
            least = d;
            near = c->name;
        }
    }
    fprintf(stderr, "mae: there is no command %.60s%s%s%s\n`mae --help` lists the commands\n", name,
            near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
    return EXIT_USAGE;
}

static int help(const char *name) {
    const Command *c = name ? command_find(name) : NULL;
    if (name && !c) return report_no_command(name);
    if (c)
        print_help(c);
    else
        print_commands(stdout);
    return EXIT_DONE;
}

/* The first line names the version alone; the others are what a report of a bug needs. */
static int print_version(bool as_json) {
    MaeBuild b;
    mae_build(&b);
    const char *const rows[][2] = {{"version", mae_version()}, {"compiler", b.compiler},
                                   {"openmp", b.openmp},       {"mpi", b.mpi},
                                   {"codecs", b.codecs},       {"libraries", b.libraries}};
    json_t *j = as_json ? json_object() : NULL;
    if (!as_json) printf("mae %s\n", mae_version());
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (as_json)
            json_text(j, rows[i][0], rows[i][1]);
        else if (i > 0)
            printf("%-10s %s\n", rows[i][0], rows[i][1]);
    return as_json ? print_json(j) : EXIT_DONE;
}

/* Threads that wait for each other poll before they sleep. By default libgomp lets them poll for
 * milliseconds, which takes processor time from other programs. libgomp reads the setting when it
 * is loaded, so the program starts a second time, 3 ms later. A user's own setting stays. Where
 * threads are bound to processors, this thread is bound by now, too; a second start would have only
 * its one processor to share out. */
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

static int run(int argc, char **argv) {
    if (argc < 2) {
        print_commands(stderr);
        return EXIT_USAGE;
    }
    const char *word = argv[1];
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) return help(NULL);
    if (strcmp(word, "help") == 0) return help(argv[2]);
    if (strcmp(word, "--version") == 0)
        return print_version(argv[2] && strcmp(argv[2], "--json") == 0);
    const Command *c = command_find(word);
    if (!c) return report_no_command(word);
    if (c->id && c->id != MAE_COMMAND_INFO) start_with_short_waits(argv);
    return c->run(argc - 1, argv + 1);
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
