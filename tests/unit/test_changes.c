/* Which options may change in a run, and which have no effect beside others. */
#include <check.h>
#include <stdio.h>
#include <string.h>

#include "mae.h"
#include "options/options.h"
#include "run/changes.h"
#include "scratch.h"

Suite *suite_changes(void);

#define RUNS (COMMAND_PRETRAIN | COMMAND_FINETUNE | COMMAND_PROBE)

static void set(MaeOptions *o, const char *name, const char *value) {
    MaeError err = {0};
    ck_assert_msg(mae_options_set(o, name, value, &err) == MAE_OK, "%s", err.message);
}

START_TEST(rules_name_options) {
    for (size_t i = 0; changes_rule(i); i++)
        ck_assert_msg(option_find(RUNS, changes_rule(i)) >= 0, "no option %s", changes_rule(i));
    ck_assert_int_eq(changes_kind("threads", NULL), CHANGE_FREE);
    ck_assert_int_eq(changes_kind("weight-decay", NULL), CHANGE_MARKED);
    ck_assert_int_eq(changes_kind("depth", NULL), CHANGE_NEVER);
}
END_TEST

static Changes differences(const MaeOptions *before, MaeOptions *now) {
    Changes changes = {0};
    changes_find(&changes, before, now, now);
    return changes;
}

START_TEST(only_what_was_given_and_differs) {
    MaeOptions before, now;
    Error err = {0};
    options_default(COMMAND_FINETUNE, &before);
    options_default(COMMAND_FINETUNE, &now);
    set(&before, "epochs", "20");
    set(&now, "epochs", "20");
    set(&now, "out", "here");
    Changes c = differences(&before, &now);
    ck_assert_int_eq(c.n, 0);
    set(&now, "threads", "3");
    set(&now, "lr", "0.5");
    set(&now, "base-lr", "0.5"); /* without effect beside --lr, but not before */
    c = differences(&before, &now);
    ck_assert_int_eq(c.n, 3);
    ck_assert(changes_have(&c, CHANGE_FREE) && changes_have(&c, CHANGE_MARKED));
    ck_assert_int_eq(changes_check(&c, "run", true, &err), MAE_OK);
    ck_assert_int_eq(changes_check(&c, "run", false, &err), MAE_USAGE);
    ck_assert_msg(strstr(err.message, "--lr not set -> 0.5"), "%s", err.message);
    ck_assert_msg(!strstr(err.message, "--threads"), "%s", err.message);
    options_clear(&before);
    options_clear(&now);
}
END_TEST

START_TEST(what_cannot_be_accepted) {
    MaeOptions before, now;
    options_default(COMMAND_FINETUNE, &before);
    options_default(COMMAND_FINETUNE, &now);
    set(&now, "seed", "3");
    Changes c = differences(&before, &now);
    ck_assert_int_eq(c.change[0].kind, CHANGE_MARKED);
    now.val_share = before.val_share = 0.1; /* other images would be held out */
    c = differences(&before, &now);
    ck_assert_int_eq(c.change[0].kind, CHANGE_NEVER);
    options_clear(&before);
    options_clear(&now);
}
END_TEST

/* However many and long they are, the message keeps what to do, and no character is cut. */
START_TEST(long_lists) {
    Changes c = {0};
    Error err = {0};
    char text[1024], name[64], path[400];
    for (size_t i = 0; i + 2 < sizeof path; i += 2) memcpy(path + i, "\xc3\xa4", 3);
    for (int i = 0; i < 40; i++) {
        snprintf(name, sizeof name, "--option-%d", i);
        changes_add(&c, CHANGE_MARKED, name, path, i % 2 ? path : "x", NULL);
    }
    ck_assert_int_eq(changes_check(&c, path, false, &err), MAE_USAGE);
    ck_assert_msg(strstr(err.message, "more\n"), "%s", err.message);
    ck_assert_msg(strstr(err.message, "--restart"), "%s", err.message);
    changes_describe(&c, text, sizeof text);
    for (const char *s = c.change[0].before; *s && *s != '.'; s += 2)
        ck_assert(memcmp(s, "\xc3\xa4", 2) == 0);
}
END_TEST

START_TEST(options_without_effect) {
    static const struct {
        CommandId command;
        const char *option, *beside, *value;
        bool before, after;
    } cases[] = {
        {COMMAND_PRETRAIN, "pca-components", "target", "pca", true, false},
        {COMMAND_PRETRAIN, "min-scale", "augment", "none", false, true},
        {COMMAND_PRETRAIN, "mask-ratio", "mask", "grid", false, true},
        {COMMAND_PRETRAIN, "base-lr", "lr", "0.1", false, true},
        {COMMAND_FINETUNE, "mixup", "mix-prob", "0", false, true},
        {COMMAND_FINETUNE, "mix-switch-prob", "cutmix", "0", false, true},
        {COMMAND_PROBE, "beta1", "optimizer", "adamw", true, false},
        {COMMAND_PROBE, "momentum", "optimizer", "adamw", false, true},
        {COMMAND_EVAL, "baseline", "corruptions", "fog", true, false},
        {COMMAND_CONVERT, "part", "to", "onnx", true, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        MaeOptions o;
        options_default(cases[i].command, &o);
        const char *why = mae_options_unused(&o, cases[i].option);
        ck_assert_msg((why != NULL) == cases[i].before, "%s", cases[i].option);
        set(&o, cases[i].beside, cases[i].value);
        why = mae_options_unused(&o, cases[i].option);
        ck_assert_msg((why != NULL) == cases[i].after, "%s", cases[i].option);
        options_clear(&o);
    }
}
END_TEST

/* Two that silence each other: what is null must not read as "on". */
START_TEST(nothing_mixed_stays_so) {
    MaeOptions o, back;
    MaeError err = {0};
    const char *path = scratch_path("config.json");
    options_default(COMMAND_FINETUNE, &o);
    options_default(COMMAND_FINETUNE, &back);
    set(&o, "mixup", "0");
    set(&o, "cutmix", "0");
    set(&o, "mix-prob", "0");
    ck_assert_int_eq(mae_options_save(&o, path, &err), MAE_OK);
    ck_assert_int_eq(mae_options_load(&back, path, &err), MAE_OK);
    ck_assert(back.mix_prob == 0 || (back.mixup == 0 && back.cutmix == 0));
    options_clear(&o);
    options_clear(&back);
}
END_TEST

Suite *suite_changes(void) {
    Suite *s = suite_create("changes");
    TCase *t = tcase_create("changes");
    tcase_add_test(t, rules_name_options);
    tcase_add_test(t, only_what_was_given_and_differs);
    tcase_add_test(t, what_cannot_be_accepted);
    tcase_add_test(t, long_lists);
    tcase_add_test(t, options_without_effect);
    tcase_add_checked_fixture(t, scratch_make, scratch_remove);
    tcase_add_test(t, nothing_mixed_stays_so);
    suite_add_tcase(s, t);
    return s;
}
