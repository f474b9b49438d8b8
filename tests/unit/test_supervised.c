/* What fine-tuning and probing are made of: parameter groups, averaged weights, counting, classes,
 * recipes, tuned blocks, checkpoints with heads. */
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "checkpoint/checkpoint.h"
#include "infer/evaluate.h"
#include "jobs/jobs.h"
#include "scratch.h"
#include "set_log.h"
#include "small_model.h"
#include "train/ema.h"
#include "train/groups.h"

Suite *suite_supervised(void);

static Device *device;

static void open_device(void) {
    Error err = {0};
    ck_assert_msg(device_open("cpu", 1, NULL, &device, &err) == MAE_OK, "%s", err.message);
}

static void close_device(void) {
    device_close(device);
}

static ModelConfig classifier_config(HeadKind head, PoolKind pool) {
    ModelConfig c = small_config(3, TARGET_PIXEL, false);
    c.decoder_depth = 0;
    c.head = head;
    c.pool = pool;
    c.classes = 3;
    return c;
}

static Vit *new_vit(const ModelConfig *c, ParamGradients gradients, double tune) {
    Error err = {0};
    Vit *v = NULL;
    ck_assert_msg(vit_new(device, c, gradients, tune, &v, &err) == MAE_OK, "%s", err.message);
    ck_assert_msg(vit_init(v, 5, &err) == MAE_OK, "%s", err.message);
    return v;
}

/* --- groups ----------------------------------------------------------------------------------- */

static ParamGroup group_of(const Vit *v, const GroupOptions *o, const char *name) {
    const Param *p = params_find(v->params, name);
    ck_assert_msg(p != NULL, "no %s", name);
    return param_group(o, &p->role);
}

START_TEST(pretraining_decays_all_but_vectors) {
    GroupOptions o = {.weight_decay = 0.05};
    ModelConfig c = small_config(3, TARGET_PIXEL, false);
    Vit *v = new_vit(&c, GRADIENTS_NONE, TUNE_ALL);
    ck_assert_double_eq(group_of(v, &o, "cls_token").weight_decay, 0.05);
    ck_assert_double_eq(group_of(v, &o, "blocks.1.attn.qkv.weight").weight_decay, 0.05);
    ck_assert_double_eq(group_of(v, &o, "blocks.1.attn.qkv.bias").weight_decay, 0);
    ck_assert_double_eq(group_of(v, &o, "blocks.1.attn.qkv.weight").lr_scale, 1);
    vit_free(v);
}
END_TEST

START_TEST(fine_tuning_has_a_rate_for_each_layer) {
    GroupOptions o = {.weight_decay = 0.05, .fine_tuning = true, .layer_decay = 0.5, .depth = 3};
    ModelConfig c = classifier_config(HEAD_LINEAR, POOL_MEAN);
    c.depth = 3;
    Vit *v = new_vit(&c, GRADIENTS_NONE, TUNE_ALL);
    ck_assert_double_eq(group_of(v, &o, "pos_embed").weight_decay, 0);
    ck_assert_double_eq(group_of(v, &o, "cls_token").weight_decay, 0);
    ck_assert_double_eq(group_of(v, &o, "patch_embed.proj.weight").weight_decay, 0.05);
    ck_assert_double_eq(group_of(v, &o, "patch_embed.proj.weight").lr_scale, 0.0625);
    ck_assert_double_eq(group_of(v, &o, "blocks.0.norm1.weight").lr_scale, 0.125);
    ck_assert_double_eq(group_of(v, &o, "blocks.2.norm1.weight").lr_scale, 0.5);
    ck_assert_double_eq(group_of(v, &o, "fc_norm.weight").lr_scale, 1);
    ck_assert_double_eq(group_of(v, &o, "head.weight").lr_scale, 1);
    vit_free(v);
}
END_TEST

/* --- which blocks are trained ----------------------------------------------------------------- */

static bool trained(const Vit *v, const char *name) {
    const Param *p = params_find(v->params, name);
    ck_assert_msg(p != NULL, "no %s", name);
    ck_assert(p->needs_grad == p->trainable);
    return p->trainable;
}

START_TEST(tuned_blocks_count_from_the_end) {
    ModelConfig c = classifier_config(HEAD_LINEAR, POOL_MEAN);
    ck_assert_int_eq(c.depth, 2);
    static const struct {
        double blocks;
        bool pos, block0_attn, block0_mlp, block1_attn, block1_mlp;
    } cases[] = {{TUNE_ALL, true, true, true, true, true}, {0, false, false, false, false, false},
                 {0.5, false, false, false, false, true},  {1, false, false, false, true, true},
                 {1.5, false, false, true, true, true},    {2, false, true, true, true, true}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        Vit *v = new_vit(&c, GRADIENTS_SUMMED, cases[i].blocks);
        ck_assert(trained(v, "pos_embed") == cases[i].pos);
        ck_assert(trained(v, "patch_embed.proj.weight") == cases[i].pos);
        ck_assert(trained(v, "blocks.0.norm1.weight") == cases[i].block0_attn);
        ck_assert(trained(v, "blocks.0.attn.qkv.weight") == cases[i].block0_attn);
        ck_assert(trained(v, "blocks.0.norm2.weight") == cases[i].block0_mlp);
        ck_assert(trained(v, "blocks.1.attn.proj.bias") == cases[i].block1_attn);
        ck_assert(trained(v, "blocks.1.mlp.fc2.weight") == cases[i].block1_mlp);
        ck_assert(trained(v, "fc_norm.weight"));
        ck_assert(trained(v, "head.bias"));
        vit_free(v);
    }
}
END_TEST

START_TEST(probe_trains_its_linear_layer_only) {
    ModelConfig c = classifier_config(HEAD_PROBE, POOL_CLS);
    Vit *v = new_vit(&c, GRADIENTS_SUMMED, TUNE_ALL);
    ck_assert(!trained(v, "norm.weight"));
    ck_assert(!trained(v, "head.0.running_mean"));
    ck_assert(trained(v, "head.1.weight"));
    ck_assert_int_eq(vit_trained_parameters(v), 3 * c.embed_dim + 3);
    vit_free(v);
}
END_TEST

/* --- averaged weights ------------------------------------------------------------------------- */

START_TEST(average_follows_and_swaps) {
    Error err = {0};
    ModelConfig c = classifier_config(HEAD_LINEAR, POOL_MEAN);
    Vit *v = new_vit(&c, GRADIENTS_SUMMED, 0);
    Ema *ema = NULL;
    Param *head = params_find(v->params, "head.bias"),
          *frozen = params_find(v->params, "cls_token");
    float first[3] = {1, 2, 3}, second[3] = {2, 4, 8}, got[3];
    params_set(v->params, head, first);
    ck_assert_msg(ema_new(device, v->params, 0.75, &ema, &err) == MAE_OK, "%s", err.message);
    params_set(v->params, head, second);
    ema_update(ema);
    const void *before = frozen->data;
    ema_swap(ema);
    ck_assert_ptr_eq(before, frozen->data);
    params_get(v->params, head, got);
    for (int i = 0; i < 3; i++)
        ck_assert_float_eq_tol(got[i], 0.75f * first[i] + 0.25f * second[i], 1e-6f);
    ema_swap(ema);
    params_get(v->params, head, got);
    for (int i = 0; i < 3; i++) ck_assert_float_eq(got[i], second[i]);
    ema_free(ema);
    vit_free(v);
}
END_TEST

/* --- counting --------------------------------------------------------------------------------- */

START_TEST(counts_ranks_and_loss) {
    Evaluation e = {0};
    const float logits[7] = {0, 1, 2, 3, 4, 5, 6};
    ck_assert_int_eq(evaluation_add(&e, logits, 7, NULL, 6), 6);
    ck_assert_int_eq(evaluation_add(&e, logits, 7, NULL, 2), 6); /* fifth */
    ck_assert_int_eq(evaluation_add(&e, logits, 7, NULL, 1), 6); /* sixth */
    ck_assert_int_eq(e.images, 3);
    ck_assert_int_eq(e.top1, 1);
    ck_assert_int_eq(e.top5, 2);
    double sum = 0;
    for (int i = 0; i < 7; i++) sum += exp(logits[i]);
    ck_assert_double_eq_tol(e.loss, 3 * log(sum) - 6 - 2 - 1, 1e-12);
}
END_TEST

START_TEST(equal_logits_rank_by_class) {
    Evaluation e = {0};
    const float logits[3] = {1, 1, 1};
    ck_assert_int_eq(evaluation_add(&e, logits, 3, NULL, 0), 0);
    ck_assert_int_eq(evaluation_add(&e, logits, 3, NULL, 2), 0);
    ck_assert_int_eq(e.top1, 1);
}
END_TEST

START_TEST(a_subset_leaves_the_others_out) {
    Evaluation e = {0};
    const float logits[4] = {9, 1, 2, 8};
    const uint8_t allowed[4] = {0, 1, 1, 0};
    ck_assert_int_eq(evaluation_add(&e, logits, 4, allowed, 2), 2);
    ck_assert_int_eq(e.top1, 1);
    ck_assert_double_eq_tol(e.loss, log(exp(1.0 - 2.0) + 1), 1e-12);
}
END_TEST

START_TEST(logits_must_be_finite) {
    Evaluation e = {0};
    const float logits[3] = {1, NAN, 1};
    ck_assert_int_eq(evaluation_add(&e, logits, 3, NULL, 0), -1);
    ck_assert_int_eq(e.images, 0);
}
END_TEST

/* --- classes ---------------------------------------------------------------------------------- */

static Dataset *data_of_classes(const char *const *names) {
    Error err = {0};
    Dataset *d = NULL;
    for (int i = 0; names[i]; i++) scratch_png(scratch_path("set/%s/0.png", names[i]), i, 4, 4);
    DatasetOptions o = {.channels = 3};
    ck_assert_msg(dataset_open(scratch_path("set"), o, &d, &err) == MAE_OK, "%s", err.message);
    return d;
}

static ClassNames *names_of(const char *json) {
    Error err = {0};
    ClassNames *c = NULL;
    ck_assert_msg(classes_from_json(json, "here", &c, &err) == MAE_OK, "%s", err.message);
    return c;
}

START_TEST(classes_are_found_by_name) {
    Error err = {0};
    int *map = NULL;
    Dataset *d = data_of_classes((const char *const[]){"cat", "dog", NULL});
    ClassNames *c = names_of("[\"bird\",\"cat\",\"dog\"]");
    ck_assert_msg(classes_map(c, 3, d, "--val", &map, &err) == MAE_OK, "%s", err.message);
    ck_assert_int_eq(map[0], 1);
    ck_assert_int_eq(map[1], 2);
    mem_free(map);
    classes_free(c);
    c = names_of("[\"bird\",\"cat\"]");
    ck_assert_int_eq(classes_map(c, 2, d, "--val", &map, &err), MAE_SHAPE);
    ck_assert_ptr_nonnull(strstr(err.message, "dog"));
    ck_assert_ptr_null(map);
    classes_free(c);
    dataset_close(d);
}
END_TEST

static char said[2048]; /* the last warning */

static void keep_warning(void *user, int level, const char *line) {
    (void)user;
    if (level == LOG_WARNING) snprintf(said, sizeof said, "%s", line);
}

/* A model without names: class folders that are plain numbers are class numbers. */
START_TEST(classes_are_numbers_without_names) {
    Error err = {0};
    int *map = NULL;
    Dataset *d = data_of_classes((const char *const[]){"0", "10", "2", "9", NULL});
    set_log(keep_warning, NULL);
    ck_assert_msg(classes_map(NULL, 12, d, "--val", &map, &err) == MAE_OK, "%s", err.message);
    for (int i = 0; i < 4; i++) {
        ck_assert_str_eq(dataset_class_name(d, i), ((const char *const[]){"0", "2", "9", "10"})[i]);
        ck_assert_int_eq(map[i], ((const int[]){0, 2, 9, 10})[i]);
    }
    ck_assert_ptr_nonnull(strstr(said, "taken by number: 10 is class 10. Sorted as text"));
    classes_warn_of_missing(NULL, 12, d, map, NULL, "--val");
    ck_assert_str_eq(said, "--val has no image of 8 of the model's 12 classes (1, 3, 4, ...)");
    mem_free(map);
    ck_assert_int_eq(classes_map(NULL, 10, d, "--val", &map, &err), MAE_SHAPE);
    ck_assert_ptr_nonnull(strstr(err.message, "class 10 of --val is none of the model"));
    ck_assert_ptr_null(map);
    dataset_close(d);
    set_log(NULL, NULL);
}
END_TEST

START_TEST(a_subset_of_classes_misses_only_its_own) {
    Error err = {0};
    int *map = NULL;
    const uint8_t allowed[4] = {1, 0, 1, 0};
    Dataset *d = data_of_classes((const char *const[]){"a", NULL});
    ClassNames *c = names_of("[\"a\",\"b\",\"c\",\"d\"]");
    ck_assert_msg(classes_map(c, 4, d, "--val", &map, &err) == MAE_OK, "%s", err.message);
    set_log(keep_warning, NULL);
    classes_warn_of_missing(c, 4, d, map, allowed, "--val");
    ck_assert_str_eq(said, "--val has no image of 1 of the model's 4 classes (c)");
    set_log(NULL, NULL);
    mem_free(map);
    ck_assert_int_eq(classes_map(NULL, 2, d, "--val", &map, &err), MAE_SHAPE);
    ck_assert_ptr_nonnull(strstr(err.message, "--classes FILE"));
    classes_free(c);
    dataset_close(d);
}
END_TEST

START_TEST(classes_survive_json) {
    ClassNames *c = names_of("[\"a \\\"b\\\"\",\"\\u00e4\"]");
    char *text = classes_to_json(c);
    ClassNames *again = names_of(text);
    ck_assert_str_eq(again->name[0], "a \"b\"");
    ck_assert_str_eq(again->name[1], c->name[1]);
    mem_free(text);
    classes_free(c);
    classes_free(again);
    Error err = {0};
    ck_assert_int_eq(classes_from_json("{}", "x.safetensors", &c, &err), MAE_FORMAT);
    ck_assert_ptr_nonnull(strstr(err.message, "x.safetensors"));
    err = (Error){0};
    ck_assert_int_eq(classes_from_json("[\"a\",1]", "x", &c, &err), MAE_FORMAT);
}
END_TEST

static Status map_file(const char *text, const ClassNames *c, const Dataset *d, int **map,
                       uint8_t *allowed, Error *err) {
    char *path = scratch_path("classes.txt");
    scratch_text(path, text);
    *err = (Error){0};
    return classes_map_file(path, c, 4, d, map, allowed, err);
}

START_TEST(a_file_says_which_class_is_which) {
    Error err = {0};
    int *map = NULL;
    uint8_t allowed[4];
    Dataset *d = data_of_classes((const char *const[]){"cat", "dog", NULL});
    ClassNames *c = names_of("[\"bird\",\"cat\",\"dog\",\"fish\"]");
    ck_assert_msg(map_file("dog\ncat\n", c, d, &map, allowed, &err) == MAE_OK, "%s", err.message);
    ck_assert(map[0] == 1 && map[1] == 2);
    ck_assert(!allowed[0] && allowed[1] && allowed[2] && !allowed[3]);
    mem_free(map);
    ck_assert(map_file("cat\t3\r\ndog\t0\n", NULL, d, &map, allowed, &err) == MAE_OK);
    ck_assert(map[0] == 3 && map[1] == 0 && allowed[0] && allowed[3] && !allowed[1]);
    mem_free(map);
    ck_assert(map_file("2\n1", NULL, d, &map, allowed, &err) == MAE_OK);
    ck_assert(map[0] == 2 && map[1] == 1);
    mem_free(map);
    ck_assert_int_eq(map_file("cat\n", c, d, &map, allowed, &err), MAE_SHAPE);
    ck_assert_int_eq(map_file("cat\t9\n", c, d, &map, allowed, &err), MAE_FORMAT);
    ck_assert_int_eq(map_file("horse\n", c, d, &map, allowed, &err), MAE_FORMAT);
    ck_assert_ptr_nonnull(strstr(err.message, "line 1"));
    classes_free(c);
    dataset_close(d);
}
END_TEST

/* --- recipes ---------------------------------------------------------------------------------- */

START_TEST(recipe_depends_on_size_and_start) {
    Error err = {0};
    MaeError e = {0};
    MaeOptions o;
    ModelConfig c = {.embed_dim = 768};
    options_default(COMMAND_FINETUNE, &o);
    ck_assert(mae_options_set(&o, "epochs", "7", &e) == MAE_OK);
    ck_assert(finetune_recipe(&o, &c, false, &err) == MAE_OK);
    ck_assert_int_eq(o.epochs, 7); /* given */
    ck_assert_double_eq(o.base_lr, 5e-4);
    ck_assert_double_eq(o.layer_decay, 0.65);
    ck_assert_double_eq(o.drop_path, 0.1);
    ck_assert_double_eq(o.ema, 0);
    options_clear(&o);
    options_default(COMMAND_FINETUNE, &o);
    c.embed_dim = 1280;
    ck_assert(finetune_recipe(&o, &c, true, &err) == MAE_OK);
    ck_assert_int_eq(o.epochs, 200);
    ck_assert_double_eq(o.weight_decay, 0.3);
    ck_assert_double_eq(o.beta2, 0.95);
    ck_assert_double_eq(o.ema, 0.9999);
    ck_assert_double_eq(o.erase_prob, 0);
    options_clear(&o);
}
END_TEST

/* --- checkpoints ------------------------------------------------------------------------------ */

static CheckpointFile *saved(const Vit *v, const CheckpointNotes *notes, const char *name) {
    Error err = {0};
    CheckpointFile *f = NULL;
    char *path = scratch_path("%s.safetensors", name);
    ck_assert_msg(checkpoint_write(path, v, notes, &err) == MAE_OK, "%s", err.message);
    ck_assert_msg(checkpoint_open(path, NULL, &f, &err) == MAE_OK, "%s", err.message);
    return f;
}

START_TEST(heads_and_names_are_kept) {
    ModelConfig c = classifier_config(HEAD_PROBE, POOL_CLS);
    Vit *v = new_vit(&c, GRADIENTS_NONE, TUNE_ALL);
    CheckpointNotes notes = {
        .preset = "vit_tiny", .metrics = {1, {{METRIC_TOP1, 0.25}}}, .averaged = true};
    notes.classes = names_of("[\"a\",\"b\",\"c\"]");
    CheckpointFile *f = saved(v, &notes, "probe");
    ck_assert(f->native);
    ck_assert_int_eq(f->config.head, HEAD_PROBE);
    ck_assert_int_eq(f->config.pool, POOL_CLS);
    ck_assert_int_eq(f->config.classes, 3);
    ck_assert_str_eq(f->notes.classes->name[2], "c");
    ck_assert_int_eq(f->notes.metrics.n, 1);
    ck_assert_double_eq(metrics_get(&f->notes.metrics, METRIC_TOP1), 0.25);
    ck_assert(f->notes.averaged);
    checkpoint_close(f);
    checkpoint_notes_free(&notes);
    vit_free(v);
}
END_TEST

static float value_of(const Vit *v, const char *name, int64_t i) {
    Param *p = params_find(v->params, name);
    ck_assert_ptr_nonnull(p);
    float *host = malloc((size_t)p->numel * sizeof *host);
    params_get(v->params, p, host);
    float x = host[i];
    free(host);
    return x;
}

START_TEST(encoder_moves_into_a_classifier) {
    Error err = {0};
    ModelConfig mae = small_config(3, TARGET_NORM_PIX, false),
                c = classifier_config(HEAD_LINEAR, POOL_MEAN);
    Vit *from = small_model(device, &mae);
    c.image_height *= 2; /* another grid: positions are interpolated */
    Vit *to = new_vit(&c, GRADIENTS_SUMMED, TUNE_ALL);
    float head = value_of(to, "head.weight", 0);
    CheckpointFile *f = saved(from, &(CheckpointNotes){.preset = "x"}, "mae");
    ck_assert_msg(checkpoint_read_encoder(f, to, NULL, &err) == MAE_OK, "%s", err.message);
    ck_assert_float_eq(value_of(to, "blocks.1.mlp.fc1.weight", 7),
                       value_of(from, "blocks.1.mlp.fc1.weight", 7));
    ck_assert_float_eq(value_of(to, "pos_embed", 3), value_of(from, "pos_embed", 3));
    ck_assert_float_eq(value_of(to, "head.weight", 0), head);
    ck_assert_float_eq(value_of(to, "fc_norm.weight", 0), 1);
    checkpoint_close(f);
    vit_free(from);
    vit_free(to);
}
END_TEST

/* The rows of a head follow the classes; what is no row, as the norm, is read as it is. */
START_TEST(rows_of_a_head_change_places) {
    enum { O = 3 };
    static const int rows[O] = {2, 0, 1};
    static const HeadKind kinds[] = {HEAD_LINEAR, HEAD_PROBE};
    static const char *const weights[] = {"head.weight", "head.1.weight"}, *const biases[] = {
                                                                               "head.bias",
                                                                               "head.1.bias"};
    for (int k = 0; k < 2; k++) {
        Error err = {0};
        ModelConfig c = classifier_config(kinds[k], POOL_MEAN);
        c.classes = O;
        Vit *from = small_model(device, &c), *to = new_vit(&c, GRADIENTS_SUMMED, TUNE_ALL);
        CheckpointFile *f = saved(from, &(CheckpointNotes){.preset = "x"}, "head");
        ck_assert_msg(checkpoint_read_encoder(f, to, rows, &err) == MAE_OK, "%s", err.message);
        for (int64_t i = 0; i < O; i++) {
            ck_assert_float_eq(value_of(to, weights[k], i * c.embed_dim + 1),
                               value_of(from, weights[k], rows[i] * c.embed_dim + 1));
            ck_assert_float_eq(value_of(to, biases[k], i), value_of(from, biases[k], rows[i]));
        }
        ck_assert_float_eq(value_of(to, "fc_norm.weight", 1), value_of(from, "fc_norm.weight", 1));
        checkpoint_close(f);
        vit_free(from);
        vit_free(to);
    }
}
END_TEST

START_TEST(encoder_of_another_width_is_refused) {
    Error err = {0};
    ModelConfig mae = small_config(3, TARGET_NORM_PIX, false),
                c = classifier_config(HEAD_LINEAR, POOL_MEAN);
    Vit *from = small_model(device, &mae);
    c.embed_dim *= 2;
    Vit *to = new_vit(&c, GRADIENTS_SUMMED, TUNE_ALL);
    CheckpointFile *f = saved(from, &(CheckpointNotes){.preset = "x"}, "mae");
    ck_assert_int_eq(checkpoint_read_encoder(f, to, NULL, &err), MAE_SHAPE);
    ck_assert_ptr_nonnull(strstr(err.message, "cls_token"));
    checkpoint_close(f);
    vit_free(from);
    vit_free(to);
}
END_TEST

START_TEST(metrics_compare_and_print) {
    char text[80];
    Metrics m = {3, {{METRIC_TOP1, 0.5}, {METRIC_TOP5, NAN}, {METRIC_VAL_LOSS, 1.25}}};
    ck_assert(metric_is_better(METRIC_TOP1, 0.5, 0.25) && metric_is_better(METRIC_TOP1, 0, NAN));
    ck_assert(!metric_is_better(METRIC_TOP1, 0.5, 0.5) && !metric_is_better(METRIC_TOP1, NAN, NAN));
    ck_assert(metric_is_better(METRIC_VAL_LOSS, 1, 2) && !metric_is_better(METRIC_VAL_LOSS, 2, 1));
    metrics_text(&m, true, text, sizeof text);
    ck_assert_str_eq(text, "top-1 50.00 %, loss 1.2500");
    metrics_text(&m, false, text, sizeof text);
    ck_assert_str_eq(text, "50.00 %, 1.2500");
    ck_assert_double_eq(metrics_get(&m, METRIC_TOP5), -1);
}
END_TEST

Suite *suite_supervised(void) {
    Suite *s = suite_create("supervised");
    TCase *t = tcase_create("supervised");
    tcase_add_checked_fixture(t, open_device, close_device);
    tcase_add_checked_fixture(t, scratch_make, scratch_remove);
    tcase_add_test(t, pretraining_decays_all_but_vectors);
    tcase_add_test(t, fine_tuning_has_a_rate_for_each_layer);
    tcase_add_test(t, tuned_blocks_count_from_the_end);
    tcase_add_test(t, probe_trains_its_linear_layer_only);
    tcase_add_test(t, average_follows_and_swaps);
    tcase_add_test(t, counts_ranks_and_loss);
    tcase_add_test(t, equal_logits_rank_by_class);
    tcase_add_test(t, a_subset_leaves_the_others_out);
    tcase_add_test(t, logits_must_be_finite);
    tcase_add_test(t, classes_are_found_by_name);
    tcase_add_test(t, classes_survive_json);
    tcase_add_test(t, classes_are_numbers_without_names);
    tcase_add_test(t, a_subset_of_classes_misses_only_its_own);
    tcase_add_test(t, a_file_says_which_class_is_which);
    tcase_add_test(t, recipe_depends_on_size_and_start);
    tcase_add_test(t, heads_and_names_are_kept);
    tcase_add_test(t, encoder_moves_into_a_classifier);
    tcase_add_test(t, rows_of_a_head_change_places);
    tcase_add_test(t, encoder_of_another_width_is_refused);
    tcase_add_test(t, metrics_compare_and_print);
    suite_add_tcase(s, t);
    return s;
}
