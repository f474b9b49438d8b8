/* Options as text: what every value must keep to, whoever set it. */
#ifndef FUZZ_OPTIONS_H
#define FUZZ_OPTIONS_H

#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "folder.h"
#include "options/options.h"

static const CommandId FUZZ_COMMANDS[] = {COMMAND_PRETRAIN, COMMAND_RECONSTRUCT, COMMAND_KNN,
                                          COMMAND_FEATURES, COMMAND_BENCH,       COMMAND_INFO,
                                          COMMAND_FINETUNE, COMMAND_PROBE,       COMMAND_EVAL,
                                          COMMAND_CLASSIFY, COMMAND_CONVERT};
enum { FUZZ_N_COMMANDS = sizeof FUZZ_COMMANDS / sizeof *FUZZ_COMMANDS };

static inline void fuzz_check_failure(const MaeError *err) {
    ASSERT(err->status != MAE_OK && err->message[0] != 0, "a failure without a message");
    ASSERT(memchr(err->message, 0, sizeof err->message) != NULL, "a message without an end");
}

/* What was given is in its range, and reads back as itself. */
static inline void fuzz_check_value(MaeOptions *o, size_t i) {
    size_t count;
    const OptionRow *row = &option_table(&count)[i];
    const void *p = option_value(o, row);
    char text[OPTION_TEXT_BYTES], again[OPTION_TEXT_BYTES];
    MaeError err = {0};
    double v = row->option.type == MAE_OPTION_INTEGER || row->option.type == MAE_OPTION_SIZE
                   ? (double)*(const int64_t *)p
               : row->option.type == MAE_OPTION_REAL ? *(const double *)p
                                                     : 0;
    if (row->option.min < row->option.max && row->option.type != MAE_OPTION_SWITCH)
        ASSERT(v >= row->option.min && v <= row->option.max, "--%s is %g", row->option.name, v);
    option_text(o, row, text, sizeof text);
    ASSERT(mae_options_set(o, row->option.name, text, &err) == MAE_OK, "%s", err.message);
    option_text(o, row, again, sizeof again);
    ASSERT(strcmp(text, again) == 0, "--%s: %s became %s", row->option.name, text, again);
}

static inline void fuzz_check_same(const MaeOptions *a, const MaeOptions *b) {
    size_t count;
    const OptionRow *table = option_table(&count);
    char left[OPTION_TEXT_BYTES], right[OPTION_TEXT_BYTES];
    for (size_t i = 0; i < count; i++) {
        if (!(table[i].commands & (unsigned)a->command) || option_is_of_one_call(&table[i]))
            continue;
        const char *why = mae_options_unused(a, table[i].option.name); /* null in the file */
        ASSERT(why == mae_options_unused(b, table[i].option.name), "--%s", table[i].option.name);
        if (why) continue;
        ASSERT(option_is_derived(a, i) == option_is_derived(b, i), "--%s", table[i].option.name);
        option_text(a, &table[i], left, sizeof left);
        option_text(b, &table[i], right, sizeof right);
        ASSERT(strcmp(left, right) == 0, "--%s: %s became %s", table[i].option.name, left, right);
    }
}

/* Saved, loaded and saved again: the same options, and the same bytes. Paths that are not UTF-8
 * have no place in JSON; that is said. */
static inline void fuzz_save_and_load(const MaeOptions *o) {
    MaeOptions back;
    MaeError err = {0};
    uint8_t *one, *two;
    size_t n_one, n_two;
    const char *first = fuzz_path("first.json"), *second = fuzz_path("second.json");
    if (mae_options_save(o, first, &err) != MAE_OK) {
        fuzz_check_failure(&err);
        ASSERT(strstr(err.message, "UTF-8") != NULL, "%s", err.message);
        return;
    }
    options_default(o->command, &back);
    ASSERT(mae_options_load(&back, first, &err) == MAE_OK, "%s", err.message);
    fuzz_check_same(o, &back);
    ASSERT(mae_options_save(&back, second, &err) == MAE_OK, "%s", err.message);
    options_clear(&back);
    ASSERT(file_read(first, SIZE_MAX - 1, &one, &n_one, NULL) == MAE_OK &&
               file_read(second, SIZE_MAX - 1, &two, &n_two, NULL) == MAE_OK,
           "saved files");
    ASSERT(n_one == n_two && memcmp(one, two, n_one) == 0, "other bytes");
    mem_free(one);
    mem_free(two);
}

#endif
