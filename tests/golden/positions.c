/* Sin-cos position tables and their bicubic interpolation. */
#include <math.h>
#include <string.h>

#include "golden.h"

/* G of a table with 1 + G*G rows; -1 when it is not square. */
static int64_t grid_side(int64_t rows) {
    int64_t side = (int64_t)llround(sqrt((double)(rows - 1)));
    return side * side == rows - 1 ? side : -1;
}

static void check_table(Golden *g, const TensorFile *s, const json_t *entry) {
    const json_t *full = json_object_get(json_object_get(entry, "info"), "full_shape");
    int64_t n_rows = json_integer_value(json_array_get(full, 0));
    int64_t width = json_integer_value(json_array_get(full, 1)), side = grid_side(n_rows);
    Shape shape;
    const float *want = golden_reals(g, s, "pos_embed", &shape);
    const int64_t *rows = golden_ints(g, s, "rows", NULL);
    if (!want || !rows || side < 1 || shape.dim[1] != width) {
        golden_problem(g, "no table of a square grid");
        return;
    }
    float *table = golden_memory(g, n_rows * width, sizeof *table);
    float *got = golden_memory(g, shape_numel(shape), sizeof *got);
    pos_embed_sincos(table, width, side, side);
    for (int64_t i = 0; i < shape.dim[0]; i++)
        memcpy(got + i * width, table + rows[i] * width, (size_t)width * sizeof *got);
    compare_reals(g, "pos_embed", got, want, shape_numel(shape), (Limit){INFINITY, 6e-8});
}

static void check_interpolation(Golden *g, const TensorFile *s, const json_t *entry,
                                const char *in_name) {
    Shape in, out;
    size_t stem = strlen(in_name) - strlen(".in");
    const char *out_name = golden_text(g, "%.*s.out", (int)stem, in_name);
    const float *from = golden_reals(g, s, in_name, &in);
    const float *want = golden_reals(g, s, out_name, &out);
    if (!from || !want) return;
    int64_t a = grid_side(in.dim[1]), b = grid_side(out.dim[1]), width = in.dim[2];
    float *got = golden_memory(g, shape_numel(out), sizeof *got);
    pos_embed_interpolate(got, b, b, from, a, a, width);
    compare_reals(g, out_name, got, want, shape_numel(out), golden_limit(g, entry, out_name));
}

void check_positions(Golden *g, const char *path, const json_t *entry) {
    const TensorFile *s = golden_tensors(g, path);
    if (!s) return;
    if (tensorfile_find(s, "pos_embed")) {
        check_table(g, s, entry);
        return;
    }
    for (size_t i = 0; i < tensorfile_count(s); i++) {
        const char *name = tensorfile_at(s, i)->name, *dot = strrchr(name, '.');
        if (dot && strcmp(dot, ".in") == 0) check_interpolation(g, s, entry, name);
    }
}
