/* See classes.h. */
#include "checkpoint/classes.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/name.h"
#include "base/text.h"

#define MAX_FILE_BYTES ((size_t)64 << 20)
#define MAX_CLASSES 1000000

static Status names_new(int64_t n, ClassNames **out, Error *err) {
    ClassNames *c = mem_alloc(sizeof *c);
    *out = NULL;
    if (c) c->name = mem_alloc_array((size_t)n + 1, sizeof *c->name);
    if (!c || !c->name) {
        classes_free(c);
        return error_set(err, MAE_MEMORY, "no memory for the names of %" PRId64 " classes", n);
    }
    c->n = n;
    *out = c;
    return MAE_OK;
}

static Status set_name(ClassNames *c, int64_t i, const char *name, Error *err) {
    c->name[i] = mem_strdup(name);
    return c->name[i] ? MAE_OK : error_set(err, MAE_MEMORY, "no memory for class names");
}

void classes_free(ClassNames *c) {
    if (!c) return;
    for (int64_t i = 0; c->name && i < c->n; i++) mem_free(c->name[i]);
    mem_free(c->name);
    mem_free(c);
}

int64_t classes_find(const ClassNames *c, const char *name) {
    for (int64_t i = 0; i < c->n; i++)
        if (strcmp(c->name[i], name) == 0) return i;
    return -1;
}

Status classes_from_dataset(const Dataset *d, ClassNames **out, Error *err) {
    ClassNames *c = NULL;
    *out = NULL;
    Status status = names_new(dataset_n_classes(d), &c, err);
    for (int i = 0; i < dataset_n_classes(d) && status == MAE_OK; i++)
        status = set_name(c, i, dataset_class_name(d, i), err);
    if (status == MAE_OK)
        *out = c;
    else
        classes_free(c);
    return status;
}

/* --- JSON ------------------------------------------------------------------------------------- */

Status classes_from_json(const char *text, const char *where, ClassNames **out, Error *err) {
    ClassNames *c = NULL;
    json_t *list = json_parse(text, strlen(text), NULL);
    size_t n = json_array_size(list);
    *out = NULL;
    Status status =
        json_is_array(list) && n > 0 && n <= MAX_CLASSES
            ? names_new((int64_t)n, &c, err)
            : error_set(err, MAE_FORMAT, "%s: class names are no list of strings", where);
    for (size_t i = 0; i < n && status == MAE_OK; i++) {
        const char *name = json_string_value(json_array_get(list, i));
        status = name ? set_name(c, (int64_t)i, name, err)
                      : error_set(err, MAE_FORMAT, "%s: name of class %zu is no string", where, i);
        if (status == MAE_OK && !name_unescape(c->name[i]))
            status = error_set(err, MAE_MEMORY, "no memory for class names");
    }
    json_decref(list);
    if (status == MAE_OK)
        *out = c;
    else
        classes_free(c);
    return status;
}

char *classes_to_json(const ClassNames *c) {
    json_t *list = json_array();
    bool ok = list != NULL;
    for (int64_t i = 0; i < c->n && ok; i++)
        ok = json_array_append_new(list, json_name(c->name[i])) == 0;
    char *text = ok ? json_dumps(list, JSON_COMPACT) : NULL;
    char *copy = text ? mem_strdup(text) : NULL;
    free(text);
    json_decref(list);
    return copy;
}

/* --- classes of the data to classes of the model ---------------------------------------------- */

static int *map_new(const Dataset *d) {
    int *map = mem_alloc_array((size_t)dataset_n_classes(d) + 1, sizeof *map);
    for (int i = 0; map && i < dataset_n_classes(d); i++) map[i] = -1;
    return map;
}

/* A number alone, -1 when it is something else. */
static int64_t plain_number(const char *text) {
    char *end;
    errno = 0;
    if (*text < '0' || *text > '9') return -1;
    int64_t v = strtoll(text, &end, 10);
    return errno || *end ? -1 : v;
}

static bool all_numbers(const Dataset *d) {
    for (int i = 0; i < dataset_n_classes(d); i++) {
        const char *name = dataset_class_name(d, i);
        if (!*name || name[strspn(name, "0123456789")]) return false;
    }
    return true;
}

/* Tools that sort names as text number such folders otherwise. A model without names does not say
 * which order it was trained with. */
static void warn_of_order(const Dataset *d, const char *what) {
    for (int i = 0; i + 1 < dataset_n_classes(d) && !dataset_is_numbered(d); i++) {
        const char *a = dataset_class_name(d, i), *b = dataset_class_name(d, i + 1);
        if (strcmp(a, b) < 0) continue;
        log_line(LOG_WARNING,
                 "the classes of %s are taken by number: %s is class %s. Sorted as text, as other "
                 "tools do it (ImageFolder of torchvision), %s comes before %s and the numbers are "
                 "others; if the model was trained so, say which is which with --classes FILE",
                 what, b, b, b, a);
        return;
    }
}

static Status map_by_number(int64_t n_model, const Dataset *d, const char *what, int *map,
                            Error *err) {
    for (int i = 0; i < dataset_n_classes(d); i++) {
        const char *name = dataset_class_name(d, i);
        int64_t number = plain_number(name);
        if (number < 0 || number >= n_model)
            return error_set(
                err, MAE_SHAPE,
                "class %.60s of %s is none of the model, whose classes are 0 to %" PRId64
                ", without names; say which is which with --classes FILE",
                name, what, n_model - 1);
        map[i] = (int)number;
    }
    warn_of_order(d, what);
    return MAE_OK;
}

static Status map_by_position(int64_t n_model, const Dataset *d, const char *what, int *map,
                              Error *err) {
    int n = dataset_n_classes(d);
    for (int i = 0; i < n; i++) map[i] = i;
    if (n == n_model) return MAE_OK;
    return error_set(err, MAE_SHAPE,
                     "%s has %d classes, the model has %" PRId64
                     " without names; say which is which with --classes FILE",
                     what, n, n_model);
}

static Status map_by_name(const ClassNames *model, int64_t n_model, const Dataset *d,
                          const char *what, int *map, Error *err) {
    for (int i = 0; i < dataset_n_classes(d); i++) {
        map[i] = (int)classes_find(model, dataset_class_name(d, i));
        if (map[i] < 0)
            return error_set(err, MAE_SHAPE,
                             "class %s of %s is none of the model's %" PRId64 " classes (%s, ...)",
                             dataset_class_name(d, i), what, n_model, model->name[0]);
    }
    return MAE_OK;
}

Status classes_map(const ClassNames *model, int64_t n_model, const Dataset *d, const char *what,
                   int **map, Error *err) {
    int n = dataset_n_classes(d);
    *map = NULL;
    if (n < 1)
        return error_set(
            err, MAE_EMPTY,
            "%s has no labels; it needs a folder per class, a list with labels, CIFAR or "
            "shards with .cls",
            what);
    *map = map_new(d);
    if (!*map) return error_set(err, MAE_MEMORY, "no memory for %d classes", n);
    Status status = model            ? map_by_name(model, n_model, d, what, *map, err)
                    : all_numbers(d) ? map_by_number(n_model, d, what, *map, err)
                                     : map_by_position(n_model, d, what, *map, err);
    if (status == MAE_OK) return status;
    mem_free(*map);
    *map = NULL;
    return status;
}

#define MISSING_NAMED 3

/* has[n_model]: 1 for classes that an image has, or that do not count. */
static void say_missing(const ClassNames *model, int64_t n_model, const uint8_t *has,
                        const char *what) {
    char list[256] = "";
    size_t used = 0;
    int64_t n = 0;
    for (int64_t c = 0; c < n_model; c++) {
        char number[24];
        if (has[c] || n++ >= MISSING_NAMED) continue;
        snprintf(number, sizeof number, "%" PRId64, c);
        int wrote = snprintf(list + used, sizeof list - used, "%s%.60s", n > 1 ? ", " : "",
                             model ? model->name[c] : number);
        if (wrote > 0 && used + (size_t)wrote < sizeof list) used += (size_t)wrote;
    }
    if (n > 0)
        log_line(LOG_WARNING,
                 "%s has no image of %" PRId64 " of the model's %" PRId64 " classes (%s%s)", what,
                 n, n_model, list, n > MISSING_NAMED ? ", ..." : "");
}

void classes_warn_of_missing(const ClassNames *model, int64_t n_model, const Dataset *d,
                             const int *map, const uint8_t *allowed, const char *what) {
    uint8_t *has = mem_alloc((size_t)n_model);
    if (!has) return; /* only a warning */
    for (int64_t c = 0; c < n_model && allowed; c++) has[c] = !allowed[c];
    for (int64_t i = 0; i < dataset_count(d); i++)
        if (dataset_class(d, i) >= 0) has[map[dataset_class(d, i)]] = 1;
    say_missing(model, n_model, has, what);
    mem_free(has);
}

static int class_named(const Dataset *d, const char *name) {
    for (int i = 0; i < dataset_n_classes(d); i++)
        if (strcmp(dataset_class_name(d, i), name) == 0) return i;
    return -1;
}

typedef struct ClassFile {
    const char *path;
    int64_t line; /* counted from 1 */
    const ClassNames *model;
    int64_t n_model;
    const Dataset *data;
    int *map;
    uint8_t *allowed;
} ClassFile;

static Status read_line(ClassFile *f, char *text, Error *err) {
    char *tab = strchr(text, '\t');
    if (tab) *tab = '\0';
    int64_t number = plain_number(tab ? tab + 1 : text);
    int here = tab || number < 0 ? class_named(f->data, text) : (int)f->line - 1;
    if (tab && number < 0)
        return error_set(err, MAE_FORMAT, "%s, line %" PRId64 ": %.40s is no class number", f->path,
                         f->line, tab + 1);
    if (number < 0) number = f->model ? classes_find(f->model, text) : -1;
    if (number < 0 || number >= f->n_model)
        return error_set(err, MAE_FORMAT,
                         "%s, line %" PRId64 ": %.60s is none of the model's %" PRId64 " classes",
                         f->path, f->line, text, f->n_model);
    f->allowed[number] = 1;
    if (here >= 0 && here < dataset_n_classes(f->data)) f->map[here] = (int)number;
    return MAE_OK;
}

static Status read_lines(ClassFile *f, char *text, Error *err) {
    while (*text) {
        size_t n = strcspn(text, "\n");
        bool more = text[n] == '\n';
        text[n] = '\0';
        if (n && text[n - 1] == '\r') text[n - 1] = '\0';
        f->line++;
        Status status = *text ? read_line(f, text, err) : MAE_OK;
        if (status != MAE_OK) return status;
        text += n + more;
    }
    return MAE_OK;
}

Status classes_map_file(const char *file, const ClassNames *model, int64_t n_model,
                        const Dataset *d, int **map, uint8_t *allowed, Error *err) {
    Status status = MAE_OK;
    uint8_t *bytes = NULL;
    size_t n = 0;
    char *text = NULL;
    *map = NULL;
    TRY(file_read(file, MAX_FILE_BYTES, &bytes, &n, err));
    text = mem_printf("%.*s", (int)n, (const char *)bytes);
    *map = map_new(d);
    if (!text || !*map) {
        status = error_set(err, MAE_MEMORY, "no memory for %s", file);
        goto done;
    }
    memset(allowed, 0, (size_t)n_model);
    ClassFile f = {.path = file,
                   .model = model,
                   .n_model = n_model,
                   .data = d,
                   .map = *map,
                   .allowed = allowed};
    TRY(read_lines(&f, text_after_mark(text), err));
    for (int i = 0; i < dataset_n_classes(d); i++)
        if ((*map)[i] < 0) {
            status = error_set(err, MAE_SHAPE, "%s does not say what class %s of the data is", file,
                               dataset_class_name(d, i));
            goto done;
        }
done:
    if (status != MAE_OK) {
        mem_free(*map);
        *map = NULL;
    }
    mem_free(bytes);
    mem_free(text);
    return status;
}
