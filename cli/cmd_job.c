/* The commands that do a job of the library: parse, run, print. What is a command's own stands in
 * the table: what it needs, and how people read its result. */
#include <stdlib.h>
#include <string.h>

#include "cli.h"

typedef struct JobCommand {
    const char *name;
    /* Options that must have a value, and what the message calls them. */
    const char *needs[3][2];
    int (*check)(const Call *c); /* GO_ON or the exit status; NULL: there is nothing to check */
    void (*print)(FILE *to, const MaeOptions *o, const MaeResult *r);
    /* Instead of print: prints each record of the result as soon as it is known. */
    void (*record)(void *user, const MaeResult *record);
    /* A signal asks it to stop. Others are ended by it. */
    bool stops;
    /* It may be one of several processes, and the same command continues it after a stop. */
    bool trains;
} JobCommand;

#define MODEL                                                                                      \
    { "model", "--model CKPT" }
#define DATA                                                                                       \
    { "data", "--data SRC" }
#define VAL                                                                                        \
    { "val", "--val SRC" }
#define RUN                                                                                        \
    { "out", "--out RUN" }

static const JobCommand JOBS[] = {
    {.name = "pretrain", .needs = {RUN}, .print = print_summary, .stops = true, .trains = true},
    {.name = "finetune", .needs = {RUN}, .print = print_summary, .stops = true, .trains = true},
    {.name = "probe", .needs = {RUN}, .print = print_summary, .stops = true, .trains = true},
    {.name = "reconstruct",
     .needs = {MODEL, {"out", "--out PNG"}},
     .print = print_reconstruction,
     .stops = true},
    {.name = "classify", .needs = {MODEL}, .record = print_classes, .stops = true},
    {.name = "knn", .needs = {MODEL, DATA, VAL}, .print = print_knn, .stops = true},
    {.name = "features",
     .needs = {MODEL, DATA},
     .check = check_features,
     .print = print_features,
     .stops = true},
    {.name = "neighbours", .needs = {MODEL, DATA}, .print = print_neighbours, .stops = true},
    {.name = "eval", .needs = {MODEL, VAL}, .print = print_eval, .stops = true},
    {.name = "convert", .print = print_conversion},
    {.name = "info", .print = print_info},
    {.name = "plan", .print = print_plan},
    {.name = "bench", .check = check_bench, .print = print_bench},
};

static const JobCommand *find(const char *name) {
    for (size_t i = 0; i < sizeof JOBS / sizeof *JOBS; i++)
        if (strcmp(JOBS[i].name, name) == 0) return &JOBS[i];
    return NULL;
}

/* --- several processes ------------------------------------------------------------------------ */

/* Open MPI adds in the background along a binomial tree, whose root moves every message 2 log2(n)
 * times. With recursive halving (its number 3) nobody moves more than two. A user's setting
 * stays. */
static void prefer_halving(void) {
    (void)setenv("OMPI_MCA_coll_libnbc_iallreduce_algorithm", "3", 0);
    (void)setenv("OMPI_MCA_coll_libnbc_ireduce_algorithm", "3", 0);
}

/* Sets how many there are. GO_ON or the exit status. */
static int join(int *processes) {
    MaeError err = {0};
    int rank;
    prefer_halving();
    if (mae_join(&rank, processes, &err)) return report(&err);
    if (rank > 0) output_silence();
    return GO_ON;
}

/* --- the job ---------------------------------------------------------------------------------- */

static const char *answer_to_signal(const JobCommand *j, int processes) {
    if (!j->stops) return NULL;
    if (!j->trains) return "stopping";
    return processes > 1 ? "stopping after this update, which all processes end together"
                         : "stopping: the update under way is given up, the run is saved";
}

static int check(const JobCommand *j, const Call *c) {
    for (int i = 0; i < 3 && j->needs[i][0]; i++) {
        int status = call_need(c, j->needs[i][0], j->needs[i][1]);
        if (status != GO_ON) return status;
    }
    return j->check ? j->check(c) : GO_ON;
}

static int failed(const JobCommand *j, const MaeOptions *o, const MaeError *err) {
    bool again = j->trains && err->status == MAE_INTERRUPTED;
    if (again && option_flag(o, "restart") && !output_is_silent())
        fprintf(stderr, "mae: leave --restart out to continue\n");
    int status = report(err);
    return again ? EXIT_AGAIN : status;
}

/* What is done, with something left out that an error has named, is a failure. */
static int done(const JobCommand *j, int status) {
    return status == EXIT_DONE && !j->trains && heard_errors() ? EXIT_FAILED : status;
}

static int run(const JobCommand *j, const MaeOptions *o, int processes) {
    MaeError err = {0};
    MaeResult *r = NULL;
    FILE *to = talk(o);
    MaeEvents events = *progress_start(o, answer_to_signal(j, processes));
    if (j->record && !option_flag(o, "json")) {
        events.record = j->record;
        events.progress = NULL; /* the records show how far it is */
    }
    (void)mae_run(o, &events, &r, &err);
    progress_end();
    if (err.status) return failed(j, o, &err);
    int status = option_flag(o, "json") ? print_as_json(r) : EXIT_DONE;
    if (!option_flag(o, "json") && to && j->print) j->print(to, o, r);
    mae_result_free(r);
    return done(j, status);
}

int cmd_job(int argc, char **argv) {
    Call c = {0};
    const JobCommand *j = find(argv[0]);
    int processes = 1, status = GO_ON;
    if (!j) {
        fprintf(stderr,
                "mae: the library has a command %s that this program does not know; they are of "
                "different versions\n",
                argv[0]);
        return EXIT_FAILED;
    }
    if (j->trains) status = join(&processes);
    if (status == GO_ON) status = call_parse(&c, argc, argv);
    if (status == GO_ON) status = check(j, &c);
    if (status == GO_ON) status = run(j, c.options, processes);
    call_free(&c);
    return status;
}
