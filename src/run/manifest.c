/* The manifest itself: JSON out and in. What is done with it is in manifest_commit.c. */
#include "run/manifest.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "checkpoint/checkpoint.h"

#define FORMAT_NAME "mae.c checkpoint"
#define FORMAT_VERSION 1
#define MAX_BYTES (64 << 20)

void manifest_free(Manifest *m) {
    mem_free(m->file);
    *m = (Manifest){0};
}

Status manifest_add(Manifest *m, const char *name, FileDigest digest, Error *err) {
    size_t old = m->n * sizeof *m->file;
    ManifestFile *file = mem_realloc(m->file, old, old + sizeof *file);
    if (!file) return error_set(err, MAE_MEMORY, "no memory to list %s", name);
    m->file = file;
    file[m->n] = (ManifestFile){.digest = digest};
    snprintf(file[m->n++].name, MANIFEST_NAME, "%s", name);
    return MAE_OK;
}

bool manifest_lists(const Manifest *m, const char *name) {
    for (size_t i = 0; i < m->n; i++)
        if (strcmp(m->file[i].name, name) == 0) return true;
    return false;
}

/* --- out -------------------------------------------------------------------------------------- */

static json_t *file_json(const ManifestFile *f) {
    char crc[16];
    snprintf(crc, sizeof crc, "%08" PRIx32, f->digest.crc32);
    return json_pack("{ss sI ss}", "name", f->name, "bytes", (json_int_t)f->digest.bytes, "crc32",
                     crc);
}

static json_t *manifest_json(const Manifest *m) {
    json_t *files = json_array();
    for (size_t i = 0; i < m->n; i++) json_array_append_new(files, file_json(&m->file[i]));
    json_t *root = json_pack("{ss si sI sI sf so}", "format", FORMAT_NAME, "version",
                             FORMAT_VERSION, "step", (json_int_t)m->step, "epoch",
                             (json_int_t)m->epoch, "seconds", m->seconds, "files", files);
    if (*m->numbered) json_object_set_new(root, "numbered", json_string(m->numbered));
    return root;
}

Status manifest_write(const char *path, const Manifest *m, Error *err) {
    json_t *root = manifest_json(m);
    char *text = root ? json_dumps(root, JSON_INDENT(2)) : NULL;
    Status status = text ? file_write_all(path, text, strlen(text), err)
                         : error_set(err, MAE_MEMORY, "no memory for %s", path);
    free(text);
    json_decref(root);
    return status;
}

/* --- in --------------------------------------------------------------------------------------- */

/* Names decide what is renamed and removed: only those that a save gives. */
static bool is_listed_name(const char *name) {
    return strlen(name) < MANIFEST_NAME && !strchr(name, '/') && strncmp(name, "last.", 5) == 0 &&
           text_ends_with(name, ".safetensors");
}

static bool is_numbered_name(const char *name) {
    static const char start[] = "checkpoint-";
    size_t n = sizeof start - 1;
    if (strlen(name) >= MANIFEST_NAME || strncmp(name, start, n) != 0) return false;
    size_t digits = strspn(name + n, "0123456789");
    return digits > 0 && strcmp(name + n + digits, ".safetensors") == 0;
}

static bool parse_crc(const char *text, uint32_t *out) {
    char *end;
    if (!text || strlen(text) != 8 || strspn(text, "0123456789abcdef") != 8) return false;
    *out = (uint32_t)strtoul(text, &end, 16);
    return *end == 0;
}

static Status read_file(const char *path, const json_t *entry, Manifest *m, Error *err) {
    FileDigest digest;
    const char *name = json_string_value(json_object_get(entry, "name"));
    const json_t *bytes = json_object_get(entry, "bytes");
    digest.bytes = json_is_integer(bytes) ? json_integer_value(bytes) : -1;
    if (!name || !is_listed_name(name) || digest.bytes < 0 ||
        !parse_crc(json_string_value(json_object_get(entry, "crc32")), &digest.crc32))
        return error_set(
            err, MAE_FORMAT,
            "%s: entry %zu of \"files\" is not a name last.*.safetensors with \"bytes\" "
            "and a \"crc32\" of 8 hexadecimal digits",
            path, m->n + 1);
    return manifest_add(m, name, digest, err);
}

static Status read_root(const char *path, const json_t *root, Manifest *m, Error *err) {
    const char *format = json_string_value(json_object_get(root, "format"));
    const json_t *version = json_object_get(root, "version"), *step = json_object_get(root, "step"),
                 *epoch = json_object_get(root, "epoch"), *files = json_object_get(root, "files"),
                 *numbered = json_object_get(root, "numbered");
    if (!format || strcmp(format, FORMAT_NAME) != 0 || !json_is_integer(step) ||
        !json_is_integer(epoch) || json_array_size(files) == 0)
        return error_set(err, MAE_FORMAT, "%s: not a manifest of a checkpoint", path);
    if (json_integer_value(version) != FORMAT_VERSION)
        return error_set(err, MAE_UNSUPPORTED, "%s: not of version %d, the one this program reads",
                         path, FORMAT_VERSION);
    m->step = json_integer_value(step);
    m->epoch = json_integer_value(epoch);
    m->seconds = json_number_value(json_object_get(root, "seconds"));
    if (!(m->seconds >= 0)) m->seconds = 0;
    if (numbered) {
        const char *name = json_string_value(numbered);
        if (!name || !is_numbered_name(name))
            return error_set(err, MAE_FORMAT, "%s: \"numbered\" is not checkpoint-N.safetensors",
                             path);
        snprintf(m->numbered, MANIFEST_NAME, "%s", name);
    }
    for (size_t i = 0; i < json_array_size(files); i++) {
        Status status = read_file(path, json_array_get(files, i), m, err);
        if (status != MAE_OK) return status;
    }
    if (manifest_lists(m, WEIGHTS_NAME)) return MAE_OK;
    return error_set(err, MAE_FORMAT, "%s: " WEIGHTS_NAME " is not listed", path);
}

Status manifest_read(const char *path, Manifest *out, Error *err) {
    uint8_t *text = NULL;
    size_t bytes;
    json_error_t where;
    *out = (Manifest){0};
    Status status = file_read(path, MAX_BYTES, &text, &bytes, err);
    if (status != MAE_OK) return status;
    json_t *root = json_loadb((const char *)text, bytes, JSON_REJECT_DUPLICATES, &where);
    status = root ? read_root(path, root, out, err)
                  : error_set(err, MAE_FORMAT, "%s, line %d: %s", path, where.line, where.text);
    if (status != MAE_OK) manifest_free(out);
    json_decref(root);
    mem_free(text);
    return status;
}
