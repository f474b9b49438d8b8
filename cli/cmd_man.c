/* mae man: the manual pages mae(1) and mae-COMMAND(1), in the man macros of troff. Options come
 * from the table. This file says what a run folder holds, and tests/cli/install.sh compares it with
 * real ones. */
#include <ctype.h>
#include <string.h>

#include "cli.h"

#define SUPERVISED (MAE_COMMAND_FINETUNE | MAE_COMMAND_PROBE)
#define RUNS (MAE_COMMAND_PRETRAIN | SUPERVISED)

typedef struct Row {
    unsigned commands;
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
    {MAE_COMMAND_PRETRAIN, "reconstructions/N.png", "pictures of epoch N"},
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
    {MAE_COMMAND_PRETRAIN, "picture", "the last reconstruction; may be empty"},
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

static void rows(const char *title, const Row *from, size_t n, unsigned commands) {
    if (!(commands & RUNS)) return;
    section(title);
    for (size_t i = 0; i < n; i++)
        if (from[i].commands & commands) row(from[i].left, from[i].text);
}
#define ROWS(title, list, commands) rows(title, list, sizeof(list) / sizeof *(list), commands)

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
    section("See also");
    if (self) printf(".BR mae (1)");
    for (const Command *c = COMMANDS; c->name; c++)
        if (!self || strcmp(self, c->name) != 0)
            printf("%s\n.BR mae\\-%s (1)", self || c != COMMANDS ? "," : "", c->name);
    putchar('\n');
}

static void command_page(const Command *c) {
    head("\\-", c->name, c->arguments, c->summary);
    section("Options");
    write_options(c, &page);
    ROWS("Files of the run folder", FILES, (unsigned)c->id);
    ROWS("Fields of log.jsonl", LOG, (unsigned)c->id);
    ROWS("Fields of summary.json", SUMMARY, (unsigned)c->id);
    write_exit_status((unsigned)c->id, &page);
    see_also(c->name);
}

static void main_page(void) {
    head("", "", "COMMAND [OPTIONS]", "masked autoencoders for images");
    section("Commands");
    for (const Command *c = COMMANDS; c->name; c++) row(c->name, c->summary);
    section("Options");
    row("--version [--json]", "the version, and what a report of a bug needs to say of the build");
    row("--help", "the commands; mae COMMAND --help and mae help COMMAND: the options of one");
    write_exit_status(RUNS, &page);
    see_also(NULL);
}

int cmd_man(int argc, char **argv) {
    Call c;
    int status = call_parse(&c, "man", 0, argc, argv);
    const char *name = c.n_positional ? c.positional[0] : NULL;
    const Command *of = name ? command_find(name) : NULL;
    if (status == GO_ON && c.n_positional > 1) status = report_usage("man", "one page at a time");
    if (status == GO_ON && name && !of) status = report_no_command(name);
    if (status == GO_ON && of) command_page(of);
    if (status == GO_ON && !of) main_page();
    call_free(&c);
    return status == GO_ON ? EXIT_DONE : status;
}
