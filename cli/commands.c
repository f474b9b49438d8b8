/* The commands: those of the library, then those of this program alone. */
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "cli.h"

static const MaeCommand OWN[] = {
    {"man", "[COMMAND]", "the manual page of mae or of a command, as man reads it"},
    {"completion", "bash|zsh|fish", "what a shell reads to complete commands and options"},
};
enum { N_OWN = sizeof OWN / sizeof *OWN };

const MaeCommand *command_at(int64_t i) {
    int64_t n = 0;
    while (mae_command(n)) n++;
    if (i < n) return mae_command(i);
    return i - n < N_OWN ? &OWN[i - n] : NULL;
}

const MaeCommand *command_find(const char *name) {
    const MaeCommand *c;
    for (int64_t i = 0; (c = command_at(i)); i++)
        if (strcmp(c->name, name) == 0) return c;
    return NULL;
}

bool command_is_own(const MaeCommand *c) {
    return c >= OWN && c < OWN + N_OWN;
}

/* NULL: there are none, or there is no memory. */
static MaeOptions *options_of(const char *command, const char *part) {
    char words[128];
    MaeOptions *o;
    snprintf(words, sizeof words, "%s%s%s", command, part ? " " : "", part ? part : "");
    return mae_options_new(words, &o, NULL) == MAE_OK ? o : NULL;
}

const char *command_part(const MaeCommand *c, int64_t i) {
    const MaeCommand *part;
    for (int64_t k = 0; (part = mae_command(k)); k++) {
        MaeOptions *o = options_of(c->name, part->name);
        mae_options_free(o);
        if (o && i-- == 0) return part->name;
    }
    return NULL;
}

bool command_has_part(const MaeCommand *c, const char *word) {
    const char *part;
    for (int64_t i = 0; word && (part = command_part(c, i)); i++)
        if (strcmp(part, word) == 0) return true;
    return false;
}

MaeOptions *command_options(const MaeCommand *c, const char *word) {
    return options_of(c->name, command_has_part(c, word) ? word : command_part(c, 0));
}

int report_no_command(const char *name) {
    const MaeCommand *c;
    const char *near = NULL;
    int least = INT_MAX;
    for (int64_t i = 0; (c = command_at(i)); i++) {
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
