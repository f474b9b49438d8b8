/* The public sessions: pixels in, named tensors out. What a session computes is tested in
 * test_session.c; here it is images of every layout, size and type, masks, memory and threads. */
#include <check.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/rng.h"
#include "jobs/model.h"
#include "jobs/setup.h"
#include "scratch.h"

Suite *suite_mae_session(void);

enum { H = 16, W = 24, C = 3, PATCH = 8, P = H / PATCH * W / PATCH, D = 12, B = 3 };
enum { LARGE_H = 41, LARGE_W = 53 };

static MaeModel *model;
static uint8_t pixels[B][H * W * C], large[LARGE_H * LARGE_W * C];

static MaeModel *new_model(const char *seed) {
    static const char *const set[][2] = {{"image-size", "16x24"}, {"patch", "8"},
                                         {"embed-dim", "12"},     {"depth", "2"},
                                         {"heads", "3"},          {"decoder-embed-dim", "8"},
                                         {"decoder-depth", "1"},  {"decoder-heads", "2"},
                                         {"threads", "1"},        {"target", "norm-pix"}};
    MaeError err = {0};
    MaeOptions *o = NULL;
    MaeModel *m = NULL;
    ck_assert(mae_options_new("pretrain", &o, &err) == MAE_OK);
    for (size_t i = 0; i < sizeof set / sizeof *set; i++)
        ck_assert_msg(mae_options_set(o, set[i][0], set[i][1], &err) == MAE_OK, "%s", err.message);
    ck_assert(mae_options_set(o, "seed", seed, &err) == MAE_OK);
    ck_assert_msg(mae_model_new(o, NULL, &m, &err) == MAE_OK, "%s", err.message);
    mae_options_free(o);
    return m;
}

static void setup(void) {
    Rng rng = rng_make(3, RNG_SYNTHETIC, 0, 0);
    scratch_make();
    model = new_model("1");
    for (int b = 0; b < B; b++)
        for (int i = 0; i < H * W * C; i++) pixels[b][i] = (uint8_t)rng_range(&rng, 0, 256);
    for (int i = 0; i < LARGE_H * LARGE_W * C; i++) large[i] = (uint8_t)rng_range(&rng, 0, 256);
}

static void teardown(void) {
    mae_model_free(model);
    scratch_remove();
}

static MaeOptions *options(const char *name, const char *value) {
    MaeOptions *o = NULL;
    MaeError err = {0};
    ck_assert(mae_options_new("session", &o, &err) == MAE_OK);
    ck_assert_msg(mae_options_set(o, name, value, &err) == MAE_OK, "%s", err.message);
    return o;
}

static MaeSession *open_session(MaeModel *m, const char *outputs, MaeOptions *o) {
    MaeError err = {0};
    MaeSession *s = NULL;
    ck_assert_msg(mae_session_new(m, outputs, B, o, &s, &err) == MAE_OK, "%s", err.message);
    mae_options_free(o);
    return s;
}

static void run(MaeSession *s, const MaeImage *images, int64_t n) {
    MaeError err = {0};
    ck_assert_msg(mae_session_run(s, images, n, &err) == MAE_OK, "%s", err.message);
}

static MaeTensor output(MaeSession *s, const char *name) {
    MaeError err = {0};
    MaeTensor t;
    ck_assert_msg(mae_session_output(s, name, &t, &err) == MAE_OK, "%s", err.message);
    ck_assert_str_eq(t.name, name);
    return t;
}

static MaeImage packed(const void *data, MaeType type, int64_t height, int64_t width) {
    return (MaeImage){
        .pixels = data, .type = type, .height = height, .width = width, .channels = C};
}

static void images_of(MaeImage *out) {
    for (int i = 0; i < B; i++) out[i] = packed(pixels[i], MAE_U8, H, W);
}

static void fails(MaeStatus got, MaeStatus want, const MaeError *err, const char *message) {
    ck_assert_msg(got == want && strstr(err->message, message), "%d: %s", (int)got, err->message);
}

/* --- shapes ----------------------------------------------------------------------------------- */

static void check_shape(MaeSession *s, const char *name, MaeType type, int n_dims, int64_t d1,
                        int64_t d2, int64_t d3) {
    MaeTensor t = output(s, name);
    const int64_t want[] = {2, d1, d2, d3};
    ck_assert_int_eq(t.type, type);
    ck_assert_int_eq(t.n_dims, n_dims);
    for (int i = 0; i < n_dims; i++) ck_assert_int_eq(t.dim[i], want[i]);
    ck_assert_ptr_nonnull(t.data);
}

START_TEST(outputs_have_names_and_shapes) {
    MaeSession *s = open_session(model, "features,tokens,attention", NULL);
    MaeImage images[B];
    images_of(images);
    run(s, images, 2);
    check_shape(s, "features", MAE_F32, 2, D, 0, 0);
    check_shape(s, "tokens", MAE_F32, 3, 1 + P, D, 0);
    check_shape(s, "attention", MAE_F32, 3, 3, P, 0);
    mae_session_free(s);
    s = open_session(model,
                     "prediction,mask,patch_loss,loss,latent,kept,patch_mean,patch_std,"
                     "reconstruction",
                     options("keep", "1,4"));
    run(s, images, 2);
    check_shape(s, "prediction", MAE_F32, 3, P, PATCH * PATCH * C, 0);
    check_shape(s, "mask", MAE_F32, 2, P, 0, 0);
    check_shape(s, "patch_loss", MAE_F32, 2, P, 0, 0);
    check_shape(s, "loss", MAE_F32, 1, 0, 0, 0);
    check_shape(s, "latent", MAE_F32, 3, 3, D, 0);
    check_shape(s, "kept", MAE_I64, 2, 2, 0, 0);
    check_shape(s, "patch_mean", MAE_F32, 2, P, 0, 0);
    check_shape(s, "patch_std", MAE_F32, 2, P, 0, 0);
    check_shape(s, "reconstruction", MAE_F32, 4, C, H, W);
    ck_assert_int_eq(((const int64_t *)output(s, "kept").data)[3], 4);
    mae_session_free(s);
}
END_TEST

START_TEST(what_cannot_be_asked_for) {
    MaeError err = {0};
    MaeSession *s = NULL;
    MaeTensor t;
    MaeImage picture;
    fails(mae_session_new(model, "feature", B, NULL, &s, &err), MAE_USAGE, &err, "\"feature\"");
    fails(mae_session_new(model, "", B, NULL, &s, &err), MAE_USAGE, &err, "features, tokens");
    fails(mae_session_new(model, "features,mask", B, NULL, &s, &err), MAE_USAGE, &err,
          "two sessions");
    fails(mae_session_new(model, "logits", B, NULL, &s, &err), MAE_UNSUPPORTED, &err, "classifier");
    fails(mae_session_new(model, "features", 0, NULL, &s, &err), MAE_USAGE, &err, "0 images");
    MaeOptions *o = options("block", "3");
    fails(mae_session_new(model, "features", B, o, &s, &err), MAE_USAGE, &err, "2 blocks");
    mae_options_free(o);
    s = open_session(model, "features", NULL);
    fails(mae_session_output(s, "features", &t, &err), MAE_USAGE, &err, "has not run");
    fails(mae_session_output(s, "tokens", &t, &err), MAE_USAGE, &err, "asked for features");
    fails(mae_session_mask(s, pixels[0], 1, &err), MAE_USAGE, &err, "whole images");
    fails(mae_session_paint(s, 0, &picture, &err), MAE_USAGE, &err, "reconstruction and mask");
    mae_session_free(s);
}
END_TEST

/* --- images ----------------------------------------------------------------------------------- */

static void check_features(MaeSession *s, const MaeImage *image, const float *want) {
    run(s, image, 1);
    ck_assert_mem_eq(output(s, "features").data, want, D * sizeof *want);
}

/* The same picture, laid out in many ways. */
START_TEST(layouts_and_types_give_the_same_features) {
    MaeSession *s = open_session(model, "features", NULL);
    MaeImage image = packed(large, MAE_U8, LARGE_H, LARGE_W);
    enum { N = LARGE_H * LARGE_W };
    static uint8_t planes[N * C], bgra[N * 4];
    float want[D];
    for (int i = 0; i < N * C; i++)
        planes[i % C * N + i / C] = bgra[i / C * 4 + 2 - i % C] = large[i];
    run(s, &image, 1);
    memcpy(want, output(s, "features").data, sizeof want);
    image.pixels = planes;
    image.planar = 1;
    check_features(s, &image, want);
    image = packed(bgra + 2, MAE_U8, LARGE_H, LARGE_W);
    image.pixel_stride = 4;
    image.channel_stride = -1;
    check_features(s, &image, want);
    image = packed(large, MAE_U8, LARGE_H, LARGE_W); /* from the last row up */
    for (int y = 0; y < LARGE_H; y++)
        memcpy(planes + (LARGE_H - 1 - y) * LARGE_W * C, large + y * LARGE_W * C, LARGE_W * C);
    image.pixels = planes + (LARGE_H - 1) * LARGE_W * C;
    image.row_stride = -LARGE_W * C;
    check_features(s, &image, want);
    mae_session_free(s);
}
END_TEST

START_TEST(floats_of_bytes_give_the_same_features) {
    MaeSession *s = open_session(model, "features", NULL);
    static float floats[H * W * C], planes[H * W * C];
    MaeImage images[B];
    float want[B * D];
    images_of(images);
    run(s, images, B);
    memcpy(want, output(s, "features").data, sizeof want);
    for (int i = 0; i < H * W * C; i++) {
        floats[i] = (float)pixels[1][i] / 255;
        planes[i % C * H * W + i / C] = floats[i];
    }
    images[1] = packed(floats, MAE_F32, H, W); /* between images of bytes */
    run(s, images, B);
    ck_assert_mem_eq(output(s, "features").data, want, sizeof want);
    images[1].pixels = planes;
    images[1].planar = 1;
    run(s, images, B);
    ck_assert_mem_eq(output(s, "features").data, want, sizeof want);
    mae_session_free(s);
}
END_TEST

START_TEST(images_that_cannot_be) {
    MaeError err = {0};
    MaeTensor t;
    MaeSession *s = open_session(model, "features", NULL);
    MaeSession *none = open_session(model, "features", options("fit", "none"));
    static float floats[H * W * C];
    MaeImage images[B];
    images_of(images);
    fails(mae_session_run(s, images, B + 1, &err), MAE_USAGE, &err, "1 to 3");
    fails(mae_session_run(s, NULL, 1, &err), MAE_USAGE, &err, "1 to 3");
    images[1].type = MAE_U16;
    fails(mae_session_run(s, images, 2, &err), MAE_UNSUPPORTED, &err, "image 1: ");
    ck_assert_ptr_nonnull(strstr(err.message, "U16"));
    ck_assert(mae_session_output(s, "features", &t, &err) == MAE_USAGE);
    images[1] = packed(floats, MAE_F32, H, W);
    floats[100] = 255;
    fails(mae_session_run(s, images, 2, &err), MAE_USAGE, &err, "255");
    images[1] = packed(large, MAE_U8, LARGE_H, LARGE_W);
    fails(mae_session_run(none, images, 2, &err), MAE_SHAPE, &err, "53 x 41");
    run(none, images, 1);
    images[0].channels = 2;
    fails(mae_session_run(s, images, 1, &err), MAE_SHAPE, &err, "2 channels");
    mae_session_free(s);
    mae_session_free(none);
}
END_TEST

START_TEST(files_give_one_or_three_channels) {
    MaeOptions *o = NULL;
    MaeImage image;
    MaeError err = {0};
    ck_assert_int_eq(mae_options_new("image", &o, NULL), MAE_OK);
    ck_assert_int_eq(mae_options_set(o, "channels", "2", NULL), MAE_OK);
    fails(mae_image_decode("x", 1, o, &image, &err), MAE_USAGE, &err, "--channels 2");
    mae_options_free(o);
}
END_TEST

/* Bytes of an image as `mae features` sees it, by the function that it uses. */
static void eval_pixels(const char *path, uint8_t *out) {
    Error err = {0};
    ck_assert_msg(setup_eval_image(path, &model->vit->config, 0, out, NULL, &err) == MAE_OK, "%s",
                  err.message);
}

START_TEST(sizes_fit_as_features_and_reconstruct_do) {
    const char *path = scratch_path("large.png");
    static uint8_t cropped[H * W * C];
    MaeError err = {0};
    Image in = {.width = LARGE_W, .height = LARGE_H, .channels = C, .pixels = large}, out = {0};
    MaeImage image = packed(large, MAE_U8, LARGE_H, LARGE_W), ready = packed(cropped, MAE_U8, H, W);
    float want[D];
    ck_assert(mae_image_save(path, &image, &err) == MAE_OK);
    eval_pixels(path, cropped);
    MaeSession *none = open_session(model, "features", options("fit", "none"));
    MaeSession *s = open_session(model, "features", NULL);
    run(none, &ready, 1);
    memcpy(want, output(none, "features").data, sizeof want);
    check_features(s, &image, want);
    mae_session_free(s);

    s = open_session(model, "features", options("fit", "stretch"));
    ck_assert(resample_crop(&in, (Box){0, 0, LARGE_W, LARGE_H}, W, H, &out, &err) == MAE_OK);
    ready.pixels = out.pixels;
    run(none, &ready, 1);
    memcpy(want, output(none, "features").data, sizeof want);
    check_features(s, &image, want);
    mae_session_free(s);
    mae_session_free(none);
    image_free(&out);
}
END_TEST

/* --- masks ------------------------------------------------------------------------------------ */

START_TEST(masks_of_the_caller) {
    MaeError err = {0};
    MaeSession *s = open_session(model, "mask,kept,loss,latent", NULL);
    MaeImage images[B];
    float drawn[B * P], loss[B];
    uint8_t removed[2 * P] = {0, 1, 1, 1, 1, 0, /**/ 1, 1, 0, 1, 0, 1};
    images_of(images);
    run(s, images, B);
    memcpy(drawn, output(s, "mask").data, sizeof drawn);
    memcpy(loss, output(s, "loss").data, sizeof loss);
    ck_assert(mae_session_mask(s, removed, 2, &err) == MAE_OK);
    ck_assert(mae_session_run(s, images, B, &err) == MAE_USAGE);
    run(s, images, 2);
    for (int i = 0; i < 2 * P; i++)
        ck_assert_float_eq(((const float *)output(s, "mask").data)[i], removed[i]);
    const int64_t *kept = output(s, "kept").data;
    ck_assert(kept[0] == 0 && kept[1] == 5 && kept[2] == 2 && kept[3] == 4);
    ck_assert_int_eq(output(s, "latent").dim[1], 3);
    removed[0] = 1;
    fails(mae_session_mask(s, removed, 2, &err), MAE_USAGE, &err, "image 0 keeps 1 of 6");
    removed[0] = 2;
    fails(mae_session_mask(s, removed, 2, &err), MAE_USAGE, &err, "2 at patch 0");
    memset(removed, 1, sizeof removed);
    fails(mae_session_mask(s, removed, 2, &err), MAE_USAGE, &err, "0 of 6 patches");
    ck_assert(mae_session_mask(s, NULL, 0, &err) == MAE_OK);
    run(s, images, B);
    ck_assert_mem_eq(output(s, "mask").data, drawn, sizeof drawn);
    ck_assert_mem_eq(output(s, "loss").data, loss, sizeof loss);
    mae_session_free(s);
}
END_TEST

/* --- memory ----------------------------------------------------------------------------------- */

static void use(MaeSession *s, const char *const *names, const MaeImage *images) {
    run(s, images, B);
    for (int i = 0; names[i]; i++) output(s, names[i]);
}

/* Sizes, layouts and types in turn; the largest picture has been there before. */
static void check_allocations(const char *outputs, const char *const *names) {
    MaeSession *s = open_session(model, outputs, NULL);
    static float floats[LARGE_H * LARGE_W * C];
    MaeImage images[B], mixed[B];
    images_of(images);
    images_of(mixed);
    mixed[0] = packed(large, MAE_U8, LARGE_H, LARGE_W);
    mixed[1] = packed(floats, MAE_F32, LARGE_H, LARGE_W);
    mixed[2].planar = 1;
    int64_t before = mem_allocations();
    use(s, names, images);
    use(s, names, images);
    ck_assert_int_eq(mem_allocations(), before);
    use(s, names, mixed);
    before = mem_allocations();
    for (int i = 0; i < 3; i++) {
        use(s, names, mixed);
        use(s, names, images);
        mixed[0].height -= 7;
        mixed[1].width -= 9;
        mixed[2].row_stride = W;
    }
    ck_assert_int_eq(mem_allocations(), before);
    mae_session_free(s);
}

START_TEST(batches_take_no_memory) {
    static const char *const whole[] = {"features", "tokens", "attention", NULL};
    static const char *const masked[] = {"mask",      "loss",           "kept",
                                         "patch_std", "reconstruction", NULL};
    check_allocations("features,tokens,attention", whole);
    check_allocations("mask,loss,kept,patch_std,reconstruction", masked);
}
END_TEST

/* What a program does with a session; the first failure. */
static MaeStatus use_all(const char *outputs, const char *output_name, MaeError *err) {
    static const uint8_t removed[P] = {1, 1, 0, 1, 1, 1};
    MaeSession *s = NULL;
    MaeTensor t;
    MaeImage images[B];
    images_of(images);
    images[1] = packed(large, MAE_U8, LARGE_H, LARGE_W);
    MaeStatus status = mae_session_new(model, outputs, B, NULL, &s, err);
    if (status == MAE_OK && strcmp(output_name, "features") != 0) {
        status = mae_session_mask(s, removed, 1, err);
        images[0] = images[1];
    }
    if (status == MAE_OK) status = mae_session_run(s, images, 1, err);
    if (status == MAE_OK) status = mae_session_output(s, output_name, &t, err);
    mae_session_free(s);
    return status;
}

static void check_short_memory(const char *outputs, const char *output_name) {
    MaeStatus status = MAE_MEMORY;
    int64_t n = 0;
    while (status == MAE_MEMORY) {
        MaeError err = {0};
        mem_fail_after(++n);
        status = use_all(outputs, output_name, &err);
        mem_fail_after(0);
        ck_assert_msg(status == MAE_OK || (status == MAE_MEMORY && *err.message), "%s",
                      err.message);
    }
    ck_assert_int_gt(n, 10);
}

START_TEST(every_allocation_may_fail) {
    check_short_memory("features,attention", "features");
    check_short_memory("reconstruction,kept,loss", "reconstruction");
}
END_TEST

/* --- listening -------------------------------------------------------------------------------- */

static int asked_to_stop;

static int stop(void *user) {
    (void)user;
    return asked_to_stop;
}

static void count_line(void *user, int level, const char *line) {
    if (level == 1 && strstr(line, "option pool of a session")) ++*(int *)user;
}

START_TEST(the_model_hears_its_sessions) {
    MaeError err = {0};
    MaeModel *heard = NULL;
    MaeTensor t;
    MaeImage images[B];
    int lines = 0;
    MaeEvents events = {.user = &lines, .log = count_line, .stop = stop};
    const char *path = scratch_path("heard.safetensors");
    images_of(images);
    ck_assert(mae_model_save(model, path, &err) == MAE_OK);
    ck_assert(mae_model_load(path, NULL, &events, &heard, &err) == MAE_OK);
    mae_session_free(open_session(heard, "tokens", options("pool", "cls")));
    ck_assert_int_eq(lines, 1);
    MaeSession *s = open_session(heard, "features", NULL);
    run(s, images, B);
    asked_to_stop = 1;
    fails(mae_session_run(s, images, B, &err), MAE_INTERRUPTED, &err, "3 images");
    fails(mae_session_output(s, "features", &t, &err), MAE_USAGE, &err, "not run");
    asked_to_stop = 0;
    run(s, images, B);
    mae_session_free(s);
    mae_model_free(heard);
}
END_TEST

/* --- threads ---------------------------------------------------------------------------------- */

typedef struct Work {
    MaeSession *session;
    const char *output;
    float got[B * C * H * W];
    bool ok;
} Work;

static void *work(void *user) {
    Work *w = user;
    MaeImage images[B];
    MaeTensor t;
    images_of(images);
    w->ok = true;
    for (int i = 0; i < 20; i++) {
        w->ok = w->ok && mae_session_run(w->session, images, B, NULL) == MAE_OK &&
                mae_session_output(w->session, w->output, &t, NULL) == MAE_OK;
    }
    if (w->ok) memcpy(w->got, t.data, (size_t)(t.dim[0] * t.dim[1]) * sizeof *w->got);
    return NULL;
}

static void check_threads(MaeModel *a, MaeModel *b, const char *outputs, const char *name) {
    static Work alone[2], together[2];
    pthread_t thread[2];
    for (int i = 0; i < 2; i++) {
        alone[i] = together[i] = (Work){.output = name};
        alone[i].session = open_session(i ? b : a, outputs, NULL);
        together[i].session = open_session(i ? b : a, outputs, NULL);
        work(&alone[i]);
    }
    for (int i = 0; i < 2; i++)
        ck_assert(pthread_create(&thread[i], NULL, work, &together[i]) == 0);
    for (int i = 0; i < 2; i++) ck_assert(pthread_join(thread[i], NULL) == 0);
    for (int i = 0; i < 2; i++) {
        ck_assert(alone[i].ok && together[i].ok);
        ck_assert_mem_eq(alone[i].got, together[i].got, sizeof alone[i].got);
        mae_session_free(alone[i].session);
        mae_session_free(together[i].session);
    }
}

START_TEST(sessions_run_in_two_threads) {
    MaeModel *other = new_model("2");
    check_threads(model, model, "features", "features");
    check_threads(model, other, "features", "features");
    check_threads(model, other, "reconstruction,patch_loss", "patch_loss");
    mae_model_free(other);
}
END_TEST

/* --- models ----------------------------------------------------------------------------------- */

static bool is_told(MaeStatus status, const MaeError *err) {
    return status == MAE_UNSUPPORTED && strstr(err->message, "spawn");
}

/* All calls that compute, and those that free. */
static int forked(MaeSession *session, const MaeImage *image) {
    MaeError err = {0};
    MaeModel *m = NULL;
    MaeSession *s = NULL;
    MaeOptions *o = NULL;
    bool told = is_told(mae_session_run(session, image, 1, &err), &err) &&
                is_told(mae_session_new(model, "features", 1, NULL, &s, &err), &err) &&
                is_told(mae_model_load("x.safetensors", NULL, NULL, &m, &err), &err) &&
                is_told(mae_model_new(NULL, NULL, &m, &err), &err) &&
                mae_options_new("knn", &o, &err) == MAE_OK &&
                is_told(mae_run(o, NULL, NULL, &err), &err);
    mae_options_free(o);
    mae_session_free(session);
    mae_model_free(model);
    return told ? 0 : 1;
}

START_TEST(a_forked_child_is_told_what_to_do) {
    MaeSession *session = NULL;
    MaeImage image = {.pixels = pixels[0], .type = MAE_U8, .height = H, .width = W, .channels = C};
    int status;
    ck_assert_int_eq(mae_session_new(model, "features", 1, NULL, &session, NULL), MAE_OK);
    ck_assert_int_eq(mae_session_run(session, &image, 1, NULL), MAE_OK);
    pid_t child = fork();
    if (child == 0) _exit(forked(session, &image));
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
    mae_session_free(session);
}
END_TEST

START_TEST(a_model_is_its_tensors) {
    MaeError err = {0};
    MaeModel *copy = new_model("5"), *read = NULL;
    MaeTensor t;
    float values[D * PATCH * PATCH * C], two[2];
    const char *path = scratch_path("copy.safetensors");
    int64_t n = mae_model_tensors(model);
    ck_assert_int_eq(mae_model_tensors(copy), n);
    for (int64_t i = 0; i < n; i++) {
        ck_assert(mae_model_tensor(model, i, &t, &err) == MAE_OK);
        int64_t numel = 1;
        for (int k = 0; k < t.n_dims; k++) numel *= t.dim[k];
        float *all = malloc((size_t)numel * sizeof *all);
        ck_assert(mae_model_get(model, t.name, all, numel, &err) == MAE_OK);
        ck_assert(mae_model_set(copy, t.name, all, numel, &err) == MAE_OK);
        free(all);
    }
    ck_assert(mae_model_get(model, "patch_embed.proj.weight", values, D * PATCH * PATCH * C,
                            &err) == MAE_OK);
    fails(mae_model_tensor(model, n, &t, &err), MAE_USAGE, &err, "tensor");
    fails(mae_model_get(model, "cls", two, 2, &err), MAE_USAGE, &err, "\"cls\"");
    fails(mae_model_set(copy, "cls_token", two, 2, &err), MAE_SHAPE, &err, "12 values");
    ck_assert_msg(mae_model_save(copy, path, &err) == MAE_OK, "%s", err.message);
    ck_assert_msg(mae_model_load(path, NULL, NULL, &read, &err) == MAE_OK, "%s", err.message);
    check_threads(model, read, "features", "features");
    MaeSession *a = open_session(model, "features", NULL),
               *b = open_session(read, "features", NULL);
    MaeImage images[B];
    images_of(images);
    run(a, images, B);
    run(b, images, B);
    ck_assert_mem_eq(output(a, "features").data, output(b, "features").data, B * D * sizeof(float));
    mae_session_free(a);
    mae_session_free(b);
    mae_model_free(copy);
    mae_model_free(read);
}
END_TEST

Suite *suite_mae_session(void) {
    Suite *s = suite_create("mae_session");
    TCase *t = tcase_create("mae_session");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, outputs_have_names_and_shapes);
    tcase_add_test(t, what_cannot_be_asked_for);
    tcase_add_test(t, layouts_and_types_give_the_same_features);
    tcase_add_test(t, floats_of_bytes_give_the_same_features);
    tcase_add_test(t, images_that_cannot_be);
    tcase_add_test(t, sizes_fit_as_features_and_reconstruct_do);
    tcase_add_test(t, masks_of_the_caller);
    tcase_add_test(t, batches_take_no_memory);
    tcase_add_test(t, every_allocation_may_fail);
    tcase_add_test(t, the_model_hears_its_sessions);
    tcase_add_test(t, sessions_run_in_two_threads);
    tcase_add_test(t, files_give_one_or_three_channels);
    tcase_add_test(t, a_forked_child_is_told_what_to_do);
    tcase_add_test(t, a_model_is_its_tensors);
    suite_add_tcase(s, t);
    return s;
}
