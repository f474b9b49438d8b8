/* Masks of every kind: the right number of patches, ids that agree with each other, the same mask
 * for the same key, uniform random masks, block masks that are blocks and filled exactly. */
#include <math.h>
#include <string.h>

#include "model/mask.h"

#include "often.h"

Suite *suite_masks(void);

static ModelConfig grid(int64_t rows, int64_t columns) {
    return (ModelConfig){
        .image_height = rows * 4, .image_width = columns * 4, .channels = 3, .patch = 4};
}

static Masks *masks_of(MaskKind kind, const ModelConfig *c, double ratio, int64_t batch) {
    Error err = {0};
    Masks *m;
    ck_assert_msg(masks_new((MaskRule){kind, ratio}, c, batch, &m, &err) == MAE_OK, "%s",
                  err.message);
    return m;
}

/* ids_restore is a permutation, ids_keep its inverse on the kept patches, and the mask says which
 * patches come after them. */
static void check_consistent(const Masks *m, int64_t b) {
    bool seen[1024] = {false};
    for (int64_t i = 0; i < m->n_patches; i++) {
        int32_t place = m->ids_restore[b * m->n_patches + i];
        assert_often(place >= 0 && place < m->n_patches && !seen[place], "place %d", (int)place);
        seen[place] = true;
        assert_often(m->mask[b * m->n_patches + i] == (place >= m->n_keep), "mask %d", (int)i);
        assert_often(place >= m->n_keep || m->ids_keep[b * m->n_keep + place] == i, "kept %d",
                     (int)place);
    }
}

static const MaskKind KINDS[] = {MASK_RANDOM, MASK_BLOCK, MASK_GRID};
static const int64_t GRIDS[][2] = {{14, 14}, {3, 7}, {1, 5}, {2, 1}, {16, 30}};
static const double RATIOS[] = {0.15, 0.4, 0.5, 0.75, 0.9};

START_TEST(ids_agree) {
    enum { IMAGES = 20 };
    for (int k = 0; k < 3; k++)
        for (int i = 0; i < 5; i++)
            for (int r = 0; r < 5; r++) {
                ModelConfig c = grid(GRIDS[i][0], GRIDS[i][1]);
                Masks *m = masks_of(KINDS[k], &c, RATIOS[r], IMAGES);
                for (int b = 0; b < IMAGES; b++) masks_draw(m, b, 1, 2, (uint64_t)b);
                for (int b = 0; b < IMAGES; b++) check_consistent(m, b);
                masks_free(m);
            }
}
END_TEST

START_TEST(counts) {
    ModelConfig c = grid(14, 14);
    ck_assert_int_eq(mask_keep_count(196, 0.75), 49);
    ck_assert_int_eq(mask_keep_count(100, 0.9), 9); /* 100 * (1 - 0.9) is below 10 in double */
    ck_assert_int_eq(mask_keep_count(5, 0), 5);
    ck_assert_int_eq(mask_n_keep((MaskRule){MASK_RANDOM, 0.75}, &c), 49);
    ck_assert_int_eq(mask_n_keep((MaskRule){MASK_BLOCK, 0.5}, &c), 98);
    ck_assert_int_eq(mask_n_keep((MaskRule){MASK_GRID, 0.5}, &c), 49);
    c = grid(3, 7);
    ck_assert_int_eq(mask_n_keep((MaskRule){MASK_GRID, 0.75}, &c), 8);
    c = grid(1, 1);
    ck_assert_int_eq(mask_n_keep((MaskRule){MASK_GRID, 0.75}, &c), 1);
}
END_TEST

static bool same(const Masks *a, const Masks *b) {
    size_t P = (size_t)a->n_patches, K = (size_t)a->n_keep;
    return memcmp(a->mask, b->mask, P * sizeof *a->mask) == 0 &&
           memcmp(a->ids_keep, b->ids_keep, K * sizeof *a->ids_keep) == 0 &&
           memcmp(a->ids_restore, b->ids_restore, P * sizeof *a->ids_restore) == 0;
}

START_TEST(same_key_same_mask) {
    static const uint64_t others[][3] = {{4, 2, 3}, {1, 4, 3}, {1, 2, 4}};
    ModelConfig c = grid(14, 14);
    for (int k = 0; k < 2; k++) {
        Masks *a = masks_of(KINDS[k], &c, 0.75, 1), *b = masks_of(KINDS[k], &c, 0.75, 1);
        masks_draw(a, 0, 1, 2, 3);
        masks_draw(b, 0, 1, 2, 3);
        ck_assert(same(a, b));
        for (int i = 0; i < 3; i++) {
            masks_draw(b, 0, others[i][0], others[i][1], others[i][2]);
            ck_assert(!same(a, b));
        }
        masks_free(a);
        masks_free(b);
    }
}
END_TEST

/* Five standard errors of a share of 4000 masks. */
START_TEST(random_masks_are_uniform) {
    enum { TRIALS = 4000 };
    double removed[196] = {0}, first[196] = {0};
    ModelConfig c = grid(14, 14);
    Masks *m = masks_of(MASK_RANDOM, &c, 0.75, 1);
    for (uint64_t t = 0; t < TRIALS; t++) {
        masks_draw(m, 0, 1, 0, t);
        first[m->ids_keep[0]] += 1.0 / TRIALS;
        for (int i = 0; i < 196; i++) removed[i] += (double)m->mask[i] / TRIALS;
    }
    masks_free(m);
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
    for (int i = 0; i < 5; i++) {
        int64_t n = GRIDS[i][0] * GRIDS[i][1];
        ModelConfig c = grid(GRIDS[i][0], GRIDS[i][1]);
        for (int64_t n_mask = 0; n_mask <= n; n_mask++) {
            Masks *m = masks_of(MASK_BLOCK, &c, ((double)n_mask - 0.5) / (double)n, 1);
            masks_draw(m, 0, 1, (uint64_t)i, (uint64_t)n_mask);
            ck_assert_int_eq(count_removed(m->mask, n), n_mask);
            masks_free(m);
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
    static const double want[] = {0.5, 0.88};
    ModelConfig c = grid(14, 14);
    for (int k = 0; k < 2; k++) {
        double equal = 0;
        Masks *m = masks_of(KINDS[k], &c, 0.5, 1);
        for (uint64_t t = 0; t < 200; t++) {
            masks_draw(m, 0, 1, 0, t);
            equal += equal_neighbours(m->mask, 14) / 200;
        }
        ck_assert_double_eq_tol(equal, want[k], 0.02);
        masks_free(m);
    }
}
END_TEST

START_TEST(ties_keep_their_order) {
    static const float noise[] = {0.5f, 0.0f, 0.5f, -0.0f, 0.25f, 0.5f};
    static const int32_t order[] = {1, 3, 4, 0, 2, 5};
    ModelConfig c = grid(2, 3);
    Masks *m = masks_of(MASK_RANDOM, &c, 0.25, 1);
    ck_assert_int_eq(m->n_keep, 4);
    masks_from_noise(m, 0, noise);
    for (int i = 0; i < 4; i++) ck_assert_int_eq(m->ids_keep[i], order[i]);
    for (int i = 0; i < 6; i++) ck_assert_int_eq(m->ids_restore[order[i]], i);
    check_consistent(m, 0);
    masks_free(m);
}
END_TEST

START_TEST(listed_patches_are_kept_in_their_order) {
    static const int32_t keep[] = {5, 0, 3};
    ModelConfig c = grid(1, 7);
    Masks *m = masks_of(MASK_RANDOM, &c, 0.9, 1);
    m->n_keep = 3;
    memcpy(m->ids_keep, keep, sizeof keep);
    masks_from_keep(m, 0);
    ck_assert_mem_eq(m->ids_keep, keep, sizeof keep);
    check_consistent(m, 0);
    masks_free(m);
}
END_TEST

START_TEST(grid_masks_keep_even_rows_and_columns) {
    static const int32_t want[] = {0, 2, 4, 10, 12, 14};
    ModelConfig c = grid(3, 5);
    Masks *m = masks_of(MASK_GRID, &c, 0.75, 1);
    masks_draw(m, 0, 1, 2, 3);
    ck_assert_int_eq(m->n_keep, 6);
    ck_assert_mem_eq(m->ids_keep, want, sizeof want);
    masks_free(m);
}
END_TEST

Suite *suite_masks(void) {
    Suite *s = suite_create("masks");
    TCase *t = tcase_create("masks");
    tcase_add_test(t, ids_agree);
    tcase_add_test(t, counts);
    tcase_add_test(t, same_key_same_mask);
    tcase_add_test(t, random_masks_are_uniform);
    tcase_add_test(t, block_masks_are_filled_exactly);
    tcase_add_test(t, block_masks_are_blocks);
    tcase_add_test(t, ties_keep_their_order);
    tcase_add_test(t, listed_patches_are_kept_in_their_order);
    tcase_add_test(t, grid_masks_keep_even_rows_and_columns);
    suite_add_tcase(s, t);
    return s;
}
