/* Sessions inside: float images, tokens beside other outputs, and what masked ones give. */
#include "infer/session.h"

#include <check.h>
#include <math.h>
#include <string.h>

#include "base/rng.h"
#include "small_model.h"

Suite *suite_session(void);

enum {
    B = 3,
    C = 3,
    D = 12,
    P = 6,
    T = P + 1,
    PATCH = 4,
    IMAGE = 8 * 12 * C,
    V = PATCH * PATCH * C
};

static Device *device;
static uint8_t pixels[B * IMAGE];

static void setup(void) {
    Error err = {0};
    Rng rng = rng_make(3, RNG_SYNTHETIC, 0, 0);
    ck_assert_msg(device_open("cpu", 1, NULL, &device, &err) == MAE_OK, "%s", err.message);
    for (int i = 0; i < B * IMAGE; i++) pixels[i] = (uint8_t)rng_range(&rng, 0, 256);
}

static void teardown(void) {
    device_close(device);
}

static Vit *model(TargetKind target, HeadKind head) {
    ModelConfig c = small_config(C, target, false);
    c.head = head;
    if (head != HEAD_NONE) {
        c.decoder_depth = 0;
        c.pool = POOL_CLS;
        c.classes = 4;
    }
    return small_model(device, &c);
}

static Session *open_session(Vit *v, SessionOptions o) {
    Error err = {0};
    Session *s = NULL;
    ck_assert_msg(session_new(v, o, &s, &err) == MAE_OK, "%s", err.message);
    return s;
}

/* --- nothing removed -------------------------------------------------------------------------- */

static void normalize(const ModelConfig *c, float *out) {
    for (int64_t i = 0; i < B * IMAGE; i++) {
        int64_t image = i / IMAGE, at = i % IMAGE, k = at % C;
        out[image * IMAGE + k * (IMAGE / C) + at / C] =
            ((float)pixels[i] / 255 - c->mean[k]) / c->std[k];
    }
}

START_TEST(float_images_give_what_bytes_give) {
    Vit *v = model(TARGET_PIXEL, HEAD_NONE);
    Session *s = open_session(v, (SessionOptions){.batch = B, .floats = true});
    float images[B * IMAGE], want[B * D];
    normalize(&v->config, images);
    session_run(s, pixels, B);
    memcpy(want, session_features(s), sizeof want);
    session_run_floats(s, images, 2); /* a short batch, and the next one is of bytes again */
    ck_assert_mem_eq(session_features(s), want, 2 * D * sizeof *want);
    session_run(s, pixels, B);
    ck_assert_mem_eq(session_features(s), want, sizeof want);
    session_free(s);
    vit_free(v);
}
END_TEST

START_TEST(tokens_come_beside_features) {
    Vit *v = model(TARGET_PIXEL, HEAD_NONE);
    for (int64_t block = 0; block < 2; block++) {
        Session *both =
            open_session(v, (SessionOptions){.batch = B, .block = block, .tokens = true});
        Session *all =
            open_session(v, (SessionOptions){.batch = B, .block = block, .pool = POOL_ALL});
        Session *mean = open_session(v, (SessionOptions){.batch = B, .block = block});
        session_run(both, pixels, B);
        session_run(all, pixels, B);
        session_run(mean, pixels, B);
        ck_assert_mem_eq(session_tokens(both), session_features(all), B * T * D * sizeof(float));
        ck_assert_mem_eq(session_features(both), session_features(mean), B * D * sizeof(float));
        session_free(both);
        session_free(all);
        session_free(mean);
    }
    vit_free(v);
}
END_TEST

START_TEST(a_classifier_gives_features_of_a_block_beside_logits) {
    Vit *v = model(TARGET_PIXEL, HEAD_LINEAR);
    SessionOptions o = {.batch = B, .block = 1, .tokens = true, .attention = true};
    Session *alone = open_session(v, o),
            *logits = open_session(v, (SessionOptions){.batch = B, .logits = true});
    o.logits = o.features = true;
    Session *both = open_session(v, o);
    float a[B * 3 * P], b[B * 3 * P];
    session_run(alone, pixels, B);
    session_run(logits, pixels, B);
    session_run(both, pixels, B);
    ck_assert_mem_eq(session_features(both), session_features(alone), B * D * sizeof(float));
    ck_assert_mem_eq(session_tokens(both), session_tokens(alone), B * T * D * sizeof(float));
    ck_assert_mem_eq(session_logits(both), session_logits(logits), B * 4 * sizeof(float));
    session_attention(alone, 2, a);
    session_attention(both, 2, b);
    ck_assert_mem_eq(a, b, 3 * P * sizeof *a);
    session_free(alone);
    session_free(logits);
    session_free(both);
    vit_free(v);
}
END_TEST

START_TEST(a_classifier_has_no_tokens_after_its_norm) {
    Vit *v = model(TARGET_PIXEL, HEAD_LINEAR);
    Error err = {0};
    Session *s = NULL;
    SessionOptions o = {.batch = B, .pool = POOL_CLS, .tokens = true};
    ck_assert(session_new(v, o, &s, &err) == MAE_USAGE);
    ck_assert_ptr_nonnull(strstr(err.message, "--pool all"));
    vit_free(v);
}
END_TEST

/* --- patches removed -------------------------------------------------------------------------- */

static Masks *some_masks(const ModelConfig *c, int64_t batch) {
    Error err = {0};
    Masks *m = NULL;
    ck_assert(masks_new((MaskRule){MASK_RANDOM, 0.5}, c, batch, &m, &err) == MAE_OK);
    for (int64_t b = 0; b < batch; b++) masks_draw(m, b, 7, 0, (uint64_t)b);
    return m;
}

static float pixel_at(const ModelConfig *c, const float *image, int64_t patch, int64_t v) {
    int64_t columns = c->image_width / PATCH, plane = c->image_height * c->image_width;
    int64_t y = patch / columns * PATCH + v / C / PATCH,
            x = patch % columns * PATCH + v / C % PATCH;
    return image[v % C * plane + y * c->image_width + x];
}

/* Mean and deviation of a patch by their definition, in another order of sums. */
static void statistics(const ModelConfig *c, const float *image, int64_t p, double *mean,
                       double *std) {
    double sum = 0, squares = 0;
    for (int64_t v = V - 1; v >= 0; v--) sum += (double)pixel_at(c, image, p, v) / V;
    for (int64_t v = V - 1; v >= 0; v--) {
        double d = (double)pixel_at(c, image, p, v) - sum;
        squares += d * d / (V - 1);
    }
    *mean = sum;
    *std = sqrt(squares + 1e-6);
}

static double cut(double v) {
    return v < 0 ? 0 : v > 1 ? 1 : v;
}

/* Reconstructions are what the prediction says: pixels, or those less mean over deviation. */
static void check_reconstruction(TargetKind target) {
    Vit *v = model(target, HEAD_NONE);
    const ModelConfig *c = &v->config;
    Masks *m = some_masks(c, B);
    Session *s = open_session(v, (SessionOptions){.batch = B, .masked = true, .n_keep = m->n_keep});
    session_set_masks(s, m);
    session_run(s, pixels, B);
    const float *seen = session_images(s), *made = session_reconstruction(s);
    for (int64_t i = 0; i < B * P; i++) {
        double mean, std;
        const float *image = seen + i / P * IMAGE;
        statistics(c, image, i % P, &mean, &std);
        ck_assert_double_eq_tol((double)session_patch_mean(s)[i], mean, 1e-6);
        ck_assert_double_eq_tol((double)session_patch_std(s)[i], std, 1e-6);
        for (int64_t k = 0; k < V; k++) {
            double value = (double)session_prediction(s)[i * V + k];
            if (target == TARGET_NORM_PIX) value = value * std + mean;
            value = cut(value * (double)c->std[k % C] + (double)c->mean[k % C]);
            float got = pixel_at(c, made + i / P * IMAGE, i % P, k);
            ck_assert_double_eq_tol((double)got, value, 1e-6);
        }
    }
    session_free(s);
    masks_free(m);
    vit_free(v);
}

START_TEST(reconstructions_are_predictions_as_pixels) {
    check_reconstruction(TARGET_PIXEL);
    check_reconstruction(TARGET_NORM_PIX);
}
END_TEST

START_TEST(a_batch_gives_what_its_images_give_alone) {
    Vit *v = model(TARGET_NORM_PIX, HEAD_NONE);
    Masks *m = some_masks(&v->config, B), *one = some_masks(&v->config, 1);
    SessionOptions o = {.batch = B, .masked = true, .n_keep = m->n_keep, .interpolated = true};
    Session *s = open_session(v, o);
    o.batch = 1;
    Session *alone = open_session(v, o);
    session_set_masks(s, m);
    session_run(s, pixels, B);
    for (int64_t i = 0; i < B; i++) {
        masks_draw(one, 0, 7, 0, (uint64_t)i);
        session_set_masks(alone, one);
        session_run(alone, pixels + i * IMAGE, 1);
        ck_assert_mem_eq(session_reconstruction(s) + i * IMAGE, session_reconstruction(alone),
                         IMAGE * sizeof(float));
        ck_assert_mem_eq(session_patch_loss(s) + i * P, session_patch_loss(alone),
                         P * sizeof(float));
        ck_assert_mem_eq(session_latent(s) + i * (1 + m->n_keep) * D, session_latent(alone),
                         (size_t)((1 + m->n_keep) * D) * sizeof(float));
        ck_assert_float_eq(session_loss(s, i), session_loss(alone, 0));
    }
    session_free(s);
    session_free(alone);
    masks_free(m);
    masks_free(one);
    vit_free(v);
}
END_TEST

START_TEST(pasted_patches_are_those_of_the_image) {
    Vit *v = model(TARGET_PIXEL, HEAD_NONE);
    const ModelConfig *c = &v->config;
    Masks *m = some_masks(c, 1);
    Session *s = open_session(
        v, (SessionOptions){.batch = 1, .masked = true, .n_keep = m->n_keep, .paste = true});
    session_set_masks(s, m);
    session_run(s, pixels, 1);
    for (int64_t p = 0; p < P; p++)
        for (int64_t k = 0; k < V && m->mask[p] <= 0; k++) {
            double seen = (double)pixel_at(c, session_images(s), p, k);
            double value = seen * (double)c->std[k % C] + (double)c->mean[k % C];
            ck_assert_double_eq_tol((double)pixel_at(c, session_reconstruction(s), p, k), value,
                                    1e-6);
        }
    session_free(s);
    masks_free(m);
    vit_free(v);
}
END_TEST

Suite *suite_session(void) {
    Suite *s = suite_create("session");
    TCase *t = tcase_create("session");
    tcase_add_unchecked_fixture(t, setup, teardown);
    tcase_add_test(t, float_images_give_what_bytes_give);
    tcase_add_test(t, tokens_come_beside_features);
    tcase_add_test(t, a_classifier_gives_features_of_a_block_beside_logits);
    tcase_add_test(t, a_classifier_has_no_tokens_after_its_norm);
    tcase_add_test(t, reconstructions_are_predictions_as_pixels);
    tcase_add_test(t, a_batch_gives_what_its_images_give_alone);
    tcase_add_test(t, pasted_patches_are_those_of_the_image);
    suite_add_tcase(s, t);
    return s;
}
