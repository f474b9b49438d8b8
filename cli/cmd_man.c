/* mae man: the manual pages mae(1) and mae-COMMAND(1), in the man macros of troff. Options come
 * from the table. This file says what a run folder holds, and tests/cli/install.sh compares it with
 * real ones. */
#include <ctype.h>
#include <string.h>

#include "cli.h"

/* What is trained: an autoencoder or a classifier. */
enum { PRETRAINING = 1, SUPERVISED = 2, RUNS = 3 };

typedef struct Row {
    unsigned trainings;
    const char *left, *text;
} Row;

static const Row FILES[] = {
    {RUNS, "config.json", "the options, for --config"},
    {RUNS, "log.jsonl", "a JSON object a line: updates, epochs, and what happened"},
    {RUNS, "curves.svg", "the same as a picture"},
    {RUNS, "summary.json", "the result, when the run is complete"},
    {RUNS, "last.safetensors", "the weights"},
    {RUNS, "last.state.safetensors", "what a run needs besides to go on"},
    {RUNS, "last.manifest.json", "sizes and checksums of both"},
    {SUPERVISED, "best.safetensors", "the weights of the best validation"},
    {RUNS, "checkpoint-N.safetensors", "the weights after epoch N"},
    {PRETRAINING, "reconstructions/N.png", "pictures of epoch N"},
};

static const Row LOG[] = {
    {RUNS, "kind", "step: an update; epoch: the end of one; event: something that happened"},
    {RUNS, "step", "updates so far"},
    {RUNS, "epoch", "epochs so far, with a fraction"},
    {RUNS, "loss", "of step: mean since the line before; of epoch: mean of the epoch"},
    {RUNS, "lr", "learning rate"},
    {RUNS, "images_per_s", "speed; null where it says nothing"},
    {RUNS, "grad_norm",
     "norm of the gradient before it is clipped, a mean as well; of epoch: the last"},
    {SUPERVISED, "top1, top5", "of validation: shares of 1"},
    {SUPERVISED, "val_loss", "of validation"},
    {SUPERVISED, "ema_top1, ema_top5, ema_val_loss", "the same of the averaged weights (--ema)"},
    {RUNS, "message", "of event: what happened"},
    {RUNS, "changes",
     "of event: a list of what is otherwise from here on, each with what, before, "
     "now"},
};

static const Row SUMMARY[] = {
    {RUNS, "steps, epochs", "updates and epochs"},
    {RUNS, "images", "images that the model was trained on, repeated ones as often"},
    {RUNS, "unreadable", "images that were left out"},
    {RUNS, "skipped_steps", "updates left out because a number was not finite"},
    {RUNS, "loss", "a mean; null: there was no update"},
    {RUNS, "loss_over", "over what it is the mean"},
    {RUNS, "seconds", "time of training"},
    {RUNS, "images_per_s", "speed; null where it says nothing"},
    {RUNS, "checkpoint", "file of the weights"},
    {PRETRAINING, "picture", "the last reconstruction; may be empty"},
    {SUPERVISED, "top1, top5, val_loss", "the last validation; null: not measured"},
    {SUPERVISED, "val_unreadable", "validation images that were left out"},
    {SUPERVISED, "ema_top1", "of the averaged weights (--ema)"},
    {SUPERVISED, "best_top1, best_epoch", "the best validation, and its epoch"},
};

/* A dash stays a dash when it is copied; no text begins with what troff takes as a request. */
static void put(const char *text) {
    for (; *text; text++)
        if (*text == '-' || *text == '\\')
            fputs(*text == '-' ? "\\-" : "\\e", stdout);
        else
            putchar(*text);
}

static void section(const char *title) {
    fputs(".SH ", stdout);
    for (; *title; title++) putchar(toupper((unsigned char)*title));
    putchar('\n');
}

static void group(const char *title) {
    printf(".SS %s\n", title);
}

static void text(const char *words) {
    fputs(".PP\n\\&", stdout);
    put(words);
    putchar('\n');
}

/* The name in bold, what it takes in italics; several names all in bold. */
static void row(const char *left, const char *words) {
    const char *rest = strstr(left, ", ") ? NULL : strchr(left, ' ');
    char name[128];
    snprintf(name, sizeof name, "%.*s", rest ? (int)(rest - left) : (int)strlen(left), left);
    fputs(".TP\n\\fB", stdout);
    put(name);
    fputs("\\fR", stdout);
    if (rest && rest[1]) {
        fputs(" \\fI", stdout);
        put(rest + 1);
        fputs("\\fR", stdout);
    }
    fputs("\n\\&", stdout);
    put(words);
    putchar('\n');
}

static const Page page = {section, group, row, text};

static void rows(const char *title, const Row *from, size_t n, unsigned training) {
    if (!training) return;
    section(title);
    for (size_t i = 0; i < n; i++)
        if (from[i].trainings & training) row(from[i].left, from[i].text);
}
#define ROWS(title, list, training) rows(title, list, sizeof(list) / sizeof *(list), training)

static void head(const char *dash, const char *name, const char *arguments, const char *summary) {
    fputs(".TH MAE", stdout);
    fputs(dash, stdout);
    for (const char *p = name; *p; p++) putchar(toupper((unsigned char)*p));
    printf(" 1 \"\" \"mae %s\" \"User Commands\"\n.SH NAME\nmae%s%s \\- ", mae_version(), dash,
           name);
    put(summary);
    printf("\n.SH SYNOPSIS\n.B mae%s%s\n", *name ? " " : "", name);
    put(arguments);
    putchar('\n');
}

static void see_also(const char *self) {
    const MaeCommand *c;
    section("See also");
    if (self) printf(".BR mae (1)");
    for (int64_t i = 0; (c = command_at(i)); i++)
        if (!self || strcmp(self, c->name) != 0)
            printf("%s\n.BR mae\\-%s (1)", self || i ? "," : "", c->name);
    putchar('\n');
}

/* 0: nothing. A classifier is validated. */
static unsigned training_of(const MaeOptions *o) {
    if (!options_train(o)) return 0;
    return option_row(o, "eval-every") ? SUPERVISED : PRETRAINING;
}

static void command_page(const MaeCommand *c) {
    MaeOptions *o = command_options(c, NULL);
    head("\\-", c->name, c->arguments, c->summary);
    section("Options");
    write_options(o, &page);
    ROWS("Files of the run folder", FILES, training_of(o));
    ROWS("Fields of log.jsonl", LOG, training_of(o));
    ROWS("Fields of summary.json", SUMMARY, training_of(o));
    write_exit_status(options_train(o), &page);
    see_also(c->name);
    mae_options_free(o);
}

static void main_page(void) {
    const MaeCommand *c;
    head("", "", "COMMAND [OPTIONS]", "masked autoencoders for images");
    section("Commands");
    for (int64_t i = 0; (c = command_at(i)); i++) row(c->name, c->summary);
    section("Options");
    row("--version [--json]", "the version, and what a report of a bug needs to say of the build");
    row("--help", "the commands; mae COMMAND --help and mae help COMMAND: the options of one");
    write_exit_status(true, &page);
    see_also(NULL);
}

int cmd_man(int argc, char **argv) {
    Call c;
    int status = call_parse(&c, argc, argv);
    const char *name = c.n_positional ? c.positional[0] : NULL;
    const MaeCommand *of = name ? command_find(name) : NULL;
    if (status == GO_ON && c.n_positional > 1) status = report_usage("man", "one page at a time");
    if (status == GO_ON && name && !of) status = report_no_command(name);
    if (status == GO_ON && of) command_page(of);
    if (status == GO_ON && !of) main_page();
    call_free(&c);
    return status == GO_ON ? EXIT_DONE : status;
}
