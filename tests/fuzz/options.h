/* Options as text: what every value must keep to, whoever set it. */
#ifndef FUZZ_OPTIONS_H
#define FUZZ_OPTIONS_H

#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "folder.h"
#include "options/options.h"

static const MaeCommand FUZZ_COMMANDS[] = {
    MAE_COMMAND_PRETRAIN, MAE_COMMAND_RECONSTRUCT, MAE_COMMAND_KNN,      MAE_COMMAND_FEATURES,
    MAE_COMMAND_BENCH,    MAE_COMMAND_INFO,        MAE_COMMAND_FINETUNE, MAE_COMMAND_PROBE,
    MAE_COMMAND_EVAL,     MAE_COMMAND_CLASSIFY,    MAE_COMMAND_CONVERT};
enum { FUZZ_N_COMMANDS = sizeof FUZZ_COMMANDS / sizeof *FUZZ_COMMANDS };

static inline void fuzz_check_failure(const MaeError *err) {
    ASSERT(err->status != MAE_OK && err->message[0] != 0, "a failure without a message");
    ASSERT(memchr(err->message, 0, sizeof err->message) != NULL, "a message without an end");
}

/* What was given is in its range, and reads back as itself. */
static inline void fuzz_check_value(MaeOptions *o, MaeCommand command, size_t i) {
    size_t count;
    const MaeOption *row = &mae_option_table(&count)[i];
    const void *p = option_value(o, row);
    char text[OPTION_TEXT_BYTES], again[OPTION_TEXT_BYTES];
    MaeError err = {0};
    double v = row->type == MAE_OPTION_INT || row->type == MAE_OPTION_SIZE
                   ? (double)*(const int64_t *)p
               : row->type == MAE_OPTION_REAL ? *(const double *)p
                                              : 0;
    if (row->min < row->max && row->type != MAE_OPTION_BOOL)
        ASSERT(v >= row->min && v <= row->max, "--%s is %g", row->name, v);
    mae_option_get(o, row, text, sizeof text);
    ASSERT(mae_option_set(o, command, row->name, text, &err) == MAE_OK, "%s", err.message);
    mae_option_get(o, row, again, sizeof again);
    ASSERT(strcmp(text, again) == 0, "--%s: %s became %s", row->name, text, again);
}

static inline bool fuzz_is_of_one_call(const MaeOption *row) {
    return strcmp(row->name, "out") == 0 || strcmp(row->name, "restart") == 0 ||
           strcmp(row->name, "accept-changes") == 0 || strcmp(row->name, "json") == 0 ||
           strcmp(row->name, "quiet") == 0;
}

static inline void fuzz_check_same(const MaeOptions *a, const MaeOptions *b, MaeCommand command) {
    size_t count;
    const MaeOption *table = mae_option_table(&count);
    char left[OPTION_TEXT_BYTES], right[OPTION_TEXT_BYTES];
    for (size_t i = 0; i < count; i++) {
        if (!(table[i].commands & (unsigned)command) || fuzz_is_of_one_call(&table[i])) continue;
        const char *why = mae_option_unused(a, command, &table[i]); /* null in the file */
        ASSERT(why == mae_option_unused(b, command, &table[i]), "--%s", table[i].name);
        if (why) continue;
        ASSERT(option_is_derived(a, i) == option_is_derived(b, i), "--%s", table[i].name);
        mae_option_get(a, &table[i], left, sizeof left);
        mae_option_get(b, &table[i], right, sizeof right);
        ASSERT(strcmp(left, right) == 0, "--%s: %s became %s", table[i].name, left, right);
    }
}

/* Saved, loaded and saved again: the same options, and the same bytes. Paths that are not UTF-8
 * have no place in JSON; that is said. */
static inline void fuzz_save_and_load(const MaeOptions *o, MaeCommand command) {
    MaeOptions back;
    MaeError err = {0};
    uint8_t *one, *two;
    size_t n_one, n_two;
    const char *first = fuzz_path("first.json"), *second = fuzz_path("second.json");
    if (mae_options_save(o, command, first, &err) != MAE_OK) {
        fuzz_check_failure(&err);
        ASSERT(strstr(err.message, "UTF-8") != NULL, "%s", err.message);
        return;
    }
    mae_options_default(command, &back);
    ASSERT(mae_options_load(&back, command, first, &err) == MAE_OK, "%s", err.message);
    fuzz_check_same(o, &back, command);
    ASSERT(mae_options_save(&back, command, second, &err) == MAE_OK, "%s", err.message);
    mae_options_free(&back);
    ASSERT(file_read(first, SIZE_MAX - 1, &one, &n_one, NULL) == MAE_OK &&
               file_read(second, SIZE_MAX - 1, &two, &n_two, NULL) == MAE_OK,
           "saved files");
    ASSERT(n_one == n_two && memcmp(one, two, n_one) == 0, "other bytes");
    mem_free(one);
    mem_free(two);
}

#endif
