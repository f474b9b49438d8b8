/* Options by their names. This file makes and frees the options of a command, finds an option, or
 * the nearest name to a wrong one, and sets, gives and describes it. The rows are in
 * options_table.c, the text of values in options_value.c, config.json in options_file.c. */
#include "options/options.h"

#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "base/name.h"

/* --- names ----------------------------------------------------------------------------------- */

int option_find(CommandId command, const char *name) {
    size_t count;
    const OptionRow *table = option_table(&count);
    for (size_t i = 0; i < count; i++)
        if ((table[i].commands & (unsigned)command) && strcmp(table[i].option.name, name) == 0)
            return (int)i;
    return -1;
}

const char *option_nearest(CommandId command, const char *name) {
    size_t count;
    const OptionRow *table = option_table(&count);
    const char *best = NULL;
    int least = INT_MAX;
    for (size_t i = 0; i < count; i++) {
        if (!(table[i].commands & (unsigned)command) || table[i].option.positional) continue;
        int d = name_distance(name, table[i].option.name);
        if (d < least) {
            least = d;
            best = table[i].option.name;
        }
    }
    return best;
}

/* --- words kept for what is not there yet ----------------------------------------------------- */

static const struct {
    const char *name, *value; /* value NULL: the option itself */
    const char *why;
} RESERVED[] = {
    {"mask-grid", NULL,
     "masks over blocks of patches are not there yet; --mask block hides rectangles"},
    {"cls-tokens", NULL, "a model has one cls token; more are not there yet"},
    {"adversarial", NULL, "training against a discriminator is not there yet"},
    {"device", "cuda", "this build computes on the processor; use cpu"},
    {"precision", "int8", "8-bit inference is not there yet; use fp32"},
};

/* Why an option, or this value of it, is refused; NULL: it is not one of them. */
static const char *reserved(const char *name, const char *value) {
    for (size_t i = 0; i < sizeof RESERVED / sizeof *RESERVED; i++)
        if (strcmp(RESERVED[i].name, name) == 0 &&
            (!RESERVED[i].value || strcmp(RESERVED[i].value, value) == 0))
            return RESERVED[i].why;
    return NULL;
}

/* --- setting --------------------------------------------------------------------------------- */

/* Where the program's source of an option is kept; NULL: the option names no images. */
static const MaeSource **source_of(MaeOptions *o, size_t i) {
    size_t count;
    const char *const *text = option_field(o, &option_table(&count)[i]);
    if (text == (const char *const *)&o->data) return &o->data_source;
    return text == (const char *const *)&o->val ? &o->val_source : NULL;
}

/* A text takes the place of a source. */
static void mark_set(MaeOptions *o, size_t i) {
    const MaeSource **source = source_of(o, i);
    if (source) *source = NULL;
    o->given[i] = 1;
}

Status option_set_row(MaeOptions *o, size_t i, const char *text, Error *err) {
    size_t count;
    Status status = option_parse(o, &option_table(&count)[i], text, err);
    if (status == MAE_OK) mark_set(o, i);
    return status;
}

Status option_set_list_row(MaeOptions *o, size_t i, const char *const *items, int64_t n,
                           Error *err) {
    size_t count;
    Status status = option_take_items(o, &option_table(&count)[i], items, n, err);
    if (status == MAE_OK) mark_set(o, i);
    return status;
}

/* There is no such option: which one may have been meant, or why there is none. */
static Status refuse_name(const MaeOptions *o, const char *name, Error *err) {
    size_t count;
    const char *other = option_nearest(o->command, name);
    if (other)
        return error_set(err, MAE_USAGE, "there is no option --%.60s here; did you mean --%s?",
                         name, other);
    int i = option_find((CommandId)~0u, name);
    if (i >= 0 && strcmp(option_table(&count)[i].option.group, "Model") == 0)
        return error_set(err, MAE_USAGE, "--%s cannot be given here: the checkpoint says it", name);
    return error_set(err, MAE_USAGE, "there is no option --%.60s here", name);
}

MaeStatus mae_options_set(MaeOptions *o, const char *name, const char *text, MaeError *err) {
    int i = option_find(o->command, name);
    const char *why = reserved(name, text);
    error_clear(err);
    if (why)
        return error_set(err, MAE_USAGE, "--%s%s%s: %s", name, i < 0 ? "" : " ", i < 0 ? "" : text,
                         why);
    return i < 0 ? refuse_name(o, name, err) : option_set_row(o, (size_t)i, text, err);
}

MaeStatus mae_options_set_integer(MaeOptions *o, const char *name, int64_t value, MaeError *err) {
    char text[OPTION_NUMBER_BYTES];
    int i = option_find(o->command, name);
    size_t count;
    if (i >= 0 && option_table(&count)[i].option.type == MAE_OPTION_SWITCH && value >= 0 &&
        value <= 1)
        snprintf(text, sizeof text, "%s", value ? "true" : "false");
    else
        snprintf(text, sizeof text, "%" PRId64, value);
    return mae_options_set(o, name, text, err);
}

MaeStatus mae_options_set_real(MaeOptions *o, const char *name, double value, MaeError *err) {
    char text[OPTION_NUMBER_BYTES];
    option_print_real(text, sizeof text, value);
    return mae_options_set(o, name, text, err);
}

MaeStatus mae_options_set_list(MaeOptions *o, const char *name, const char *const *items, int64_t n,
                               MaeError *err) {
    int i = option_find(o->command, name);
    error_clear(err);
    return i < 0 ? refuse_name(o, name, err) : option_set_list_row(o, (size_t)i, items, n, err);
}

MaeStatus mae_options_set_source(MaeOptions *o, const char *name, const MaeSource *source,
                                 MaeError *err) {
    int i = option_find(o->command, name);
    error_clear(err);
    if (i < 0) return refuse_name(o, name, err);
    const MaeSource **place = source_of(o, (size_t)i);
    if (!place)
        return error_set(err, MAE_USAGE, "--%s names no images; a source is for data and val",
                         name);
    if (!source || !source->name || !*source->name)
        return error_set(err, MAE_USAGE, "--%s: %s; a resumed run knows a source by its name", name,
                         source ? "the source has no name" : "there is no source");
    char *text = mem_printf(OPTION_SOURCE_PREFIX "%s", source->name);
    if (!text) return error_set(err, MAE_MEMORY, "no memory for --%s", name);
    Status status = option_set_row(o, (size_t)i, text, err);
    mem_free(text);
    if (status == MAE_OK) *place = source;
    return status;
}

/* --- giving ---------------------------------------------------------------------------------- */

const char *mae_options_get(const MaeOptions *o, const char *name) {
    size_t count;
    int i = option_find(o->command, name);
    if (i < 0 || option_is_derived(o, (size_t)i)) return NULL;
    const OptionRow *row = &option_table(&count)[i];
    const void *p = option_value(o, row);
    if (row->option.type == MAE_OPTION_TEXT) return *(char *const *)p;
    if (row->option.type == MAE_OPTION_LIST) return ((const OptionList *)p)->text;
    if (row->option.type == MAE_OPTION_CHOICE) return row->option.choices[*(const int *)p];
    ASSERT(o->number_text != NULL, "no memory for the text of --%s", name);
    option_text(o, row, o->number_text[i], OPTION_NUMBER_BYTES);
    return o->number_text[i];
}

double mae_options_get_number(const MaeOptions *o, const char *name) {
    size_t count;
    int i = option_find(o->command, name);
    if (i < 0 || option_is_derived(o, (size_t)i)) return (double)NAN;
    const OptionRow *row = &option_table(&count)[i];
    const void *p = option_value(o, row);
    if (row->option.type == MAE_OPTION_SWITCH) return *(const int *)p;
    if (row->option.type == MAE_OPTION_INTEGER) return (double)*(const int64_t *)p;
    return row->option.type == MAE_OPTION_REAL ? *(const double *)p : (double)NAN;
}

const MaeOption *mae_options_describe(const MaeOptions *o, int64_t i) {
    size_t count;
    return i >= 0 && i < o->n_options ? &option_table(&count)[o->order[i]].option : NULL;
}

int mae_options_is_set(const MaeOptions *o, const char *name) {
    int i = option_find(o->command, name);
    return i >= 0 && o->given[i];
}

/* --- all of a command ------------------------------------------------------------------------ */

/* The rows of the command, those of a group together, where its first one stands in the table. */
static void put_in_order(MaeOptions *o) {
    size_t count;
    const OptionRow *table = option_table(&count);
    bool placed[OPTION_ROWS] = {false};
    for (size_t i = 0; i < count; i++)
        for (size_t j = i; j < count && !placed[i]; j++) {
            bool here = (table[i].commands & table[j].commands & (unsigned)o->command) != 0;
            if (!here || placed[j]) continue;
            if (strcmp(table[i].option.group, table[j].option.group) != 0) continue;
            if (j > i) placed[j] = true;
            o->order[o->n_options++] = (unsigned char)j;
        }
}

void options_default(CommandId command, MaeOptions *o) {
    size_t count;
    const OptionRow *table = option_table(&count);
    *o = (MaeOptions){.command = command, .workers = -1, .mask_ratio = -1, .tune_blocks = -1};
    for (size_t i = 0; i < count; i++)
        if ((table[i].commands & (unsigned)command) && table[i].option.fallback) {
            Status status = option_set_row(o, i, table[i].option.fallback, NULL);
            ASSERT(status == MAE_OK, "default %s of --%s", table[i].option.fallback,
                   table[i].option.name);
        }
    memset(o->given, 0, sizeof o->given);
    put_in_order(o);
}

void options_clear(MaeOptions *o) {
    size_t count;
    const OptionRow *table = option_table(&count);
    for (size_t i = 0; i < count; i++) option_free_value(o, &table[i]);
    mem_free(o->number_text);
    o->number_text = NULL;
}

static Status refuse_command(const char *words, Error *err) {
    const char *near = NULL;
    int least = INT_MAX;
    if (strcmp(words, "plan") == 0 || strncmp(words, "plan ", 5) == 0)
        return error_set(err, MAE_USAGE, "%.60s: write plan %s", words,
                         command_find("plan")->command.arguments);
    for (int64_t i = 0; command_at(i); i++) {
        int d = name_distance(words, command_at(i)->command.name);
        if (d >= least) continue;
        least = d;
        near = command_at(i)->command.name;
    }
    return error_set(err, MAE_USAGE, "there is no command %.60s%s%s%s", words,
                     near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
}

/* Whose options "NAME" or "plan NAME" are; NULL: no one's. */
static const CommandRow *find_command(const char *words, bool *plans) {
    static const char plan[] = "plan ";
    *plans = strncmp(words, plan, sizeof plan - 1) == 0;
    const CommandRow *c = command_find(*plans ? words + sizeof plan - 1 : words);
    return c && (*plans ? c->trains : c->id != COMMAND_NONE) ? c : NULL;
}

MaeStatus mae_options_new(const char *command, MaeOptions **out, MaeError *err) {
    bool plans;
    const CommandRow *c = find_command(command, &plans);
    error_clear(err);
    *out = NULL;
    if (!c) return refuse_command(command, err);
    MaeOptions *o = mem_alloc(sizeof *o);
    char(*texts)[OPTION_NUMBER_BYTES] = mem_alloc(OPTION_ROWS * sizeof *texts);
    if (!o || !texts) {
        mem_free(o);
        mem_free(texts);
        return error_set(err, MAE_MEMORY, "no memory for the options of %s", command);
    }
    options_default(c->id, o);
    o->plans = plans;
    o->number_text = texts;
    *out = o;
    return MAE_OK;
}

void mae_options_free(MaeOptions *o) {
    if (o) options_clear(o);
    mem_free(o);
}
