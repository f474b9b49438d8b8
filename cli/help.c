/* Help from the same rows that the parser reads, so it cannot promise what is not there. */
#include <string.h>

#include "cli.h"

#define TEXT_COLUMN 32
#define WIDTH 96

/* Word by word from `column` on; later lines start at TEXT_COLUMN. */
static void print_wrapped(const char *text, int column) {
    if (column > TEXT_COLUMN) {
        printf("\n%*s", TEXT_COLUMN, "");
        column = TEXT_COLUMN;
    }
    for (bool first = true; *text; first = false) {
        int word = (int)strcspn(text, " ");
        if (!first && column + 1 + word > WIDTH) {
            printf("\n%*s", TEXT_COLUMN, "");
            column = TEXT_COLUMN;
        } else if (!first) {
            putchar(' ');
            column++;
        }
        printf("%.*s", word, text);
        column += word;
        text += word;
        while (*text == ' ') text++;
    }
    putchar('\n');
}

static void print_row(const char *left, const char *text) {
    print_wrapped(text, printf("%-*s", TEXT_COLUMN, left));
}

static void print_choices(char *text, size_t bytes, const char *const *choices) {
    size_t used = strlen(text);
    for (int i = 0; choices[i]; i++) {
        int n = snprintf(text + used, bytes - used, "%s%s", i ? ", " : ": ", choices[i]);
        if (n > 0 && used + (size_t)n < bytes) used += (size_t)n;
    }
}

static void print_option(const MaeOption *o, const MaeOptions *defaults) {
    char left[128], text[1024], value[256];
    bool is_switch = o->type == MAE_OPTION_BOOL;
    bool given = o->fallback && !(is_switch && strcmp(o->fallback, "false") == 0);
    snprintf(left, sizeof left, "  --%s %s", o->name, o->argument);
    snprintf(text, sizeof text, "%s", o->help);
    if (o->choices) print_choices(text, sizeof text, o->choices);
    if (given && o->type == MAE_OPTION_REAL) snprintf(value, sizeof value, "%s", o->fallback);
    if (given && o->type != MAE_OPTION_REAL) mae_option_get(defaults, o, value, sizeof value);
    size_t used = strlen(text);
    if (given) snprintf(text + used, sizeof text - used, " [%s]", value);
    print_row(left, text);
}

static bool in_group(const MaeOption *o, MaeCommand id, const char *group) {
    return (o->commands & (unsigned)id) && strcmp(o->group, group) == 0;
}

static void print_groups(MaeCommand id) {
    size_t n;
    MaeOptions defaults;
    const MaeOption *table = mae_option_table(&n);
    mae_options_default(id, &defaults);
    for (size_t i = 0; i < n; i++) {
        bool seen = !(table[i].commands & (unsigned)id);
        for (size_t j = 0; j < i && !seen; j++) seen = in_group(&table[j], id, table[i].group);
        if (seen) continue;
        printf("\n%s\n", table[i].group);
        for (size_t j = i; j < n; j++)
            if (in_group(&table[j], id, table[i].group)) print_option(&table[j], &defaults);
    }
    mae_options_free(&defaults);
}

void print_help(const Command *c) {
    printf("usage: mae %s %s\n\n%s\n", c->name, c->arguments, c->summary);
    print_groups(c->id);
    printf("\nGeneral\n");
    print_row("  --config FILE", "read options from a JSON file such as RUN/config.json; options "
                                 "on the line win");
    print_row("  --help", "this text");
    printf("\nA switch is turned off by --no-NAME. In [ ]: the default. Exit status: 0 done, "
           "1 failed, 2 usage.\n");
}

void print_commands(FILE *to) {
    fprintf(to, "mae %s: masked autoencoders in C\n\nusage: mae COMMAND [OPTIONS]\n\n",
            mae_version());
    for (const Command *c = COMMANDS; c->name; c++)
        fprintf(to, "  %-12s %s\n", c->name, c->summary);
    fprintf(to, "\n`mae COMMAND --help` lists the options of a command with their defaults.\n");
}
