/* What the values of options look like: where they lie in MaeOptions, how they are read from text
 * and checked against the range of their row, and how they are written. */
#include "options/options.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/words.h"

const void *option_value(const MaeOptions *o, const OptionRow *row) {
    return (const char *)o + row->offset;
}

void *option_field(MaeOptions *o, const OptionRow *row) {
    return (char *)o + row->offset;
}

bool option_is_derived(const MaeOptions *o, size_t i) {
    size_t count;
    const OptionRow *row = &option_table(&count)[i];
    const void *p = option_value(o, row);
    if (row->option.type == MAE_OPTION_TEXT) return !*(char *const *)p;
    if (row->option.type == MAE_OPTION_LIST) return !((const OptionList *)p)->text;
    if (row->option.fallback || o->given[i]) return false;
    if (row->option.type == MAE_OPTION_CHOICE) return true;
    return row->option.type == MAE_OPTION_INTEGER ? *(const int64_t *)p <= 0
                                                  : *(const double *)p <= 0;
}

/* In messages: words of the command line have a name only here. */
static const char *dashes(const OptionRow *row) {
    return row->option.positional ? "" : "--";
}

/* --- from text ------------------------------------------------------------------------------- */

/* strtoll and strtod skip spaces and take hexadecimal and words; options are plain decimals. */
static bool is_plain(const char *text, const char *allowed) {
    return *text && strspn(text, allowed) == strlen(text);
}

static Status check_range(const OptionRow *row, double v, const char *text, Error *err) {
    if (v >= row->option.min && v <= row->option.max) return MAE_OK;
    return error_set(err, MAE_USAGE, "%s%s %.200s: must be %.15g to %.15g", dashes(row),
                     row->option.name, text, row->option.min, row->option.max);
}

static Status set_int(int64_t *out, const OptionRow *row, const char *text, Error *err) {
    char *end;
    errno = 0;
    long long v = strtoll(text, &end, 10);
    if (!is_plain(text, "+-0123456789") || *end || end == text)
        return error_set(err, MAE_USAGE, "%s%s %.200s: not a whole number", dashes(row),
                         row->option.name, text);
    Status status = check_range(row, errno ? INFINITY : (double)v, text, err);
    if (status == MAE_OK) *out = v;
    return status;
}

static Status set_real(double *out, const OptionRow *row, const char *text, Error *err) {
    char *end;
    double v = strtod(text, &end);
    if (!is_plain(text, "+-0123456789.eE") || *end || end == text)
        return error_set(err, MAE_USAGE, "%s%s %.200s: not a number", dashes(row), row->option.name,
                         text);
    Status status = check_range(row, v, text, err);
    if (status == MAE_OK) *out = v;
    return status;
}

static Status set_size(int64_t out[2], const OptionRow *row, const char *text, Error *err) {
    char *end;
    errno = 0;
    long long h = strtoll(text, &end, 10), w = h;
    bool ok = is_plain(text, "+-0123456789x") && end != text;
    if (ok && *end == 'x') {
        const char *second = end + 1;
        w = strtoll(second, &end, 10);
        ok = end != second;
    }
    if (!ok || *end)
        return error_set(err, MAE_USAGE, "%s%s %.200s: write 224 or 224x320 (height x width)",
                         dashes(row), row->option.name, text);
    Status status = check_range(row, errno ? INFINITY : (double)h, text, err);
    if (status == MAE_OK) status = check_range(row, (double)w, text, err);
    if (status != MAE_OK) return status;
    out[0] = h;
    out[1] = w;
    return MAE_OK;
}

static Status set_choice(int *out, const OptionRow *row, const char *text, Error *err) {
    char list[256];
    int i = word_find(row->option.choices, text);
    if (i < 0)
        return error_set(err, MAE_USAGE, "%s%s %.200s: choose one of %s", dashes(row),
                         row->option.name, text,
                         words_text(row->option.choices, list, sizeof list));
    *out = i;
    return MAE_OK;
}

/* Of a text, or an item of a list. */
static Status check_text(const OptionRow *row, const char *text, Error *err) {
    if (!*text)
        return error_set(err, MAE_USAGE, "%s%s: the value is empty", dashes(row), row->option.name);
    if (strlen(text) < OPTION_TEXT_BYTES) return MAE_OK;
    return error_set(err, MAE_USAGE, "%s%s %.60s...: longer than %d bytes", dashes(row),
                     row->option.name, text, OPTION_TEXT_BYTES - 1);
}

static Status no_memory(const OptionRow *row, Error *err) {
    return error_set(err, MAE_MEMORY, "no memory for %s%s", dashes(row), row->option.name);
}

static Status set_text(char **out, const OptionRow *row, const char *text, Error *err) {
    Status status = check_text(row, text, err);
    if (status != MAE_OK) return status;
    char *copy = mem_strdup(text);
    if (!copy) return no_memory(row, err);
    mem_free(*out);
    *out = copy;
    return MAE_OK;
}

static Status set_bool(int *out, const OptionRow *row, const char *text, Error *err) {
    bool yes = strcmp(text, "true") == 0;
    if (!yes && strcmp(text, "false") != 0)
        return error_set(err, MAE_USAGE, "%s%s %.200s: must be true or false", dashes(row),
                         row->option.name, text);
    *out = yes;
    return MAE_OK;
}

/* "first:N" is kept as -N. */
static Status set_limit(int64_t *out, const OptionRow *row, const char *text, Error *err) {
    char *end;
    bool first = strncmp(text, "first:", 6) == 0;
    const char *digits = first ? text + 6 : text;
    errno = 0;
    long long n = strtoll(digits, &end, 10);
    if (!is_plain(digits, "0123456789") || *end)
        return error_set(err, MAE_USAGE,
                         "%s%s %.200s: write N, for N images drawn by the seed, or first:N",
                         dashes(row), row->option.name, text);
    Status status = check_range(row, errno ? INFINITY : (double)n, text, err);
    if (status == MAE_OK) *out = first ? -n : n;
    return status;
}

/* --- lists ----------------------------------------------------------------------------------- */

/* NULL: no memory. */
static char *join(const char *const *items, int64_t n) {
    size_t bytes = 1, used = 0;
    for (int64_t i = 0; i < n; i++) bytes += strlen(items[i]) + 1;
    char *text = mem_alloc(bytes);
    if (!text) return NULL;
    for (int64_t i = 0; i < n; i++)
        used += (size_t)snprintf(text + used, bytes - used, "%s%s", i ? "," : "", items[i]);
    return text;
}

static void free_list(OptionList *list) {
    for (int64_t i = 0; list->item && i < list->n; i++) mem_free(list->item[i]);
    mem_free(list->item);
    mem_free(list->text);
    *list = (OptionList){0};
}

static Status set_items(OptionList *out, const OptionRow *row, const char *const *items, int64_t n,
                        Error *err) {
    OptionList list = {.item = mem_alloc((size_t)n * sizeof *list.item), .text = join(items, n)};
    bool complete = list.item && list.text;
    for (; complete && list.n < n; list.n++) {
        list.item[list.n] = mem_strdup(items[list.n]);
        complete = list.item[list.n] != NULL;
    }
    free_list(complete ? out : &list);
    if (!complete) return no_memory(row, err);
    *out = list;
    return MAE_OK;
}

/* The items lie between commas. */
static Status set_list(OptionList *out, const OptionRow *row, const char *text, Error *err) {
    Status status = MAE_OK;
    char *copy = mem_strdup(text);
    const char **items = mem_alloc((strlen(text) + 1) * sizeof *items);
    int64_t n = 0;
    if (!copy || !items) {
        status = no_memory(row, err);
        goto done;
    }
    for (char *at = copy, *comma; at; at = comma) {
        comma = strchr(at, ',');
        if (comma) *comma++ = '\0';
        TRY(check_text(row, at, err));
        items[n++] = at;
    }
    TRY(set_items(out, row, items, n, err));
done:
    mem_free(items);
    mem_free(copy);
    return status;
}

static Status check_items(const OptionRow *row, const char *const *items, int64_t n, Error *err) {
    Status status = n > 0 ? MAE_OK : check_text(row, "", err);
    for (int64_t i = 0; i < n && status == MAE_OK; i++) {
        status = check_text(row, items[i], err);
        if (status != MAE_OK || row->option.type == MAE_OPTION_LIST || !strchr(items[i], ','))
            continue;
        status = error_set(err, MAE_USAGE, "%s%s %.200s: an item cannot have a comma", dashes(row),
                           row->option.name, items[i]);
    }
    return status;
}

Status option_take_items(MaeOptions *o, const OptionRow *row, const char *const *items, int64_t n,
                         Error *err) {
    bool is_list = row->option.type == MAE_OPTION_LIST;
    if (!is_list && row->option.type != MAE_OPTION_TEXT)
        return error_set(err, MAE_USAGE, "%s%s: is no list", dashes(row), row->option.name);
    Status status = check_items(row, items, n, err);
    if (status != MAE_OK) return status;
    if (is_list) return set_items(option_field(o, row), row, items, n, err);
    char *text = join(items, n);
    if (!text) return no_memory(row, err);
    status = set_text(option_field(o, row), row, text, err);
    mem_free(text);
    return status;
}

/* --- any type -------------------------------------------------------------------------------- */

void option_free_value(MaeOptions *o, const OptionRow *row) {
    char **text = option_field(o, row);
    if (row->option.type == MAE_OPTION_LIST) free_list(option_field(o, row));
    if (row->option.type != MAE_OPTION_TEXT) return;
    mem_free(*text);
    *text = NULL;
}

Status option_parse(MaeOptions *o, const OptionRow *row, const char *text, Error *err) {
    void *field = option_field(o, row);
    switch (row->option.type) {
    case MAE_OPTION_SWITCH: return set_bool(field, row, text, err);
    case MAE_OPTION_INTEGER: return set_int(field, row, text, err);
    case MAE_OPTION_REAL: return set_real(field, row, text, err);
    case MAE_OPTION_TEXT: return set_text(field, row, text, err);
    case MAE_OPTION_CHOICE: return set_choice(field, row, text, err);
    case MAE_OPTION_SIZE: return set_size(field, row, text, err);
    case MAE_OPTION_LIMIT: return set_limit(field, row, text, err);
    case MAE_OPTION_LIST: return set_list(field, row, text, err);
    }
    return MAE_OK;
}

/* --- to text --------------------------------------------------------------------------------- */

void option_print_real(char *buffer, size_t bytes, double v) {
    for (int digits = 6; digits <= 17; digits++) {
        snprintf(buffer, bytes, "%.*g", digits, v);
        if (strtod(buffer, NULL) == v) return;
    }
}

static void print_limit(char *buffer, size_t bytes, int64_t n) {
    snprintf(buffer, bytes, "%s%" PRId64, n < 0 ? "first:" : "", n < 0 ? -n : n);
}

static void print_text(char *buffer, size_t bytes, const char *text) {
    snprintf(buffer, bytes, "%s", text ? text : "");
}

void option_text(const MaeOptions *o, const OptionRow *row, char *buffer, size_t bytes) {
    const void *p = option_value(o, row);
    const int64_t *size = p;
    switch (row->option.type) {
    case MAE_OPTION_SWITCH: print_text(buffer, bytes, *(const int *)p ? "true" : "false"); break;
    case MAE_OPTION_INTEGER: snprintf(buffer, bytes, "%" PRId64, *(const int64_t *)p); break;
    case MAE_OPTION_REAL: option_print_real(buffer, bytes, *(const double *)p); break;
    case MAE_OPTION_TEXT: print_text(buffer, bytes, *(char *const *)p); break;
    case MAE_OPTION_CHOICE: print_text(buffer, bytes, row->option.choices[*(const int *)p]); break;
    case MAE_OPTION_SIZE: snprintf(buffer, bytes, "%" PRId64 "x%" PRId64, size[0], size[1]); break;
    case MAE_OPTION_LIMIT: print_limit(buffer, bytes, *(const int64_t *)p); break;
    case MAE_OPTION_LIST: print_text(buffer, bytes, ((const OptionList *)p)->text); break;
    }
}
