/* What the commands share: the parser over the library's option table, help, progress, results. A
 * command is a file cmd_x.c, a function, and a row of main.c. It returns the exit status. Results
 * go to standard output, messages to standard error. */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include <mae.h>
#include <stdbool.h>
#include <stdio.h>

/* EXIT_AGAIN is EX_TEMPFAIL of sysexits.h: training was stopped and saved, and the same command
 * continues it. A queue should start it again. */
enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_AGAIN = 75 };

/* Row i of all commands in the order of the help; NULL after the last. */
const MaeCommand *command_at(int64_t i);
/* NULL: there is none of that name. */
const MaeCommand *command_find(const char *name);
/* Is it of this program alone, without options? */
bool command_is_own(const MaeCommand *c);
/* The i-th of the commands that may follow as its first word, as in `mae plan finetune`; NULL after
 * the last, and where none may follow. */
const char *command_part(const MaeCommand *c, int64_t i);
bool command_has_part(const MaeCommand *c, const char *word);
/* The options of a command, where it has parts those of `word` (may be NULL), or else of its first.
 * NULL: it has none, or there is no memory. */
MaeOptions *command_options(const MaeCommand *c, const char *word);

/* Any command that does a job of the library (cmd_job.c). */
int cmd_job(int argc, char **argv);
int cmd_man(int argc, char **argv);
int cmd_completion(int argc, char **argv);

/* What one call says. The words without a name are options, too; here they are one by one. */
typedef struct Call {
    const MaeCommand *command;
    MaeOptions *options;     /* NULL: the command has none */
    const char **positional; /* into argv */
    int n_positional;
} Call;

/* A function that returns an exit status returns this when the command goes on. */
#define GO_ON (-1)

/* Parses a command line; argv[0] is the command. GO_ON, or the exit status when help was asked for
 * or the line is wrong (already reported). Call call_free in either case. */
int call_parse(Call *c, int argc, char **argv);
void call_free(Call *c);
/* GO_ON when the option has a value. Otherwise reports that `what` is needed. */
int call_need(const Call *c, const char *option, const char *what);

/* The row of an option; NULL: there is none of that name, or it is a word without one. */
const MaeOption *option_row(const MaeOptions *o, const char *name);
/* Is the switch on? The value of a whole number. o may be NULL for a switch. */
bool option_flag(const MaeOptions *o, const char *name);
int64_t option_count(const MaeOptions *o, const char *name);
/* Do they belong to a training, which has a run folder? */
bool options_train(const MaeOptions *o);

/* How the help is laid out. A row has what is written on the left, and what it does. */
typedef struct Page {
    void (*section)(const char *title), (*group)(const char *title);
    void (*row)(const char *left, const char *text);
    void (*text)(const char *text);
} Page;
/* o NULL: of a command without options. */
void write_options(const MaeOptions *o, const Page *page);
void write_exit_status(bool trains, const Page *page);

void print_help(const MaeCommand *c, const MaeOptions *o);
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

/* Where people read what was done: standard output. If a result itself goes there, it is standard
 * error, or NULL with --quiet. */
FILE *talk(const MaeOptions *o);

/* What people read of the result of a job: cmd_NAME.c has it. o: what the job was told. */
void print_summary(FILE *to, const MaeOptions *o, const MaeResult *r); /* of a training */
void print_reconstruction(FILE *to, const MaeOptions *o, const MaeResult *r);
void print_eval(FILE *to, const MaeOptions *o, const MaeResult *r);
void print_knn(FILE *to, const MaeOptions *o, const MaeResult *r);
void print_features(FILE *to, const MaeOptions *o, const MaeResult *r);
void print_neighbours(FILE *to, const MaeOptions *o, const MaeResult *r);
/* Of one image, as soon as it is known. */
void print_classes(void *user, const MaeResult *image);
int check_features(const Call *c);
void print_conversion(FILE *to, const MaeOptions *o, const MaeResult *r);
void print_info(FILE *to, const MaeOptions *o, const MaeResult *r);
void print_plan(FILE *to, const MaeOptions *o, const MaeResult *r);
void print_bench(FILE *to, const MaeOptions *o, const MaeResult *r);
/* What must be there before a job: GO_ON or the exit status. */
int check_bench(const Call *c);

/* Of a result's member, or with key NULL of itself: a whole number, -1 where there is none; 100
 * times a share; millions; "" where there is no text; is there a number that is not negative? */
long long count_of(const MaeResult *r, const char *key);
double percent_of(const MaeResult *r, const char *key);
double millions_of(const MaeResult *r, const char *key);
const char *text_of(const MaeResult *r, const char *key);
bool is_known(const MaeResult *r, const char *key);

/* Events for a job. Log lines and progress go to standard error. SIGINT, SIGTERM and SIGUSR1 ask
 * for an orderly stop, and `stopping` is printed in answer. A second signal ends at once; the first
 * one does where `stopping` is NULL. */
const MaeEvents *progress_start(const MaeOptions *o, const char *stopping);
void progress_end(void);
/* Did the log have an error? A job that went on without an image has not done all of its work. */
bool heard_errors(void);
/* "1h02m", "3m20s", "12.3s" */
const char *duration(double seconds, char *buffer, size_t bytes);

/* Prints a result as JSON, on one line of standard output; returns the exit status. */
int print_as_json(const MaeResult *r);

#endif
