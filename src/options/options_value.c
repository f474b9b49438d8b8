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

const void *option_value(const MaeOptions *o, const MaeOption *row) {
    return (const char *)o + row->offset;
}

void *option_field(MaeOptions *o, const MaeOption *row) {
    return (char *)o + row->offset;
}

bool option_is_derived(const MaeOptions *o, size_t i) {
    size_t count;
    const MaeOption *row = &mae_option_table(&count)[i];
    const void *p = option_value(o, row);
    if (row->type == MAE_OPTION_STRING) return !*(char *const *)p;
    if (row->fallback || o->given[i]) return false;
    return row->type == MAE_OPTION_INT ? *(const int64_t *)p <= 0 : *(const double *)p <= 0;
}

/* --- from text ------------------------------------------------------------------------------- */

/* strtoll and strtod skip spaces and take hexadecimal and words; options are plain decimals. */
static bool is_plain(const char *text, const char *allowed) {
    return *text && strspn(text, allowed) == strlen(text);
}

static Status check_range(const MaeOption *row, double v, const char *text, Error *err) {
    if (v >= row->min && v <= row->max) return MAE_OK;
    return error_set(err, MAE_USAGE, "--%s %.200s: must be %.15g to %.15g", row->name, text,
                     row->min, row->max);
}

static Status set_int(int64_t *out, const MaeOption *row, const char *text, Error *err) {
    char *end;
    errno = 0;
    long long v = strtoll(text, &end, 10);
    if (!is_plain(text, "+-0123456789") || *end || end == text)
        return error_set(err, MAE_USAGE, "--%s %.200s: not a whole number", row->name, text);
    Status status = check_range(row, errno ? INFINITY : (double)v, text, err);
    if (status == MAE_OK) *out = v;
    return status;
}

static Status set_real(double *out, const MaeOption *row, const char *text, Error *err) {
    char *end;
    double v = strtod(text, &end);
    if (!is_plain(text, "+-0123456789.eE") || *end || end == text)
        return error_set(err, MAE_USAGE, "--%s %.200s: not a number", row->name, text);
    Status status = check_range(row, v, text, err);
    if (status == MAE_OK) *out = v;
    return status;
}

static Status set_size(int64_t out[2], const MaeOption *row, const char *text, Error *err) {
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
        return error_set(err, MAE_USAGE, "--%s %.200s: write 224 or 224x320 (height x width)",
                         row->name, text);
    Status status = check_range(row, errno ? INFINITY : (double)h, text, err);
    if (status == MAE_OK) status = check_range(row, (double)w, text, err);
    if (status != MAE_OK) return status;
    out[0] = h;
    out[1] = w;
    return MAE_OK;
}

static Status set_choice(int *out, const MaeOption *row, const char *text, Error *err) {
    char list[256];
    int i = word_find(row->choices, text);
    if (i < 0)
        return error_set(err, MAE_USAGE, "--%s %.200s: choose one of %s", row->name, text,
                         words_text(row->choices, list, sizeof list));
    *out = i;
    return MAE_OK;
}

static Status set_string(char **out, const MaeOption *row, const char *text, Error *err) {
    if (!*text) return error_set(err, MAE_USAGE, "--%s: the value is empty", row->name);
    if (strlen(text) >= OPTION_TEXT_BYTES)
        return error_set(err, MAE_USAGE, "--%s %.60s...: longer than %d bytes", row->name, text,
                         OPTION_TEXT_BYTES - 1);
    char *copy = mem_strdup(text);
    if (!copy) return error_set(err, MAE_MEMORY, "no memory for --%s", row->name);
    mem_free(*out);
    *out = copy;
    return MAE_OK;
}

static Status set_bool(int *out, const MaeOption *row, const char *text, Error *err) {
    bool yes = strcmp(text, "true") == 0;
    if (!yes && strcmp(text, "false") != 0)
        return error_set(err, MAE_USAGE, "--%s %.200s: must be true or false", row->name, text);
    *out = yes;
    return MAE_OK;
}

/* "first:N" is kept as -N. */
static Status set_limit(int64_t *out, const MaeOption *row, const char *text, Error *err) {
    char *end;
    bool first = strncmp(text, "first:", 6) == 0;
    const char *digits = first ? text + 6 : text;
    errno = 0;
    long long n = strtoll(digits, &end, 10);
    if (!is_plain(digits, "0123456789") || *end)
        return error_set(err, MAE_USAGE,
                         "--%s %.200s: write N, for N images drawn by the seed, or first:N",
                         row->name, text);
    Status status = check_range(row, errno ? INFINITY : (double)n, text, err);
    if (status == MAE_OK) *out = first ? -n : n;
    return status;
}

Status option_parse(MaeOptions *o, const MaeOption *row, const char *text, Error *err) {
    void *field = option_field(o, row);
    switch (row->type) {
    case MAE_OPTION_BOOL: return set_bool(field, row, text, err);
    case MAE_OPTION_INT: return set_int(field, row, text, err);
    case MAE_OPTION_REAL: return set_real(field, row, text, err);
    case MAE_OPTION_STRING: return set_string(field, row, text, err);
    case MAE_OPTION_CHOICE: return set_choice(field, row, text, err);
    case MAE_OPTION_SIZE: return set_size(field, row, text, err);
    case MAE_OPTION_LIMIT: return set_limit(field, row, text, err);
    }
    return MAE_OK;
}

/* --- to text --------------------------------------------------------------------------------- */

/* The shortest text that reads back as the same number. */
static void print_real(char *buffer, size_t bytes, double v) {
    for (int digits = 6; digits <= 17; digits++) {
        snprintf(buffer, bytes, "%.*g", digits, v);
        if (strtod(buffer, NULL) == v) return;
    }
}

static void print_limit(char *buffer, size_t bytes, int64_t n) {
    snprintf(buffer, bytes, "%s%" PRId64, n < 0 ? "first:" : "", n < 0 ? -n : n);
}

void mae_option_get(const MaeOptions *options, const MaeOption *option, char *buffer,
                    size_t bytes) {
    const void *p = option_value(options, option);
    const int64_t *size = p;
    const char *text = option->type == MAE_OPTION_STRING ? *(char *const *)p : NULL;
    switch (option->type) {
    case MAE_OPTION_BOOL: snprintf(buffer, bytes, "%s", *(const int *)p ? "true" : "false"); break;
    case MAE_OPTION_INT: snprintf(buffer, bytes, "%" PRId64, *(const int64_t *)p); break;
    case MAE_OPTION_REAL: print_real(buffer, bytes, *(const double *)p); break;
    case MAE_OPTION_STRING: snprintf(buffer, bytes, "%s", text ? text : ""); break;
    case MAE_OPTION_CHOICE: snprintf(buffer, bytes, "%s", option->choices[*(const int *)p]); break;
    case MAE_OPTION_SIZE: snprintf(buffer, bytes, "%" PRId64 "x%" PRId64, size[0], size[1]); break;
    case MAE_OPTION_LIMIT: print_limit(buffer, bytes, *(const int64_t *)p); break;
    }
}
