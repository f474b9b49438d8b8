/* Masks of every kind: the right number of patches, ids that agree with each other, the same mask
 * for the same key, uniform random masks, block masks that are blocks and filled exactly. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "model/autoencoder.h"

#include "often.h" /* last: check.h has a macro named fail */

Suite *suite_masks(void);

enum { MAX_PATCHES = 1024 };

typedef struct Mask {
    int64_t patches, keep;
    int32_t ids_keep[MAX_PATCHES], ids_restore[MAX_PATCHES];
    float mask[MAX_PATCHES];
} Mask;

static ModelConfig grid(int64_t rows, int64_t columns) {
    return (ModelConfig){
        .image_height = rows * 4, .image_width = columns * 4, .channels = 3, .patch = 4};
}

static void draw(Mask *m, MaskKind kind, const ModelConfig *c, double ratio, uint64_t seed,
                 uint64_t epoch, uint64_t sample) {
    uint64_t scratch[MAX_PATCHES];
    memset(m, 0, sizeof *m);
    m->patches = model_patches(c);
    m->keep = mask_n_keep(kind, c, ratio);
    mask_draw(kind, c, ratio, seed, epoch, sample, m->ids_keep, m->ids_restore, m->mask, scratch);
}

/* ids_restore is a permutation, ids_keep its inverse on the kept patches, and the mask says which
 * patches come after them. */
static void check_consistent(const Mask *m) {
    bool seen[MAX_PATCHES] = {false};
    for (int64_t i = 0; i < m->patches; i++) {
        int32_t place = m->ids_restore[i];
        assert_often(place >= 0 && place < m->patches && !seen[place], "place %d", (int)place);
        seen[place] = true;
        assert_often(m->mask[i] == (place >= m->keep), "mask %d", (int)i);
        assert_often(place >= m->keep || m->ids_keep[place] == i, "kept %d", (int)place);
    }
}

static const MaskKind KINDS[] = {MASK_RANDOM, MASK_BLOCK, MASK_GRID};
static const int64_t GRIDS[][2] = {{14, 14}, {3, 7}, {1, 5}, {2, 1}, {16, 30}};
static const double RATIOS[] = {0.15, 0.4, 0.5, 0.75, 0.9};

START_TEST(ids_agree) {
    static Mask m;
    for (int k = 0; k < 3; k++)
        for (int i = 0; i < 5; i++)
            for (int r = 0; r < 5; r++)
                for (uint64_t sample = 0; sample < 20; sample++) {
                    ModelConfig c = grid(GRIDS[i][0], GRIDS[i][1]);
                    draw(&m, KINDS[k], &c, RATIOS[r], 1, 2, sample);
                    check_consistent(&m);
                }
}
END_TEST

START_TEST(counts) {
    ModelConfig c = grid(14, 14);
    ck_assert_int_eq(mask_keep_count(196, 0.75), 49);
    ck_assert_int_eq(mask_keep_count(100, 0.9), 9); /* 100 * (1 - 0.9) is below 10 in double */
    ck_assert_int_eq(mask_keep_count(5, 0), 5);
    ck_assert_int_eq(mask_n_keep(MASK_RANDOM, &c, 0.75), 49);
    ck_assert_int_eq(mask_n_keep(MASK_BLOCK, &c, 0.5), 98);
    ck_assert_int_eq(mask_n_keep(MASK_GRID, &c, 0.5), 49);
    c = grid(3, 7);
    ck_assert_int_eq(mask_n_keep(MASK_GRID, &c, 0.75), 8);
}
END_TEST

static bool same(const Mask *a, const Mask *b) {
    return memcmp(a->mask, b->mask, sizeof a->mask) == 0 &&
           memcmp(a->ids_keep, b->ids_keep, sizeof a->ids_keep) == 0 &&
           memcmp(a->ids_restore, b->ids_restore, sizeof a->ids_restore) == 0;
}

START_TEST(same_key_same_mask) {
    static Mask a, b;
    ModelConfig c = grid(14, 14);
    for (int k = 0; k < 2; k++) {
        draw(&a, KINDS[k], &c, 0.75, 1, 2, 3);
        draw(&b, KINDS[k], &c, 0.75, 1, 2, 3);
        ck_assert(same(&a, &b));
        draw(&b, KINDS[k], &c, 0.75, 4, 2, 3);
        ck_assert(!same(&a, &b));
        draw(&b, KINDS[k], &c, 0.75, 1, 4, 3);
        ck_assert(!same(&a, &b));
        draw(&b, KINDS[k], &c, 0.75, 1, 2, 4);
        ck_assert(!same(&a, &b));
    }
}
END_TEST

START_TEST(outputs_may_be_left_out) {
    static Mask a, b;
    uint64_t scratch[MAX_PATCHES];
    ModelConfig c = grid(14, 14);
    for (int k = 0; k < 3; k++) {
        draw(&a, KINDS[k], &c, 0.75, 1, 2, 3);
        memset(&b, 0, sizeof b);
        mask_draw(KINDS[k], &c, 0.75, 1, 2, 3, b.ids_keep, NULL, NULL, scratch);
        mask_draw(KINDS[k], &c, 0.75, 1, 2, 3, NULL, b.ids_restore, NULL, scratch);
        mask_draw(KINDS[k], &c, 0.75, 1, 2, 3, NULL, NULL, b.mask, scratch);
        ck_assert(same(&a, &b));
    }
}
END_TEST

/* Five standard errors of a share of 4000 masks. */
START_TEST(random_masks_are_uniform) {
    enum { TRIALS = 4000 };
    static Mask m;
    double removed[196] = {0}, first[196] = {0};
    ModelConfig c = grid(14, 14);
    for (uint64_t t = 0; t < TRIALS; t++) {
        draw(&m, MASK_RANDOM, &c, 0.75, 1, 0, t);
        first[m.ids_keep[0]] += 1.0 / TRIALS;
        for (int i = 0; i < 196; i++) removed[i] += (double)m.mask[i] / TRIALS;
    }
    for (int i = 0; i < 196; i++) {
        ck_assert_double_eq_tol(removed[i], 0.75, 5 * sqrt(0.75 * 0.25 / TRIALS));
        ck_assert_double_eq_tol(first[i], 1.0 / 196, 5 * sqrt(1.0 / 196 / TRIALS));
    }
}
END_TEST

static int64_t count_removed(const float *mask, int64_t n) {
    int64_t count = 0;
    for (int64_t i = 0; i < n; i++) {
        assert_often(mask[i] == 0 || mask[i] == 1, "%g", (double)mask[i]);
        count += mask[i] > 0;
    }
    return count;
}

START_TEST(block_masks_are_filled_exactly) {
    float mask[MAX_PATCHES];
    for (int i = 0; i < 5; i++) {
        int64_t rows = GRIDS[i][0], columns = GRIDS[i][1], n = rows * columns;
        for (int64_t n_mask = 0; n_mask <= n; n_mask++) {
            Rng rng = rng_make(1, RNG_MASK, (uint64_t)i, (uint64_t)n_mask);
            mask_block(rows, columns, n_mask, &rng, mask);
            ck_assert_int_eq(count_removed(mask, n), n_mask);
        }
    }
}
END_TEST

static double equal_neighbours(const float *mask, int64_t side) {
    int64_t equal = 0;
    for (int64_t i = 0; i < side * side; i++) {
        if (i % side + 1 < side) equal += mask[i] == mask[i + 1];
        if (i / side + 1 < side) equal += mask[i] == mask[i + side];
    }
    return (double)equal / (double)(2 * side * (side - 1));
}

/* Published block masks of half of the patches: 0.88 of all neighbours are equal; random ones 0.5.
 */
START_TEST(block_masks_are_blocks) {
    static Mask m;
    double block = 0, random = 0;
    ModelConfig c = grid(14, 14);
    for (uint64_t t = 0; t < 200; t++) {
        draw(&m, MASK_BLOCK, &c, 0.5, 1, 0, t);
        block += equal_neighbours(m.mask, 14) / 200;
        draw(&m, MASK_RANDOM, &c, 0.5, 1, 0, t);
        random += equal_neighbours(m.mask, 14) / 200;
    }
    ck_assert_double_eq_tol(block, 0.88, 0.02);
    ck_assert_double_eq_tol(random, 0.5, 0.02);
}
END_TEST

START_TEST(ties_keep_their_order) {
    static const float noise[] = {0.5f, 0.0f, 0.5f, -0.0f, 0.25f, 0.5f};
    static const int32_t order[] = {1, 3, 4, 0, 2, 5};
    Mask m = {.patches = 6, .keep = 4};
    uint64_t scratch[6];
    mask_from_noise(noise, 6, 4, m.ids_keep, m.ids_restore, m.mask, scratch);
    for (int i = 0; i < 4; i++) ck_assert_int_eq(m.ids_keep[i], order[i]);
    for (int i = 0; i < 6; i++) ck_assert_int_eq(m.ids_restore[order[i]], i);
    check_consistent(&m);
}
END_TEST

START_TEST(listed_patches_are_kept_in_their_order) {
    Mask m = {.patches = 7, .keep = 3, .ids_keep = {5, 0, 3}};
    mask_from_keep(m.ids_keep, 3, 7, m.ids_restore, m.mask);
    check_consistent(&m);
}
END_TEST

START_TEST(grid_masks_keep_even_rows_and_columns) {
    static const int32_t want[] = {0, 2, 4, 10, 12, 14};
    int32_t ids[MAX_PATCHES];
    ck_assert_int_eq(mask_grid(3, 5, ids), 6);
    for (int i = 0; i < 6; i++) ck_assert_int_eq(ids[i], want[i]);
    ck_assert_int_eq(mask_grid(14, 14, NULL), 49);
    ck_assert_int_eq(mask_grid(1, 1, NULL), 1);
}
END_TEST

Suite *suite_masks(void) {
    Suite *s = suite_create("masks");
    TCase *t = tcase_create("masks");
    tcase_add_test(t, ids_agree);
    tcase_add_test(t, counts);
    tcase_add_test(t, same_key_same_mask);
    tcase_add_test(t, outputs_may_be_left_out);
    tcase_add_test(t, random_masks_are_uniform);
    tcase_add_test(t, block_masks_are_filled_exactly);
    tcase_add_test(t, block_masks_are_blocks);
    tcase_add_test(t, ties_keep_their_order);
    tcase_add_test(t, listed_patches_are_kept_in_their_order);
    tcase_add_test(t, grid_masks_keep_even_rows_and_columns);
    suite_add_tcase(s, t);
    return s;
}
