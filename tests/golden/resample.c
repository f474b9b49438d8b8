/* Resampling of 16 bits and float32: equal to the last bit. A case takes the order of passes that
 * this library has (horizontal first), and of a box what was cut out before it was resized. */
#include <math.h>
#include <string.h>

#include "data/image/resample.h"
#include "golden.h"

static const char *text_of(const json_t *row, const char *key) {
    return json_string_value(json_object_get(row, key));
}

/* The tensor that this library must give. */
static const char *wanted_name(const json_t *row) {
    bool whole = json_is_true(json_object_get(row, "whole"));
    const char *first = text_of(row, whole ? "horizontal_first" : "crop_first_horizontal_first");
    return first ? first : text_of(row, whole ? "name" : "crop_first");
}

static bool filter_of(const json_t *row, ResampleFilter *out) {
    static const char *const names[] = {[RESAMPLE_BICUBIC] = "bicubic",
                                        [RESAMPLE_BILINEAR] = "bilinear",
                                        [RESAMPLE_LANCZOS] = "lanczos"};
    const char *filter = text_of(row, "filter");
    for (size_t i = 0; filter && i < sizeof names / sizeof names[0]; i++)
        if (strcmp(names[i], filter) == 0) {
            *out = (ResampleFilter)i;
            return true;
        }
    return false;
}

static int64_t list_integer(const json_t *row, const char *key, size_t i) {
    return json_integer_value(json_array_get(json_object_get(row, key), i));
}

/* [H,W] or [H,W,C]. */
static bool view_of(Golden *g, const TensorFile *s, const char *name, ImageView *out) {
    const TensorEntry *t = name ? tensorfile_find(s, name) : NULL;
    bool is_image = t && (t->shape.n_dims == 2 || t->shape.n_dims == 3);
    if (!is_image || (t->dtype != DTYPE_U16 && t->dtype != DTYPE_F32 && t->dtype != DTYPE_U8)) {
        golden_problem(g, "no image %s", name ? name : "");
        return false;
    }
    Image im = {.height = t->shape.dim[0],
                .width = t->shape.dim[1],
                .channels = t->shape.n_dims == 3 ? t->shape.dim[2] : 1,
                .type = t->dtype == DTYPE_U8    ? MAE_U8
                        : t->dtype == DTYPE_U16 ? MAE_U16
                                                : MAE_F32};
    *out = image_view(&im);
    out->pixels = golden_bytes(g, s, t);
    return true;
}

/* A copy in which every NaN has the same bits. */
static const uint8_t *comparable(Golden *g, const void *values, MaeType type, int64_t n) {
    if (type != MAE_F32) return values;
    float *copy = golden_memory(g, n, sizeof *copy);
    memcpy(copy, values, (size_t)n * sizeof *copy);
    for (int64_t i = 0; i < n; i++)
        if (isnan(copy[i])) copy[i] = NAN;
    return (const uint8_t *)copy;
}

static void check_case(Golden *g, const TensorFile *s, const json_t *row) {
    Error err = {0};
    ImageView in, want;
    ResampleScratch scratch = {0};
    const char *name = wanted_name(row);
    int64_t left = list_integer(row, "box", 0), top = list_integer(row, "box", 1);
    Box box = {left, top, list_integer(row, "box", 2) - left, list_integer(row, "box", 3) - top};
    Resample r = resample_make(box, golden_integer(row, "width"), golden_integer(row, "height"));
    if (!view_of(g, s, text_of(row, "input"), &in) || !view_of(g, s, name, &want)) return;
    if (!filter_of(row, &r.filter) || want.width != r.width || want.height != r.height ||
        want.type != in.type || want.channels != in.channels) {
        golden_problem(g, "%s: not a case", name);
        return;
    }
    int64_t n = r.width * r.height * in.channels, value = (int64_t)image_value_bytes(in.type);
    void *got = golden_memory(g, n, (size_t)value);
    if (resample_into(&in, &r, got, &scratch, &err) == MAE_OK)
        compare_bytes(g, name, comparable(g, got, in.type, n),
                      comparable(g, want.pixels, in.type, n), n * value);
    else
        golden_problem(g, "%s: %s", name, err.message);
    resample_scratch_free(&scratch);
}

void check_resampling(Golden *g, const char *path, const json_t *entry) {
    (void)entry;
    size_t i;
    json_t *row;
    const TensorFile *s = golden_tensors(g, path);
    const json_t *j = golden_json(g, golden_sibling(g, path, ".json"));
    if (!s || !j) return;
    json_array_foreach(json_object_get(j, "cases"), i, row) check_case(g, s, row);
}
