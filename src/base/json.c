/* Brackets are counted before anything is built. Inside strings they do not count; in text that is
 * no JSON the count may be wrong, which only changes what is complained about. */
#include "base/json.h"

#include <stdbool.h>
#include <stdio.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/name.h"

/* The first byte that is too deep, `bytes` when there is none. */
static size_t find_too_deep(const char *text, size_t bytes) {
    int64_t depth = 0;
    bool quoted = false;
    for (size_t i = 0; i < bytes; i++) {
        char c = text[i];
        if (quoted && c == '\\')
            i++;
        else if (c == '"')
            quoted = !quoted;
        else if (!quoted && (c == '{' || c == '['))
            depth++;
        else if (!quoted && (c == '}' || c == ']'))
            depth--;
        if (depth > JSON_MAX_DEPTH) return i;
    }
    return bytes;
}

json_t *json_parse(const void *text, size_t bytes, json_error_t *why) {
    json_error_t ignored;
    if (!why) why = &ignored;
    size_t at = find_too_deep(text, bytes);
    if (at == bytes) return json_loadb(text, bytes, JSON_REJECT_DUPLICATES, why);
    const char *s = text;
    *why = (json_error_t){.line = 1, .position = (int)at};
    for (size_t i = 0; i < at; i++) why->line += s[i] == '\n';
    snprintf(why->text, sizeof why->text, "nested more than %d deep", JSON_MAX_DEPTH);
    return NULL;
}

json_t *json_name(const char *name) {
    if (name_fits(name, NAME_IN_JSON)) return json_string(name);
    char *text = name_escape(name, NAME_IN_JSON);
    json_t *value = text ? json_string(text) : NULL;
    mem_free(text);
    return value;
}

Status json_find_object(const char *folder, const char *name, json_t **out, Error *err) {
    enum { MAX_BYTES = 1 << 20 };
    uint8_t *data = NULL;
    size_t bytes = 0;
    char *path = NULL;
    Error reason = {0};
    *out = NULL;
    Status status = file_path(folder, name, &path, err);
    if (status != MAE_OK) return status;
    status = file_read_regular(path, MAX_BYTES, &data, &bytes, &reason);
    if (status == MAE_OK) *out = json_parse(data, bytes, NULL);
    if (!json_is_object(*out)) {
        json_decref(*out);
        *out = NULL;
    }
    mem_free(data);
    mem_free(path);
    return status == MAE_MEMORY ? error_set(err, status, "%s", reason.message) : MAE_OK;
}
