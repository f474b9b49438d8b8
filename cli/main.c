/* The command mae: finds the row of the table, calls it, and makes sure that what it printed has
 * arrived. */
#include <errno.h>
#include <limits.h>
#include <omp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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
    {NULL, NULL, NULL, MAE_COMMAND_INFO, NULL},
};

static const Command *find(const char *name) {
    for (const Command *c = COMMANDS; c->name; c++)
        if (strcmp(c->name, name) == 0) return c;
    return NULL;
}

static int help(const char *name) {
    const Command *c = name ? find(name) : NULL;
    if (name && !c) {
        fprintf(stderr, "mae: there is no command %s\n`mae --help` lists the commands\n", name);
        return EXIT_USAGE;
    }
    if (c)
        print_help(c);
    else
        print_commands(stdout);
    return EXIT_DONE;
}

/* Threads that wait for each other look again and again before they sleep. By libgomp's default
 * they do so for milliseconds, which beside other programs is time that somebody would have worked
 * in. It reads the setting while it is loaded: it takes a second start of the program, 3 ms later.
 * Whoever has set anything keeps it. Where threads are bound to processors, so is this one by now:
 * started again it would have one processor to share out. */
static void start_with_short_waits(char **argv) {
    char path[PATH_MAX] = {0};
    if (getenv("OMP_WAIT_POLICY") || getenv("GOMP_SPINCOUNT")) return;
    if (omp_get_proc_bind() != omp_proc_bind_false) return;
    if (readlink("/proc/self/exe", path, sizeof path - 1) <= 0) return;
    if (setenv("GOMP_SPINCOUNT", "2000", 1) == 0) execv(path, argv);
    errno = 0; /* as good without it */
}

static int run(int argc, char **argv) {
    if (argc < 2) {
        print_commands(stderr);
        return EXIT_USAGE;
    }
    const char *word = argv[1];
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) return help(NULL);
    if (strcmp(word, "help") == 0) return help(argv[2]);
    if (strcmp(word, "--version") == 0) {
        printf("mae %s\n", mae_version());
        return EXIT_DONE;
    }
    const Command *c = find(word);
    if (!c) return help(word);
    if (c->id != MAE_COMMAND_INFO) start_with_short_waits(argv);
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
