/* Help is made of the rows that the parser reads, so it cannot promise what is not there. The help
 * of a command is written once. A Page lays it out: plain here, as a man page in cmd_man.c. */
#include <string.h>

#include "cli.h"

#define WIDTH 96

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

static void write_option(const MaeOption *row, const MaeOptions *defaults, const Page *page) {
    char left[128], text[1024];
    bool is_switch = row->type == MAE_OPTION_SWITCH;
    bool given = row->fallback && !(is_switch && strcmp(row->fallback, "false") == 0);
    snprintf(left, sizeof left, "--%s %s", row->name, row->argument);
    snprintf(text, sizeof text, "%s", row->help);
    if (row->choices) add_choices(text, sizeof text, row->choices);
    size_t used = strlen(text);
    if (given)
        snprintf(text + used, sizeof text - used, " [%s]",
                 row->type == MAE_OPTION_REAL ? row->fallback
                                              : mae_options_get(defaults, row->name));
    page->row(left, text);
}

/* The words without a name, as the line of usage has them. */
static void write_words(const MaeOptions *defaults, const Page *page) {
    const MaeOption *row;
    bool any = false;
    for (int64_t i = 0; (row = mae_options_describe(defaults, i)); i++) {
        char left[64], text[1024];
        if (!row->positional) continue;
        if (!any) page->group(row->group);
        any = true;
        snprintf(left, sizeof left, "%s%s", row->argument,
                 row->type == MAE_OPTION_LIST ? "..." : "");
        snprintf(text, sizeof text, "%s", row->help);
        if (row->choices) add_choices(text, sizeof text, row->choices);
        page->row(left, text);
    }
}

static void write_groups(const MaeOptions *defaults, const Page *page) {
    const MaeOption *row;
    const char *group = "";
    for (int64_t i = 0; (row = mae_options_describe(defaults, i)); i++) {
        if (row->positional) continue;
        if (strcmp(row->group, group) != 0) page->group(row->group);
        group = row->group;
        write_option(row, defaults, page);
    }
}

/* What SRC may be, for the commands that take one. */
static void write_sources(const MaeOptions *o, const Page *page) {
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
    const MaeOption *row;
    bool takes = false;
    for (int64_t i = 0; (row = mae_options_describe(o, i)); i++)
        takes = takes || strcmp(row->argument, "SRC") == 0 || row->type == MAE_OPTION_LIST;
    if (!takes) return;
    page->group("Sources (SRC)");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) page->row(rows[i].left, rows[i].text);
    page->row("A,B", "several, joined; without a prefix the kind is found by looking");
}

void write_exit_status(bool trains, const Page *page) {
    page->section("Exit status");
    page->row("0", "done");
    page->row("1", "failed");
    page->row("2", "wrong usage");
    if (trains) page->row("75", "stopped and saved: the same command goes on");
}

void write_options(const MaeOptions *o, const Page *page) {
    if (o) write_words(o, page);
    if (o) write_groups(o, page);
    if (o) write_sources(o, page);
    page->group("General");
    if (o)
        page->row("--config FILE", "read options from a JSON file such as RUN/config.json; options "
                                   "on the line win");
    page->row("--help", "this text");
    if (o) page->text("A switch is turned off by --no-NAME. In [ ]: the default.");
}

void print_help(const MaeCommand *c, const MaeOptions *o) {
    static const Page plain = {print_title, print_title, print_row, print_text};
    printf("usage: mae %s %s\n", c->name, c->arguments);
    print_text(c->summary);
    write_options(o, &plain);
    write_exit_status(options_train(o), &plain);
}

void print_commands(FILE *to) {
    const MaeCommand *c;
    fprintf(to, "mae %s: masked autoencoders in C\n\nusage: mae COMMAND [OPTIONS]\n\n",
            mae_version());
    for (int64_t i = 0; (c = command_at(i)); i++) fprintf(to, "  %-12s %s\n", c->name, c->summary);
    fprintf(to, "\n`mae COMMAND --help` lists the options of a command with their defaults.\n");
}
