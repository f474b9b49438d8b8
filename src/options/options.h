/* What the files of this folder use of each other: the table (options_table.c), names (options.c),
 * values (options_value.c) and config.json (options_file.c). The public side is mae.h. */
#ifndef OPTIONS_OPTIONS_H
#define OPTIONS_OPTIONS_H

#include <stdbool.h>

#include "base/status.h"

/* Longest text of a value, its NUL included. */
#define OPTION_TEXT_BYTES 4096

/* Row of an option of this command, -1 when it has none of that name. */
int option_find(MaeCommand command, const char *name);
/* The name among this command's options that is most like `name`; NULL when none is near. */
const char *option_nearest(MaeCommand command, const char *name);
/* Sets row i from text and marks it as given. */
Status option_set_row(MaeOptions *options, size_t i, const char *text, Error *err);
/* Does row i have the value that stands for "derived from others"? */
bool option_is_derived(const MaeOptions *options, size_t i);
/* Is the option about one call and not about what is made (--out, --restart, --json ...)? It is not
 * in config.json then. */
bool option_is_of_one_call(const MaeOption *row);
/* Where the value of a row lies, to be read or to be changed. */
const void *option_value(const MaeOptions *options, const MaeOption *row);
void *option_field(MaeOptions *options, const MaeOption *row);
/* Reads text into the value of a row, within its range. USAGE, MEMORY: it stays as it was. */
Status option_parse(MaeOptions *options, const MaeOption *row, const char *text, Error *err);

#endif
