/* See unused.h. The rules are a table like that of the options. A null in config.json is read as
 * the default, so a rule must still hold when the option has its default again. */
#include "run/unused.h"

#include <string.h>

#include "base/log.h"
#include "model/vit.h"
#include "options/options.h"

static bool no_pca(const MaeOptions *o) {
    return o->target != TARGET_PCA;
}

static bool grid(const MaeOptions *o) {
    return o->mask == MASK_GRID;
}

static bool no_scale(const MaeOptions *o) {
    return o->augment == AUGMENT_NONE || o->augment == AUGMENT_CROP_FIXED;
}

static bool lr(const MaeOptions *o) {
    return o->lr > 0;
}

static bool no_erasing(const MaeOptions *o) {
    return o->erase_prob == 0;
}

static bool never_mixed(const MaeOptions *o) {
    return o->mix_prob == 0;
}

static bool no_mixing(const MaeOptions *o) {
    return o->mixup == 0 && o->cutmix == 0;
}

/* Not both of two options that silence each other: null for both would read as their defaults. */
static bool silenced(const MaeOptions *o) {
    return never_mixed(o) && !no_mixing(o);
}

static bool one_mixing(const MaeOptions *o) {
    return never_mixed(o) || o->mixup == 0 || o->cutmix == 0;
}

static bool adamw(const MaeOptions *o) {
    return o->optimizer == OPTIMIZER_ADAMW;
}

static bool no_adamw(const MaeOptions *o) {
    return !adamw(o);
}

static bool fast_decode(const MaeOptions *o) {
    return o->fast_decode != 0;
}

/* A model that is not of that size: the checkpoint had the say. */
static bool other_model(const MaeOptions *o) {
    ModelConfig c = model_preset((ModelSize)o->model);
    if (!o->init || strcmp(o->init, "none") == 0 || o->embed_dim == 0) return false;
    return c.embed_dim != o->embed_dim || c.depth != o->depth || c.heads != o->heads;
}

static bool chosen_patches(const MaeOptions *o) {
    return o->keep_patches != NULL;
}

static bool no_corruptions(const MaeOptions *o) {
    return !o->corruptions;
}

static bool no_hf(const MaeOptions *o) {
    return o->to != TO_HF;
}

static bool no_onnx(const MaeOptions *o) {
    return o->to != TO_ONNX;
}

static const struct {
    const char *option;
    unsigned commands;
    bool (*unused)(const MaeOptions *o);
    const char *why;
} RULES[] = {
    {"pca-components", COMMAND_PRETRAIN, no_pca, "it is for --target pca"},
    {"pca-images", COMMAND_PRETRAIN, no_pca, "it is for --target pca"},
    {"mask-ratio", COMMAND_RECONSTRUCT | COMMAND_SESSION, chosen_patches,
     "--keep says which patches are left"},
    {"mask", COMMAND_RECONSTRUCT | COMMAND_SESSION, chosen_patches,
     "--keep says which patches are left"},
    {"mask-ratio", COMMAND_PRETRAIN | COMMAND_RECONSTRUCT | COMMAND_SESSION, grid,
     "--mask grid keeps one patch of four"},
    {"min-scale", COMMAND_PRETRAIN | COMMAND_FINETUNE | COMMAND_PROBE, no_scale,
     "this --augment takes no random crops"},
    {"cache-mb", COMMAND_PRETRAIN, fast_decode, "--fast-decode keeps no images"},
    {"base-lr", COMMAND_PRETRAIN | COMMAND_FINETUNE | COMMAND_PROBE, lr,
     "--lr sets the learning rate"},
    {"erase-mode", COMMAND_FINETUNE, no_erasing, "--erase-prob is 0"},
    {"mixup", COMMAND_FINETUNE, silenced, "--mix-prob is 0"},
    {"cutmix", COMMAND_FINETUNE, silenced, "--mix-prob is 0"},
    {"mix-mode", COMMAND_FINETUNE, never_mixed, "--mix-prob is 0"},
    {"mix-mode", COMMAND_FINETUNE, no_mixing, "--mixup and --cutmix are 0"},
    {"mix-prob", COMMAND_FINETUNE, no_mixing, "--mixup and --cutmix are 0"},
    {"mix-switch-prob", COMMAND_FINETUNE, one_mixing, "--mixup and --cutmix are not both on"},
    {"beta1", COMMAND_PROBE, no_adamw, "it is for --optimizer adamw"},
    {"beta2", COMMAND_PROBE, no_adamw, "it is for --optimizer adamw"},
    {"momentum", COMMAND_PROBE, adamw, "--optimizer adamw has none"},
    {"model", COMMAND_FINETUNE | COMMAND_PROBE, other_model,
     "the checkpoint of --init says the model"},
    {"baseline", COMMAND_EVAL, no_corruptions, "it is for --corruptions"},
    {"hf-names", COMMAND_CONVERT, no_hf, "it is for --to hf"},
    {"part", COMMAND_CONVERT, no_onnx, "it is for --to onnx"},
    {"batch", COMMAND_CONVERT, no_onnx, "it is for --to onnx"},
};

const char *mae_options_unused(const MaeOptions *o, const char *name) {
    for (size_t i = 0; i < sizeof RULES / sizeof *RULES; i++)
        if ((RULES[i].commands & (unsigned)o->command) && strcmp(RULES[i].option, name) == 0 &&
            RULES[i].unused(o))
            return RULES[i].why;
    return NULL;
}

void option_warn_unused(const MaeOptions *o, const MaeOptions *given) {
    const MaeOption *option;
    for (int64_t i = 0; (option = mae_options_describe(given, i)); i++) {
        const char *why = mae_options_unused(o, option->name);
        if (why && mae_options_is_set(given, option->name))
            log_line(LOG_WARNING, "--%s has no effect here: %s", option->name, why);
    }
}
