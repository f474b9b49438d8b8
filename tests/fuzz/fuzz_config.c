/* Any bytes as a config.json, of every command; what loads is checked, saved and loaded again. The
 * same bytes as the errors of a baseline (mae eval --baseline), which is JSON too. */
#include "jobs/jobs.h"
#include "options.h"
#include "replay.h"

static void load_config(CommandId command, const char *path) {
    MaeOptions o;
    MaeError err = {0};
    size_t count;
    option_table(&count);
    options_default(command, &o);
    if (mae_options_load(&o, path, &err) == MAE_OK) {
        fuzz_save_and_load(&o);
        for (size_t i = 0; i < count; i++)
            if (o.given[i]) fuzz_check_value(&o, i);
    } else {
        fuzz_check_failure(&err);
    }
    options_clear(&o);
}

/* Without images, an evaluation ends when it has read what is asked for. */
static void load_baseline(const char *path) {
    Vit vit = {.config = {.head = HEAD_LINEAR, .classes = 2}};
    MaeModel model = {.vit = &vit};
    MaeOptions o = {.corruptions = "fog,snow", .baseline = (char *)path};
    bool failed;
    Result out = result_start(&failed);
    Error err = {0};
    ASSERT(eval_model(&model, &o, out, &err) != MAE_OK, "no images");
    ASSERT(err.message[0] != 0, "a failure without a message");
    result_drop(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
    fuzz_write(fuzz_path("config.json"), data, bytes);
    for (int c = 0; c < FUZZ_N_COMMANDS; c++)
        load_config(FUZZ_COMMANDS[c], fuzz_path("config.json"));
    load_baseline(fuzz_path("config.json"));
    return 0;
}
