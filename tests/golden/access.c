/* Files, tensors and numbers of the golden folder. A file that is absent or malformed is a failed
 * comparison, never a crash. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "golden.h"

void golden_problem(Golden *g, const char *format, ...) {
    va_list args;
    g->compared++;
    g->failed++;
    if (g->draws) return;
    va_start(args, format);
    if (g->trial && !g->found[0]) vsnprintf(g->found, sizeof g->found, format, args);
    va_end(args);
    if (g->trial) return;
    va_start(args, format);
    printf("FAIL [%s %s] %s: ", g->device->name, g->device->isa, g->path);
    vprintf(format, args);
    printf("\n");
    va_end(args);
}

void golden_release(Golden *g) {
    while (g->n_tensors > 0) tensorfile_close(g->tensors[--g->n_tensors]);
    while (g->n_jsons > 0) json_decref(g->jsons[--g->n_jsons]);
    arena_free(g->arena);
    g->arena = NULL;
}

void *golden_memory(Golden *g, int64_t count, size_t size) {
    void *p = arena_alloc(g->arena, (size_t)count * size);
    ASSERT(p, "no memory for %lld values", (long long)count);
    return p;
}

const char *golden_text(Golden *g, const char *format, ...) {
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    const char *copy = arena_strdup(g->arena, text);
    ASSERT(copy, "no memory for a name");
    return copy;
}

static const char *full_path(Golden *g, const char *path) {
    return golden_text(g, "%s/%s", g->dir, path);
}

TensorFile *golden_tensors(Golden *g, const char *path) {
    Error err = {0};
    TensorFile *s = NULL;
    ASSERT(g->n_tensors < MAX_OPEN, "too many files for %s", g->path);
    if (tensorfile_open(full_path(g, path), &s, &err) == MAE_OK)
        return g->tensors[g->n_tensors++] = s;
    golden_problem(g, "%s", err.message);
    return NULL;
}

const json_t *golden_json(Golden *g, const char *path) {
    json_error_t error;
    ASSERT(g->n_jsons < MAX_OPEN, "too many files for %s", g->path);
    json_t *j = json_load_file(full_path(g, path), 0, &error);
    if (j) return g->jsons[g->n_jsons++] = j;
    golden_problem(g, "%s: %s", path, error.text);
    return NULL;
}

const char *golden_sibling(Golden *g, const char *path, const char *ending) {
    const char *dot = strrchr(path, '.');
    return golden_text(g, "%.*s%s", (int)(dot ? dot - path : (ptrdiff_t)strlen(path)), path,
                       ending);
}

const char *golden_stem(Golden *g, const char *path) {
    const char *slash = strrchr(path, '/');
    return golden_sibling(g, slash ? slash + 1 : path, "");
}

const json_t *golden_entry(Golden *g, const char *path) {
    const json_t *entry = json_object_get(g->files, path);
    if (!entry) golden_problem(g, "%s is in no manifest", path);
    return entry;
}

const void *golden_bytes(Golden *g, const TensorFile *f, const TensorEntry *t) {
    Error err = {0};
    void *out = golden_memory(g, shape_numel(t->shape), dtype_bytes(t->dtype));
    if (tensorfile_read_raw(f, t, out, &err) != MAE_OK) golden_problem(g, "%s", err.message);
    return out;
}

static const TensorEntry *find(Golden *g, const TensorFile *s, const char *name, Shape *shape) {
    const TensorEntry *t = tensorfile_find(s, name);
    if (!t)
        golden_problem(g, "no tensor %s", name);
    else if (shape)
        *shape = t->shape;
    return t;
}

float *golden_reals(Golden *g, const TensorFile *s, const char *name, Shape *shape) {
    const TensorEntry *t = find(g, s, name, shape);
    if (!t) return NULL;
    Error err = {0};
    float *out = golden_memory(g, shape_numel(t->shape), sizeof *out);
    if (tensorfile_read(s, t, out, &err) == MAE_OK) return out;
    golden_problem(g, "%s", err.message);
    return NULL;
}

int64_t *golden_ints(Golden *g, const TensorFile *s, const char *name, Shape *shape) {
    const TensorEntry *t = find(g, s, name, shape);
    if (!t) return NULL;
    int64_t n = shape_numel(t->shape);
    int64_t *out = golden_memory(g, n, sizeof *out);
    if (t->dtype == DTYPE_I64) {
        memcpy(out, golden_bytes(g, s, t), (size_t)n * sizeof *out);
        return out;
    }
    const float *reals = golden_reals(g, s, name, NULL);
    for (int64_t i = 0; reals && i < n; i++) out[i] = (int64_t)reals[i];
    return out;
}

double golden_number(const json_t *object, const char *key) {
    const json_t *v = json_object_get(object, key);
    return json_is_number(v) ? json_number_value(v) : (double)NAN;
}

int64_t golden_integer(const json_t *object, const char *key) {
    const json_t *v = json_object_get(object, key);
    if (json_is_boolean(v)) return json_is_true(v);
    return json_is_integer(v) ? json_integer_value(v) : -1;
}

Limit golden_limit(const Golden *g, const json_t *entry, const char *name) {
    const json_t *t = json_object_get(json_object_get(entry, "tolerance_f32"), name);
    if (golden_is_narrow(g) && strcmp(name, "target") != 0) return (Limit){BY_ROUNDING, INFINITY};
    if (!t) return (Limit){3e-6, INFINITY};
    return (Limit){golden_number(t, "rel_l2"), golden_number(t, "max_abs")};
}

double golden_share(const Golden *g, double relative, double want) {
    return golden_is_narrow(g) ? BY_ROUNDING : relative * fabs(want);
}

double golden_allowance(double error, double scale) {
    return fmax(10 * error, 3e-6 * fabs(scale));
}
