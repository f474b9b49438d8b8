/* Files of others: every tensor of the chosen model is read, known not to matter, or refused by
 * name; layer scale and the biases of BEiT are read exactly; of two models the right one is. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "checkpoint/checkpoint.h"
#include "scratch.h"
#include "small_model.h"

Suite *suite_foreign(void);

enum { MAX_TENSORS = 256, WIDTH = 8, DEPTH = 3 };

static Device *device;
static Vit *vit; /* what the files are made of */

/* What is going to be a file. */
typedef struct Bag {
    NamedTensor tensor[MAX_TENSORS];
    MetaEntry meta[4];
    size_t n, n_meta;
} Bag;

static Bag bag;
static void
    *owned[4 * MAX_TENSORS]; /* names and values of a bag, also of tensors that were dropped */
static size_t n_owned;

static void *own(void *memory) {
    ck_assert(memory && n_owned < sizeof owned / sizeof *owned);
    return owned[n_owned++] = memory;
}

static void empty_bag(void) {
    bag = (Bag){0};
    while (n_owned > 0) free(owned[--n_owned]);
}

/* --- making files ----------------------------------------------------------------------------- */

static void put_values(const char *name, Shape shape, const float *values) {
    size_t bytes = (size_t)shape_numel(shape) * sizeof *values;
    void *copy = own(malloc(bytes + 1));
    ck_assert(bag.n < MAX_TENSORS);
    memcpy(copy, values, bytes);
    bag.tensor[bag.n++] = (NamedTensor){own(strdup(name)), DTYPE_F32, shape, copy, bytes};
}

static float made_up(int64_t i) {
    return 0.25f + 0.125f * (float)(i % 7);
}

static void put(const char *name, Shape shape) {
    float values[4096];
    ck_assert(shape_numel(shape) <= 4096);
    for (int64_t i = 0; i < shape_numel(shape); i++) values[i] = made_up(i);
    put_values(name, shape, values);
}

static void drop(const char *name) {
    for (size_t i = 0; i < bag.n; i++) {
        if (strcmp(bag.tensor[i].name, name) != 0) continue;
        bag.tensor[i] = bag.tensor[--bag.n];
        return;
    }
    ck_abort_msg("no tensor %s", name);
}

static NamedTensor *tensor(const char *name) {
    for (size_t i = 0; i < bag.n; i++)
        if (strcmp(bag.tensor[i].name, name) == 0) return &bag.tensor[i];
    ck_abort_msg("no tensor %s", name);
    return NULL;
}

/* The model in the words of a dialect; values times a factor tell two copies apart. */
static void put_model(Dialect d, const char *prefix, float factor) {
    for (int64_t i = 0; i < params_count(vit->params); i++) {
        const Param *p = params_at(vit->params, i);
        char names[3][DIALECT_NAME_BYTES], full[4 * DIALECT_NAME_BYTES];
        float *values = malloc((size_t)p->numel * sizeof *values);
        params_get(vit->params, p, values);
        for (int64_t k = 0; k < p->numel; k++) values[k] *= factor;
        int n = dialect_spell(d, p->name, names);
        Shape shape = p->shape;
        ck_assert_int_ge(n, 1);
        if (n > 1) shape.dim[0] /= n;
        for (int k = 0; k < n; k++) {
            snprintf(full, sizeof full, "%s%s", prefix, names[k]);
            put_values(full, shape, values + k * (p->numel / n));
        }
        free(values);
    }
}

static void begin(Dialect d, const char *prefix) {
    empty_bag();
    put_model(d, prefix, 1);
}

static Status open_bag(const char *path, const char *prefix, CheckpointFile **out, Error *err) {
    CheckpointHints hints = {.heads = 2, .prefix = prefix};
    *err = (Error){0};
    ck_assert(safetensors_write(path, bag.tensor, bag.n, bag.meta, bag.n_meta, NULL, NULL, NULL,
                                NULL) == MAE_OK);
    return checkpoint_open(path, &hints, out, err);
}

static CheckpointFile *opened(const char *prefix) {
    Error err;
    CheckpointFile *file = NULL;
    Status status = open_bag(scratch_path("model.safetensors"), prefix, &file, &err);
    ck_assert_msg(status == MAE_OK, "%s", err.message);
    return file;
}

/* The file must be refused with these words in the message. */
static void refused(const char *a, const char *b) {
    Error err;
    CheckpointFile *file = NULL;
    Status status = open_bag(scratch_path("model.safetensors"), NULL, &file, &err);
    ck_assert_msg(status != MAE_OK, "not refused: %s", a);
    ck_assert_msg(strstr(err.message, a) && strstr(err.message, b), "%s and %s: %s", a, b,
                  err.message);
}

static Vit *read_all(const CheckpointFile *file) {
    Error err = {0};
    Vit *v = NULL;
    ck_assert_msg(vit_new(device, &file->config, GRADIENTS_NONE, TUNE_ALL, &v, &err) == MAE_OK,
                  "%s", err.message);
    ck_assert_msg(checkpoint_read(file, v, &err) == MAE_OK, "%s", err.message);
    return v;
}

static float *values_of(const Vit *v, const char *name, int64_t *n) {
    const Param *p = params_find(v->params, name);
    ck_assert_ptr_nonnull(p);
    float *x = malloc((size_t)p->numel * sizeof *x);
    params_get(v->params, p, x);
    *n = p->numel;
    return x;
}

/* factor times ours, to the last bit. */
static void expect_factor(const CheckpointFile *file, float factor) {
    Vit *v = read_all(file);
    for (int64_t i = 0; i < params_count(vit->params); i++) {
        int64_t n;
        const char *name = params_at(vit->params, i)->name;
        float *x = values_of(vit, name, &n), *y = values_of(v, name, &n);
        for (int64_t k = 0; k < n; k++)
            ck_assert_msg(x[k] * factor == y[k], "%s[%lld]: %g, not %g", name, (long long)k,
                          (double)y[k], (double)(x[k] * factor));
        free(x);
        free(y);
    }
    vit_free(v);
}

static void make(void) {
    Error err = {0};
    ModelConfig c = small_config(3, TARGET_PIXEL, false);
    c.image_width = c.image_height; /* square: nothing else says the size */
    c.embed_dim = WIDTH;
    c.depth = DEPTH;
    c.heads = 2;
    c.decoder_depth = 0;
    ck_assert(device_open("cpu", 1, NULL, &device, &err) == MAE_OK);
    vit = small_vit(device, &c, GRADIENTS_NONE);
    scratch_make();
}

static void unmake(void) {
    empty_bag();
    scratch_remove();
    vit_free(vit);
    device_close(device);
}

/* --- what is refused -------------------------------------------------------------------------- */

START_TEST(what_is_computed_otherwise_is_refused_by_name) {
    static const struct {
        const char *tensor, *says;
    } cases[] = {
        {"reg_token", "register tokens are not supported"},
        {"register_tokens", "DINOv2 with registers: register tokens are not supported"},
        {"storage_tokens", "DINOv3: register tokens and rotary positions are not supported"},
        {"rope_embed.periods", "DINOv3: rotary positions are not supported"},
        {"rope.freqs_cos", "rotary positions are not supported"},
        {"dist_token", "DeiT: a distillation token is not supported"},
        {"blocks.1.attn.q_norm.weight", "norms of queries and keys are not supported"},
        {"blocks.1.attn.norm.weight", "a norm inside the attention is not supported"},
        {"blocks.0.mlp.norm.weight", "a norm inside the MLP is not supported"},
        {"blocks.0.attn.inner_attn_ln.weight", "EVA-02: a norm inside the attention"},
        {"blocks.2.attn.relative_position_bias_table",
         "relative position tables are not supported"},
        {"rel_pos_bias.relative_position_bias_table", "relative position tables are not supported"},
        {"blocks.0.attn.rel_pos_h", "SAM or ViTDet: relative position tables"},
        {"blocks.0.mlp.w3.weight", "a gated MLP (SwiGLU) is not supported"},
        {"blocks.0.mlp.fc1_g.weight", "EVA-02: a gated MLP (SwiGLU) is not supported"},
        {"norm_pre.weight", "CLIP: a norm before the first block is not supported"},
        {"attn_pool.q.weight", "SigLIP: attention pooling is not supported"},
        {"blocks.0.attn.lora_A.weight", "adapters beside the weights (merge them first)"},
        {"blocks.0.attn.proj_l.weight", "CaiT: talking heads"},
        {"blocks.0.attn.gate", "not understood"},
        {"decoder_embed_2.weight", "not understood"},
        {"something.weight", "not understood"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        begin(DIALECT_OFFICIAL, "");
        put(cases[i].tensor, SHAPE(4, 2));
        refused(cases[i].says, cases[i].tensor);
    }
}
END_TEST

START_TEST(the_most_telling_reason_comes_first) {
    begin(DIALECT_OFFICIAL, "");
    for (int block = 0; block < DEPTH; block++) {
        char name[64];
        snprintf(name, sizeof name, "blocks.%d.ls1.gamma", block);
        put(name, SHAPE(WIDTH));
    }
    put("unheard_of", SHAPE(1));
    put("register_tokens", SHAPE(1, 4, WIDTH));
    refused(
        "registers: register tokens are not supported (tensor register_tokens of shape [1,4,8])",
        "tensors that are not understood (tensor unheard_of of shape [1])");
}
END_TEST

START_TEST(a_block_that_is_missing) {
    begin(DIALECT_OFFICIAL, "");
    for (size_t i = bag.n; i-- > 0;)
        if (strncmp(bag.tensor[i].name, "blocks.1.", 9) == 0) drop(bag.tensor[i].name);
    refused("block 1 is missing", "blocks.2.");
    begin(DIALECT_HF4, "");
    for (size_t i = bag.n; i-- > 0;)
        if (strncmp(bag.tensor[i].name, "vit.encoder.layer.1.", 20) == 0) drop(bag.tensor[i].name);
    refused("block 1 is missing", "vit.encoder.layer.2.");
}
END_TEST

START_TEST(a_model_without_cls_token_or_positions) {
    begin(DIALECT_OFFICIAL, "");
    drop("cls_token");
    refused("cls_token is missing", "official");
    begin(DIALECT_OFFICIAL, "");
    drop("norm.bias");
    refused("tensor norm.bias is missing", "model.safetensors");
    drop("pos_embed");
    put("blocks.0.attn.relative_position_bias_table", SHAPE(9, 2));
    refused("BEiT or alike: relative position tables", "relative_position_bias_table");
}
END_TEST

START_TEST(files_without_a_vit_are_named) {
    static const char *const cases[][2] = {
        {"visual.transformer.resblocks.0.ln_1.weight", "CLIP"},
        {"vision_model.encoder.layers.0.layer_norm1.weight", "CLIP or SigLIP"},
        {"layers.0.blocks.0.norm1.weight", "Swin"},
        {"swin.encoder.layers.0.blocks.0.layernorm_before.weight", "Swin"},
        {"stages.0.blocks.0.conv_dw.weight", "ConvNeXt"},
        {"layer1.0.conv1.weight", "ResNet"},
        {"layer.0.attention.q_proj.weight", "DINOv3: rotary positions are not supported"},
        {"encoder.layers.encoder_layer_0.ln_1.weight", "torchvision"},
        {"model.layers.0.self_attn.q_proj.weight", "language"},
        {"something.weight", "no vision transformer"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        empty_bag();
        put(cases[i][0], SHAPE(4));
        refused(cases[i][1], cases[i][0]);
    }
}
END_TEST

/* --- what cannot matter ----------------------------------------------------------------------- */

START_TEST(heads_counters_and_indices_are_left_out) {
    static const char *const names[] = {"mask_token",
                                        "head.0.weight",
                                        "head.1.num_batches_tracked",
                                        "ibot_head.mlp.0.bias",
                                        "projector.0.weight",
                                        "predictor.2.weight",
                                        "fc_norm.weight",
                                        "pre_logits.fc.weight",
                                        "blocks.0.attn.relative_position_index",
                                        "prototypes.weight",
                                        "decode_head.conv.weight",
                                        "decoder_pos_embed",
                                        "n_averaged"};
    size_t n = sizeof names / sizeof *names;
    begin(DIALECT_OFFICIAL, "");
    for (size_t i = 0; i < n; i++) put(names[i], SHAPE(3, 2));
    CheckpointFile *file = opened(NULL);
    ck_assert_int_eq(file->config.head, HEAD_NONE);
    for (size_t i = 0; i < n; i++) {
        const TensorEntry *t = tensorfile_find(file->file, names[i]);
        const TensorVerdict *v = &file->verdicts[t - tensorfile_at(file->file, 0)];
        ck_assert_msg(v->use == TENSOR_IGNORED && v->why, "%s", names[i]);
    }
    expect_factor(file, 1);
    checkpoint_close(file);
}
END_TEST

START_TEST(parts_of_transformers_models) {
    begin(DIALECT_HF4, "");
    put("vit.pooler.dense.weight", SHAPE(2, 2));
    put("vit.embeddings.mask_token", SHAPE(1, 1, WIDTH));
    put("decoder.0.weight", SHAPE(4, 2)); /* of ViTForMaskedImageModeling */
    put("text_model.embeddings.weight", SHAPE(4, 2));
    CheckpointFile *file = opened(NULL);
    expect_factor(file, 1);
    size_t n = tensorfile_count(file->file), uses[TENSOR_USES] = {0};
    for (size_t i = 0; i < n; i++) uses[file->verdicts[i].use]++;
    ck_assert_uint_eq(uses[TENSOR_READ], n - 4);
    ck_assert_uint_eq(uses[TENSOR_IGNORED], 3);
    ck_assert_uint_eq(uses[TENSOR_OUTSIDE], 1);
    checkpoint_close(file);
}
END_TEST

/* --- what is read exactly --------------------------------------------------------------------- */

static void expect_scaled(const Vit *v, const char *layer, int64_t block) {
    static const char *const leaves[] = {"weight", "bias"};
    for (int k = 0; k < 2; k++) {
        char name[64];
        int64_t n;
        snprintf(name, sizeof name, "blocks.%lld.%s.%s", (long long)block, layer, leaves[k]);
        float *x = values_of(vit, name, &n), *y = values_of(v, name, &n);
        for (int64_t i = 0; i < n; i++) {
            float want = x[i] * made_up(i / (n / WIDTH));
            ck_assert_msg(y[i] == want, "%s[%lld]: %g, not %g", name, (long long)i, (double)y[i],
                          (double)want);
        }
        free(x);
        free(y);
    }
}

START_TEST(layer_scale_is_multiplied_in) {
    static const struct {
        Dialect dialect;
        const char *stem, *scale[2];
    } cases[] = {
        {DIALECT_OFFICIAL, "blocks.", {"ls1.gamma", "ls2.gamma"}},
        {DIALECT_OFFICIAL, "blocks.", {"gamma_1", "gamma_2"}},
        {DIALECT_HF4, "vit.encoder.layer.", {"lambda_1", "lambda_2"}},
        {DIALECT_HF_DINOV2, "vit.encoder.layer.", {"layer_scale1.lambda1", "layer_scale2.lambda1"}},
        {DIALECT_MMPRETRAIN, "backbone.layers.", {"attn.gamma1.weight", "ffn.gamma2.weight"}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        begin(cases[i].dialect, "");
        for (int block = 0; block < DEPTH; block++)
            for (int k = 0; k < 2; k++) {
                char name[96];
                snprintf(name, sizeof name, "%s%d.%s", cases[i].stem, block, cases[i].scale[k]);
                put(name, SHAPE(WIDTH));
            }
        CheckpointFile *file = opened(NULL);
        ck_assert_int_eq(file->dialect.dialect, cases[i].dialect);
        ck_assert_ptr_nonnull(strstr(file->done, "layer scale"));
        Vit *v = read_all(file);
        expect_scaled(v, "attn.proj", 2);
        expect_scaled(v, "mlp.fc2", 1);
        vit_free(v);
        checkpoint_close(file);
    }
    drop("backbone.layers.1.attn.gamma1.weight");
    refused("block 0 has a layer scale on attn.proj, block 1 has none", "model.safetensors");
}
END_TEST

/* BEiT: q and v have a bias, k has none. */
START_TEST(biases_without_keys) {
    begin(DIALECT_OFFICIAL, "");
    for (int block = 0; block < DEPTH; block++) {
        char name[64];
        snprintf(name, sizeof name, "blocks.%d.attn.qkv.bias", block);
        const float *bias = tensor(name)->data;
        drop(name);
        snprintf(name, sizeof name, "blocks.%d.attn.q_bias", block);
        put_values(name, SHAPE(WIDTH), bias);
        snprintf(name, sizeof name, "blocks.%d.attn.v_bias", block);
        put_values(name, SHAPE(WIDTH), bias + 2 * WIDTH);
    }
    CheckpointFile *file = opened(NULL);
    Vit *v = read_all(file);
    int64_t n;
    float *x = values_of(vit, "blocks.1.attn.qkv.bias", &n),
          *y = values_of(v, "blocks.1.attn.qkv.bias", &n);
    for (int64_t i = 0; i < n; i++) ck_assert(y[i] == (i >= WIDTH && i < 2 * WIDTH ? 0 : x[i]));
    free(x);
    free(y);
    vit_free(v);
    checkpoint_close(file);
    drop("blocks.1.attn.v_bias");
    refused("not understood", "blocks.1.attn.q_bias");
}
END_TEST

/* DeiT III has positions for the patches alone. */
START_TEST(positions_without_a_cls_row) {
    const Param *p = params_find(vit->params, "pos_embed");
    int64_t P = p->shape.dim[1] - 1, n;
    begin(DIALECT_OFFICIAL, "");
    const float *all = tensor("pos_embed")->data;
    drop("pos_embed");
    put_values("pos_embed", SHAPE(1, P, WIDTH), all + WIDTH);
    CheckpointFile *file = opened(NULL);
    Vit *v = read_all(file);
    float *y = values_of(v, "pos_embed", &n);
    for (int64_t i = 0; i < n; i++) ck_assert(y[i] == (i < WIDTH ? 0 : all[i]));
    free(y);
    vit_free(v);
    checkpoint_close(file);
}
END_TEST

START_TEST(blocks_in_chunks) {
    begin(DIALECT_OFFICIAL, "");
    for (size_t i = 0; i < bag.n; i++) {
        char name[96];
        if (strncmp(bag.tensor[i].name, "blocks.", 7) != 0) continue;
        int block = bag.tensor[i].name[7] - '0';
        snprintf(name, sizeof name, "blocks.%d.%s", block / 2, bag.tensor[i].name + 7);
        bag.tensor[i].name = own(strdup(name));
    }
    CheckpointFile *file = opened(NULL);
    expect_factor(file, 1);
    checkpoint_close(file);
}
END_TEST

/* --- two models in one file ------------------------------------------------------------------- */

START_TEST(the_teacher_is_read) {
    static const char *const cases[][2] = {
        {"student.backbone.", "teacher.backbone."},
        {"model.student.backbone.", "model.teacher.backbone."},
        {"student.module.backbone.", "teacher.module.backbone."},
        {"model.", "model_ema."},
        {"state_dict.", "state_dict_ema."},
        {"state_dict.", "ema_state_dict."},
        {"encoder.module.", "target_encoder.module."},
        {"module.momentum_encoder.", "module.base_encoder."}, /* as MoCo v3 is evaluated */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int swapped = 0; swapped < 2; swapped++) {
            empty_bag();
            put_model(DIALECT_OFFICIAL, cases[i][swapped], swapped ? 1 : 2);
            put_model(DIALECT_OFFICIAL, cases[i][!swapped], swapped ? 2 : 1);
            put("optimizer.state.0.exp_avg", SHAPE(2));
            CheckpointFile *file = opened(NULL);
            ck_assert_str_eq(file->dialect.prefix, cases[i][1]);
            ck_assert_ptr_nonnull(strstr(file->done, "it holds 2 models, of which"));
            ck_assert_ptr_nonnull(strstr(file->done, cases[i][0]));
            expect_factor(file, 1);
            checkpoint_close(file);
            file = opened(cases[i][0]);
            expect_factor(file, 2);
            checkpoint_close(file);
        }
}
END_TEST

/* mmengine saves the average as state_dict and what was averaged as ema_state_dict. */
START_TEST(the_average_of_mmengine) {
    empty_bag();
    put_model(DIALECT_MMPRETRAIN, "ema_state_dict.module.", 2);
    put_model(DIALECT_MMPRETRAIN, "state_dict.", 1);
    put("ema_state_dict.steps", SHAPE(1));
    CheckpointFile *file = opened(NULL);
    ck_assert_str_eq(file->dialect.prefix, "state_dict.");
    expect_factor(file, 1);
    checkpoint_close(file);
}
END_TEST

START_TEST(a_prefix_chooses) {
    Error err;
    CheckpointFile *file;
    begin(DIALECT_OFFICIAL, "run.student.backbone.");
    put_model(DIALECT_OFFICIAL, "run.teacher.backbone.", 2);
    static const char *const good[] = {"student", "student.", "run.student", "student.backbone",
                                       "run.student.backbone"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        file = opened(good[i]);
        expect_factor(file, 1);
        checkpoint_close(file);
    }
    char *path = scratch_path("model.safetensors");
    ck_assert_int_eq(open_bag(path, "backbone", &file, &err), MAE_USAGE);
    ck_assert_ptr_nonnull(strstr(err.message, "more than one"));
    ck_assert_int_eq(open_bag(path, "stud", &file, &err), MAE_USAGE);
    ck_assert_ptr_nonnull(strstr(err.message, "run.teacher.backbone., run.student.backbone."));
}
END_TEST

/* A large teacher is no average of a small student. */
START_TEST(a_teacher_of_another_size) {
    begin(DIALECT_OFFICIAL, "student.");
    put_model(DIALECT_OFFICIAL, "teacher.", 2);
    NamedTensor *t = tensor("teacher.patch_embed.proj.weight");
    t->shape.dim[0] /= 2;
    t->bytes /= 2;
    put_model(DIALECT_OFFICIAL, "net.", 3);
    CheckpointFile *file = opened(NULL);
    ck_assert_str_eq(file->dialect.prefix, "net.");
    checkpoint_close(file);
}
END_TEST

/* --- config.json ------------------------------------------------------------------------------ */

START_TEST(what_config_json_says) {
    static const struct {
        const char *json, *says; /* NULL: read */
    } cases[] = {
        {"{\"model_type\":\"vit\",\"hidden_act\":\"gelu\"}", NULL},
        {"{\"hidden_act\":\"relu\"}", "hidden_act \"relu\""},
        {"{\"hidden_act\":\"gelu_new\"}", "hidden_act \"gelu_new\""},
        {"{\"hidden_act\":\"gelu_pytorch_tanh\"}", "hidden_act \"gelu_pytorch_tanh\""},
        {"{\"hidden_act\":\"quick_gelu\"}", "hidden_act \"quick_gelu\""},
        {"{\"model_type\":\"dinov3_vit\"}", "DINOv3: rotary positions are not supported"},
        {"{\"model_type\":\"made_up\"}", "model_type \"made_up\""},
        {"{\"num_hidden_layers\":4}", "num_hidden_layers 4, the file has 3 blocks"},
        {"{\"qkv_bias\":false}", "qkv_bias false"},
    };
    scratch_make_folder("hub");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        Error err;
        CheckpointFile *file = NULL;
        begin(DIALECT_HF4, "");
        scratch_text(scratch_path("hub/config.json"), cases[i].json);
        Status status = open_bag(scratch_path("hub/model.safetensors"), NULL, &file, &err);
        if (!cases[i].says) ck_assert_msg(status == MAE_OK, "%s", err.message);
        if (cases[i].says)
            ck_assert_msg(status == MAE_UNSUPPORTED && strstr(err.message, cases[i].says), "%s: %s",
                          cases[i].json, err.message);
        checkpoint_close(file);
    }
}
END_TEST

START_TEST(what_timms_config_json_says) {
    static const struct {
        const char *json, *says;
    } cases[] = {
        {"{\"architecture\":\"vit_small_patch16_224\",\"model_args\":{\"embed_dim\":8,\"act_"
         "layer\":\"gelu\"}}",
         NULL},
        {"{\"architecture\":\"vit_base_patch16_rpn_224\",\"model_args\":{\"embed_dim\":8}}",
         "norms behind the branches"},
        {"{\"architecture\":\"vit_base_patch16_clip_quickgelu_224\",\"model_args\":{\"embed_dim\":"
         "8}}",
         "quick_gelu"},
        {"{\"architecture\":\"vit_base_patch16_rope_224\",\"model_args\":{\"embed_dim\":8}}",
         "rotary positions"},
        {"{\"architecture\":\"x\",\"model_args\":{\"act_layer\":\"gelu_tanh\"}}", "gelu_tanh"},
        {"{\"architecture\":\"x\",\"model_args\":{\"norm_layer\":\"rmsnorm\"}}", "rmsnorm"},
        {"{\"architecture\":\"vit_base_patch16_rpn_224\"}", NULL}, /* of another width */
        {"{\"title\":\"not about a model\"}", NULL},
    };
    scratch_make_folder("hub");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        Error err;
        CheckpointFile *file = NULL;
        begin(DIALECT_OFFICIAL, "");
        scratch_text(scratch_path("hub/config.json"), cases[i].json);
        Status status = open_bag(scratch_path("hub/model.safetensors"), NULL, &file, &err);
        if (!cases[i].says) ck_assert_msg(status == MAE_OK, "%s", err.message);
        if (cases[i].says)
            ck_assert_msg(status == MAE_UNSUPPORTED && strstr(err.message, cases[i].says), "%s: %s",
                          cases[i].json, err.message);
        checkpoint_close(file);
    }
}
END_TEST

Suite *suite_foreign(void) {
    Suite *s = suite_create("foreign");
    TCase *t = tcase_create("foreign");
    tcase_add_checked_fixture(t, make, unmake);
    tcase_add_test(t, what_is_computed_otherwise_is_refused_by_name);
    tcase_add_test(t, the_most_telling_reason_comes_first);
    tcase_add_test(t, a_block_that_is_missing);
    tcase_add_test(t, a_model_without_cls_token_or_positions);
    tcase_add_test(t, files_without_a_vit_are_named);
    tcase_add_test(t, heads_counters_and_indices_are_left_out);
    tcase_add_test(t, parts_of_transformers_models);
    tcase_add_test(t, layer_scale_is_multiplied_in);
    tcase_add_test(t, biases_without_keys);
    tcase_add_test(t, positions_without_a_cls_row);
    tcase_add_test(t, blocks_in_chunks);
    tcase_add_test(t, the_teacher_is_read);
    tcase_add_test(t, the_average_of_mmengine);
    tcase_add_test(t, a_prefix_chooses);
    tcase_add_test(t, a_teacher_of_another_size);
    tcase_add_test(t, what_config_json_says);
    tcase_add_test(t, what_timms_config_json_says);
    suite_add_tcase(s, t);
    return s;
}
