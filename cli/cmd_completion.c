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

/* BEFORE is what the word has in front of what is completed, as "--model=". */
static void offer(const char *before, const char *candidate, const char *typed, const char *what) {
    if (strncmp(candidate, typed, strlen(typed)) == 0)
        printf("%s%s\t%s\n", before, candidate, what);
}

static void offer_commands(const char *typed) {
    for (const Command *c = COMMANDS; c->name; c++) offer("", c->name, typed, c->summary);
}

/* The i-th of the words that the first argument may be, as "step" of "step|kernels|data". */
static bool alternative(const Command *c, int i, char *out, size_t bytes) {
    const char *at = c->arguments, *end = at + strcspn(at, " ");
    if (!memchr(at, '|', (size_t)(end - at))) return false;
    for (; i > 0 && at < end; i--) at += strcspn(at, "| ") + 1;
    if (at >= end) return false;
    snprintf(out, bytes, "%.*s", (int)strcspn(at, "| "), at);
    return true;
}

static void offer_arguments(const Command *c, const char *typed) {
    char word[32];
    if (c->run == cmd_man) offer_commands(typed);
    for (int i = 0; alternative(c, i, word, sizeof word); i++) offer("", word, typed, "");
}

static void offer_options(MaeCommand id, const char *typed) {
    size_t n;
    char name[80];
    const MaeOption *table = mae_option_table(&n);
    for (size_t i = 0; i < n; i++) {
        if (!(table[i].commands & (unsigned)id)) continue;
        snprintf(name, sizeof name, "--%s", table[i].name);
        offer("", name, typed, table[i].help);
        snprintf(name, sizeof name, "--no-%s", table[i].name);
        if (table[i].type == MAE_OPTION_BOOL && strlen(typed) > 3)
            offer("", name, typed, table[i].help);
    }
    if (id) offer("", "--config", typed, "options from a JSON file");
    offer("", "--help", typed, "the options");
}

/* name_length letters of `option`, behind "--". False: it takes no value. */
static bool offer_values(MaeCommand id, const char *option, size_t length, const char *before,
                         const char *typed) {
    size_t n;
    const MaeOption *table = mae_option_table(&n);
    for (size_t i = 0; i < n; i++) {
        if (!(table[i].commands & (unsigned)id) || strlen(table[i].name) != length ||
            strncmp(table[i].name, option, length) != 0)
            continue;
        for (int j = 0; table[i].choices && table[i].choices[j]; j++)
            offer(before, table[i].choices[j], typed, "");
        return table[i].type != MAE_OPTION_BOOL;
    }
    return length == 6 && strncmp(option, "config", 6) == 0;
}

/* words[0] is a command. `mae plan finetune` takes the options of finetune. */
static MaeCommand options_of(const Command *c, int n, char **words) {
    char word[32];
    const Command *first = n > 2 ? command_find(words[1]) : NULL;
    for (int i = 0; first && alternative(c, i, word, sizeof word); i++)
        if (strcmp(word, first->name) == 0) return first->id;
    return c->id;
}

/* bash gives --name=value as three words, the other shells as one. */
static void complete(int n, char **words) {
    const char *typed = words[n - 1], *equals = strchr(typed, '=');
    const Command *c = command_find(words[0]);
    char before[80];
    int at = n - 2;
    if (n == 1 && typed[0] == '-') {
        offer("", "--help", typed, "the commands");
        offer("", "--version", typed, "the version, and what was built in");
    } else if (n == 1) {
        offer_commands(typed);
        offer("", "help", typed, "the options of a command");
    } else if (strcmp(words[0], "help") == 0 && n == 2) {
        offer_commands(typed);
    }
    if (n == 1 || !c) return;
    MaeCommand id = options_of(c, n, words);
    if (strcmp(typed, "=") == 0) {
        typed = "";
        equals = NULL;
    } else if (at > 1 && strcmp(words[at], "=") == 0) {
        at--;
    }
    if (strncmp(words[at], "--", 2) == 0 &&
        offer_values(id, words[at] + 2, strlen(words[at] + 2), "", typed))
        return;
    snprintf(before, sizeof before, "%.*s", equals ? (int)(equals + 1 - typed) : 0, typed);
    if (strncmp(typed, "--", 2) == 0 && equals)
        offer_values(id, typed + 2, (size_t)(equals - typed) - 2, before, equals + 1);
    else if (typed[0] == '-')
        offer_options(id, typed);
    else if (n == 2)
        offer_arguments(c, typed);
}

int cmd_completion(int argc, char **argv) {
    Call c;
    if (argc > 2 && strcmp(argv[1], "words") == 0) {
        complete(argc - 2, argv + 2);
        return EXIT_DONE;
    }
    int status = call_parse(&c, "completion", 0, argc, argv), found = -1;
    for (int i = 0; i < 3 && status == GO_ON && c.n_positional == 1; i++)
        if (strcmp(c.positional[0], SCRIPTS[i].shell) == 0) found = i;
    if (status == GO_ON && found < 0)
        status = report_usage("completion", "write: mae completion bash|zsh|fish");
    if (status == GO_ON) fputs(SCRIPTS[found].script, stdout);
    call_free(&c);
    return status == GO_ON ? EXIT_DONE : status;
}
