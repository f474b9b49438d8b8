/* Options as a JSON file, config.json of a run folder. It is a flat object with a key for each
 * option of the command and typed values. A value is null where it is derived from others or has no
 * effect beside them. Options of one call (--out, --restart, --json ...) are not written, so that
 * the file can start another run. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "base/memory.h"
#include "options/options.h"

#define MAX_CONFIG_BYTES ((size_t)1 << 20)
#define MAX_KEY_BYTES 64
#define EXACT_DIGITS 17 /* of a double */

static void swap_characters(char *key, const char *name, char from, char to) {
    snprintf(key, MAX_KEY_BYTES, "%s", name);
    for (char *s = key; *s; s++)
        if (*s == from) *s = to;
}

bool option_is_of_one_call(const MaeOption *row) {
    static const char *const names[] = {"out", "restart", "accept-changes", "json", "quiet"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(row->name, names[i]) == 0) return true;
    return false;
}

/* --- writing --------------------------------------------------------------------------------- */

/* jansson has one precision for a file: the smallest that keeps every number of the table. */
static size_t digits_needed(const MaeOptions *o) {
    size_t count, digits = 15;
    const MaeOption *table = mae_option_table(&count);
    for (size_t i = 0; i < count; i++) {
        char text[64];
        if (table[i].type != MAE_OPTION_REAL) continue;
        double v = *(const double *)option_value(o, &table[i]);
        for (; digits < EXACT_DIGITS; digits++) {
            snprintf(text, sizeof text, "%.*g", (int)digits, v);
            if (strtod(text, NULL) == v) break;
        }
    }
    return digits;
}

/* NULL: no memory, or a path that JSON cannot hold. */
static json_t *to_json(const MaeOptions *o, MaeCommand command, size_t i) {
    size_t count;
    char text[OPTION_TEXT_BYTES];
    const MaeOption *row = &mae_option_table(&count)[i];
    const void *p = option_value(o, row);
    if (option_is_derived(o, i) || mae_option_unused(o, command, row)) return json_null();
    if (row->type == MAE_OPTION_BOOL) return json_boolean(*(const int *)p);
    if (row->type == MAE_OPTION_INT) return json_integer(*(const int64_t *)p);
    if (row->type == MAE_OPTION_REAL) return json_real(*(const double *)p);
    mae_option_get(o, row, text, sizeof text);
    return json_string(text);
}

static Status add_all(json_t *root, const MaeOptions *o, MaeCommand command, const char *path,
                      Error *err) {
    size_t count;
    const MaeOption *table = mae_option_table(&count);
    for (size_t i = 0; i < count; i++) {
        char key[MAX_KEY_BYTES];
        if (!(table[i].commands & (unsigned)command) || option_is_of_one_call(&table[i])) continue;
        swap_characters(key, table[i].name, '-', '_');
        if (json_object_set_new(root, key, to_json(o, command, i)) != 0)
            return error_set(err, MAE_USAGE,
                             "%s: the value of --%s cannot be written as JSON; paths must be UTF-8",
                             path, table[i].name);
    }
    return MAE_OK;
}

MaeStatus mae_options_save(const MaeOptions *options, MaeCommand command, const char *path,
                           MaeError *err) {
    Status status = MAE_OK;
    char *json = NULL, *text = NULL;
    json_t *root = json_object();
    error_clear(err);
    TRY(add_all(root, options, command, path, err));
    json = json_dumps(root, JSON_INDENT(2) | JSON_REAL_PRECISION(digits_needed(options)));
    text = json ? mem_printf("%s\n", json) : NULL;
    if (!text) {
        status = error_set(err, MAE_MEMORY, "%s: no memory to write the options", path);
        goto done;
    }
    TRY(file_write_all(path, text, strlen(text), err));
done:
    json_decref(root);
    free(json);
    mem_free(text);
    return status;
}

/* --- reading --------------------------------------------------------------------------------- */

static Status wrong_type(const MaeOption *row, const char *path, const char *key, Error *err) {
    static const char *const wanted[] = {[MAE_OPTION_BOOL] = "true or false",
                                         [MAE_OPTION_INT] = "a whole number",
                                         [MAE_OPTION_REAL] = "a number",
                                         [MAE_OPTION_STRING] = "a string",
                                         [MAE_OPTION_CHOICE] = "a string",
                                         [MAE_OPTION_SIZE] = "\"224\" or \"224x320\"",
                                         [MAE_OPTION_LIMIT] = "\"N\" or \"first:N\""};
    return error_set(err, MAE_USAGE, "%s: \"%s\" must be %s", path, key, wanted[row->type]);
}

/* Text of a JSON value that the table understands; false when it has another type than the row. A
 * limit that is a number was written by a version in which it meant the first images. */
static bool from_json(const MaeOption *row, const json_t *v, char *text, size_t bytes) {
    bool number =
        row->type == MAE_OPTION_INT || row->type == MAE_OPTION_REAL || row->type == MAE_OPTION_SIZE;
    if (row->type == MAE_OPTION_BOOL && json_is_boolean(v))
        snprintf(text, bytes, "%s", json_is_true(v) ? "true" : "false");
    else if (number && json_is_integer(v))
        snprintf(text, bytes, "%" JSON_INTEGER_FORMAT, json_integer_value(v));
    else if (row->type == MAE_OPTION_LIMIT && json_is_integer(v))
        snprintf(text, bytes, "first:%" JSON_INTEGER_FORMAT, json_integer_value(v));
    else if (row->type == MAE_OPTION_REAL && json_is_real(v))
        snprintf(text, bytes, "%.*g", EXACT_DIGITS, json_real_value(v));
    else if ((!number || row->type == MAE_OPTION_SIZE) && row->type != MAE_OPTION_BOOL &&
             json_is_string(v) && json_string_length(v) < bytes)
        snprintf(text, bytes, "%s", json_string_value(v));
    else
        return false;
    return true;
}

static Status load_entry(MaeOptions *o, MaeCommand command, const char *path, const char *key,
                         const json_t *v, Error *err) {
    size_t count;
    char name[MAX_KEY_BYTES], text[OPTION_TEXT_BYTES];
    Error e = {0};
    if (strlen(key) >= sizeof name)
        return error_set(err, MAE_USAGE, "%s: unknown key \"%.60s...\"", path, key);
    swap_characters(name, key, '_', '-');
    int i = option_find(command, name);
    if (i < 0) {
        const char *other = option_nearest(command, name);
        if (!other) return error_set(err, MAE_USAGE, "%s: unknown key \"%s\"", path, key);
        swap_characters(text, other, '-', '_');
        return error_set(err, MAE_USAGE, "%s: unknown key \"%s\"; did you mean \"%s\"?", path, key,
                         text);
    }
    const MaeOption *row = &mae_option_table(&count)[i];
    if (o->given[i] || json_is_null(v)) return MAE_OK;
    if (!from_json(row, v, text, sizeof text)) return wrong_type(row, path, key, err);
    Status status = option_set_row(o, (size_t)i, text, &e);
    if (status == MAE_USAGE) return error_set(err, MAE_USAGE, "%.400s: %.500s", path, e.message);
    if (status != MAE_OK && err) *err = e;
    return status;
}

static Status load_all(MaeOptions *o, MaeCommand command, const char *path, json_t *root,
                       Error *err) {
    const char *key;
    json_t *value;
    json_object_foreach(root, key, value) {
        Status status = load_entry(o, command, path, key, value, err);
        if (status != MAE_OK) return status;
    }
    return MAE_OK;
}

MaeStatus mae_options_load(MaeOptions *options, MaeCommand command, const char *path,
                           MaeError *err) {
    uint8_t *data = NULL;
    size_t bytes = 0;
    json_error_t where;
    Status status = file_read(path, MAX_CONFIG_BYTES, &data, &bytes, error_clear(err));
    if (status != MAE_OK) return status;
    json_t *root = json_parse(data, bytes, &where);
    mem_free(data);
    if (json_is_object(root))
        status = load_all(options, command, path, root, err);
    else if (root)
        status = error_set(err, MAE_USAGE, "%s: not a JSON object with a key per option", path);
    else
        status = error_set(err, MAE_USAGE, "%s: line %d: %s", path, where.line, where.text);
    json_decref(root);
    return status;
}
