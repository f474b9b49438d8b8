/* Help is made of the rows that the parser reads, so it cannot promise what is not there. The help
 * of a command is written once. A Page lays it out: plain here, as a man page in cmd_man.c. */
#include <string.h>

#include "cli.h"

#define WIDTH 96
#define RUNS (MAE_COMMAND_PRETRAIN | MAE_COMMAND_FINETUNE | MAE_COMMAND_PROBE)

static void print_row(const char *left, const char *text) {
    int width = columns_of(stdout, WIDTH);
    int indent = width < 64 ? 6 : 32;
    print_wrapped(stdout, text, printf("  %-*s", indent - 2, left), indent, width);
}

static void print_text(const char *text) {
    putchar('\n');
    print_wrapped(stdout, text, 0, 0, columns_of(stdout, WIDTH));
}

static void print_title(const char *title) {
    printf("\n%s\n", title);
}

static void add_choices(char *text, size_t bytes, const char *const *choices) {
    size_t used = strlen(text);
    for (int i = 0; choices[i]; i++) {
        int n = snprintf(text + used, bytes - used, "%s%s", i ? ", " : ": ", choices[i]);
        if (n > 0 && used + (size_t)n < bytes) used += (size_t)n;
    }
}

static void write_option(const MaeOption *o, const MaeOptions *defaults, const Page *page) {
    char left[128], text[1024], value[256];
    bool is_switch = o->type == MAE_OPTION_BOOL;
    bool given = o->fallback && !(is_switch && strcmp(o->fallback, "false") == 0);
    snprintf(left, sizeof left, "--%s %s", o->name, o->argument);
    snprintf(text, sizeof text, "%s", o->help);
    if (o->choices) add_choices(text, sizeof text, o->choices);
    if (given && o->type == MAE_OPTION_REAL) snprintf(value, sizeof value, "%s", o->fallback);
    if (given && o->type != MAE_OPTION_REAL) mae_option_get(defaults, o, value, sizeof value);
    size_t used = strlen(text);
    if (given) snprintf(text + used, sizeof text - used, " [%s]", value);
    page->row(left, text);
}

static bool in_group(const MaeOption *o, MaeCommand id, const char *group) {
    return (o->commands & (unsigned)id) && strcmp(o->group, group) == 0;
}

static void write_groups(MaeCommand id, const Page *page) {
    size_t n;
    MaeOptions defaults;
    const MaeOption *table = mae_option_table(&n);
    mae_options_default(id, &defaults);
    for (size_t i = 0; i < n; i++) {
        bool seen = !(table[i].commands & (unsigned)id);
        for (size_t j = 0; j < i && !seen; j++) seen = in_group(&table[j], id, table[i].group);
        if (seen) continue;
        page->group(table[i].group);
        for (size_t j = i; j < n; j++)
            if (in_group(&table[j], id, table[i].group)) write_option(&table[j], &defaults, page);
    }
    mae_options_free(&defaults);
}

/* What SRC may be, for the commands that take one. */
static void write_sources(MaeCommand id, const Page *page) {
    static const struct {
        const char *left, *text;
    } rows[] = {
        {"folder:DIR", "images below it, a class per sub-folder; without sub-folders no labels"},
        {"list:FILE", "a text file, a line an image: path, or path<TAB>label; paths start at its "
                      "folder; labels that are all numbers are class numbers"},
        {"tar:PATTERN", "shards as of WebDataset, KEY.jpg with KEY.cls; {000..127} expands"},
        {"cifar10:DIR, cifar100:DIR", "the binary distribution; DIR:train or DIR:test is a split. "
                                      "Without, --data takes train and --val takes test"},
        {"tiles:DIR", "photos cut into tiles, a class a photo; DIR:train and DIR:test are the two "
                      "colours of the checkerboard"},
        {"synthetic:N[xHxW]", "generated, 10 classes, for measuring speed: image i is the same in "
                              "every source of its size"},
    };
    size_t n;
    const MaeOption *table = mae_option_table(&n);
    bool takes = false;
    for (size_t i = 0; i < n; i++)
        takes =
            takes || ((table[i].commands & (unsigned)id) && strcmp(table[i].argument, "SRC") == 0);
    if (!takes) return;
    page->group("Sources (SRC)");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) page->row(rows[i].left, rows[i].text);
    page->row("A,B", "several, joined; without a prefix the kind is found by looking");
}

void write_exit_status(unsigned commands, const Page *page) {
    page->section("Exit status");
    page->row("0", "done");
    page->row("1", "failed");
    page->row("2", "wrong usage");
    if (commands & RUNS) page->row("75", "stopped and saved: the same command goes on");
}

void write_options(const Command *c, const Page *page) {
    write_groups(c->id, page);
    write_sources(c->id, page);
    page->group("General");
    if (c->id)
        page->row("--config FILE", "read options from a JSON file such as RUN/config.json; options "
                                   "on the line win");
    page->row("--help", "this text");
    if (c->id) page->text("A switch is turned off by --no-NAME. In [ ]: the default.");
}

void print_help(const Command *c) {
    static const Page plain = {print_title, print_title, print_row, print_text};
    printf("usage: mae %s %s\n", c->name, c->arguments);
    print_text(c->summary);
    write_options(c, &plain);
    write_exit_status((unsigned)c->id, &plain);
}

void print_commands(FILE *to) {
    fprintf(to, "mae %s: masked autoencoders in C\n\nusage: mae COMMAND [OPTIONS]\n\n",
            mae_version());
    for (const Command *c = COMMANDS; c->name; c++)
        fprintf(to, "  %-12s %s\n", c->name, c->summary);
    fprintf(to, "\n`mae COMMAND --help` lists the options of a command with their defaults.\n");
}
