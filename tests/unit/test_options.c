/* The option table: every default is a value of its row, values go in and out as text unchanged, a
 * saved configuration loads to the same options, and what is wrong is refused by name. */
#include <check.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "options/options.h"
#include "scratch.h"

static const CommandId commands[] = {
    COMMAND_PRETRAIN, COMMAND_RECONSTRUCT, COMMAND_KNN,   COMMAND_FEATURES, COMMAND_BENCH,
    COMMAND_INFO,     COMMAND_FINETUNE,    COMMAND_PROBE, COMMAND_EVAL,     COMMAND_CLASSIFY,
    COMMAND_CONVERT,  COMMAND_IMAGE,       COMMAND_MODEL, COMMAND_SESSION};
#define N_COMMANDS (sizeof commands / sizeof *commands)

static bool knows(const OptionRow *row, CommandId c) {
    return (row->commands & (unsigned)c) != 0;
}

/* A value of the row that is not its default. */
static void other_value(const OptionRow *row, char *text, size_t bytes) {
    const MaeOption *o = &row->option;
    switch (o->type) {
    case MAE_OPTION_SWITCH:
        snprintf(text, bytes, "%s", strcmp(o->fallback, "true") == 0 ? "false" : "true");
        break;
    case MAE_OPTION_INTEGER: snprintf(text, bytes, "%.0f", o->max > 77 ? 77 : o->max); break;
    case MAE_OPTION_REAL:
        snprintf(text, bytes, "%.15g", o->min + (o->max > 1 ? 0.3 : 0.3 * o->max));
        break;
    case MAE_OPTION_TEXT: snprintf(text, bytes, "a folder/\xc3\xa4 \"%s\"", o->name); break;
    case MAE_OPTION_CHOICE: {
        int last = 0;
        while (o->choices[last + 1]) last++;
        snprintf(text, bytes, "%s", o->choices[last]);
        break;
    }
    case MAE_OPTION_SIZE: snprintf(text, bytes, "192x320"); break;
    case MAE_OPTION_LIMIT: snprintf(text, bytes, "first:17"); break;
    case MAE_OPTION_LIST: snprintf(text, bytes, "a b.png,\xc3\xa4.jpg"); break;
    }
}

static MaeStatus set(CommandId c, const char *name, const char *value, MaeError *err) {
    MaeOptions o;
    *err = (MaeError){0};
    options_default(c, &o);
    MaeStatus status = mae_options_set(&o, name, value, err);
    options_clear(&o);
    return status;
}

START_TEST(test_rows_are_sound) {
    size_t n;
    const OptionRow *table = option_table(&n);
    for (size_t i = 0; i < n; i++) {
        const MaeOption *o = &table[i].option;
        ck_assert_msg(o->name && o->group && o->help && o->argument, "row %zu", i);
        ck_assert_msg(table[i].commands != 0 && table[i].offset < sizeof(MaeOptions), "%s",
                      o->name);
        ck_assert_msg((o->type == MAE_OPTION_CHOICE) == (o->choices != NULL), "%s", o->name);
        for (size_t j = 0; j < i; j++)
            ck_assert_msg(strcmp(table[j].option.name, o->name) != 0 ||
                              (table[j].commands & table[i].commands) == 0,
                          "%s is there twice for one command", o->name);
    }
}
END_TEST

START_TEST(test_defaults_parse) {
    size_t n;
    const OptionRow *table = option_table(&n);
    for (size_t c = 0; c < N_COMMANDS; c++) {
        MaeOptions o;
        options_default(commands[c], &o);
        for (size_t i = 0; i < n; i++) {
            MaeError err = {0};
            char before[256], after[256];
            ck_assert_msg(!o.given[i], "%s counts as given", table[i].option.name);
            if (!knows(&table[i], commands[c]) || !table[i].option.fallback) continue;
            option_text(&o, &table[i], before, sizeof before);
            ck_assert_msg(!mae_options_set(&o, table[i].option.name, before, &err), "%s",
                          err.message);
            option_text(&o, &table[i], after, sizeof after);
            ck_assert_str_eq(before, after);
            o.given[i] = 0;
        }
        options_clear(&o);
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
    options_default(COMMAND_PRETRAIN, &o);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        MaeError err = {0};
        ck_assert_int_eq(mae_options_set(&o, cases[i].name, cases[i].value, &err), MAE_USAGE);
        ck_assert_msg(strstr(err.message, cases[i].says) != NULL, "%s", err.message);
    }
    options_clear(&o);
}
END_TEST

START_TEST(test_published_recipe) {
    MaeOptions o;
    options_default(COMMAND_PRETRAIN, &o);
    ck_assert_int_eq(o.epochs, 800);
    ck_assert(o.warmup_epochs == 40 && o.base_lr == 1.5e-4 && o.weight_decay == 0.05);
    ck_assert(o.beta1 == 0.9 && o.beta2 == 0.95 && o.mask_ratio == 0.75 && o.min_scale == 0.2);
    ck_assert_int_eq(o.target, 1);
    ck_assert_int_eq(o.image_size[0], 224);
    ck_assert_int_eq(o.image_size[1], 224);
    ck_assert_int_eq(o.patch, 0);
    ck_assert_int_eq(o.workers, -1);
    options_clear(&o);
}
END_TEST

START_TEST(test_set_and_get) {
    size_t n;
    const OptionRow *table = option_table(&n);
    for (size_t c = 0; c < N_COMMANDS; c++) {
        MaeOptions o;
        options_default(commands[c], &o);
        for (size_t i = 0; i < n; i++) {
            char in[256], out[256];
            MaeError err = {0};
            if (!knows(&table[i], commands[c])) continue;
            other_value(&table[i], in, sizeof in);
            ck_assert_msg(!mae_options_set(&o, table[i].option.name, in, &err), "%s", err.message);
            option_text(&o, &table[i], out, sizeof out);
            ck_assert_str_eq(in, out);
            ck_assert(o.given[i]);
        }
        options_clear(&o);
    }
}
END_TEST

static void save_and_load(CommandId c, bool changed) {
    size_t n;
    const OptionRow *table = option_table(&n);
    const char *path = scratch_path("config-%d-%d.json", (int)c, (int)changed);
    MaeOptions a, b;
    MaeError err = {0};
    char text[256], back[256];
    options_default(c, &a);
    options_default(c, &b);
    for (size_t i = 0; i < n && changed; i++) {
        if (!knows(&table[i], c)) continue;
        other_value(&table[i], text, sizeof text);
        ck_assert_int_eq(mae_options_set(&a, table[i].option.name, text, &err), MAE_OK);
    }
    ck_assert_msg(mae_options_save(&a, path, &err) == MAE_OK, "%s", err.message);
    ck_assert_msg(mae_options_load(&b, path, &err) == MAE_OK, "%s", err.message);
    for (size_t i = 0; i < n; i++) {
        if (!knows(&table[i], c) || option_is_of_one_call(&table[i])) continue;
        if (mae_options_unused(&a, table[i].option.name)) { /* null in the file */
            ck_assert_msg(!b.given[i], "%s", table[i].option.name);
            continue;
        }
        option_text(&a, &table[i], text, sizeof text);
        option_text(&b, &table[i], back, sizeof back);
        ck_assert_msg(strcmp(text, back) == 0, "%s: %s became %s", table[i].option.name, text,
                      back);
        ck_assert_msg(b.given[i] == (changed || table[i].option.fallback), "%s",
                      table[i].option.name);
    }
    options_clear(&a);
    options_clear(&b);
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
    options_default(COMMAND_PRETRAIN, &o);
    mae_options_set(&o, "epochs", "7", &err);
    ck_assert_int_eq(mae_options_load(&o, path, &err), MAE_OK);
    ck_assert_int_eq(o.epochs, 7);
    ck_assert(o.mask_ratio == 0.5);
    ck_assert_int_eq(o.image_size[1], 64);
    ck_assert_int_eq(o.pca_components, 96); /* null: as if it were not there */
    options_clear(&o);
}
END_TEST

static const struct {
    CommandId command;
    const char *name, *value, *says;
} bad[] = {
    {COMMAND_PRETRAIN, "epochs", "", "--epochs"},
    {COMMAND_PRETRAIN, "epochs", "0", "must be 1 to"},
    {COMMAND_PRETRAIN, "epochs", "3x", "--epochs 3x: not a whole number"},
    {COMMAND_PRETRAIN, "epochs", " 3", "--epochs"},
    {COMMAND_PRETRAIN, "epochs", "3.5", "--epochs 3.5"},
    {COMMAND_PRETRAIN, "epochs", "99999999999999999999", "must be"},
    {COMMAND_PRETRAIN, "base-lr", "nan", "--base-lr nan: not a number"},
    {COMMAND_PRETRAIN, "base-lr", "inf", "--base-lr inf"},
    {COMMAND_PRETRAIN, "base-lr", "1e999", "--base-lr 1e999: must be"},
    {COMMAND_PRETRAIN, "base-lr", "0x1p-3", "not a number"},
    {COMMAND_PRETRAIN, "base-lr", "-1", "must be 0 to"},
    {COMMAND_PRETRAIN, "mask-ratio", "1.5", "--mask-ratio 1.5: must be 0 to 1"},
    {COMMAND_PRETRAIN, "mask", "rand", "choose one of random, block, grid"},
    {COMMAND_PRETRAIN, "image-size", "224x", "--image-size 224x"},
    {COMMAND_PRETRAIN, "image-size", "224x320x3", "--image-size"},
    {COMMAND_PRETRAIN, "image-size", "0x64", "--image-size 0x64"},
    {COMMAND_PRETRAIN, "strict", "yes", "--strict yes: must be true or false"},
    {COMMAND_PRETRAIN, "data", "", "--data: the value is empty"},
    {COMMAND_PRETRAIN, "mask_ratio", "0.5", "did you mean --mask-ratio?"},
    {COMMAND_PRETRAIN, "warmup-epoch", "1", "did you mean --warmup-epochs?"},
    {COMMAND_PRETRAIN, "temperature", "1", "there is no option --temperature"},
    {COMMAND_RECONSTRUCT, "embed-dim", "64", "the checkpoint says it"},
    {COMMAND_KNN, "k", "0", "--k 0: must be 1"},
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
    const OptionRow *table = option_table(&n);
    char *huge = malloc(5001);
    memset(huge, 'x', 5000);
    huge[5000] = '\0';
    for (size_t i = 0; i < n; i++) {
        MaeError err;
        char value[64];
        CommandId c = (CommandId)(table[i].commands & -table[i].commands);
        ck_assert_int_eq(set(c, table[i].option.name, "", &err), MAE_USAGE);
        ck_assert_msg(strstr(err.message, table[i].option.name), "%s", err.message);
        ck_assert_int_eq(set(c, table[i].option.name, huge, &err), MAE_USAGE);
        if (table[i].option.type != MAE_OPTION_INTEGER && table[i].option.type != MAE_OPTION_REAL)
            continue;
        snprintf(value, sizeof value, "%.0f", table[i].option.min - 1);
        ck_assert_msg(set(c, table[i].option.name, value, &err) == MAE_USAGE, "%s",
                      table[i].option.name);
        snprintf(value, sizeof value, "%.0f", table[i].option.max + 1);
        ck_assert_msg(set(c, table[i].option.name, value, &err) == MAE_USAGE, "%s",
                      table[i].option.name);
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
    options_default(COMMAND_PRETRAIN, &o);
    ck_assert_int_eq(mae_options_load(&o, path, &err), MAE_USAGE);
    ck_assert_msg(strstr(err.message, bad_files[_i].says), "\"%s\" lacks \"%s\"", err.message,
                  bad_files[_i].says);
    ck_assert_msg(strstr(err.message, "bad.json"), "\"%s\" lacks the file", err.message);
    options_clear(&o);
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
    options_default(COMMAND_PRETRAIN, &o);
    scratch_text(path, text);
    ck_assert_int_eq(mae_options_load(&o, path, &err), MAE_USAGE);
    ck_assert_int_ne(mae_options_load(&o, scratch_path("none"), &err), MAE_OK);
    text = realloc(text, (size_t)2 << 20);
    memset(text, ' ', (size_t)2 << 20);
    text[((size_t)2 << 20) - 1] = '\0';
    scratch_text(path, text);
    ck_assert_int_ne(mae_options_load(&o, path, &err), MAE_OK);
    options_clear(&o);
    free(text);
}
END_TEST

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
    const OptionRow *row = option_table(&n);
    while (strcmp(row->option.name, "limit") != 0) row++;
    options_default(COMMAND_KNN, &o);
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        ck_assert_int_eq(mae_options_set(&o, "limit", good[i].text, &err), MAE_OK);
        ck_assert_int_eq(o.limit, good[i].value);
        option_text(&o, row, text, sizeof text);
        ck_assert_str_eq(text, good[i].back);
    }
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        ck_assert_int_eq(mae_options_set(&o, "limit", wrong[i], &err), MAE_USAGE);
        ck_assert_ptr_nonnull(strstr(err.message, "--limit"));
    }
    scratch_text(path, "{\"limit\": 30, \"val_limit\": \"first:4\"}");
    options_default(COMMAND_KNN, &o);
    ck_assert_int_eq(mae_options_load(&o, path, &err), MAE_OK);
    ck_assert_int_eq(o.limit, -30);
    ck_assert_int_eq(o.val_limit, -4);
    options_clear(&o);
}
END_TEST

/* --- objects of programs ---------------------------------------------------------------------- */

static MaeOptions *options_of(const char *command) {
    MaeOptions *o = NULL;
    MaeError err = {0};
    ck_assert_msg(mae_options_new(command, &o, &err) == MAE_OK, "%s", err.message);
    return o;
}

START_TEST(test_commands) {
    static const char *const others[] = {"plan pretrain", "plan finetune", "plan probe",
                                         "image",         "model",         "session"};
    static const struct {
        const char *command, *says;
    } wrong[] = {{"", "there is no command"},
                 {"pretain", "did you mean pretrain?"},
                 {"plan", "write plan pretrain|finetune|probe"},
                 {"plan knn", "write plan pretrain|finetune|probe"},
                 {"bench step", "there is no command"}};
    const MaeCommand *c;
    MaeError err = {0};
    for (int64_t i = 0; (c = mae_command(i)); i++) {
        ck_assert_msg(c->arguments && c->summary, "%s", c->name);
        if (strcmp(c->name, "plan") != 0) mae_options_free(options_of(c->name));
    }
    ck_assert_ptr_null(mae_command(-1));
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        mae_options_free(options_of(others[i]));
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        MaeOptions *o = (MaeOptions *)&err;
        ck_assert_int_eq(mae_options_new(wrong[i].command, &o, &err), MAE_USAGE);
        ck_assert_ptr_null(o);
        ck_assert_msg(strstr(err.message, wrong[i].says), "%s", err.message);
    }
    mae_options_free(NULL);
}
END_TEST

/* Each row of the command once, and those of a group together. */
START_TEST(test_describe) {
    size_t n;
    const OptionRow *table = option_table(&n);
    for (int c = 0; command_at(c); c++) {
        MaeOptions o;
        const MaeOption *a, *b;
        int64_t rows = 0, known = 0;
        options_default(command_at(c)->id, &o);
        for (size_t i = 0; i < n; i++) known += knows(&table[i], o.command);
        for (; (a = mae_options_describe(&o, rows)); rows++)
            for (int64_t j = 0; j + 1 < rows; j++) {
                b = mae_options_describe(&o, j);
                ck_assert_ptr_ne(a, b);
                const char *between = mae_options_describe(&o, j + 1)->group;
                ck_assert_msg(strcmp(a->group, b->group) != 0 || strcmp(a->group, between) == 0,
                              "%s is there twice", a->group);
            }
        ck_assert_int_eq(rows, known);
        ck_assert_ptr_null(mae_options_describe(&o, -1));
        options_clear(&o);
    }
}
END_TEST

START_TEST(test_values_by_name) {
    MaeOptions *o = options_of("pretrain");
    MaeError err = {0};
    ck_assert_str_eq(mae_options_get(o, "epochs"), "800");
    ck_assert_int_eq(mae_options_set_integer(o, "epochs", 3, &err), MAE_OK);
    ck_assert_int_eq(mae_options_set_integer(o, "strict", 1, &err), MAE_OK);
    ck_assert_int_eq(mae_options_set_real(o, "base-lr", 0.1, &err), MAE_OK);
    ck_assert_int_eq(mae_options_set_real(o, "batch", 32, &err), MAE_OK);
    ck_assert_str_eq(mae_options_get(o, "epochs"), "3");
    ck_assert_str_eq(mae_options_get(o, "base-lr"), "0.1");
    ck_assert_str_eq(mae_options_get(o, "image-size"), "224x224");
    ck_assert_str_eq(mae_options_get(o, "mask"), "random");
    ck_assert_str_eq(mae_options_get(o, "strict"), "true");
    ck_assert(mae_options_get_number(o, "strict") == 1 && mae_options_get_number(o, "batch") == 32);
    ck_assert(isnan(mae_options_get_number(o, "lr")) && isnan(mae_options_get_number(o, "k")));
    ck_assert(!mae_options_get(o, "lr") && !mae_options_get(o, "data") && !mae_options_get(o, "k"));
    ck_assert(mae_options_is_set(o, "epochs") && !mae_options_is_set(o, "workers"));
    ck_assert_str_eq(mae_options_unused(o, "pca-images"), "it is for --target pca");
    ck_assert_ptr_null(mae_options_unused(o, "epochs"));
    mae_options_free(o);
}
END_TEST

/* What is refused leaves the value as it was. */
START_TEST(test_refused_by_name) {
    MaeOptions *o = options_of("pretrain");
    MaeError err = {0};
    const char *const with_comma[] = {"a,b", "c"};
    ck_assert_int_eq(mae_options_set_integer(o, "epochs", 0, &err), MAE_USAGE);
    ck_assert_int_eq(mae_options_set_integer(o, "strict", 2, &err), MAE_USAGE);
    ck_assert_int_eq(mae_options_set_real(o, "epochs", 1.5, &err), MAE_USAGE);
    ck_assert_int_eq(mae_options_set_real(o, "base-lr", (double)NAN, &err), MAE_USAGE);
    ck_assert_int_eq(mae_options_set_list(o, "epochs", with_comma, 2, &err), MAE_USAGE);
    ck_assert_ptr_nonnull(strstr(err.message, "--epochs: is no list"));
    ck_assert_int_eq(mae_options_set_list(o, "data", with_comma, 2, &err), MAE_USAGE);
    ck_assert_ptr_nonnull(strstr(err.message, "--data a,b: an item cannot have a comma"));
    ck_assert_int_eq(mae_options_set_list(o, "date", with_comma, 2, &err), MAE_USAGE);
    ck_assert_ptr_nonnull(strstr(err.message, "did you mean --data?"));
    ck_assert_str_eq(mae_options_get(o, "epochs"), "800");
    ck_assert(!mae_options_is_set(o, "epochs") && !mae_options_get(o, "data"));
    mae_options_free(o);
}
END_TEST

START_TEST(test_lists) {
    MaeOptions *o = options_of("classify");
    MaeError err = {0};
    const char *const items[] = {"a,b.png", "c.png"};
    const char *path = scratch_path("list.json");
    ck_assert_ptr_null(mae_options_get(o, "images"));
    ck_assert_int_eq(mae_options_set(o, "images", "x.png,y.png", &err), MAE_OK);
    ck_assert_int_eq(o->images.n, 2);
    ck_assert_str_eq(o->images.item[1], "y.png");
    ck_assert_int_eq(mae_options_set_list(o, "images", items, 2, &err), MAE_OK);
    ck_assert_str_eq(o->images.item[0], "a,b.png");
    ck_assert_str_eq(mae_options_get(o, "images"), "a,b.png,c.png");
    ck_assert_int_eq(mae_options_set(o, "images", "x,,y", &err), MAE_USAGE);
    ck_assert_int_eq(mae_options_set_list(o, "images", items, 0, &err), MAE_USAGE);
    ck_assert_str_eq(err.message, "images: the value is empty");
    ck_assert_int_eq(o->images.n, 2);
    mae_options_free(o);
    o = options_of("classify");
    scratch_text(path, "{\"images\": [\"p,q\", \"r\"]}");
    ck_assert_int_eq(mae_options_load(o, path, &err), MAE_OK);
    ck_assert_int_eq(o->images.n, 2);
    ck_assert_str_eq(o->images.item[0], "p,q");
    ck_assert_int_eq(mae_options_save(o, path, &err), MAE_OK); /* words are of one call */
    MaeOptions *back = options_of("classify");
    ck_assert_int_eq(mae_options_load(back, path, &err), MAE_OK);
    ck_assert_ptr_null(mae_options_get(back, "images"));
    scratch_text(path, "{\"images\": [\"p\", 3]}");
    ck_assert_int_eq(mae_options_load(back, path, &err), MAE_USAGE);
    ck_assert_ptr_nonnull(strstr(err.message, "\"images\" must be an array of strings"));
    mae_options_free(back);
    mae_options_free(o);
}
END_TEST

/* With every allocation failing in turn. */
START_TEST(test_without_memory) {
    const char *const items[] = {"a", "b"};
    MaeError err = {0};
    MaeOptions *o = NULL;
    MaeStatus status = MAE_MEMORY;
    for (int64_t n = 1; status != MAE_OK; n++) {
        mem_fail_after(n);
        status = mae_options_new("classify", &o, &err);
        mem_fail_after(0);
        ck_assert(status == MAE_MEMORY ? !o && n < 3 : status == MAE_OK && n == 3);
    }
    status = MAE_MEMORY;
    for (int64_t n = 1; status != MAE_OK; n++) {
        mem_fail_after(n);
        status = mae_options_set_list(o, "images", items, 2, &err);
        mem_fail_after(0);
        ck_assert(status == MAE_MEMORY ? !mae_options_is_set(o, "images") : n == 5);
    }
    ck_assert_str_eq(mae_options_get(o, "images"), "a,b");
    mae_options_free(o);
}
END_TEST

Suite *suite_options(void);
Suite *suite_options(void) {
    Suite *s = suite_create("options");
    TCase *table = tcase_create("table"), *files = tcase_create("files");
    TCase *objects = tcase_create("objects");
    tcase_add_test(table, test_rows_are_sound);
    tcase_add_test(table, test_defaults_parse);
    tcase_add_test(table, test_reserved_words);
    tcase_add_test(table, test_published_recipe);
    tcase_add_test(table, test_set_and_get);
    tcase_add_test(table, test_every_row_refuses);
    tcase_add_test(objects, test_commands);
    tcase_add_test(objects, test_describe);
    tcase_add_test(objects, test_values_by_name);
    tcase_add_test(objects, test_refused_by_name);
    tcase_add_test(objects, test_lists);
    tcase_add_test(objects, test_without_memory);
    tcase_add_checked_fixture(objects, scratch_make, scratch_remove);
    tcase_add_loop_test(table, test_bad_values, 0, (int)(sizeof bad / sizeof *bad));
    tcase_add_checked_fixture(files, scratch_make, scratch_remove);
    tcase_add_loop_test(files, test_save_and_load, 0, (int)N_COMMANDS);
    tcase_add_test(files, test_given_wins_over_file);
    tcase_add_loop_test(files, test_bad_files, 0, (int)(sizeof bad_files / sizeof *bad_files));
    tcase_add_test(files, test_hostile_files);
    tcase_add_test(files, test_limits_of_images);
    suite_add_tcase(s, table);
    suite_add_tcase(s, files);
    suite_add_tcase(s, objects);
    return s;
}
