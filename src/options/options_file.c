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

bool option_is_of_one_call(const OptionRow *row) {
    if (row->option.positional) return true;
    static const char *const names[] = {"out", "restart", "accept-changes", "json", "quiet"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(row->option.name, names[i]) == 0) return true;
    return false;
}

/* --- writing --------------------------------------------------------------------------------- */

/* jansson has one precision for a file: the smallest that keeps every number of the table. */
static size_t digits_needed(const MaeOptions *o) {
    size_t count, digits = 15;
    const OptionRow *table = option_table(&count);
    for (size_t i = 0; i < count; i++) {
        char text[64];
        if (table[i].option.type != MAE_OPTION_REAL) continue;
        double v = *(const double *)option_value(o, &table[i]);
        for (; digits < EXACT_DIGITS; digits++) {
            snprintf(text, sizeof text, "%.*g", (int)digits, v);
            if (strtod(text, NULL) == v) break;
        }
    }
    return digits;
}

static json_t *list_to_json(const OptionList *list) {
    json_t *array = json_array();
    for (int64_t i = 0; array && i < list->n; i++)
        if (json_array_append_new(array, json_string(list->item[i])) != 0) {
            json_decref(array);
            return NULL;
        }
    return array;
}

/* NULL: no memory, or a path that JSON cannot hold. */
static json_t *to_json(const MaeOptions *o, size_t i) {
    size_t count;
    char text[OPTION_TEXT_BYTES];
    const OptionRow *row = &option_table(&count)[i];
    const void *p = option_value(o, row);
    if (option_is_derived(o, i) || mae_options_unused(o, row->option.name)) return json_null();
    if (row->option.type == MAE_OPTION_SWITCH) return json_boolean(*(const int *)p);
    if (row->option.type == MAE_OPTION_INTEGER) return json_integer(*(const int64_t *)p);
    if (row->option.type == MAE_OPTION_REAL) return json_real(*(const double *)p);
    if (row->option.type == MAE_OPTION_LIST) return list_to_json(p);
    option_text(o, row, text, sizeof text);
    return json_string(text);
}

static Status add_all(json_t *root, const MaeOptions *o, const char *path, Error *err) {
    size_t count;
    const OptionRow *table = option_table(&count);
    for (size_t i = 0; i < count; i++) {
        char key[MAX_KEY_BYTES];
        if (!(table[i].commands & (unsigned)o->command) || option_is_of_one_call(&table[i]))
            continue;
        swap_characters(key, table[i].option.name, '-', '_');
        if (json_object_set_new(root, key, to_json(o, i)) != 0)
            return error_set(err, MAE_USAGE,
                             "%s: the value of --%s cannot be written as JSON; paths must be UTF-8",
                             path, table[i].option.name);
    }
    return MAE_OK;
}

MaeStatus mae_options_save(const MaeOptions *options, const char *path, MaeError *err) {
    Status status = MAE_OK;
    char *json = NULL, *text = NULL;
    json_t *root = json_object();
    error_clear(err);
    TRY(add_all(root, options, path, err));
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

static Status wrong_type(const OptionRow *row, const char *key, Error *err) {
    static const char *const wanted[] = {[MAE_OPTION_SWITCH] = "true or false",
                                         [MAE_OPTION_INTEGER] = "a whole number",
                                         [MAE_OPTION_REAL] = "a number",
                                         [MAE_OPTION_TEXT] = "a string",
                                         [MAE_OPTION_CHOICE] = "a string",
                                         [MAE_OPTION_SIZE] = "\"224\" or \"224x320\"",
                                         [MAE_OPTION_LIMIT] = "\"N\" or \"first:N\"",
                                         [MAE_OPTION_LIST] = "an array of strings"};
    return error_set(err, MAE_USAGE, "\"%s\" must be %s", key, wanted[row->option.type]);
}

/* Text of a JSON value that the table understands; false when it has another type than the row. A
 * limit that is a number was written by a version in which it meant the first images. */
static bool from_json(const OptionRow *row, const json_t *v, char *text, size_t bytes) {
    bool number = row->option.type == MAE_OPTION_INTEGER || row->option.type == MAE_OPTION_REAL ||
                  row->option.type == MAE_OPTION_SIZE;
    if (row->option.type == MAE_OPTION_SWITCH && json_is_boolean(v))
        snprintf(text, bytes, "%s", json_is_true(v) ? "true" : "false");
    else if (number && json_is_integer(v))
        snprintf(text, bytes, "%" JSON_INTEGER_FORMAT, json_integer_value(v));
    else if (row->option.type == MAE_OPTION_LIMIT && json_is_integer(v))
        snprintf(text, bytes, "first:%" JSON_INTEGER_FORMAT, json_integer_value(v));
    else if (row->option.type == MAE_OPTION_REAL && json_is_real(v))
        snprintf(text, bytes, "%.*g", EXACT_DIGITS, json_real_value(v));
    else if ((!number || row->option.type == MAE_OPTION_SIZE) &&
             row->option.type != MAE_OPTION_SWITCH && json_is_string(v) &&
             json_string_length(v) < bytes)
        snprintf(text, bytes, "%s", json_string_value(v));
    else
        return false;
    return true;
}

static Status load_list(MaeOptions *o, size_t i, const json_t *array, Error *err) {
    const char **items = mem_alloc((json_array_size(array) + 1) * sizeof *items);
    if (!items) return error_set(err, MAE_MEMORY, "no memory for a list");
    for (size_t k = 0; k < json_array_size(array); k++)
        items[k] = json_string_value(json_array_get(array, k));
    Status status = option_set_list_row(o, i, items, (int64_t)json_array_size(array), err);
    mem_free(items);
    return status;
}

static bool is_list_of_texts(const json_t *v) {
    size_t i;
    json_t *item;
    json_array_foreach(v, i, item) {
        if (!json_is_string(item)) return false;
    }
    return json_is_array(v);
}

static Status load_value(MaeOptions *o, size_t i, const char *key, const json_t *v, Error *err) {
    size_t count;
    char text[OPTION_TEXT_BYTES];
    const OptionRow *row = &option_table(&count)[i];
    bool is_list = row->option.type == MAE_OPTION_LIST;
    if (!(is_list ? is_list_of_texts(v) : from_json(row, v, text, sizeof text)))
        return wrong_type(row, key, err);
    return is_list ? load_list(o, i, v, err) : option_set_row(o, i, text, err);
}

static Status load_entry(MaeOptions *o, const char *path, const char *key, const json_t *v,
                         Error *err) {
    char name[MAX_KEY_BYTES], text[MAX_KEY_BYTES];
    Error e = {0};
    if (strlen(key) >= sizeof name)
        return error_set(err, MAE_USAGE, "%s: unknown key \"%.60s...\"", path, key);
    swap_characters(name, key, '_', '-');
    int i = option_find(o->command, name);
    if (i < 0) {
        const char *other = option_nearest(o->command, name);
        if (!other) return error_set(err, MAE_USAGE, "%s: unknown key \"%s\"", path, key);
        swap_characters(text, other, '-', '_');
        return error_set(err, MAE_USAGE, "%s: unknown key \"%s\"; did you mean \"%s\"?", path, key,
                         text);
    }
    if (o->given[i] || json_is_null(v)) return MAE_OK;
    Status status = load_value(o, (size_t)i, key, v, &e);
    if (status == MAE_USAGE) return error_set(err, MAE_USAGE, "%.400s: %.500s", path, e.message);
    if (status != MAE_OK && err) *err = e;
    return status;
}

static Status load_all(MaeOptions *o, const char *path, json_t *root, Error *err) {
    const char *key;
    json_t *value;
    json_object_foreach(root, key, value) {
        Status status = load_entry(o, path, key, value, err);
        if (status != MAE_OK) return status;
    }
    return MAE_OK;
}

MaeStatus mae_options_load(MaeOptions *options, const char *path, MaeError *err) {
    uint8_t *data = NULL;
    size_t bytes = 0;
    json_error_t where;
    Status status = file_read(path, MAX_CONFIG_BYTES, &data, &bytes, error_clear(err));
    if (status != MAE_OK) return status;
    json_t *root = json_parse(data, bytes, &where);
    mem_free(data);
    if (json_is_object(root))
        status = load_all(options, path, root, err);
    else if (root)
        status = error_set(err, MAE_USAGE, "%s: not a JSON object with a key per option", path);
    else
        status = error_set(err, MAE_USAGE, "%s: line %d: %s", path, where.line, where.text);
    json_decref(root);
    return status;
}
