/* Random erasing: boxes stay strictly inside, how often and how much, the three modes, the same
 * bytes for the same key. Exactness against the published code is in tests/golden. */
#include <check.h>
#include <math.h>

#include "data/augment/erase.h"

Suite *suite_erase(void);

enum { C = 3, H = 20, W = 24, N = C * H * W };

static const float KEPT = 1000; /* no noise is that large */

static Erase published(EraseMode mode) {
    return (Erase){.probability = 0.25,
                   .min_area = 0.02,
                   .max_area = 1.0 / 3,
                   .min_aspect = 0.3,
                   .count = 1,
                   .mode = mode};
}

static void run(const Erase *e, uint64_t key, float image[N]) {
    Rng rng = rng_make(4, RNG_ERASE, 0, key);
    for (int i = 0; i < N; i++) image[i] = KEPT;
    erase_apply(e, image, C, H, W, &rng);
}

static int count_erased(const float *plane) {
    int n = 0;
    for (int i = 0; i < H * W; i++) n += plane[i] != KEPT;
    return n;
}

/* The erased pixels of plane fill their bounding box; false when there are none. */
static bool bounding_box(const float *plane, Box *box) {
    int64_t top = H, left = W, bottom = -1, right = -1;
    for (int64_t y = 0; y < H; y++)
        for (int64_t x = 0; x < W; x++) {
            if (plane[y * W + x] == KEPT) continue;
            if (y < top) top = y;
            if (y > bottom) bottom = y;
            if (x < left) left = x;
            if (x > right) right = x;
        }
    *box = (Box){left, top, right - left + 1, bottom - top + 1};
    if (bottom >= 0) ck_assert_int_eq(count_erased(plane), box->width * box->height);
    return bottom >= 0;
}

START_TEST(boxes_are_inside) {
    enum { RUNS = 4000 };
    Erase e = published(ERASE_PIXEL);
    float image[N];
    int n_erased = 0;
    double area = 0;
    for (uint64_t key = 0; key < RUNS; key++) {
        Box box, other;
        run(&e, key, image);
        if (!bounding_box(image, &box)) continue;
        n_erased++;
        area += (double)(box.width * box.height) / (H * W);
        ck_assert(box.width < W && box.height < H);
        for (int c = 1; c < C; c++) {
            ck_assert(bounding_box(image + c * H * W, &other));
            ck_assert_mem_eq(&box, &other, sizeof box);
        }
    }
    /* Five standard errors of a share of 1/4. The area is uniform up to the rounding of the sides
     * and the refused boxes, which are the largest. */
    ck_assert_double_le(fabs(n_erased / (double)RUNS - 0.25), 5 * sqrt(0.25 * 0.75 / RUNS));
    ck_assert_double_eq_tol(area / n_erased, (0.02 + 1.0 / 3) / 2, 0.02);
}
END_TEST

START_TEST(modes) {
    float image[N];
    double sum = 0, squares = 0, n = 0;
    for (uint64_t key = 0; key < 600; key++) {
        Erase e = published((EraseMode)(key % 3));
        Box box;
        e.probability = 1;
        run(&e, key, image);
        for (int c = 0; c < C; c++) {
            ck_assert(bounding_box(image + c * H * W, &box));
            float first = image[(c * H + box.top) * W + box.left];
            bool flat = true;
            for (int64_t y = box.top; y < box.top + box.height; y++)
                for (int64_t x = box.left; x < box.left + box.width; x++) {
                    double v = image[(c * H + y) * W + x];
                    if (v != first) flat = false;
                    if (e.mode == ERASE_PIXEL) sum += v, squares += v * v, n++;
                }
            if (box.width * box.height > 1) ck_assert_int_eq(flat, e.mode != ERASE_PIXEL);
            if (e.mode == ERASE_CONST) ck_assert(first == 0);
            if (e.mode == ERASE_RAND) ck_assert(first != 0 && (c == 0 || first != image[0]));
        }
    }
    ck_assert_double_le(fabs(sum / n), 5 / sqrt(n)); /* five standard errors */
    ck_assert_double_le(fabs(squares / n - 1), 5 * sqrt(2 / n));
}
END_TEST

START_TEST(off_and_same_key) {
    float image[N], again[N];
    Erase off = {0}, e = published(ERASE_PIXEL);
    run(&off, 1, image);
    ck_assert_int_eq(count_erased(image), 0);
    e.probability = 1;
    e.count = 3;
    for (uint64_t key = 0; key < 50; key++) {
        run(&e, key, image);
        run(&e, key, again);
        ck_assert_mem_eq(image, again, sizeof image);
        ck_assert_int_gt(count_erased(image), 0);
        ck_assert_int_le(count_erased(image), H * W / 3 + 3 * (H + W)); /* they share the area */
    }
}
END_TEST

Suite *suite_erase(void) {
    Suite *s = suite_create("erase");
    TCase *c = tcase_create("erase");
    tcase_add_test(c, boxes_are_inside);
    tcase_add_test(c, modes);
    tcase_add_test(c, off_and_same_key);
    suite_add_tcase(s, c);
    return s;
}
