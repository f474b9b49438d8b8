/* What files of other projects say about heads and pixel statistics, beside their tensors and in
 * them; what has to be assumed; what --mean and --std say. */
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "checkpoint/checkpoint.h"
#include "checkpoint/statistics.h"
#include "scratch.h"
#include "set_log.h"

Suite *suite_beside(void);

/* --- files of nobody we know ------------------------------------------------------------------ */

typedef enum Positions { LEARNED, OF_MAE, OF_MOCO } Positions;

typedef struct Foreign {
    const char *prefix;
    int64_t width;
    Positions positions;
    const char *meta[2]; /* a key and its value */
} Foreign;

static float *positions_of(Positions kind, int64_t width) {
    float *x = malloc((size_t)(5 * width) * sizeof *x), *y = malloc((size_t)width * sizeof *y);
    pos_embed_sincos(x, width, 2, 2);
    for (int64_t i = 0; i < 5 && kind == OF_MOCO; i++) { /* the halves change places */
        memcpy(y, x + i * width, (size_t)width * sizeof *y);
        memcpy(x + i * width, y + width / 2, (size_t)(width / 2) * sizeof *y);
        memcpy(x + i * width + width / 2, y, (size_t)(width / 2) * sizeof *y);
    }
    if (kind == LEARNED) x[3 * width] += 0.5f;
    free(y);
    return x;
}

/* One block, 8 x 8 images in patches of 4, zeros but for the positions; the path. */
static const char *make(const char *name, Foreign f) {
    const int64_t D = f.width;
    const struct {
        const char *name;
        Shape shape;
    } rows[] = {{"cls_token", SHAPE(1, 1, D)},
                {"pos_embed", SHAPE(1, 5, D)},
                {"patch_embed.proj.weight", SHAPE(D, 3, 4, 4)},
                {"patch_embed.proj.bias", SHAPE(D)},
                {"blocks.0.norm1.weight", SHAPE(D)},
                {"blocks.0.norm1.bias", SHAPE(D)},
                {"blocks.0.attn.qkv.weight", SHAPE(3 * D, D)},
                {"blocks.0.attn.qkv.bias", SHAPE(3 * D)},
                {"blocks.0.attn.proj.weight", SHAPE(D, D)},
                {"blocks.0.attn.proj.bias", SHAPE(D)},
                {"blocks.0.norm2.weight", SHAPE(D)},
                {"blocks.0.norm2.bias", SHAPE(D)},
                {"blocks.0.mlp.fc1.weight", SHAPE(D, D)},
                {"blocks.0.mlp.fc1.bias", SHAPE(D)},
                {"blocks.0.mlp.fc2.weight", SHAPE(D, D)},
                {"blocks.0.mlp.fc2.bias", SHAPE(D)},
                {"norm.weight", SHAPE(D)},
                {"norm.bias", SHAPE(D)}};
    enum { N = sizeof rows / sizeof *rows };
    NamedTensor tensors[N];
    char names[N][96];
    Error err = {0};
    MetaEntry meta = {f.meta[0], f.meta[1]};
    const char *path = scratch_path("%s", name);
    float *zeros = calloc((size_t)(3 * D * D), sizeof *zeros), *pos = positions_of(f.positions, D);
    for (int i = 0; i < N; i++) {
        snprintf(names[i], sizeof names[i], "%s%s", f.prefix ? f.prefix : "", rows[i].name);
        tensors[i] = (NamedTensor){names[i], DTYPE_F32, rows[i].shape, i == 1 ? pos : zeros,
                                   (size_t)shape_numel(rows[i].shape) * sizeof(float)};
    }
    ck_assert_msg(safetensors_write(path, tensors, N, &meta, f.meta[0] != NULL, NULL, NULL, NULL,
                                    &err) == MAE_OK,
                  "%s", err.message);
    free(zeros);
    free(pos);
    return path;
}

/* --- what is said ----------------------------------------------------------------------------- */

static char heard[2048];
static int warnings, lines;

static void listen(void *user, int level, const char *line) {
    (void)user;
    warnings += level == LOG_WARNING;
    lines++;
    snprintf(heard, sizeof heard, "%s", line);
}

static ModelConfig open_with(const char *path, CheckpointHints hints) {
    Error err = {0};
    CheckpointFile *c = NULL;
    *heard = '\0';
    warnings = lines = 0;
    set_log(listen, NULL);
    ck_assert_msg(checkpoint_open(path, &hints, &c, &err) == MAE_OK, "%s", err.message);
    set_log(NULL, NULL);
    ModelConfig config = c->config;
    checkpoint_close(c);
    return config;
}

static ModelConfig open_plain(const char *path) {
    return open_with(path, (CheckpointHints){0});
}

static void expect_statistics(const ModelConfig *c, double mean, double std) {
    ck_assert_msg(fabs((double)c->mean[0] - mean) < 1e-6, "mean %g", (double)c->mean[0]);
    ck_assert_msg(fabs((double)c->std[0] - std) < 1e-6, "deviation %g", (double)c->std[0]);
}

/* --- tests ------------------------------------------------------------------------------------ */

START_TEST(heads_by_what_a_file_says) {
    static const struct {
        Foreign file;
        int64_t heads;
        int warns; /* in all, of heads and statistics */
        const char *says;
    } cases[] = {
        {{NULL, 384, LEARNED, {NULL, NULL}}, 6, 1, "MoCo v3 has 12"},
        {{NULL, 384, LEARNED, {"arch", "vit_small"}}, 6, 1, "nothing says"},
        {{NULL, 384, OF_MOCO, {NULL, NULL}}, 12, 0, "12 heads, as MoCo v3"},
        {{"module.base_encoder.", 384, LEARNED, {"arch", "vit_small"}}, 12, 0, "MoCo v3"},
        {{"module.momentum_encoder.", 192, LEARNED, {NULL, NULL}}, 3, 1, "MoCo v3"},
        {{NULL, 320, LEARNED, {"args.model", "vit_little_patch16"}}, 5, 1, "nothing says"},
        {{NULL, 192, OF_MAE, {"args.model", "deit_tiny_patch16_224"}}, 3, 0, "facebookresearch"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ModelConfig c = open_plain(make("model.safetensors", cases[i].file));
        ck_assert_msg(c.heads == cases[i].heads, "case %zu: %lld heads", i, (long long)c.heads);
        ck_assert_msg(strstr(heard, cases[i].says), "case %zu: %s", i, heard);
        ck_assert_msg(lines == 1 && warnings == cases[i].warns, "case %zu: %s", i, heard);
    }
    CheckpointHints hints = {.heads = 4};
    ck_assert_int_eq(open_with(scratch_path("model.safetensors"), hints).heads, 4);
}
END_TEST

/* The folder, and the file in it. */
START_TEST(config_of_timm) {
    static const struct {
        const char *text;
        double mean, std;
        int64_t heads;
    } cases[] = {
        {"{\"architecture\": \"vit_small_patch16_224\", \"model_args\": {\"embed_dim\": 16, "
         "\"num_heads\": 8}, \"pretrained_cfg\": {\"input_size\": [3, 8, 8], \"mean\": [0.5, 0.5, "
         "0.5], \"std\": [0.25, 0.25, 0.25]}}",
         0.5, 0.25, 8},
        /* before there was pretrained_cfg; the size of the registry is not that of the weights */
        {"{\"architecture\": \"vit_x\", \"num_classes\": 0, \"input_size\": [3, 224, 224], "
         "\"mean\": [0.4, 0.4, 0.4], \"std\": [0.3, 0.3, 0.3]}",
         0.4, 0.3, 2},
        /* of another model */
        {"{\"architecture\": \"vit_base_patch16_224\", \"pretrained_cfg\": {\"mean\": [0.1, 0.1, "
         "0.1], \"std\": [0.1, 0.1, 0.1]}}",
         0.485, 0.229, 2},
        /* of a run of this project, which says something else by its mean */
        {"{\"model\": \"vit_base\", \"mean\": \"0.1\", \"std\": \"0.1\"}", 0.485, 0.229, 2},
        /* nothing that can be taken */
        {"{\"architecture\": \"vit_x\", \"mean\": [0.4], \"std\": [0.3, 0, 0.3]}", 0.485, 0.229, 2},
    };
    make("model.safetensors", (Foreign){.width = 16});
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        scratch_text(scratch_path("config.json"), cases[i].text);
        for (int k = 0; k < 2; k++) {
            CheckpointHints hints = {.heads = cases[i].heads == 2 ? 2 : 0};
            ModelConfig c = open_with(scratch_path("%s", k ? "model.safetensors" : "."), hints);
            expect_statistics(&c, cases[i].mean, cases[i].std);
            ck_assert_int_eq(c.heads, cases[i].heads);
            ck_assert_int_eq(c.image_height, 8);
            ck_assert_msg(warnings == (cases[i].std < 0.24), "case %zu: %s", i, heard);
        }
    }
}
END_TEST

START_TEST(preprocessor_of_transformers) {
    static const struct {
        const char *text;
        double mean, std;
    } cases[] = {
        {"{\"image_mean\": [0.5, 0.5, 0.5], \"image_std\": [0.4, 0.4, 0.4]}", 0.5, 0.4},
        {"{\"image_mean\": 0.5, \"image_std\": 0.4}", 0.5, 0.4},
        {"{\"do_normalize\": false, \"image_mean\": [0.5, 0.5, 0.5]}", 0, 1},
        {"{\"do_normalize\": false, \"do_rescale\": false}", 0, 1.0 / 255},
        {"{\"rescale_factor\": 0.0078431372549019607, \"image_mean\": [1, 1, 1], \"image_std\": "
         "[1, 1, 1]}",
         0.5, 0.5},
    };
    make("model.safetensors", (Foreign){.width = 16});
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        scratch_text(scratch_path("preprocessor_config.json"), cases[i].text);
        ModelConfig c = open_with(scratch_path("."), (CheckpointHints){.heads = 2});
        expect_statistics(&c, cases[i].mean, cases[i].std);
        ck_assert_msg(lines == 0, "case %zu: %s", i, heard);
    }
    scratch_text(scratch_path("preprocessor_config.json"), "{\"image_mean\": [0.5");
    ModelConfig c = open_with(scratch_path("."), (CheckpointHints){.heads = 2});
    expect_statistics(&c, 0.485, 0.229);
    ck_assert_msg(warnings == 1 && strstr(heard, "damaged"), "%s", heard);
}
END_TEST

START_TEST(configuration_of_mmengine) {
    ModelConfig c = {.channels = 3};
    statistics_default(&c);
    ck_assert(statistics_of_mmengine("train_cfg = dict()\ndata_preprocessor = dict(\n    "
                                     "mean=[\n        127.5,\n        127.5,\n        127.5,\n    "
                                     "],\n    std=[51, 51, 51],\n    to_rgb=True)\n",
                                     &c));
    expect_statistics(&c, 0.5, 0.2);
    ck_assert(!statistics_of_mmengine("data_preprocessor = dict(mean=[1, 2", &c));
    ck_assert(!statistics_of_mmengine(NULL, &c));
    expect_statistics(&c, 0.5, 0.2);
}
END_TEST

START_TEST(given_statistics) {
    static const struct {
        const char *mean, *std, *says;
    } wrong[] = {
        {"0.5,0.5", NULL, "3 channels"},
        {"0.5,0.5,0.5,0.5", NULL, "3 channels"},
        {"nan", NULL, "a number"},
        {"0.5,", NULL, "a number"},
        {"0.5;0.5;0.5", NULL, "a number"},
        {"123.675", NULL, "divide"},
        {NULL, "0", "above 0"},
        {NULL, "0.2,-0.2,0.2", "above 0"},
        {NULL, "inf", "a number"},
        {"1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1", NULL, "3 channels"},
    };
    ModelConfig c = {.channels = 3}, same;
    statistics_default(&c);
    same = c;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        Error err = {0};
        ck_assert_int_eq(statistics_set(wrong[i].mean, wrong[i].std, &c, &err), MAE_USAGE);
        ck_assert_msg(strstr(err.message, wrong[i].says), "%s", err.message);
        ck_assert(statistics_equal(&c, &same));
    }
    char text[STATISTICS_TEXT_BYTES];
    Error err = {0};
    statistics_print(c.mean, 3, text);
    ck_assert_str_eq(text, "0.485,0.456,0.406");
    ck_assert_int_eq(statistics_set("0.5", "0.1,0.2,0.3", &c, &err), MAE_OK);
    ck_assert(c.mean[2] == 0.5f && c.std[1] == 0.2f);
    const char *path = make("model.safetensors", (Foreign){.width = 192});
    ModelConfig given =
        open_with(path, (CheckpointHints){.heads = 3, .mean = "0.1", .std = "0.2,0.3,0.4"});
    expect_statistics(&given, 0.1, 0.2);
    ck_assert_msg(warnings == 0 && strstr(heard, "as told"), "%s", heard);
    (void)open_with(path, (CheckpointHints){.heads = 3, .mean = "0.1"});
    ck_assert_int_eq(warnings, 1); /* of the deviation */
    (void)open_with(path, (CheckpointHints){.heads = 3, .said = true});
    ck_assert_int_eq(lines, 0);
}
END_TEST

Suite *suite_beside(void) {
    Suite *s = suite_create("beside");
    TCase *t = tcase_create("beside");
    tcase_add_checked_fixture(t, scratch_make, scratch_remove);
    tcase_add_test(t, heads_by_what_a_file_says);
    tcase_add_test(t, config_of_timm);
    tcase_add_test(t, preprocessor_of_transformers);
    tcase_add_test(t, configuration_of_mmengine);
    tcase_add_test(t, given_statistics);
    suite_add_tcase(s, t);
    return s;
}
