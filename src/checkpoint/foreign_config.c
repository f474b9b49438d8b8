/* See foreign_config.h. Sources: the configurations of transformers, timm's model registry. */
#include "checkpoint/foreign_config.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char *text_of(const json_t *object, const char *key) {
    return json_string_value(json_object_get(object, key));
}

bool foreign_is_timm(const json_t *config) {
    return json_is_object(json_object_get(config, "pretrained_cfg")) ||
           json_is_object(json_object_get(config, "model_args")) || text_of(config, "architecture");
}

static bool is_one_of(const char *word, const char *const *words) {
    for (; *words; words++)
        if (strcmp(word, *words) == 0) return true;
    return false;
}

/* --- transformers ----------------------------------------------------------------------------- */

/* transformers' "gelu" is the exact one, with erf, as everywhere here. */
static bool refuse_activation(const json_t *config, const char *key, char *text, size_t bytes) {
    static const char *const exact[] = {"gelu", "gelu_python", NULL};
    const json_t *act = json_object_get(config, key);
    const char *word = json_string_value(act);
    if (!act || (word && is_one_of(word, exact))) return false;
    snprintf(text, bytes, "config.json says %s \"%.60s\"; only gelu (with erf) is computed here",
             key, word ? word : "(no text)");
    return true;
}

static bool refuse_model_type(const json_t *config, char *text, size_t bytes) {
    static const char *const known[] = {"vit",  "vit_mae", "vit_msn",         "deit",
                                        "beit", "dinov2",  "data2vec-vision", NULL};
    const char *type = text_of(config, "model_type");
    if (!type || is_one_of(type, known)) return false;
    if (strncmp(type, "dinov3", 6) == 0)
        snprintf(text, bytes, "DINOv3: rotary positions are not supported (config.json)");
    else
        snprintf(text, bytes,
                 "config.json says model_type \"%.60s\", and what that computes is not known; when "
                 "it is a plain ViT, use the file of weights without the config.json beside it",
                 type);
    return true;
}

static bool refuse_depth(const json_t *config, const char *key, int64_t depth, char *text,
                         size_t bytes) {
    const json_t *said = json_object_get(config, key);
    if (!json_is_integer(said) || depth == 0 || json_integer_value(said) == depth) return false;
    snprintf(text, bytes, "config.json says %s %" PRId64 ", the file has %" PRId64 " blocks", key,
             (int64_t)json_integer_value(said), depth);
    return true;
}

/* BEiT's keys have no bias by design, so its configuration does not speak of it. */
static bool refuse_biases(const CheckpointFile *c, const json_t *config, char *text, size_t bytes) {
    const json_t *said = json_object_get(config, "qkv_bias");
    bool there = dialect_find(&c->dialect, "blocks.0.attn.qkv.bias");
    if (!json_is_boolean(said) || json_is_true(said) == there) return false;
    snprintf(text, bytes, "config.json says qkv_bias %s, the file has %s", there ? "false" : "true",
             there ? "these biases" : "none");
    return true;
}

static bool refuse_hf(const CheckpointFile *c, const json_t *config, char *text, size_t bytes) {
    return refuse_model_type(config, text, bytes) ||
           refuse_activation(config, "hidden_act", text, bytes) ||
           refuse_depth(config, "num_hidden_layers", c->config.depth, text, bytes) ||
           refuse_depth(config, "decoder_num_hidden_layers", c->config.decoder_depth, text,
                        bytes) ||
           refuse_biases(c, config, text, bytes);
}

/* --- timm ------------------------------------------------------------------------------------- */

/* Parts of the names of timm's models whose tensors look like those of a plain ViT. */
static bool refuse_timm_name(const char *name, char *text, size_t bytes) {
    static const char *const parts[][2] = {
        {"dinov3", "DINOv3: rotary positions are"},
        {"eva02", "EVA-02: rotary positions are"},
        {"rope", "rotary positions are"},
        {"pe_core", "rotary positions are"},
        {"pe_spatial", "rotary positions are"},
        {"pe_lang", "rotary positions are"},
        {"_rpn_", "norms behind the branches instead of in front of them are"},
        {"quickgelu", "the activation quick_gelu is"},
        {"gelutanh", "the activation gelu_tanh is"},
    };
    for (size_t i = 0; name && i < sizeof parts / sizeof *parts; i++) {
        if (!strstr(name, parts[i][0])) continue;
        snprintf(text, bytes, "%s not supported (it is a %.80s of timm)", parts[i][1], name);
        return true;
    }
    return false;
}

/* Arguments of timm's VisionTransformer that change the computation and leave no tensor behind. */
static bool refuse_timm_arguments(const json_t *args, char *text, size_t bytes) {
    static const char *const gelus[] = {"gelu", "gelu_erf", NULL};
    static const char *const norms[] = {"layernorm", "layernorm2d", "layer_norm", NULL};
    const char *act = text_of(args, "act_layer"), *norm = text_of(args, "norm_layer");
    const char *block = text_of(args, "block_fn");
    if (act && !is_one_of(act, gelus))
        snprintf(text, bytes, "config.json says act_layer \"%.60s\"; only gelu is computed here",
                 act);
    else if (norm && !is_one_of(norm, norms))
        snprintf(text, bytes,
                 "config.json says norm_layer \"%.60s\"; only layer norms are computed "
                 "here",
                 norm);
    else if (block)
        snprintf(text, bytes,
                 "config.json says block_fn \"%.60s\"; only plain blocks are computed "
                 "here",
                 block);
    else if (json_is_true(json_object_get(args, "use_rot_pos_emb")))
        snprintf(text, bytes, "rotary positions are not supported (config.json)");
    else
        return false;
    return true;
}

/* A classifier that takes the mean of normalised patches: norm first, then the mean. */
static bool refuse_timm_pooling(const CheckpointFile *c, const json_t *config, char *text,
                                size_t bytes) {
    const json_t *args = json_object_get(config, "model_args");
    const char *pool = text_of(args, "global_pool");
    if (!pool) pool = text_of(config, "global_pool");
    if (c->config.head == HEAD_NONE || c->config.pool == POOL_MEAN || !pool ||
        strcmp(pool, "token") == 0)
        return false;
    snprintf(text, bytes,
             "config.json says global_pool \"%.40s\" behind the final norm; a classifier takes the "
             "cls token behind it, or the mean in front of it (fc_norm)",
             pool);
    return true;
}

bool foreign_config_refusal(const CheckpointFile *c, const json_t *config, char *text,
                            size_t bytes) {
    if (refuse_timm_name(tensorfile_meta(c->file, "arch"), text, bytes) ||
        refuse_timm_name(tensorfile_meta(c->file, "args.model"), text, bytes))
        return true;
    if (!config) return false;
    if (!foreign_is_timm(config)) return refuse_hf(c, config, text, bytes);
    return refuse_timm_name(text_of(config, "architecture"), text, bytes) ||
           refuse_timm_arguments(json_object_get(config, "model_args"), text, bytes) ||
           refuse_timm_pooling(c, config, text, bytes);
}
