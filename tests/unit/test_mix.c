/* Mixup and cutmix: moments of the Beta numbers, what is drawn when, images and targets against the
 * plain definition. Exactness against the published code is in tests/golden. */
#include <check.h>
#include <math.h>

#include "data/augment/mix.h"
#include "often.h"

Suite *suite_mix(void);

/* Beta(a, a): mean 1/2, variance 1 / (4 (2a + 1)), fourth central moment 3 / (16 (2a + 1) (2a +
 * 3)); five standard errors each. */
START_TEST(beta_moments) {
    enum { N = 100000 };
    static const double alphas[] = {1e-4, 0.02, 0.2, 0.8, 1, 1.5, 2, 10, 1000};
    for (size_t k = 0; k < sizeof alphas / sizeof alphas[0]; k++) {
        double a = alphas[k], sum = 0, squares = 0, fourths = 0;
        Rng rng = rng_make(1, RNG_MIX, 0, k);
        for (int i = 0; i < N; i++) {
            double v = mix_beta(&rng, a), d = v - 0.5;
            assert_often(v >= 0 && v <= 1, "%g from alpha %g", v, a);
            sum += d, squares += d * d, fourths += d * d * d * d;
        }
        double variance = 1 / (4 * (2 * a + 1)), fourth = 3 / (16 * (2 * a + 1) * (2 * a + 3));
        double eighth = 0.00390625; /* d is at most 1/2 */
        ck_assert_double_le(fabs(sum / N), 5 * sqrt(variance / N));
        ck_assert_double_le(fabs(squares / N - variance),
                            5 * sqrt((fourth - variance * variance) / N) + 1e-12);
        ck_assert_double_le(fabs(fourths / N - fourth), 5 * sqrt(eighth / N));
    }
}
END_TEST

/* Beta(1, 1) is uniform: Kolmogorov's distance, whose 99.99 % point is 2.23 / sqrt(n). */
START_TEST(beta_one_is_uniform) {
    enum { N = 20000, CELLS = 100 };
    int count[CELLS] = {0}, below = 0;
    Rng rng = rng_make(2, RNG_MIX, 0, 0);
    for (int i = 0; i < N; i++) {
        int cell = (int)(mix_beta(&rng, 1) * CELLS);
        count[cell < CELLS ? cell : CELLS - 1]++;
    }
    for (int k = 0; k < CELLS; k++) {
        below += count[k];
        ck_assert_double_le(fabs(below / (double)N - (k + 1) / (double)CELLS), 2.23 / sqrt(N));
    }
}
END_TEST

static MixOptions published(MixMode mode) {
    return (MixOptions){
        .mixup = 0.8, .cutmix = 1, .probability = 1, .switch_probability = 0.5, .mode = mode};
}

static bool same_item(const MixItem *a, const MixItem *b) {
    return a->lambda == b->lambda && a->cutmix == b->cutmix && a->box.left == b->box.left &&
           a->box.top == b->box.top && a->box.width == b->box.width &&
           a->box.height == b->box.height;
}

START_TEST(modes_share_draws) {
    enum { B = 8 };
    for (int mode = MIX_BATCH; mode <= MIX_ELEM; mode++) {
        MixItem items[B];
        MixOptions o = published((MixMode)mode);
        Rng rng = rng_make(3, RNG_MIX, 0, 0);
        mix_draw(&o, B, 16, 16, &rng, items);
        ck_assert_int_eq(same_item(&items[0], &items[1]), mode == MIX_BATCH);
        ck_assert_int_eq(same_item(&items[1], &items[B - 2]), mode != MIX_ELEM);
    }
}
END_TEST

static double share_of_cutmix(MixOptions o, double *unchanged) {
    enum { B = 4000 };
    MixItem items[B];
    Rng rng = rng_make(4, RNG_MIX, 0, 0);
    o.mode = MIX_ELEM;
    mix_draw(&o, B, 32, 24, &rng, items);
    double n = 0;
    *unchanged = 0;
    for (int i = 0; i < B; i++) {
        const Box *b = &items[i].box;
        ck_assert(items[i].lambda >= 0 && items[i].lambda <= 1);
        n += items[i].cutmix;
        *unchanged += !items[i].cutmix && items[i].lambda == 1;
        if (!items[i].cutmix) continue;
        ck_assert(b->left >= 0 && b->top >= 0 && b->width >= 0 && b->height >= 0);
        ck_assert(b->left + b->width <= 24 && b->top + b->height <= 32);
        ck_assert_double_eq(items[i].lambda, 1 - (double)(b->width * b->height) / (32 * 24));
        if (o.minmax[1] > 0) ck_assert(b->width >= 4 && b->width < 19 && b->height >= 6);
    }
    *unchanged /= B;
    return n / B;
}

START_TEST(which_is_drawn) {
    double unchanged, tolerance = 5 * sqrt(0.25 / 4000); /* five standard errors */
    MixOptions both = published(MIX_ELEM), o = both;
    ck_assert_double_eq_tol(share_of_cutmix(both, &unchanged), 0.5, tolerance);
    ck_assert_double_eq(unchanged, 0);
    o.cutmix = 0;
    ck_assert_double_eq(share_of_cutmix(o, &unchanged), 0);
    o = both;
    o.mixup = 0;
    ck_assert_double_eq(share_of_cutmix(o, &unchanged), 1);
    o.minmax[0] = 0.2;
    o.minmax[1] = 0.8;
    ck_assert_double_eq(share_of_cutmix(o, &unchanged), 1);
    o = both;
    o.probability = 0.3;
    ck_assert_double_eq_tol(share_of_cutmix(o, &unchanged), 0.15, tolerance);
    ck_assert_double_eq_tol(unchanged, 0.7, tolerance);
    o = (MixOptions){.probability = 1};
    ck_assert_double_eq(share_of_cutmix(o, &unchanged), 0);
    ck_assert_double_eq(unchanged, 1);
}
END_TEST

/* Every value of the batch says where it is from: its image's number and its place. */
START_TEST(images_by_definition) {
    enum { B = 6, C = 2, H = 9, W = 7, N = C * H * W };
    for (uint64_t key = 0; key < 30; key++) {
        MixItem items[B];
        float images[B * N];
        MixOptions o = published((MixMode)(key % 3));
        Rng rng = rng_make(5, RNG_MIX, 0, key);
        mix_draw(&o, B, H, W, &rng, items);
        for (int i = 0; i < B * N; i++) images[i] = (float)i;
        mix_images(images, items, B, C, H, W);
        for (int i = 0; i < B * N; i++) {
            int b = i / N, y = i % N % (H * W) / W, x = i % W, partner = (B - 1 - b) * N + i % N;
            const MixItem *m = &items[b];
            bool inside = y >= m->box.top && y < m->box.top + m->box.height && x >= m->box.left &&
                          x < m->box.left + m->box.width;
            double want = m->lambda * i + (1 - m->lambda) * partner;
            if (m->cutmix) want = inside ? partner : i;
            /* Four roundings of values up to B*N. */
            assert_often(fabs(images[i] - want) <= (m->cutmix ? 0 : 4 * 0x1p-24 * B * N),
                         "%g instead of %g", images[i], want);
        }
    }
}
END_TEST

START_TEST(targets_by_definition) {
    enum { B = 4, O = 5 };
    const int labels[B] = {0, 3, 3, 4};
    const MixItem items[B] = {{.lambda = 0.25}, {.lambda = 1}, {.lambda = 0}, {.lambda = 0.75}};
    for (int mixed = 0; mixed < 2; mixed++)
        for (int s = 0; s < 2; s++) {
            float targets[B * O];
            double smoothing = s * 0.1, on = 1 - smoothing + smoothing / O, off = smoothing / O;
            mix_targets(targets, labels, mixed ? items : NULL, B, O, smoothing);
            for (int i = 0; i < B; i++) {
                double sum = 0, lambda = mixed ? items[i].lambda : 1;
                for (int k = 0; k < O; k++) {
                    double own = k == labels[i] ? on : off,
                           other = k == labels[B - 1 - i] ? on : off;
                    double want = lambda * own + (1 - lambda) * other;
                    ck_assert_double_eq_tol(targets[i * O + k], want, 4 * 0x1p-24);
                    sum += targets[i * O + k];
                }
                ck_assert_double_eq_tol(sum, 1, 4 * O * 0x1p-24);
            }
        }
}
END_TEST

Suite *suite_mix(void) {
    Suite *s = suite_create("mix");
    TCase *c = tcase_create("mix");
    tcase_add_test(c, beta_moments);
    tcase_add_test(c, beta_one_is_uniform);
    tcase_add_test(c, modes_share_draws);
    tcase_add_test(c, which_is_drawn);
    tcase_add_test(c, images_by_definition);
    tcase_add_test(c, targets_by_definition);
    suite_add_tcase(s, c);
    return s;
}
