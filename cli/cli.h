/* What the commands share: the parser over the library's option table, help, progress, results. A
 * command is a file cmd_x.c, a function, and a row of COMMANDS. It returns the exit status. Results
 * go to standard output, messages to standard error. */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include <jansson.h>
#include <mae.h>
#include <stdbool.h>
#include <stdio.h>

/* EXIT_AGAIN is EX_TEMPFAIL of sysexits.h: training was stopped and saved, and the same command
 * continues it. A queue should start it again. */
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

/* A function that returns an exit status returns this when the command goes on. */
#define GO_ON (-1)

/* Parses a command line; argv[0] is the command. GO_ON, or the exit status when help was asked for
 * or the line is wrong (already reported). Call call_free in either case. */
int call_parse(Call *c, const char *command, MaeCommand id, int argc, char **argv);
void call_free(Call *c);
/* The word of an option that is a choice. */
const char *option_word(const MaeOptions *o, MaeCommand id, const char *name);
/* GO_ON when value is there. Otherwise reports that `what` is needed. */
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

/* Width of the screen that `to` writes to: COLUMNS, or what the terminal says, at most `most`.
 * Where there is no terminal, it is `most`. */
int columns_of(FILE *to, int most);
/* Prints text from `column` on, broken between words; later lines start at `indent`. */
void print_wrapped(FILE *to, const char *text, int column, int indent, int width);

/* From now on prints nothing but warnings. Of several processes, only rank 0 talks. */
void output_silence(void);
bool output_is_silent(void);
/* Reports a failed library call; returns the exit status. */
int report(const MaeError *err);
/* Reports an unknown command, and which one may have been meant; returns EXIT_USAGE. */
int report_no_command(const char *name);
/* Reports one line, and a second one that names the help; returns EXIT_USAGE. */
int report_usage(const char *command, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Checks the path of a result; NULL is fine. A result on standard output leaves no room for --json.
 * A picture or a table of numbers is nothing for a terminal. GO_ON or the exit status. */
int call_output(const char *command, const MaeOptions *o, const char *path, bool is_text);
/* Where people read what was done: standard output. If the result itself goes there, it is standard
 * error, or NULL with --quiet. path may be NULL. */
FILE *talk(const MaeOptions *o, const char *path);

/* Loads the checkpoint of --model on the device of the options. GO_ON or the exit status. */
int load_model(const MaeOptions *o, MaeModel **out);

/* The plan as a table of two columns, and as JSON. */
void print_plan(FILE *to, const MaePlan *p);

/* From now on the library's log goes to standard error, with --quiet errors only. */
void log_start(const MaeOptions *o);
/* Events for a long job. Log lines and progress go to standard error. SIGINT, SIGTERM and SIGUSR1
 * ask for an orderly stop, and `stopping` is printed in answer. A second signal ends at once. */
const MaeEvents *progress_start(const MaeOptions *o, const char *stopping);
void progress_end(void);
/* "1h02m", "3m20s", "12.3s" */
const char *duration(double seconds, char *buffer, size_t bytes);

/* Each sets a member of a JSON object. Bytes that are not UTF-8 become '?'. Numbers that JSON
 * cannot hold become null. */
void json_text(json_t *object, const char *key, const char *text);
void json_count(json_t *object, const char *key, int64_t n);
void json_number(json_t *object, const char *key, double x);
/* The same for a number that is never below 0: a negative one means "not measured", null. */
void json_share(json_t *object, const char *key, double x);
/* Prints a result as JSON, on one line of standard output; returns the exit status. */
int print_as_json(const MaeResult *r);
/* Prints the object on one line of standard output and frees it; returns the exit status. */
int print_json(json_t *object);

#endif
