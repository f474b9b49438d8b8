/* Any bytes as the text files that go with a model. Up to a NUL, or in their first half, they are
 * config.json, and the rest is preprocessor_config.json, in folders of Hugging Face and of timm.
 * All of them are also names of classes, options of a run, and pixel statistics. */
#include <string.h>

#include "base/memory.h"
#include "checkpoint/statistics.h"
#include "folder.h"
#include "jobs/jobs.h"
#include "load_model.h"
#include "mae.h"
#include "replay.h"

enum { MAE, CLASSIFIER, TIMM, N_MODELS };

static ModelConfig hf_model(int which) {
    ModelConfig c = {.image_height = 4,
                     .image_width = 4,
                     .channels = 3,
                     .patch = 2,
                     .embed_dim = 8,
                     .depth = 1,
                     .heads = 2,
                     .decoder_embed_dim = 4,
                     .decoder_depth = which == MAE,
                     .decoder_heads = 1,
                     .mlp_ratio = 1,
                     .norm_eps = 1e-6,
                     .mean = {0.5f, 0.5f, 0.5f},
                     .std = {0.5f, 0.5f, 0.5f},
                     .head = which == MAE ? HEAD_NONE : HEAD_LINEAR,
                     .pool = POOL_CLS,
                     .classes = which == MAE ? 0 : 3};
    return c;
}

/* FOLDER/hf0, hf1, hf2: the weights, written once. */
static void make_hf_folder(Device *d, int which) {
    const CheckpointNotes notes = {.preset = "custom", .mask_ratio = 0.5};
    const ModelConfig c = hf_model(which);
    Vit *v;
    MaeOptions o;
    Error err = {0};
    const char *native = fuzz_path("native.safetensors"), *out = fuzz_path("hf%d", which);
    ASSERT(vit_new(d, &c, GRADIENTS_NONE, TUNE_ALL, &v, &err) == MAE_OK, "%s", err.message);
    ASSERT(vit_init(v, 1, &err) == MAE_OK, "%s", err.message);
    ASSERT(checkpoint_write(native, v, &notes, &err) == MAE_OK, "%s", err.message);
    if (which == TIMM) {
        ASSERT(file_make_directories(out, &err) == MAE_OK, "%s", err.message);
        out = fuzz_path("hf%d/model.safetensors", which);
    }
    options_default(COMMAND_CONVERT, &o);
    ASSERT(mae_options_set(&o, "to", which == TIMM ? "timm" : "hf", NULL) == MAE_OK, "--to");
    ASSERT(mae_options_set(&o, "in", native, NULL) == MAE_OK, "IN");
    ASSERT(mae_options_set(&o, "out", out, NULL) == MAE_OK, "OUT");
    ASSERT(mae_run(&o, NULL, NULL, &err) == MAE_OK, "%s", err.message);
    options_clear(&o);
    vit_free(v);
}

static void make_hf_folders(void) {
    static bool made;
    for (int i = 0; i < N_MODELS && !made; i++) make_hf_folder(fuzz_device(), i);
    made = true;
}

static void read_class_names(const uint8_t *data, size_t bytes) {
    Error err = {0};
    ClassNames *names;
    char *text = mem_alloc(bytes + 1);
    ASSERT(text != NULL, "no memory");
    if (bytes) memcpy(text, data, bytes);
    if (classes_from_json(text, "fuzz", &names, &err) == MAE_OK) {
        char *json = classes_to_json(names);
        ASSERT(json != NULL, "%lld names", (long long)names->n);
        ASSERT(classes_find(names, names->name[0]) == 0, "%s", names->name[0]);
        mem_free(json);
        classes_free(names);
    }
    mem_free(text);
}

static void read_statistics(const uint8_t *data, size_t bytes) {
    ModelConfig c = {.channels = 3};
    char *text = mem_alloc(bytes + 1), back[STATISTICS_TEXT_BYTES];
    ASSERT(text != NULL, "no memory");
    if (bytes) memcpy(text, data, bytes);
    statistics_default(&c);
    (void)statistics_of_mmengine(text, &c);
    (void)statistics_set(text, text, &c, NULL);
    ModelConfig again = c;
    statistics_print(c.mean, 3, back);
    ASSERT(statistics_set(back, NULL, &again, NULL) == MAE_OK, "%s", back);
    ASSERT(statistics_equal(&c, &again), "%s", back);
    mem_free(text);
}

/* What can be read can be written, and read again. */
static void read_options(CommandId command, const char *path) {
    MaeOptions o, again;
    MaeError err = {0};
    const char *copy = fuzz_path("saved.json");
    options_default(command, &o);
    options_default(command, &again);
    if (mae_options_load(&o, path, &err) == MAE_OK) {
        ASSERT(mae_options_save(&o, copy, &err) == MAE_OK, "%s", err.message);
        ASSERT(mae_options_load(&again, copy, &err) == MAE_OK, "%s", err.message);
    }
    options_clear(&o);
    options_clear(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
    const uint8_t *nul = bytes ? memchr(data, 0, bytes) : NULL;
    size_t first = nul ? (size_t)(nul - data) : bytes / 2, second = first + (nul != NULL);
    make_hf_folders();
    for (int i = 0; i < N_MODELS; i++) {
        fuzz_write(fuzz_path("hf%d/config.json", i), data, first);
        fuzz_write(fuzz_path("hf%d/preprocessor_config.json", i), data + second, bytes - second);
        fuzz_open_checkpoint(fuzz_path("hf%d", i));
    }
    read_class_names(data, bytes);
    read_statistics(data, bytes);
    fuzz_write(fuzz_path("options.json"), data, bytes);
    read_options(COMMAND_PRETRAIN, fuzz_path("options.json"));
    read_options(COMMAND_FINETUNE, fuzz_path("options.json"));
    return 0;
}
