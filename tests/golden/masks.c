/* Masks: from noise and grid exactly, block masks by their statistics. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "golden.h"

/* L16_r75.ids_restore goes with L16.noise, ties.ids_restore with ties.noise. */
static const char *noise_name(Golden *g, const char *stem) {
    const char *ratio = strstr(stem, "_r");
    size_t n = ratio ? (size_t)(ratio - stem) : strlen(stem);
    return golden_text(g, "%.*s.noise", (int)n, stem);
}

static int64_t count_kept(const float *mask, int64_t n) {
    int64_t kept = 0;
    for (int64_t i = 0; i < n; i++) kept += mask[i] <= 0;
    return kept;
}

static void check_case(Golden *g, const TensorFile *s, const char *stem) {
    Shape shape;
    const float *noise = golden_reals(g, s, noise_name(g, stem), &shape);
    const int64_t *restore = golden_ints(g, s, golden_text(g, "%s.ids_restore", stem), NULL);
    const float *mask = golden_reals(g, s, golden_text(g, "%s.mask", stem), NULL);
    if (!noise || !restore || !mask) return;
    int64_t n = shape.dim[0], L = shape.dim[1], keep = count_kept(mask, L);
    const char *ratio = strstr(stem, "_r"), *ids = golden_text(g, "%s.ids_keep", stem);
    if (ratio) {
        int percent = 0;
        sscanf(ratio, "_r%d", &percent);
        compare_number(g, golden_text(g, "%s: kept", stem),
                       (double)mask_keep_count(L, percent / 100.0), (double)keep, 0);
    }
    Masks m = golden_masks(g, noise, n, L, keep);
    compare_ids(g, golden_text(g, "%s.ids_restore", stem), m.ids_restore, restore, n * L);
    compare_reals(g, golden_text(g, "%s.mask", stem), m.mask, mask, n * L, (Limit){0, 0});
    if (tensorfile_find(s, ids))
        compare_ids(g, ids, m.ids_keep, golden_ints(g, s, ids, NULL), n * keep);
}

void check_random_masks(Golden *g, const char *path, const json_t *entry) {
    (void)entry;
    const TensorFile *s = golden_tensors(g, path);
    for (size_t i = 0; s && i < tensorfile_count(s); i++) {
        const char *name = tensorfile_at(s, i)->name, *dot = strrchr(name, '.');
        if (dot && strcmp(dot, ".ids_restore") == 0)
            check_case(g, s, golden_text(g, "%.*s", (int)(dot - name), name));
    }
}

void check_keep_counts(Golden *g, const char *path, const json_t *entry) {
    (void)entry;
    size_t i;
    json_t *row;
    const json_t *j = golden_json(g, path);
    json_array_foreach(json_object_get(j, "rows_L_ratio_lenkeep"), i, row) {
        int64_t L = json_integer_value(json_array_get(row, 0));
        double ratio = json_number_value(json_array_get(row, 1));
        compare_number(g, golden_text(g, "L %lld, ratio %.17g", (long long)L, ratio),
                       (double)mask_keep_count(L, ratio), json_number_value(json_array_get(row, 2)),
                       0);
    }
}

static Masks *masks_of(Golden *g, MaskRule rule, int64_t rows, int64_t columns) {
    Error err = {0};
    Masks *m;
    ModelConfig c = {.image_height = rows, .image_width = columns, .patch = 1};
    if (masks_new(rule, &c, 1, &m, &err) != MAE_OK) golden_problem(g, "%s", err.message);
    return m;
}

/* Of the four grids the library has the one of the paper: even rows, even columns. */
void check_grid_masks(Golden *g, const char *path, const json_t *entry) {
    (void)entry;
    const TensorFile *s = golden_tensors(g, path);
    for (size_t i = 0; s && i < tensorfile_count(s); i++) {
        const TensorEntry *t = tensorfile_at(s, i);
        if (!strstr(t->name, "_keep00")) continue;
        int64_t n = shape_numel(t->shape), side = (int64_t)llround(sqrt((double)n));
        uint8_t *mask = golden_memory(g, n, 1);
        Masks *m = masks_of(g, (MaskRule){MASK_GRID, 0}, side, side);
        if (!m) return;
        masks_draw(m, 0, 0, 0, 0);
        for (int64_t k = 0; k < n; k++) mask[k] = m->mask[k] > 0;
        compare_bytes(g, t->name, mask, golden_bytes(g, s, t), n);
        masks_free(m);
    }
}

/* --- block masks ------------------------------------------------------------------------------ */

/* The published generator may stop short of its number of patches; the library then adds single
 * ones, at most `fill` of them in the mean. Each position is visible with probability 1 - p and
 * gets one of them with at most fill / (patches that stay visible). */
static void compare_frequency(Golden *g, const char *name, const double *got, const float *want,
                              int64_t n, double trials, double visible, double fill) {
    for (int64_t i = 0; i < n; i++) {
        double p = (double)want[i], error = sqrt(2 * p * (1 - p) / trials);
        compare_number(g, golden_text(g, "%s[%lld]", name, (long long)i), got[i], p,
                       5 * error + fill / visible + 1e-6);
    }
}

static double equal_neighbours(const float *mask, int64_t rows, int64_t columns) {
    int64_t equal = 0;
    for (int64_t i = 0; i < rows * columns; i++) {
        if (i % columns + 1 < columns) equal += mask[i] == mask[i + 1];
        if (i / columns + 1 < rows) equal += mask[i] == mask[i + columns];
    }
    return (double)equal / (double)(rows * (columns - 1) + columns * (rows - 1));
}

static void check_blocks(Golden *g, const char *name, const float *want, Shape shape,
                         const json_t *statistics) {
    int64_t rows = shape.dim[0], columns = shape.dim[1], n = rows * columns, wrong = 0;
    int64_t trials = golden_integer(statistics, "trials");
    int64_t n_mask = golden_integer(statistics, "num_masking_patches");
    double neighbours = 0, fill = (double)n_mask - golden_number(statistics, "count_mean");
    double pairs = (double)(rows * (columns - 1) + columns * (rows - 1));
    /* Half a patch more stays than the ratio says, so that the count is n_mask after rounding. */
    MaskRule rule = {MASK_BLOCK, ((double)n_mask - 0.5) / (double)n};
    Masks *m = masks_of(g, rule, rows, columns);
    if (!m) return;
    double *sum = golden_memory(g, n, sizeof *sum);
    for (int64_t t = 0; t < trials; t++) {
        masks_draw(m, 0, 1, 0, (uint64_t)t);
        wrong += count_kept(m->mask, n) != n - n_mask;
        for (int64_t i = 0; i < n; i++) sum[i] += (double)m->mask[i] / (double)trials;
        neighbours += equal_neighbours(m->mask, rows, columns) / (double)trials;
    }
    masks_free(m);
    compare_number(g, golden_text(g, "%s: masks of another size", name), (double)wrong, 0, 0);
    compare_frequency(g, name, sum, want, n, (double)trials, (double)(n - n_mask), fill);
    compare_number(g, golden_text(g, "%s: equal neighbours", name), neighbours,
                   golden_number(statistics, "equal_neighbour_fraction_mean"),
                   8 * golden_number(statistics, "equal_neighbour_standard_error") +
                       4 * fill / pairs);
}

void check_block_masks(Golden *g, const char *path, const json_t *entry) {
    (void)entry;
    const TensorFile *s = golden_tensors(g, path);
    const json_t *all = golden_json(g, "masks/statistics.json");
    for (size_t i = 0; s && all && i < tensorfile_count(s); i++) {
        const char *name = tensorfile_at(s, i)->name;
        int number, end = 0;
        if (sscanf(name, "beit%d.frequency%n", &number, &end) != 1 || !end || name[end]) continue;
        Shape shape;
        const float *want = golden_reals(g, s, name, &shape);
        const json_t *statistics = json_object_get(all, golden_text(g, "beit_%d", number));
        if (statistics)
            check_blocks(g, name, want, shape, statistics);
        else
            golden_problem(g, "no statistics of beit_%d", number);
    }
}
