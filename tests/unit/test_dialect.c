/* The spellings of the field: a model written in each reads back as the same model. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "checkpoint/checkpoint.h"
#include "jobs/jobs.h"
#include "mae.h"
#include "scratch.h"
#include "small_model.h"

Suite *suite_dialect(void);

static Device *device;

static void open_device(void) {
    Error err = {0};
    ck_assert_msg(device_open("cpu", 1, NULL, &device, &err) == MAE_OK, "%s", err.message);
}

static void close_device(void) {
    device_close(device);
}

START_TEST(words_of_each_dialect) {
    static const struct {
        Dialect dialect;
        const char *param, *name[3];
    } cases[] = {
        {DIALECT_OFFICIAL, "blocks.3.attn.qkv.bias", {"blocks.3.attn.qkv.bias"}},
        {DIALECT_HF4,
         "blocks.11.attn.qkv.weight",
         {"vit.encoder.layer.11.attention.attention.query.weight",
          "vit.encoder.layer.11.attention.attention.key.weight",
          "vit.encoder.layer.11.attention.attention.value.weight"}},
        {DIALECT_HF5,
         "decoder_blocks.0.attn.qkv.bias",
         {"decoder.decoder_layers.0.attention.q_proj.bias",
          "decoder.decoder_layers.0.attention.k_proj.bias",
          "decoder.decoder_layers.0.attention.v_proj.bias"}},
        {DIALECT_HF5, "blocks.2.mlp.fc2.weight", {"vit.layers.2.mlp.fc2.weight"}},
        {DIALECT_HF4, "norm.bias", {"vit.layernorm.bias"}},
        {DIALECT_HF4, "head.weight", {"classifier.weight"}},
        {DIALECT_MMPRETRAIN,
         "blocks.7.mlp.fc1.weight",
         {"backbone.layers.7.ffn.layers.0.0.weight"}},
        {DIALECT_MMPRETRAIN, "decoder_blocks.1.norm2.bias", {"neck.decoder_blocks.1.ln2.bias"}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char names[3][DIALECT_NAME_BYTES];
        int n = dialect_spell(cases[i].dialect, cases[i].param, names);
        ck_assert_int_eq(n, cases[i].name[1] ? 3 : 1);
        for (int k = 0; k < n; k++) ck_assert_str_eq(names[k], cases[i].name[k]);
    }
    char names[3][DIALECT_NAME_BYTES];
    ck_assert_int_eq(dialect_spell(DIALECT_HF4, "fc_norm.weight", names), 0);
    ck_assert_int_eq(dialect_spell(DIALECT_HF4, "head.0.running_mean", names), 0);
}
END_TEST

static void expect_same(const Vit *a, const Vit *b) {
    ck_assert_int_eq(params_count(a->params), params_count(b->params));
    for (int64_t i = 0; i < params_count(a->params); i++) {
        const Param *p = params_at(a->params, i), *q = params_find(b->params, p->name);
        ck_assert_msg(q && q->numel == p->numel, "%s", p->name);
        float *x = malloc((size_t)p->numel * sizeof *x), *y = malloc((size_t)p->numel * sizeof *y);
        params_get(a->params, p, x);
        params_get(b->params, q, y);
        ck_assert_msg(memcmp(x, y, (size_t)p->numel * sizeof *x) == 0, "%s differs", p->name);
        free(x);
        free(y);
    }
}

/* Converts in to out; *r may be NULL. */
static Status convert_file(const char *in, const char *out, MaeOptions *o, MaeResult **r,
                           Error *err) {
    ck_assert(mae_options_set(o, "in", in, NULL) == MAE_OK);
    ck_assert(mae_options_set(o, "out", out, NULL) == MAE_OK);
    return mae_run(o, NULL, r, err);
}

static MaeOptions options_of(const char *to, const char *names) {
    MaeOptions o;
    MaeError e = {0};
    options_default(COMMAND_CONVERT, &o);
    ck_assert(mae_options_set(&o, "to", to, &e) == MAE_OK);
    ck_assert(mae_options_set(&o, "hf-names", names, &e) == MAE_OK);
    return o;
}

static void convert(const char *in, const char *out, const char *to, const char *names) {
    Error err = {0};
    MaeResult *r = NULL;
    MaeOptions o = options_of(to, names);
    ck_assert_msg(convert_file(in, out, &o, &r, &err) == MAE_OK, "%s", err.message);
    ck_assert_double_eq(mae_result_number(r, "weight_change"), 0);
    mae_result_free(r);
    options_clear(&o);
}

static Vit *load(const char *path, CheckpointFile **file) {
    Error err = {0};
    Vit *v = NULL;
    ck_assert_msg(checkpoint_open(path, NULL, file, &err) == MAE_OK, "%s", err.message);
    ck_assert_msg(vit_new(device, &(*file)->config, GRADIENTS_NONE, TUNE_ALL, &v, &err) == MAE_OK,
                  "%s", err.message);
    ck_assert_msg(checkpoint_read(*file, v, &err) == MAE_OK, "%s", err.message);
    return v;
}

/* A model that is not square, so that the facts in the metadata are needed. */
START_TEST(there_and_back) {
    static const char *const ways[][4] = {{"official", "a.safetensors", "v4", "official"},
                                          {"official", "a.pth", "v4", "official"},
                                          {"hf", "folder4", "v4", "hf v4"},
                                          {"hf", "folder5", "v5", "hf v5"},
                                          {"mae", "b.safetensors", "v4", NULL}};
    Error err = {0};
    ModelConfig c = small_config(3, TARGET_NORM_PIX, false);
    Vit *v = small_model(device, &c);
    CheckpointNotes notes = {.preset = "custom", .mask_ratio = 0.5};
    char *native = strdup(scratch_path("native.safetensors"));
    ck_assert_msg(checkpoint_write(native, v, &notes, &err) == MAE_OK, "%s", err.message);
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        CheckpointFile *file = NULL;
        char *out = strdup(scratch_path("%s", ways[i][1]));
        convert(native, out, ways[i][0], ways[i][2]);
        Vit *back = load(out, &file);
        expect_same(v, back);
        ck_assert_int_eq(file->native, ways[i][3] == NULL);
        if (ways[i][3]) ck_assert_str_eq(dialect_words[file->dialect.dialect], ways[i][3]);
        ck_assert_int_eq(file->config.target, TARGET_NORM_PIX);
        ck_assert_int_eq(file->config.heads, c.heads);
        ck_assert_int_eq(file->config.decoder_heads, c.decoder_heads);
        ck_assert_double_eq(file->notes.mask_ratio, 0.5);
        ck_assert_double_eq(file->config.norm_eps, c.norm_eps);
        checkpoint_close(file);
        vit_free(back);
        free(out);
    }
    free(native);
    vit_free(v);
}
END_TEST

/* The mask token of the encoder has no place elsewhere, but a conversion of ours keeps it. */
START_TEST(a_mask_token_in_the_encoder_comes_back) {
    Error err = {0};
    ModelConfig c = small_config(3, TARGET_PIXEL, true);
    Vit *v = small_model(device, &c);
    CheckpointNotes notes = {.preset = "custom", .mask_ratio = 0.5};
    char *native = strdup(scratch_path("native.safetensors"));
    char *out = strdup(scratch_path("official.pth"));
    CheckpointFile *file = NULL;
    ck_assert_msg(checkpoint_write(native, v, &notes, &err) == MAE_OK, "%s", err.message);
    convert(native, out, "official", "v4");
    Vit *back = load(out, &file);
    expect_same(v, back);
    checkpoint_close(file);
    vit_free(back);
    vit_free(v);
    free(native);
    free(out);
}
END_TEST

/* Every float32 tensor of the small model under other names. */
typedef struct Renamed {
    const Vit *vit;
    NamedTensor *tensors;
    const Param **params;
    size_t n;
} Renamed;

static Status give(void *user, size_t i, void *out, Error *err) {
    const Renamed *r = user;
    (void)err;
    params_get(r->vit->params, r->params[i], out);
    return MAE_OK;
}

static void write_renamed(const Vit *v, Dialect d, const char *prefix, const char *path) {
    Error err = {0};
    size_t count = (size_t)params_count(v->params);
    Renamed r = {.vit = v,
                 .tensors = calloc(count, sizeof *r.tensors),
                 .params = calloc(count, sizeof *r.params)};
    for (size_t i = 0; i < count; i++) {
        char names[3][DIALECT_NAME_BYTES], full[256];
        const Param *p = params_at(v->params, (int64_t)i);
        ck_assert_int_eq(dialect_spell(d, p->name, names), 1);
        snprintf(full, sizeof full, "%s%s", prefix, names[0]);
        r.params[r.n] = p;
        r.tensors[r.n++] = (NamedTensor){strdup(full), DTYPE_F32, p->shape, NULL,
                                         (size_t)p->numel * sizeof(float)};
    }
    ck_assert_msg(safetensors_write(path, r.tensors, r.n, NULL, 0, give, &r, NULL, &err) == MAE_OK,
                  "%s", err.message);
    for (size_t i = 0; i < r.n; i++) free((void *)(uintptr_t)r.tensors[i].name);
    free(r.tensors);
    free(r.params);
}

START_TEST(prefixes_and_mmpretrain) {
    static const struct {
        Dialect dialect;
        const char *prefix;
    } cases[] = {{DIALECT_MMPRETRAIN, ""},
                 {DIALECT_MMPRETRAIN, "state_dict."},
                 {DIALECT_OFFICIAL, "model.module."},
                 {DIALECT_OFFICIAL, "backbone.net."},
                 {DIALECT_OFFICIAL, "teacher.backbone."}};
    ModelConfig c = small_config(3, TARGET_PIXEL, false);
    c.image_height = c.image_width = 12; /* square: nothing else says the size */
    Vit *v = small_model(device, &c);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        Error err = {0};
        CheckpointFile *file = NULL;
        CheckpointHints hints = {.heads = c.heads, .decoder_heads = c.decoder_heads};
        char *path = scratch_path("renamed.safetensors");
        write_renamed(v, cases[i].dialect, cases[i].prefix, path);
        ck_assert_int_eq(checkpoint_open(path, NULL, &file, &err), MAE_FORMAT);
        ck_assert_ptr_nonnull(strstr(err.message, "--heads"));
        err = (Error){0};
        ck_assert_msg(checkpoint_open(path, &hints, &file, &err) == MAE_OK, "%s", err.message);
        ck_assert_int_eq(file->dialect.dialect, cases[i].dialect);
        ck_assert_str_eq(file->dialect.prefix, cases[i].prefix);
        ck_assert_ptr_nonnull(strstr(file->unknown, "target not said"));
        Vit *back = NULL;
        ck_assert(vit_new(device, &file->config, GRADIENTS_NONE, TUNE_ALL, &back, &err) == MAE_OK);
        ck_assert_msg(checkpoint_read(file, back, &err) == MAE_OK, "%s", err.message);
        expect_same(v, back);
        vit_free(back);
        checkpoint_close(file);
    }
    vit_free(v);
}
END_TEST

START_TEST(what_has_no_place_there) {
    Error err = {0};
    ModelConfig c = small_config(3, TARGET_PIXEL, false);
    c.decoder_depth = 0;
    c.head = HEAD_LINEAR;
    c.pool = POOL_MEAN;
    c.classes = 3;
    Vit *v = small_model(device, &c);
    char *path = strdup(scratch_path("mean.safetensors"));
    CheckpointNotes notes = {.preset = "custom"};
    ck_assert_msg(checkpoint_write(path, v, &notes, &err) == MAE_OK, "%s", err.message);
    MaeOptions o = options_of("hf", "v4");
    ck_assert_int_eq(convert_file(path, scratch_path("out"), &o, NULL, &err), MAE_UNSUPPORTED);
    ck_assert_ptr_nonnull(strstr(err.message, "mean of the patches"));
    options_clear(&o);
    free(path);
    vit_free(v);
}
END_TEST

Suite *suite_dialect(void) {
    Suite *s = suite_create("dialect");
    TCase *t = tcase_create("dialect");
    tcase_add_checked_fixture(t, open_device, close_device);
    tcase_add_checked_fixture(t, scratch_make, scratch_remove);
    tcase_add_test(t, words_of_each_dialect);
    tcase_add_test(t, there_and_back);
    tcase_add_test(t, a_mask_token_in_the_encoder_comes_back);
    tcase_add_test(t, prefixes_and_mmpretrain);
    tcase_add_test(t, what_has_no_place_there);
    suite_add_tcase(s, t);
    return s;
}
