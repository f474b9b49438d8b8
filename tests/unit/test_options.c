/* The option table: every default is a value of its row, values go in and out as text unchanged, a
 * saved configuration loads to the same options, and what is wrong is refused by name. */
#include <check.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mae.h"
#include "scratch.h"

static const MaeCommand commands[] = {MAE_COMMAND_PRETRAIN, MAE_COMMAND_RECONSTRUCT,
                                      MAE_COMMAND_KNN,      MAE_COMMAND_FEATURES,
                                      MAE_COMMAND_BENCH,    MAE_COMMAND_INFO};
#define N_COMMANDS (sizeof commands / sizeof *commands)

static bool knows(const MaeOption *o, MaeCommand c) {
    return (o->commands & (unsigned)c) != 0;
}

/* A value of the row that is not its default. */
static void other_value(const MaeOption *o, char *text, size_t bytes) {
    switch (o->type) {
    case MAE_OPTION_BOOL:
        snprintf(text, bytes, "%s", strcmp(o->fallback, "true") == 0 ? "false" : "true");
        break;
    case MAE_OPTION_INT: snprintf(text, bytes, "%.0f", o->max > 77 ? 77 : o->max); break;
    case MAE_OPTION_REAL:
        snprintf(text, bytes, "%.15g", o->min + (o->max > 1 ? 0.3 : 0.3 * o->max));
        break;
    case MAE_OPTION_STRING: snprintf(text, bytes, "a folder/\xc3\xa4 \"%s\"", o->name); break;
    case MAE_OPTION_CHOICE: {
        int last = 0;
        while (o->choices[last + 1]) last++;
        snprintf(text, bytes, "%s", o->choices[last]);
        break;
    }
    case MAE_OPTION_SIZE: snprintf(text, bytes, "192x320"); break;
    case MAE_OPTION_LIMIT: snprintf(text, bytes, "first:17"); break;
    }
}

static MaeStatus set(MaeCommand c, const char *name, const char *value, MaeError *err) {
    MaeOptions o;
    *err = (MaeError){0};
    mae_options_default(c, &o);
    MaeStatus status = mae_option_set(&o, c, name, value, err);
    mae_options_free(&o);
    return status;
}

START_TEST(test_rows_are_sound) {
    size_t n;
    const MaeOption *table = mae_option_table(&n);
    for (size_t i = 0; i < n; i++) {
        const MaeOption *o = &table[i];
        ck_assert_msg(o->name && o->group && o->help && o->argument, "row %zu", i);
        ck_assert_msg(o->commands != 0 && o->offset < sizeof(MaeOptions), "%s", o->name);
        ck_assert_msg((o->type == MAE_OPTION_CHOICE) == (o->choices != NULL), "%s", o->name);
        for (size_t j = 0; j < i; j++)
            ck_assert_msg(strcmp(table[j].name, o->name) != 0 ||
                              (table[j].commands & o->commands) == 0,
                          "%s is there twice for one command", o->name);
    }
}
END_TEST

START_TEST(test_defaults_parse) {
    size_t n;
    const MaeOption *table = mae_option_table(&n);
    for (size_t c = 0; c < N_COMMANDS; c++) {
        MaeOptions o;
        mae_options_default(commands[c], &o);
        for (size_t i = 0; i < n; i++) {
            MaeError err = {0};
            char before[256], after[256];
            ck_assert_msg(!o.given[i], "%s counts as given", table[i].name);
            if (!knows(&table[i], commands[c]) || !table[i].fallback) continue;
            mae_option_get(&o, &table[i], before, sizeof before);
            ck_assert_msg(!mae_option_set(&o, commands[c], table[i].name, before, &err), "%s",
                          err.message);
            mae_option_get(&o, &table[i], after, sizeof after);
            ck_assert_str_eq(before, after);
            o.given[i] = 0;
        }
        mae_options_free(&o);
    }
}
END_TEST

/* Words that are kept for what is not there yet are refused with that reason. */
START_TEST(test_reserved_words) {
    static const struct {
        const char *name, *value, *says;
    } cases[] = {{"mask-grid", "2", "--mask-grid: masks over blocks"},
                 {"cls-tokens", "4", "--cls-tokens: a model has one"},
                 {"adversarial", "0.1", "--adversarial: training against"},
                 {"device", "cuda", "--device cuda: this build"}};
    MaeOptions o;
    mae_options_default(MAE_COMMAND_PRETRAIN, &o);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        MaeError err = {0};
        ck_assert_int_eq(
            mae_option_set(&o, MAE_COMMAND_PRETRAIN, cases[i].name, cases[i].value, &err),
            MAE_USAGE);
        ck_assert_msg(strstr(err.message, cases[i].says) != NULL, "%s", err.message);
    }
    mae_options_free(&o);
}
END_TEST

START_TEST(test_published_recipe) {
    MaeOptions o;
    mae_options_default(MAE_COMMAND_PRETRAIN, &o);
    ck_assert_int_eq(o.epochs, 800);
    ck_assert(o.warmup_epochs == 40 && o.base_lr == 1.5e-4 && o.weight_decay == 0.05);
    ck_assert(o.beta1 == 0.9 && o.beta2 == 0.95 && o.mask_ratio == 0.75 && o.min_scale == 0.2);
    ck_assert_int_eq(o.target, 1);
    ck_assert_int_eq(o.image_size[0], 224);
    ck_assert_int_eq(o.image_size[1], 224);
    ck_assert_int_eq(o.patch, 0);
    ck_assert_int_eq(o.workers, -1);
    mae_options_free(&o);
}
END_TEST

START_TEST(test_set_and_get) {
    size_t n;
    const MaeOption *table = mae_option_table(&n);
    for (size_t c = 0; c < N_COMMANDS; c++) {
        MaeOptions o;
        mae_options_default(commands[c], &o);
        for (size_t i = 0; i < n; i++) {
            char in[256], out[256];
            MaeError err = {0};
            if (!knows(&table[i], commands[c])) continue;
            other_value(&table[i], in, sizeof in);
            ck_assert_msg(!mae_option_set(&o, commands[c], table[i].name, in, &err), "%s",
                          err.message);
            mae_option_get(&o, &table[i], out, sizeof out);
            ck_assert_str_eq(in, out);
            ck_assert(o.given[i]);
        }
        mae_options_free(&o);
    }
}
END_TEST

static bool of_one_call(const char *name) {
    return strcmp(name, "out") == 0 || strcmp(name, "restart") == 0 ||
           strcmp(name, "accept-changes") == 0 || strcmp(name, "json") == 0 ||
           strcmp(name, "quiet") == 0;
}

static void save_and_load(MaeCommand c, bool changed) {
    size_t n;
    const MaeOption *table = mae_option_table(&n);
    const char *path = scratch_path("config-%d-%d.json", (int)c, (int)changed);
    MaeOptions a, b;
    MaeError err = {0};
    char text[256], back[256];
    mae_options_default(c, &a);
    mae_options_default(c, &b);
    for (size_t i = 0; i < n && changed; i++) {
        if (!knows(&table[i], c)) continue;
        other_value(&table[i], text, sizeof text);
        ck_assert_int_eq(mae_option_set(&a, c, table[i].name, text, &err), MAE_OK);
    }
    ck_assert_msg(mae_options_save(&a, c, path, &err) == MAE_OK, "%s", err.message);
    ck_assert_msg(mae_options_load(&b, c, path, &err) == MAE_OK, "%s", err.message);
    for (size_t i = 0; i < n; i++) {
        if (!knows(&table[i], c) || of_one_call(table[i].name)) continue;
        if (mae_option_unused(&a, c, &table[i])) { /* null in the file */
            ck_assert_msg(!b.given[i], "%s", table[i].name);
            continue;
        }
        mae_option_get(&a, &table[i], text, sizeof text);
        mae_option_get(&b, &table[i], back, sizeof back);
        ck_assert_msg(strcmp(text, back) == 0, "%s: %s became %s", table[i].name, text, back);
        ck_assert_msg(b.given[i] == (changed || table[i].fallback), "%s", table[i].name);
    }
    mae_options_free(&a);
    mae_options_free(&b);
}

START_TEST(test_save_and_load) {
    save_and_load(commands[_i], true);
    save_and_load(commands[_i], false);
}
END_TEST

START_TEST(test_given_wins_over_file) {
    const char *path = scratch_path("c.json");
    MaeOptions o;
    MaeError err = {0};
    scratch_text(path, "{\"epochs\": 5, \"mask_ratio\": 0.5, \"image_size\": 64, "
                       "\"pca_components\": null, \"lr\": null}");
    mae_options_default(MAE_COMMAND_PRETRAIN, &o);
    mae_option_set(&o, MAE_COMMAND_PRETRAIN, "epochs", "7", &err);
    ck_assert_int_eq(mae_options_load(&o, MAE_COMMAND_PRETRAIN, path, &err), MAE_OK);
    ck_assert_int_eq(o.epochs, 7);
    ck_assert(o.mask_ratio == 0.5);
    ck_assert_int_eq(o.image_size[1], 64);
    ck_assert_int_eq(o.pca_components, 96); /* null: as if it were not there */
    mae_options_free(&o);
}
END_TEST

static const struct {
    MaeCommand command;
    const char *name, *value, *says;
} bad[] = {
    {MAE_COMMAND_PRETRAIN, "epochs", "", "--epochs"},
    {MAE_COMMAND_PRETRAIN, "epochs", "0", "must be 1 to"},
    {MAE_COMMAND_PRETRAIN, "epochs", "3x", "--epochs 3x: not a whole number"},
    {MAE_COMMAND_PRETRAIN, "epochs", " 3", "--epochs"},
    {MAE_COMMAND_PRETRAIN, "epochs", "3.5", "--epochs 3.5"},
    {MAE_COMMAND_PRETRAIN, "epochs", "99999999999999999999", "must be"},
    {MAE_COMMAND_PRETRAIN, "base-lr", "nan", "--base-lr nan: not a number"},
    {MAE_COMMAND_PRETRAIN, "base-lr", "inf", "--base-lr inf"},
    {MAE_COMMAND_PRETRAIN, "base-lr", "1e999", "--base-lr 1e999: must be"},
    {MAE_COMMAND_PRETRAIN, "base-lr", "0x1p-3", "not a number"},
    {MAE_COMMAND_PRETRAIN, "base-lr", "-1", "must be 0 to"},
    {MAE_COMMAND_PRETRAIN, "mask-ratio", "1.5", "--mask-ratio 1.5: must be 0 to 1"},
    {MAE_COMMAND_PRETRAIN, "mask", "rand", "choose one of random, block, grid"},
    {MAE_COMMAND_PRETRAIN, "image-size", "224x", "--image-size 224x"},
    {MAE_COMMAND_PRETRAIN, "image-size", "224x320x3", "--image-size"},
    {MAE_COMMAND_PRETRAIN, "image-size", "0x64", "--image-size 0x64"},
    {MAE_COMMAND_PRETRAIN, "strict", "yes", "--strict yes: must be true or false"},
    {MAE_COMMAND_PRETRAIN, "data", "", "--data: the value is empty"},
    {MAE_COMMAND_PRETRAIN, "mask_ratio", "0.5", "did you mean --mask-ratio?"},
    {MAE_COMMAND_PRETRAIN, "warmup-epoch", "1", "did you mean --warmup-epochs?"},
    {MAE_COMMAND_PRETRAIN, "temperature", "1", "there is no option --temperature"},
    {MAE_COMMAND_RECONSTRUCT, "embed-dim", "64", "the checkpoint says it"},
    {MAE_COMMAND_KNN, "k", "0", "--k 0: must be 1"},
};

START_TEST(test_bad_values) {
    MaeError err;
    ck_assert_int_eq(set(bad[_i].command, bad[_i].name, bad[_i].value, &err), MAE_USAGE);
    ck_assert_int_eq(err.status, MAE_USAGE);
    ck_assert_msg(strstr(err.message, bad[_i].says), "\"%s\" lacks \"%s\"", err.message,
                  bad[_i].says);
    ck_assert_msg(strstr(err.message, bad[_i].name), "\"%s\" lacks the name", err.message);
}
END_TEST

/* What no row takes, and each row's own limits. */
START_TEST(test_every_row_refuses) {
    size_t n;
    const MaeOption *table = mae_option_table(&n);
    char *huge = malloc(5001);
    memset(huge, 'x', 5000);
    huge[5000] = '\0';
    for (size_t i = 0; i < n; i++) {
        MaeError err;
        char value[64];
        MaeCommand c = (MaeCommand)(table[i].commands & -table[i].commands);
        ck_assert_int_eq(set(c, table[i].name, "", &err), MAE_USAGE);
        ck_assert_msg(strstr(err.message, table[i].name), "%s", err.message);
        ck_assert_int_eq(set(c, table[i].name, huge, &err), MAE_USAGE);
        if (table[i].type != MAE_OPTION_INT && table[i].type != MAE_OPTION_REAL) continue;
        snprintf(value, sizeof value, "%.0f", table[i].min - 1);
        ck_assert_msg(set(c, table[i].name, value, &err) == MAE_USAGE, "%s", table[i].name);
        snprintf(value, sizeof value, "%.0f", table[i].max + 1);
        ck_assert_msg(set(c, table[i].name, value, &err) == MAE_USAGE, "%s", table[i].name);
    }
    free(huge);
}
END_TEST

static const struct {
    const char *text, *says;
} bad_files[] = {
    {"", "line 1"},
    {"[1, 2]", "not a JSON object"},
    {"{\"epochs\": 3", "line 1"},
    {"{\"epochs\": 3, \"epochs\": 4}", "epochs"},
    {"{\"epoch\": 3}", "unknown key \"epoch\"; did you mean \"epochs\"?"},
    {"{\"mask_ration\": 3}", "did you mean \"mask_ratio\"?"},
    {"{\"qwertyuiop\": 3}", "unknown key \"qwertyuiop\""},
    {"{\"epochs\": \"3\"}", "\"epochs\" must be a whole number"},
    {"{\"epochs\": 3.5}", "\"epochs\" must be a whole number"},
    {"{\"epochs\": [3]}", "\"epochs\" must be a whole number"},
    {"{\"strict\": 1}", "\"strict\" must be true or false"},
    {"{\"mask\": 1}", "\"mask\" must be a string"},
    {"{\"mask\": \"rand\"}", "choose one of"},
    {"{\"epochs\": -3}", "--epochs -3: must be"},
};

START_TEST(test_bad_files) {
    const char *path = scratch_path("bad.json");
    MaeOptions o;
    MaeError err = {0};
    scratch_text(path, bad_files[_i].text);
    mae_options_default(MAE_COMMAND_PRETRAIN, &o);
    ck_assert_int_eq(mae_options_load(&o, MAE_COMMAND_PRETRAIN, path, &err), MAE_USAGE);
    ck_assert_msg(strstr(err.message, bad_files[_i].says), "\"%s\" lacks \"%s\"", err.message,
                  bad_files[_i].says);
    ck_assert_msg(strstr(err.message, "bad.json"), "\"%s\" lacks the file", err.message);
    mae_options_free(&o);
}
END_TEST

START_TEST(test_hostile_files) {
    const char *path = scratch_path("deep.json");
    size_t depth = 100000;
    char *text = malloc(depth + 1);
    MaeOptions o;
    MaeError err = {0};
    memset(text, '[', depth);
    text[depth] = '\0';
    mae_options_default(MAE_COMMAND_PRETRAIN, &o);
    scratch_text(path, text);
    ck_assert_int_eq(mae_options_load(&o, MAE_COMMAND_PRETRAIN, path, &err), MAE_USAGE);
    ck_assert_int_ne(mae_options_load(&o, MAE_COMMAND_PRETRAIN, scratch_path("none"), &err),
                     MAE_OK);
    text = realloc(text, (size_t)2 << 20);
    memset(text, ' ', (size_t)2 << 20);
    text[((size_t)2 << 20) - 1] = '\0';
    scratch_text(path, text);
    ck_assert_int_ne(mae_options_load(&o, MAE_COMMAND_PRETRAIN, path, &err), MAE_OK);
    mae_options_free(&o);
    free(text);
}
END_TEST

Suite *suite_options(void);
/* N or first:N, as text and in JSON; a number in JSON is what older versions wrote. */
START_TEST(test_limits_of_images) {
    static const struct {
        const char *text, *back;
        int64_t value;
    } good[] = {{"0", "0", 0},
                {"12", "12", 12},
                {"first:12", "first:12", -12},
                {"first:0", "0", 0},
                {"007", "7", 7}};
    static const char *const wrong[] = {"-1",  "first:",  "first:-1", "last:3",
                                        "1.5", "first:x", "12x",      "99999999999999999999"};
    MaeOptions o;
    MaeError err = {0};
    char text[64];
    const char *path = scratch_path("limits.json");
    size_t n;
    const MaeOption *row = mae_option_table(&n);
    while (strcmp(row->name, "limit") != 0) row++;
    mae_options_default(MAE_COMMAND_KNN, &o);
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        ck_assert_int_eq(mae_option_set(&o, MAE_COMMAND_KNN, "limit", good[i].text, &err), MAE_OK);
        ck_assert_int_eq(o.limit, good[i].value);
        mae_option_get(&o, row, text, sizeof text);
        ck_assert_str_eq(text, good[i].back);
    }
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        ck_assert_int_eq(mae_option_set(&o, MAE_COMMAND_KNN, "limit", wrong[i], &err), MAE_USAGE);
        ck_assert_ptr_nonnull(strstr(err.message, "--limit"));
    }
    scratch_text(path, "{\"limit\": 30, \"val_limit\": \"first:4\"}");
    mae_options_default(MAE_COMMAND_KNN, &o);
    ck_assert_int_eq(mae_options_load(&o, MAE_COMMAND_KNN, path, &err), MAE_OK);
    ck_assert_int_eq(o.limit, -30);
    ck_assert_int_eq(o.val_limit, -4);
    mae_options_free(&o);
}
END_TEST

Suite *suite_options(void) {
    Suite *s = suite_create("options");
    TCase *table = tcase_create("table"), *files = tcase_create("files");
    tcase_add_test(table, test_rows_are_sound);
    tcase_add_test(table, test_defaults_parse);
    tcase_add_test(table, test_reserved_words);
    tcase_add_test(table, test_published_recipe);
    tcase_add_test(table, test_set_and_get);
    tcase_add_test(table, test_every_row_refuses);
    tcase_add_loop_test(table, test_bad_values, 0, (int)(sizeof bad / sizeof *bad));
    tcase_add_checked_fixture(files, scratch_make, scratch_remove);
    tcase_add_loop_test(files, test_save_and_load, 0, (int)N_COMMANDS);
    tcase_add_test(files, test_given_wins_over_file);
    tcase_add_loop_test(files, test_bad_files, 0, (int)(sizeof bad_files / sizeof *bad_files));
    tcase_add_test(files, test_hostile_files);
    tcase_add_test(files, test_limits_of_images);
    suite_add_tcase(s, table);
    suite_add_tcase(s, files);
    return s;
}
