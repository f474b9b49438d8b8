/* From a command line to options, by the library's table. It takes --name value, --name=value, and
 * --name or --no-name for switches. The line counts more than --config FILE. Arguments that start
 * with a dash come after --. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"

#define RUNS (MAE_COMMAND_PRETRAIN | MAE_COMMAND_FINETUNE | MAE_COMMAND_PROBE)

typedef struct Parser {
    Call *call;
    const char *command, *config;
    MaeCommand id;
    int argc, at;
    char **argv;
} Parser;

static const MaeOption *find(MaeCommand id, const char *name) {
    size_t n;
    const MaeOption *table = mae_option_table(&n);
    for (size_t i = 0; i < n; i++)
        if ((table[i].commands & (unsigned)id) && strcmp(table[i].name, name) == 0)
            return &table[i];
    return NULL;
}

const char *option_word(const MaeOptions *o, MaeCommand id, const char *name) {
    const MaeOption *row = find(id, name);
    return row->choices[*(const int *)((const char *)o + row->offset)];
}

/* After '=', or the next word unless that is an option itself. NULL: there is none. */
static const char *value_of(Parser *p, const char *equals) {
    if (equals) return equals + 1;
    if (p->at + 1 >= p->argc || strncmp(p->argv[p->at + 1], "--", 2) == 0) return NULL;
    return p->argv[++p->at];
}

static int set(Parser *p, const char *name, const char *value) {
    MaeError err = {0};
    if (mae_option_set(&p->call->options, p->id, name, value, &err) == MAE_OK) return GO_ON;
    if (err.status != MAE_USAGE) return report(&err);
    return report_usage(p->command, "%s", err.message);
}

static int parse_valued(Parser *p, const char *name, const char *equals) {
    const char *value = value_of(p, equals);
    if (!value) return report_usage(p->command, "--%s needs a value", name);
    if (strcmp(name, "config") != 0) return set(p, name, value);
    p->config = value;
    return GO_ON;
}

static int parse_option(Parser *p, const char *word) {
    char name[64];
    const char *equals = strchr(word, '=');
    size_t n = equals ? (size_t)(equals - word) : strlen(word);
    if (n >= sizeof name)
        return report_usage(p->command, "there is no option --%.60s... here", word);
    memcpy(name, word, n);
    name[n] = '\0';
    const MaeOption *o = find(p->id, name);
    if (o && o->type == MAE_OPTION_BOOL) return set(p, name, equals ? equals + 1 : "true");
    if (o || strcmp(name, "config") == 0) return parse_valued(p, name, equals);
    if (strncmp(name, "no-", 3) == 0 && !equals) {
        const MaeOption *off = find(p->id, name + 3);
        if (off && off->type == MAE_OPTION_BOOL) return set(p, name + 3, "false");
        if (off) return report_usage(p->command, "--%s: only a switch can be turned off", name);
    }
    return set(p, name, ""); /* not in the table: the message says what is near */
}

static int parse_words(Parser *p) {
    Call *c = p->call;
    int status = GO_ON;
    bool only_positional = false;
    for (p->at = 1; p->at < p->argc && status == GO_ON; p->at++) {
        const char *word = p->argv[p->at];
        if (only_positional || word[0] != '-' || !word[1])
            c->positional[c->n_positional++] = word;
        else if (strcmp(word, "--") == 0)
            only_positional = true;
        else if (word[1] == '-')
            status = parse_option(p, word + 2);
        else
            status = report_usage(p->command, "%s: options are written --name", word);
    }
    return status;
}

/* Asked for anywhere, help wins over what else is on the line. */
static bool wants_help(int argc, char **argv) {
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) return true;
    return false;
}

/* A run says it itself, since options of its folder count, too. */
static void warn_of_unused(const Call *c, MaeCommand id) {
    size_t n;
    const MaeOption *table = mae_option_table(&n);
    for (size_t i = 0; i < n && !(id & RUNS) && !c->options.quiet; i++) {
        const char *why = mae_option_unused(&c->options, id, &table[i]);
        if ((table[i].commands & (unsigned)id) && c->options.given[i] && why)
            fprintf(stderr, "warning: --%s has no effect here: %s\n", table[i].name, why);
    }
}

int call_parse(Call *c, const char *command, MaeCommand id, int argc, char **argv) {
    Parser p = {.call = c, .command = command, .id = id, .argc = argc, .argv = argv};
    MaeError err = {0};
    *c = (Call){.positional = calloc((size_t)argc + 1, sizeof *c->positional)};
    mae_options_default(id, &c->options);
    if (!c->positional) {
        fprintf(stderr, "mae: no memory for the arguments\n");
        return EXIT_FAILED;
    }
    if (wants_help(argc, argv)) {
        print_help(command_find(command));
        return EXIT_DONE;
    }
    int status = parse_words(&p);
    if (status == GO_ON && p.config && mae_options_load(&c->options, id, p.config, &err) != MAE_OK)
        status = report(&err);
    log_start(&c->options);
    if (status == GO_ON) warn_of_unused(c, id);
    return status;
}

void call_free(Call *c) {
    mae_options_free(&c->options);
    free(c->positional);
}

int call_need(const char *command, const char *value, const char *what) {
    return value ? GO_ON : report_usage(command, "%s is needed", what);
}

int call_no_positional(const Call *c, const char *command, const char *instead) {
    if (!c->n_positional) return GO_ON;
    return report_usage(command, "%s: %s", c->positional[0], instead);
}

int call_output(const char *command, const MaeOptions *o, const char *path, bool is_text) {
    if (!path || !mae_output_is_stdout(path)) return GO_ON;
    if (o->json)
        return report_usage(command, "%s and --json both go to standard output; name a file", path);
    if (is_text || !isatty(STDOUT_FILENO)) return GO_ON;
    return report_usage(command, "%s: standard output is a terminal; send it to a file or program",
                        path);
}

FILE *talk(const MaeOptions *o, const char *path) {
    if (!path || !mae_output_is_stdout(path)) return stdout;
    return o->quiet ? NULL : stderr;
}

int load_model(const MaeOptions *o, MaeModel **out) {
    MaeError err = {0};
    if (mae_model_open(o, out, &err) == MAE_OK) return GO_ON;
    return report(&err);
}
