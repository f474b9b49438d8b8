/* What the commands share: parsing by the library's option table, help, progress, results. A
 * command is one file cmd_x.c, one function and one row of COMMANDS; it returns the exit status.
 * Results go to standard output, talk to standard error. */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include <jansson.h>
#include <mae.h>
#include <stdbool.h>
#include <stdio.h>

/* EXIT_AGAIN is EX_TEMPFAIL of sysexits.h: training was stopped and saved, and the same command
 * goes on; what a queue should start again. */
enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_AGAIN = 75 };

/* A row of the table of commands; a NULL name ends it. */
typedef struct Command {
    const char *name, *arguments, *summary;
    MaeCommand id; /* whose options it takes; 0: none */
    int (*run)(int argc, char **argv);
} Command;

extern const Command COMMANDS[];
/* NULL: there is none of that name. */
const Command *command_find(const char *name);

int cmd_pretrain(int argc, char **argv);
int cmd_reconstruct(int argc, char **argv);
int cmd_finetune(int argc, char **argv);
int cmd_probe(int argc, char **argv);
int cmd_eval(int argc, char **argv);
int cmd_classify(int argc, char **argv);
int cmd_knn(int argc, char **argv);
int cmd_features(int argc, char **argv);
int cmd_info(int argc, char **argv);
int cmd_convert(int argc, char **argv);
int cmd_plan(int argc, char **argv);
int cmd_bench(int argc, char **argv);
int cmd_man(int argc, char **argv);
int cmd_completion(int argc, char **argv);

/* Options and positional arguments of one call. */
typedef struct Call {
    MaeOptions options;
    const char **positional; /* into argv */
    int n_positional;
} Call;

/* "Go on", where a function returns either that or an exit status. */
#define GO_ON (-1)

/* argv[0] is the command. GO_ON, or the exit status when help was asked for or the line is wrong
 * (already reported). Free in either case. */
int call_parse(Call *c, const char *command, MaeCommand id, int argc, char **argv);
void call_free(Call *c);
/* The word of an option that is a choice. */
const char *option_word(const MaeOptions *o, MaeCommand id, const char *name);
/* GO_ON when value is there, otherwise reports that `what` is needed. */
int call_need(const char *command, const char *value, const char *what);
/* GO_ON when there are no positional arguments. */
int call_no_positional(const Call *c, const char *command, const char *instead);

/* How the help is laid out. A row has what is written on the left, and what it does. */
typedef struct Page {
    void (*section)(const char *title), (*group)(const char *title);
    void (*row)(const char *left, const char *text);
    void (*text)(const char *text);
} Page;
void write_options(const Command *c, const Page *page);
void write_exit_status(unsigned commands, const Page *page);

void print_help(const Command *c);
void print_commands(FILE *to);

/* Width of the screen that is written to: COLUMNS, or what the terminal says, at most `most`, which
 * is also the answer where there is no terminal. */
int columns_of(FILE *to, int most);
/* Word by word from `column` on, and a newline; later lines start at `indent`. */
void print_wrapped(FILE *to, const char *text, int column, int indent, int width);

/* Of several processes only rank 0 talks: from now on nothing is printed but warnings. */
void output_silence(void);
bool output_is_silent(void);
/* Reports a failed library call; returns the exit status. */
int report(const MaeError *err);
/* Says that there is no such command, and which one may have been meant; returns EXIT_USAGE. */
int report_no_command(const char *name);
/* One line, and a second one that names the help; returns EXIT_USAGE. */
int report_usage(const char *command, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* A result that goes to standard output leaves no room there for --json, and a picture or a table
 * of numbers is nothing for a terminal. GO_ON or the exit status; path may be NULL. */
int call_output(const char *command, const MaeOptions *o, const char *path, bool is_text);
/* Where people read what was done: standard error when the result itself goes to standard output,
 * NULL when that is to be quiet. path may be NULL. */
FILE *talk(const MaeOptions *o, const char *path);

/* The checkpoint of --model on the device of the options. GO_ON or the exit status. */
int load_model(const MaeOptions *o, MaeModel **out);

/* The plan as a table of two columns, and as JSON. */
void print_plan(FILE *to, const MaePlan *p);

/* From now on lines of the library's log go to standard error, with --quiet errors only. */
void log_start(const MaeOptions *o);
/* Events for a long job: log lines and progress on standard error, SIGINT, SIGTERM and SIGUSR1 as
 * an orderly stop (a second one ends at once), to which `stopping` is the answer. */
const MaeEvents *progress_start(const MaeOptions *o, const char *stopping);
void progress_end(void);
/* "1h02m", "3m20s", "12.3s" */
const char *duration(double seconds, char *buffer, size_t bytes);

/* Members of a JSON object; bytes that are not UTF-8 become '?', numbers that JSON cannot hold
 * null. */
void json_text(json_t *object, const char *key, const char *text);
void json_count(json_t *object, const char *key, int64_t n);
void json_number(json_t *object, const char *key, double x);
/* The same of what is never below 0: negative is "not measured", null. */
void json_share(json_t *object, const char *key, double x);
/* Prints the object on one line of standard output and frees it; returns the exit status. */
int print_json(json_t *object);

#endif
