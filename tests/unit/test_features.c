/* Frozen features: the final norm, pools, blocks, classifiers, attention. */
#include "infer/session.h"

#include <check.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/rng.h"
#include "small_model.h"

Suite *suite_features(void);

enum { B = 3, D = 12, P = 6, T = P + 1, H = 3, DEPTH = 2, IMAGE = 8 * 12 * 3 };
/* Two float sums of at most T terms of size 1 in another order, with room. */
#define CLOSE 1e-5

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

static Vit *autoencoder(void) {
    ModelConfig c = small_config(3, TARGET_PIXEL, false);
    return small_model(device, &c);
}

static Vit *classifier(HeadKind head, PoolKind pool) {
    ModelConfig c = small_config(3, TARGET_PIXEL, false);
    c.decoder_depth = 0;
    c.head = head;
    c.pool = pool;
    c.classes = 4;
    return small_model(device, &c);
}

/* The features of all images into out, the first n of a batch of B. */
static void features_of(Vit *v, PoolKind pool, int64_t block, int64_t n, float *out) {
    Error err = {0};
    Session *s = NULL;
    SessionOptions o = {.batch = B, .pool = pool, .block = block};
    ck_assert_msg(session_new(v, o, &s, &err) == MAE_OK, "%s", err.message);
    ck_assert_int_eq(session_values(s), pool == POOL_ALL ? T * D : D);
    session_run(s, pixels, n);
    memcpy(out, session_features(s), (size_t)(n * session_values(s)) * sizeof *out);
    session_free(s);
}

static void norm_by_hand(const Vit *v, const char *layer, float *x, int64_t rows) {
    float w[D], b[D];
    char name[32];
    snprintf(name, sizeof name, "%s.weight", layer);
    params_get(v->params, params_find(v->params, name), w);
    snprintf(name, sizeof name, "%s.bias", layer);
    params_get(v->params, params_find(v->params, name), b);
    for (float *r = x; r < x + rows * D; r += D) {
        double mean = 0, variance = 0;
        for (int i = 0; i < D; i++) mean += (double)r[i] / D;
        for (int i = 0; i < D; i++) variance += ((double)r[i] - mean) * ((double)r[i] - mean) / D;
        for (int i = 0; i < D; i++)
            r[i] = (float)(((double)r[i] - mean) / sqrt(variance + 1e-6) * (double)w[i] +
                           (double)b[i]);
    }
}

static void mean_by_hand(const float *tokens, float *out) {
    for (int b = 0; b < B; b++)
        for (int i = 0; i < D; i++) {
            double sum = 0;
            for (int t = 1; t < T; t++) sum += (double)tokens[(b * T + t) * D + i];
            out[b * D + i] = (float)(sum / P);
        }
}

static void assert_close(const float *a, const float *b, int64_t n) {
    for (int64_t i = 0; i < n; i++) ck_assert_double_eq_tol((double)a[i], (double)b[i], CLOSE);
}

static void assert_cls(const float *tokens, const float *cls) {
    for (int b = 0; b < B; b++)
        ck_assert_mem_eq(tokens + (ptrdiff_t)b * T * D, cls + (ptrdiff_t)b * D, D * sizeof *cls);
}

/* --- autoencoders ----------------------------------------------------------------------------- */

START_TEST(the_last_block_and_the_norm_are_the_default) {
    Vit *v = autoencoder();
    float raw[B * T * D], tokens[B * T * D], mean[B * D], want[B * D], cls[B * D];
    features_of(v, POOL_ALL, DEPTH, B, raw);
    features_of(v, POOL_ALL, 0, B, tokens);
    features_of(v, POOL_MEAN, 0, B, mean);
    features_of(v, POOL_CLS, 0, B, cls);
    norm_by_hand(v, "norm", raw, B * T);
    assert_close(tokens, raw, B * T * D);
    mean_by_hand(raw, want);
    assert_close(mean, want, B * D);
    assert_cls(tokens, cls);
    vit_free(v);
}
END_TEST

START_TEST(pools_of_every_block) {
    Vit *v = autoencoder();
    float tokens[2][B * T * D], mean[B * D], want[B * D], cls[B * D];
    for (int64_t block = 1; block <= DEPTH; block++) {
        features_of(v, POOL_ALL, block, B, tokens[block - 1]);
        features_of(v, POOL_MEAN, block, B, mean);
        features_of(v, POOL_CLS, block, B, cls);
        mean_by_hand(tokens[block - 1], want);
        assert_close(mean, want, B * D);
        assert_cls(tokens[block - 1], cls);
    }
    ck_assert_mem_ne(tokens[0], tokens[1], sizeof tokens[0]);
    vit_free(v);
}
END_TEST

/* The published forward pass up to the norm, with nothing masked. */
START_TEST(the_default_is_the_encoder_of_the_autoencoder) {
    Error err = {0};
    Vit *v = autoencoder();
    AutoencoderGraph g;
    float mean[B * D], cls[B * D], pooled[B * D], latent[B * T * D];
    int32_t ids[B * P];
    float mask[B * P] = {1};
    ck_assert(autoencoder_graph(v, FORWARD_FULL, B, P, NUMBER_U8, &g, &err) == MAE_OK);
    Value *mean_of = op_tokens_mean(g.graph, "pooled", g.latent);
    graph_keep(g.graph, g.latent);
    graph_keep(g.graph, mean_of);
    ck_assert(graph_plan(g.graph, GRAPH_INFER, &err) == MAE_OK);
    for (int i = 0; i < B * P; i++) ids[i] = i % P;
    Value *const patches[] = {g.ids_keep, g.ids_restore, g.ids_pred};
    for (int i = 0; i < 3; i++) graph_set(g.graph, patches[i], ids);
    graph_set_real(g.graph, g.mask, mask);
    graph_set(g.graph, g.pixels, pixels);
    graph_forward(g.graph);
    graph_get(g.graph, g.latent, latent);
    graph_get(g.graph, mean_of, pooled);
    features_of(v, POOL_MEAN, 0, B, mean);
    features_of(v, POOL_CLS, 0, B, cls);
    ck_assert_mem_eq(mean, pooled, sizeof mean);
    assert_cls(latent, cls);
    graph_free(g.graph);
    vit_free(v);
}
END_TEST

START_TEST(a_short_batch_gives_the_same) {
    Vit *v = autoencoder();
    float all[B * D], two[B * D] = {0};
    features_of(v, POOL_MEAN, 0, B, all);
    features_of(v, POOL_MEAN, 0, 2, two);
    ck_assert_mem_eq(all, two, 2 * D * sizeof *all);
    ck_assert(two[2 * D] == 0);
    vit_free(v);
}
END_TEST

/* --- classifiers ------------------------------------------------------------------------------ */

START_TEST(a_classifier_has_its_own_features) {
    HeadKind head = _i & 1 ? HEAD_PROBE : HEAD_LINEAR;
    PoolKind pool = _i & 2 ? POOL_CLS : POOL_MEAN;
    Error err = {0};
    Vit *v = classifier(head, pool);
    Session *s = NULL;
    SessionOptions o = {.batch = B, .logits = true};
    float got[B * D], raw[B * D];
    ck_assert_msg(session_new(v, o, &s, &err) == MAE_OK, "%s", err.message);
    session_run(s, pixels, B);
    features_of(v, pool, 0, B, got);
    ck_assert_mem_eq(got, session_features(s), sizeof got);
    features_of(v, pool, DEPTH, B, raw);
    norm_by_hand(v, pool == POOL_CLS ? "norm" : "fc_norm", raw, B);
    assert_close(got, raw, B * D);
    session_free(s);
    vit_free(v);
}
END_TEST

static void assert_refused(Vit *v, PoolKind pool, int64_t block, const char *says) {
    Error err = {0};
    Session *s = NULL;
    SessionOptions o = {.batch = 1, .pool = pool, .block = block};
    ck_assert(session_new(v, o, &s, &err) == MAE_USAGE);
    ck_assert_ptr_null(s);
    ck_assert_msg(strstr(err.message, says) != NULL, "%s", err.message);
}

START_TEST(what_a_model_does_not_have_is_refused) {
    Vit *v = classifier(HEAD_LINEAR, POOL_CLS);
    float out[B * T * D];
    assert_refused(v, POOL_MEAN, 0, "use --pool cls");
    assert_refused(v, POOL_ALL, 0, "use --pool cls");
    assert_refused(v, POOL_CLS, DEPTH + 1, "choose 1 to 2");
    assert_refused(v, POOL_CLS, -1, "choose 1 to 2");
    features_of(v, POOL_MEAN, DEPTH, B, out);
    features_of(v, POOL_ALL, 1, B, out);
    vit_free(v);
    v = classifier(HEAD_PROBE, POOL_MEAN);
    assert_refused(v, POOL_CLS, 0, "use --pool mean");
    vit_free(v);
}
END_TEST

/* --- attention -------------------------------------------------------------------------------- */

static void attention_of(Vit *v, int64_t block, int64_t image, float *out) {
    Error err = {0};
    Session *s = NULL;
    SessionOptions o = {.batch = B, .pool = POOL_CLS, .block = block, .attention = true};
    ck_assert_msg(session_new(v, o, &s, &err) == MAE_OK, "%s", err.message);
    session_run(s, pixels, B);
    session_attention(s, image, out);
    session_free(s);
}

START_TEST(attention_is_a_share_and_of_its_own_block_and_image) {
    Vit *v = autoencoder();
    float last[H * P], first[H * P], other[H * P], whole[H * P];
    attention_of(v, DEPTH, 1, last);
    attention_of(v, 1, 1, first);
    attention_of(v, DEPTH, 2, other);
    attention_of(v, 0, 1, whole);
    for (int h = 0; h < H; h++) {
        double sum = 0;
        for (int i = 0; i < P; i++) {
            ck_assert(last[h * P + i] > 0);
            sum += (double)last[h * P + i];
        }
        ck_assert(sum < 1);
    }
    ck_assert_mem_eq(last, whole, sizeof last);
    ck_assert_mem_ne(last, first, sizeof last);
    ck_assert_mem_ne(last, other, sizeof last);
    vit_free(v);
}
END_TEST

Suite *suite_features(void) {
    Suite *s = suite_create("features");
    TCase *c = tcase_create("features");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, the_last_block_and_the_norm_are_the_default);
    tcase_add_test(c, pools_of_every_block);
    tcase_add_test(c, the_default_is_the_encoder_of_the_autoencoder);
    tcase_add_test(c, a_short_batch_gives_the_same);
    tcase_add_loop_test(c, a_classifier_has_its_own_features, 0, 4);
    tcase_add_test(c, what_a_model_does_not_have_is_refused);
    tcase_add_test(c, attention_is_a_share_and_of_its_own_block_and_image);
    suite_add_tcase(s, c);
    return s;
}
