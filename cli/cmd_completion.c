/* mae completion: the scripts of the shells are a few lines that ask this program what fits. They
 * call `mae completion words WORD...` with the words behind `mae`, of which the last is being
 * written. The answer has a candidate a line, with a tab and what it does, or nothing where a file
 * is wanted. Options come from the table, so a script stays right when the program is replaced. */
#include <string.h>

#include "cli.h"

static const struct {
    const char *shell, *script;
} SCRIPTS[] = {
    {"bash", "_mae() {\n"
             "    local IFS=$'\\n'\n"
             "    COMPREPLY=($(\"$1\" completion words \"${COMP_WORDS[@]:1:COMP_CWORD}\" "
             "2>/dev/null | cut -f 1))\n"
             "}\n"
             "complete -o default -F _mae mae\n"},
    {"zsh", "#compdef mae\n"
            "_mae() {\n"
            "    local -a lines\n"
            "    lines=(${(f)\"$($words[1] completion words \"${(@)words[2,CURRENT]}\" "
            "2>/dev/null)\"})\n"
            "    lines=(${${lines//:/\\\\:}/$'\\t'/:})\n"
            "    if (( $#lines )); then _describe mae lines; else _files; fi\n"
            "}\n"
            "if [ \"$funcstack[1]\" = _mae ]; then _mae \"$@\"; else compdef _mae mae; fi\n"},
    {"fish", "function __mae_words\n"
             "    set -l words (commandline -opc) (commandline -ct)\n"
             "    set -l found ($words[1] completion words $words[2..-1] 2>/dev/null)\n"
             "    if test (count $found) -gt 0\n"
             "        printf '%s\\n' $found\n"
             "    else\n"
             "        __fish_complete_path (commandline -ct)\n"
             "    end\n"
             "end\n"
             "complete -c mae -f -a '(__mae_words)'\n"},
};

enum { N_SHELLS = sizeof SCRIPTS / sizeof *SCRIPTS };

/* BEFORE is what the word has in front of what is completed, as "--model=". */
static void offer(const char *before, const char *candidate, const char *typed, const char *what) {
    if (strncmp(candidate, typed, strlen(typed)) == 0)
        printf("%s%s\t%s\n", before, candidate, what);
}

static void offer_commands(const char *typed) {
    const MaeCommand *c;
    for (int64_t i = 0; (c = command_at(i)); i++) offer("", c->name, typed, c->summary);
}

static void offer_choices(const MaeOption *row, const char *before, const char *typed) {
    for (int i = 0; row->choices && row->choices[i]; i++) offer(before, row->choices[i], typed, "");
}

/* What the first word may be. */
static void offer_words(const MaeCommand *c, const MaeOptions *o, const char *typed) {
    const char *part;
    const MaeOption *row;
    if (strcmp(c->name, "man") == 0) offer_commands(typed);
    for (size_t i = 0; i < N_SHELLS && strcmp(c->name, "completion") == 0; i++)
        offer("", SCRIPTS[i].shell, typed, "");
    for (int64_t i = 0; (part = command_part(c, i)); i++) offer("", part, typed, "");
    for (int64_t i = 0; o && (row = mae_options_describe(o, i)); i++)
        if (row->positional) offer_choices(row, "", typed);
}

static void offer_options(const MaeOptions *o, const char *typed) {
    char name[80];
    const MaeOption *row;
    for (int64_t i = 0; o && (row = mae_options_describe(o, i)); i++) {
        if (row->positional) continue;
        snprintf(name, sizeof name, "--%s", row->name);
        offer("", name, typed, row->help);
        snprintf(name, sizeof name, "--no-%s", row->name);
        if (row->type == MAE_OPTION_SWITCH && strlen(typed) > 3) offer("", name, typed, row->help);
    }
    if (o) offer("", "--config", typed, "options from a JSON file");
    offer("", "--help", typed, "the options");
}

/* option: "NAME", with or without a value behind '='. False: it takes no value. */
static bool offer_values(const MaeOptions *o, const char *option, const char *before,
                         const char *typed) {
    char name[80];
    snprintf(name, sizeof name, "%.*s", (int)strcspn(option, "="), option);
    const MaeOption *row = option_row(o, name);
    if (!row) return o && strcmp(name, "config") == 0;
    offer_choices(row, before, typed);
    return row->type != MAE_OPTION_SWITCH;
}

/* The name of a command, or what else may stand there. */
static void complete_first(const char *typed) {
    if (typed[0] == '-') {
        offer("", "--help", typed, "the commands");
        offer("", "--version", typed, "the version, and what was built in");
        return;
    }
    offer_commands(typed);
    offer("", "help", typed, "the options of a command");
}

/* A word behind the command, words[0]. bash gives --name=value as three words, the other shells as
 * one. */
static void complete_behind(const MaeCommand *c, const MaeOptions *o, int n, char **words) {
    const char *typed = words[n - 1], *equals = strchr(typed, '=');
    char before[80];
    int at = n - 2;
    if (strcmp(typed, "=") == 0) {
        typed = "";
        equals = NULL;
    } else if (at > 1 && strcmp(words[at], "=") == 0) {
        at--;
    }
    bool open = strncmp(words[at], "--", 2) == 0 && !strchr(words[at], '=');
    if (open && offer_values(o, words[at] + 2, "", typed)) return;
    snprintf(before, sizeof before, "%.*s", equals ? (int)(equals + 1 - typed) : 0, typed);
    if (strncmp(typed, "--", 2) == 0 && equals)
        offer_values(o, typed + 2, before, equals + 1);
    else if (typed[0] == '-')
        offer_options(o, typed);
    else if (n == 2)
        offer_words(c, o, typed);
}

static void complete(int n, char **words) {
    const MaeCommand *c = command_find(words[0]);
    if (n == 1) {
        complete_first(words[0]);
    } else if (c) {
        MaeOptions *o = command_options(c, n > 2 ? words[1] : NULL);
        complete_behind(c, o, n, words);
        mae_options_free(o);
    } else if (strcmp(words[0], "help") == 0 && n == 2) {
        offer_commands(words[1]);
    }
}

int cmd_completion(int argc, char **argv) {
    Call c;
    if (argc > 2 && strcmp(argv[1], "words") == 0) {
        complete(argc - 2, argv + 2);
        return EXIT_DONE;
    }
    int status = call_parse(&c, argc, argv), found = -1;
    for (int i = 0; i < N_SHELLS && status == GO_ON && c.n_positional == 1; i++)
        if (strcmp(c.positional[0], SCRIPTS[i].shell) == 0) found = i;
    if (status == GO_ON && found < 0)
        status = report_usage("completion", "write: mae completion bash|zsh|fish");
    if (status == GO_ON) fputs(SCRIPTS[found].script, stdout);
    call_free(&c);
    return status == GO_ON ? EXIT_DONE : status;
}
