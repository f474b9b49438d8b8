/* Options by their names. This file finds an option, or the nearest name to a wrong one, sets it,
 * and sets or frees all. The rows are in options_table.c, the text of values in options_value.c,
 * config.json in options_file.c. */
#include "options/options.h"

#include <limits.h>
#include <string.h>

#include "base/memory.h"
#include "base/name.h"

/* --- names ----------------------------------------------------------------------------------- */

int option_find(MaeCommand command, const char *name) {
    size_t count;
    const MaeOption *table = mae_option_table(&count);
    for (size_t i = 0; i < count; i++)
        if ((table[i].commands & (unsigned)command) && strcmp(table[i].name, name) == 0)
            return (int)i;
    return -1;
}

const char *option_nearest(MaeCommand command, const char *name) {
    size_t count;
    const MaeOption *table = mae_option_table(&count);
    const char *best = NULL;
    int least = INT_MAX;
    for (size_t i = 0; i < count; i++) {
        if (!(table[i].commands & (unsigned)command)) continue;
        int d = name_distance(name, table[i].name);
        if (d < least) {
            least = d;
            best = table[i].name;
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

Status option_set_row(MaeOptions *o, size_t i, const char *text, Error *err) {
    size_t count;
    Status status = option_parse(o, &mae_option_table(&count)[i], text, err);
    if (status == MAE_OK) o->given[i] = 1;
    return status;
}

MaeStatus mae_option_set(MaeOptions *options, MaeCommand command, const char *name,
                         const char *value, MaeError *err) {
    size_t count;
    int i = option_find(command, name);
    const char *why = reserved(name, value);
    error_clear(err);
    if (why)
        return error_set(err, MAE_USAGE, "--%s%s%s: %s", name, i < 0 ? "" : " ", i < 0 ? "" : value,
                         why);
    if (i >= 0) return option_set_row(options, (size_t)i, value, err);
    const char *other = option_nearest(command, name);
    if (other)
        return error_set(err, MAE_USAGE, "there is no option --%.60s here; did you mean --%s?",
                         name, other);
    i = option_find((MaeCommand)~0u, name);
    if (i >= 0 && strcmp(mae_option_table(&count)[i].group, "Model") == 0)
        return error_set(err, MAE_USAGE, "--%s cannot be given here: the checkpoint says it", name);
    return error_set(err, MAE_USAGE, "there is no option --%.60s here", name);
}

void mae_options_default(MaeCommand command, MaeOptions *options) {
    size_t count;
    const MaeOption *table = mae_option_table(&count);
    *options = (MaeOptions){.workers = -1, .mask_ratio = -1, .tune_blocks = -1};
    for (size_t i = 0; i < count; i++)
        if ((table[i].commands & (unsigned)command) && table[i].fallback) {
            Status status = option_set_row(options, i, table[i].fallback, NULL);
            ASSERT(status == MAE_OK, "default %s of --%s", table[i].fallback, table[i].name);
        }
    memset(options->given, 0, sizeof options->given);
}

void mae_options_free(MaeOptions *options) {
    size_t count;
    const MaeOption *table = mae_option_table(&count);
    for (size_t i = 0; i < count; i++) {
        if (table[i].type != MAE_OPTION_STRING) continue;
        char **text = option_field(options, &table[i]);
        mem_free(*text);
        *text = NULL;
    }
}
