/* What a long job says on standard error: one line, rewritten, on a terminal; elsewhere a plain
 * line every ten seconds. A signal sets the flag that answers the
 * library when it asks whether to stop. */
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli.h"

#define BAR 12
#define NARROW 60 /* columns */
#define REWRITE_S 0.2
#define LINE_S 10
#define PATIENCE_S 2 /* for a first sign of life */

static volatile sig_atomic_t stopped;
static struct {
    bool terminal, quiet, open; /* open: a rewriting line is on the screen */
    bool errors;                /* heard */
    double start, last;
    char answer[128]; /* to a signal */
    size_t answer_bytes;
} state;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void close_line(void) {
    if (state.open) fputc('\n', stderr);
    state.open = false;
}

static void on_log(void *user, int level, const char *line) {
    static const char *const words[] = {"error: ", "warning: ", ""};
    (void)user;
    if (level <= 0) state.errors = true;
    if (state.quiet && level > 0) return;
    if (output_is_silent() && level > 1) return; /* rank 0 says the rest */
    close_line();
    fprintf(stderr, "%s%s\n", words[level < 0 || level > 2 ? 2 : level], line);
}

static bool is_update(const MaeProgress *p) {
    return strcmp(p->phase, "update") == 0;
}

/* Adds a piece to the line, whole or not at all. */
__attribute__((format(printf, 3, 4))) static void add(char *line, size_t bytes, const char *format,
                                                      ...) {
    size_t used = strlen(line);
    va_list args;
    va_start(args, format);
    int n = vsnprintf(line + used, bytes - used, format, args);
    va_end(args);
    if (n < 0 || used + (size_t)n >= bytes) line[used] = '\0';
}

/* A narrow screen leaves pieces out, so what matters most comes first; it also has percent instead
 * of counts. At the very start of an update no speed is known. */
static void describe(const MaeProgress *p, char *line, size_t bytes) {
    char eta[32];
    bool narrow = bytes <= NARROW, within = is_update(p), train = strcmp(p->phase, "train") == 0;
    double share = p->total_steps > 0 ? (double)p->step / (double)p->total_steps : 0;
    *line = '\0';
    add(line, bytes, "%s ", within ? "train" : p->phase);
    if (narrow)
        add(line, bytes, "%.1f %%", 100 * share);
    else
        add(line, bytes, "%lld/%lld", (long long)p->step, (long long)p->total_steps);
    if (within)
        add(line, bytes, "  %s%s: %.0f %%", p->step ? "next" : "first", narrow ? "" : " update",
            100 * p->update_share);
    if (train) add(line, bytes, "  %s %.4f", narrow ? "loss" : "epoch mean loss", p->loss);
    if (!within || p->images_per_s > 0)
        add(line, bytes, "  %s left", duration(p->eta_s, eta, sizeof eta));
    if (p->images_per_s > 0) add(line, bytes, "  %.1f images/s", p->images_per_s);
    if (!train) return;
    add(line, bytes, "  lr %.3g", p->lr);
    add(line, bytes, "  %.0f%% of peak", 100 * p->fraction_of_peak);
    add(line, bytes, "  epoch %.2f/%lld", (double)p->epoch + p->epoch_fraction,
        (long long)p->total_epochs);
}

/* The line must fit the screen, because a wrapped one could not be rewritten. A narrow screen has
 * no room for the bar. */
static void rewrite(const MaeProgress *p) {
    char line[256];
    int columns = columns_of(stderr, sizeof line);
    int64_t full = p->total_steps > 0 ? BAR * p->step / p->total_steps : 0;
    int n = full > BAR ? BAR : (int)full;
    fputs("\r\033[K", stderr);
    if (columns > NARROW) {
        fprintf(stderr, "[%.*s%*s] ", n, "############", BAR - n, "");
        columns -= BAR + 3;
    }
    describe(p, line, (size_t)columns);
    fputs(line, stderr);
    state.open = true;
}

/* A run with quick updates has no plain line from within an update. */
static bool is_due(const MaeProgress *p, double t) {
    if (state.terminal) return t - state.last >= REWRITE_S;
    if (state.last == 0 && is_update(p)) return t - state.start >= PATIENCE_S;
    return t - state.last >= LINE_S;
}

static void on_progress(void *user, const MaeProgress *p) {
    char line[256];
    double t = now();
    bool last = p->step >= p->total_steps;
    (void)user;
    if (t < state.last) state.last = t; /* a clock that went back must not silence us */
    if (!is_due(p, t) && !last) return;
    state.last = t;
    if (state.terminal) {
        rewrite(p);
        return;
    }
    describe(p, line, sizeof line);
    fprintf(stderr, "%s\n", line);
}

static void on_plan(void *user, const MaeResult *plan) {
    (void)user;
    print_plan(stderr, NULL, plan);
}

static int on_stop(void *user) {
    (void)user;
    return (int)stopped;
}

/* What people and queues stop a job with; Slurm's --signal=USR1@120 comes before its time is up. */
static void signals(void (*handler)(int)) {
    signal(SIGINT, handler);
    signal(SIGTERM, handler);
    signal(SIGUSR1, handler);
}

/* The first signal asks for a stop. A second one, of any kind, ends the program. */
static void on_signal(int number) {
    (void)number;
    stopped = 1;
    signals(SIG_DFL);
    if (!state.quiet && !output_is_silent() &&
        write(STDERR_FILENO, state.answer, state.answer_bytes) < 0)
        return;
}

const MaeEvents *progress_start(const MaeOptions *o, const char *stopping) {
    static MaeEvents events;
    state.terminal = isatty(STDERR_FILENO) == 1;
    state.quiet = option_flag(o, "quiet");
    state.start = now();
    events = (MaeEvents){.log = on_log};
    if (!state.quiet && !output_is_silent()) {
        events.progress = on_progress;
        events.plan = on_plan;
    }
    if (!stopping) return &events;
    events.stop = on_stop;
    int n = snprintf(state.answer, sizeof state.answer, "\nmae: %s; once more ends at once\n",
                     stopping);
    state.answer_bytes = (size_t)n < sizeof state.answer ? (size_t)n : sizeof state.answer - 1;
    signals(on_signal);
    return &events;
}

bool heard_errors(void) {
    return state.errors;
}

void progress_end(void) {
    close_line();
    signals(SIG_DFL);
}
