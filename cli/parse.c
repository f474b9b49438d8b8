/* From a command line to options, by the library's table. It takes --name value, --name=value, and
 * --name or --no-name for switches. The line counts more than --config FILE. Arguments that start
 * with a dash come after --. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"

typedef struct Parser {
    Call *call;
    const MaeCommand *command; /* of the call */
    const char *config;
    int argc, at;
    char **argv;
} Parser;

/* --- reading options -------------------------------------------------------------------------- */

const MaeOption *option_row(const MaeOptions *o, const char *name) {
    const MaeOption *row;
    for (int64_t i = 0; o && (row = mae_options_describe(o, i)); i++)
        if (!row->positional && strcmp(row->name, name) == 0) return row;
    return NULL;
}

bool option_flag(const MaeOptions *o, const char *name) {
    return o && mae_options_get_number(o, name) > 0;
}

int64_t option_count(const MaeOptions *o, const char *name) {
    return (int64_t)mae_options_get_number(o, name);
}

bool options_train(const MaeOptions *o) {
    return option_row(o, "epochs") != NULL;
}

/* --- options of the line ---------------------------------------------------------------------- */

/* After '=', or the next word unless that is an option itself. NULL: there is none. */
static const char *value_of(Parser *p, const char *equals) {
    if (equals) return equals + 1;
    if (p->at + 1 >= p->argc || strncmp(p->argv[p->at + 1], "--", 2) == 0) return NULL;
    return p->argv[++p->at];
}

static int refused(const Parser *p, const MaeError *err) {
    if (err->status != MAE_USAGE) return report(err);
    return report_usage(p->command->name, "%s", err->message);
}

static int set(Parser *p, const char *name, const char *value) {
    MaeError err = {0};
    MaeOptions *o = p->call->options;
    if (!o) return report_usage(p->command->name, "there is no option --%.60s here", name);
    return mae_options_set(o, name, value, &err) ? refused(p, &err) : GO_ON;
}

static int parse_valued(Parser *p, const char *name, const char *equals) {
    const char *value = value_of(p, equals);
    if (!value) return report_usage(p->command->name, "--%s needs a value", name);
    if (strcmp(name, "config") != 0) return set(p, name, value);
    p->config = value;
    return GO_ON;
}

/* Not a name of the table: the message says what is near, or where it belongs. */
static int parse_unknown(Parser *p, const char *name) {
    const MaeOption *row;
    for (int64_t i = 0; p->call->options && (row = mae_options_describe(p->call->options, i)); i++)
        if (row->positional && strcmp(row->name, name) == 0)
            return report_usage(p->command->name, "--%s: written without its name: mae %s %s", name,
                                p->command->name, p->command->arguments);
    return set(p, name, "");
}

static int parse_option(Parser *p, const char *word) {
    char name[64];
    const MaeOptions *options = p->call->options;
    const char *equals = strchr(word, '=');
    size_t n = equals ? (size_t)(equals - word) : strlen(word);
    if (n >= sizeof name)
        return report_usage(p->command->name, "there is no option --%.60s... here", word);
    memcpy(name, word, n);
    name[n] = '\0';
    const MaeOption *o = option_row(options, name);
    if (o && o->type == MAE_OPTION_SWITCH) return set(p, name, equals ? equals + 1 : "true");
    if (o || (options && strcmp(name, "config") == 0)) return parse_valued(p, name, equals);
    if (strncmp(name, "no-", 3) == 0 && !equals) {
        const MaeOption *off = option_row(options, name + 3);
        if (off && off->type == MAE_OPTION_SWITCH) return set(p, name + 3, "false");
        if (off)
            return report_usage(p->command->name, "--%s: only a switch can be turned off", name);
    }
    return parse_unknown(p, name);
}

static int parse_words(Parser *p) {
    Call *c = p->call;
    int status = GO_ON;
    bool only_positional = false;
    for (; p->at < p->argc && status == GO_ON; p->at++) {
        const char *word = p->argv[p->at];
        if (only_positional || word[0] != '-' || !word[1])
            c->positional[c->n_positional++] = word;
        else if (strcmp(word, "--") == 0)
            only_positional = true;
        else if (word[1] == '-')
            status = parse_option(p, word + 2);
        else
            status = report_usage(p->command->name, "%s: options are written --name", word);
    }
    return status;
}

/* Asked for anywhere, help wins over what else is on the line. */
static bool wants_help(int argc, char **argv) {
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) return true;
    return false;
}

/* --- words without a name --------------------------------------------------------------------- */

/* Each option takes one, a list takes all that are left. */
static int take_words(Parser *p) {
    const Call *c = p->call;
    const MaeOption *row;
    int used = 0;
    for (int64_t i = 0; (row = mae_options_describe(c->options, i)); i++) {
        MaeError err = {0};
        int n = row->type == MAE_OPTION_LIST ? c->n_positional - used : 1;
        if (!row->positional || n < 1 || used == c->n_positional) continue;
        MaeStatus failed =
            row->type == MAE_OPTION_LIST
                ? mae_options_set_list(c->options, row->name, c->positional + used, n, &err)
                : mae_options_set(c->options, row->name, c->positional[used], &err);
        if (failed) return refused(p, &err);
        used += n;
    }
    if (used == c->n_positional) return GO_ON;
    return report_usage(p->command->name, "%s: one word too many; write: mae %s %s",
                        c->positional[used], p->command->name, p->command->arguments);
}

static int need_words(const Parser *p) {
    const MaeOption *row;
    for (int64_t i = 0; (row = mae_options_describe(p->call->options, i)); i++) {
        bool needed = row->positional == 2 || (row->positional && row->type != MAE_OPTION_LIST);
        if (needed && !mae_options_is_set(p->call->options, row->name))
            return report_usage(p->command->name, "%s is needed; write: mae %s %s", row->argument,
                                p->command->name, p->command->arguments);
    }
    return GO_ON;
}

/* --- results on standard output --------------------------------------------------------------- */

/* A result on standard output leaves no room for --json, and only text is fit for a terminal. */
static int check_outputs(const Parser *p) {
    const MaeOptions *o = p->call->options;
    const MaeOption *row;
    for (int64_t i = 0; (row = mae_options_describe(o, i)); i++) {
        const char *path = row->output ? mae_options_get(o, row->name) : NULL;
        if (!path || !mae_output_is_stdout(path)) continue;
        if (option_flag(o, "json"))
            return report_usage(p->command->name,
                                "%s and --json both go to standard output; name a file", path);
        if (row->output == 1 && isatty(STDOUT_FILENO))
            return report_usage(p->command->name,
                                "%s: standard output is a terminal; send it to a file or program",
                                path);
    }
    return GO_ON;
}

FILE *talk(const MaeOptions *o) {
    const MaeOption *row;
    for (int64_t i = 0; (row = mae_options_describe(o, i)); i++) {
        const char *path = row->output ? mae_options_get(o, row->name) : NULL;
        if (path && mae_output_is_stdout(path)) return option_flag(o, "quiet") ? NULL : stderr;
    }
    return stdout;
}

/* --- the whole line --------------------------------------------------------------------------- */

/* A run says it itself, since options of its folder count, too. */
static void warn_of_unused(const MaeOptions *o) {
    const MaeOption *row;
    if (options_train(o) || option_flag(o, "quiet")) return;
    for (int64_t i = 0; (row = mae_options_describe(o, i)); i++) {
        const char *why = mae_options_unused(o, row->name);
        if (why && mae_options_is_set(o, row->name))
            fprintf(stderr, "warning: --%s has no effect here: %s\n", row->name, why);
    }
}

/* What the words and the file of --config say together. */
static int finish(Parser *p) {
    MaeError err = {0};
    MaeOptions *o = p->call->options;
    int status = take_words(p);
    if (status == GO_ON && p->config && mae_options_load(o, p->config, &err)) status = report(&err);
    if (status == GO_ON) status = need_words(p);
    if (status == GO_ON) status = check_outputs(p);
    if (status == GO_ON) warn_of_unused(o);
    return status;
}

int call_parse(Call *c, int argc, char **argv) {
    const MaeCommand *command = command_find(argv[0]);
    const char *word = argc > 1 ? argv[1] : NULL;
    Parser p = {.call = c, .command = command, .argc = argc, .at = 1, .argv = argv};
    *c = (Call){.command = command,
                .options = command_options(command, word),
                .positional = calloc((size_t)argc + 1, sizeof *c->positional)};
    if (!c->positional || (!c->options && !command_is_own(command))) {
        fprintf(stderr, "mae: no memory for the arguments\n");
        return EXIT_FAILED;
    }
    if (wants_help(argc, argv)) {
        print_help(command, c->options);
        return EXIT_DONE;
    }
    if (command_part(command, 0) && !command_has_part(command, word))
        return report_usage(command->name, "write: mae %s %s", command->name, command->arguments);
    if (command_part(command, 0)) p.at++;
    int status = parse_words(&p);
    return status == GO_ON && c->options ? finish(&p) : status;
}

void call_free(Call *c) {
    mae_options_free(c->options);
    free(c->positional);
}

int call_need(const Call *c, const char *option, const char *what) {
    if (mae_options_get(c->options, option)) return GO_ON;
    return report_usage(c->command->name, "%s is needed", what);
}
