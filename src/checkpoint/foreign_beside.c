/* See foreign_internal.h: the text files beside the weights of other projects. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "checkpoint/checkpoint_meta.h"
#include "checkpoint/foreign_config.h"
#include "checkpoint/foreign_internal.h"

#define MAX_SIDE_FILE ((size_t)16 << 20)

/* --- reading ---------------------------------------------------------------------------------- */

/* NULL when there is none or it is no JSON object; damage is noted. */
static json_t *side_file(CheckpointFile *c, const char *path, const char *name) {
    const char *slash = strrchr(path, '/');
    uint8_t *bytes = NULL;
    size_t n = 0;
    Error ignored = {0};
    bool folder = file_is_directory(path);
    char *full = folder  ? mem_printf("%s/%s", path, name)
                 : slash ? mem_printf("%.*s/%s", (int)(slash - path), path, name)
                         : mem_printf("%s", name);
    json_t *root = NULL;
    json_error_t why;
    if (full && file_exists(full) &&
        file_read(full, MAX_SIDE_FILE, &bytes, &n, &ignored) == MAE_OK &&
        !(root = json_parse(bytes, n, &why)))
        foreign_assume(c, "%s is damaged and left out (line %d: %s)", name, why.line, why.text);
    mem_free(bytes);
    mem_free(full);
    if (json_is_object(root)) return root;
    json_decref(root);
    return NULL;
}

int64_t foreign_count(const json_t *object, const char *key) {
    const json_t *v = json_object_get(object, key);
    return json_is_integer(v) ? json_integer_value(v) : 0;
}

/* 224 or [224, 320] */
static void json_size(const json_t *object, const char *key, int64_t *height, int64_t *width) {
    const json_t *v = json_object_get(object, key);
    *height = *width = json_is_integer(v) ? json_integer_value(v) : 0;
    if (json_array_size(v) != 2) return;
    *height = json_integer_value(json_array_get(v, 0));
    *width = json_integer_value(json_array_get(v, 1));
}

static const json_t *timm_entry(const json_t *timm, const char *key) {
    const json_t *v = json_object_get(timm, key);
    return v ? v : json_object_get(json_object_get(timm, "pretrained_cfg"), key);
}

/* --- which are of these weights --------------------------------------------------------------- */

void foreign_open_beside(CheckpointFile *c, Facts *f) {
    const char *path = tensorfile_path(c->file);
    json_t *config = side_file(c, path, "config.json");
    f->preprocessor = side_file(c, path, "preprocessor_config.json");
    if (foreign_is_timm(config))
        f->timm = config;
    else if (dialect_is_hf(c->dialect.dialect))
        f->config = config;
    else
        json_decref(config);
}

static void leave_out(CheckpointFile *c, json_t **config, int64_t width) {
    if (!*config || width == 0 || width == c->config.embed_dim) return;
    foreign_doubt(c, "the config.json beside it is of a model of width %" PRId64 " and is left out",
                  width);
    json_decref(*config);
    *config = NULL;
}

void foreign_check_beside(CheckpointFile *c, Facts *f) {
    const json_t *args = json_object_get(f->timm, "model_args");
    const char *name = json_string_value(json_object_get(f->timm, "architecture"));
    int64_t width = foreign_count(args, "embed_dim");
    leave_out(c, &f->timm, width ? width : origin_width_of_name(name));
    leave_out(c, &f->config, foreign_count(f->config, "hidden_size"));
}

void foreign_close_beside(Facts *f) {
    json_decref(f->config);
    json_decref(f->timm);
    json_decref(f->preprocessor);
}

/* --- what they say ---------------------------------------------------------------------------- */

void foreign_image_size(const CheckpointFile *c, const Facts *f, int64_t *height, int64_t *width) {
    const json_t *input = timm_entry(f->timm, "input_size");
    json_size(f->config, "image_size", height, width);
    if (*height == 0) json_size(json_object_get(f->timm, "model_args"), "img_size", height, width);
    if (*height == 0 && json_array_size(input) == 3) {
        *height = json_integer_value(json_array_get(input, 1));
        *width = json_integer_value(json_array_get(input, 2));
    }
    if (*height == 0) *height = foreign_fact_count(c, "image_height");
    if (*width == 0) *width = foreign_fact_count(c, "image_width");
}

/* What transformers calls the classes of a model that has no names. */
static bool is_made_up(const json_t *names) {
    for (size_t i = 0; i < json_array_size(names); i++) {
        char made_up[48];
        const char *name = json_string_value(json_array_get(names, i));
        snprintf(made_up, sizeof made_up, "LABEL_%zu", i);
        if (!name || strcmp(name, made_up) != 0) return false;
    }
    return true;
}

/* {"0": "tench", "1": ...} of transformers, the same or a list of timm; a class without a name is
 * called by its number. NULL: there are none. */
static json_t *label_list(const json_t *labels, int64_t n) {
    if (json_is_array(labels) && json_array_size(labels) == (size_t)n)
        return json_incref((json_t *)(uintptr_t)labels);
    json_t *list = json_is_object(labels) ? json_array() : NULL;
    for (int64_t i = 0; list && i < n; i++) {
        char key[32];
        snprintf(key, sizeof key, "%" PRId64, i);
        const char *name = json_string_value(json_object_get(labels, key));
        json_array_append_new(list, json_string(name ? name : key));
    }
    return list;
}

static const json_t *labels_beside(const json_t *config, const json_t *timm) {
    if (config) return json_object_get(config, "id2label");
    const json_t *names = timm_entry(timm, "label_names");
    return names ? names : timm_entry(timm, "labels");
}

void foreign_set_labels(CheckpointFile *c, const Facts *f) {
    Error ignored = {0};
    if (c->config.head == HEAD_NONE) return;
    const json_t *labels = labels_beside(f->config, f->timm);
    json_t *list = label_list(labels, c->config.classes);
    char *text = list && !is_made_up(list) ? json_dumps(list, JSON_COMPACT) : NULL;
    const char *names = labels ? text : meta_fact(c->file, "class_names");
    if (names &&
        classes_from_json(names, tensorfile_path(c->file), &c->notes.classes, &ignored) != MAE_OK)
        c->notes.classes = NULL;
    if (c->notes.classes && c->notes.classes->n != c->config.classes)
        checkpoint_notes_free(&c->notes);
    free(text);
    json_decref(list);
}
