/* See convert_hf.h. Keys are those of ViTConfig, ViTMAEConfig and ViTImageProcessor. */
#include "export/convert_hf.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "base/memory.h"

static void set_count(json_t *o, const char *key, int64_t v) {
    json_object_set_new(o, key, json_integer((json_int_t)v));
}

static int64_t mlp_width(const ModelConfig *c, int64_t width) {
    return (int64_t)((double)width * c->mlp_ratio);
}

static void add_decoder(json_t *o, const CheckpointFile *in) {
    const ModelConfig *c = &in->config;
    set_count(o, "decoder_hidden_size", c->decoder_embed_dim);
    set_count(o, "decoder_num_hidden_layers", c->decoder_depth);
    set_count(o, "decoder_num_attention_heads", c->decoder_heads);
    set_count(o, "decoder_intermediate_size", mlp_width(c, c->decoder_embed_dim));
    json_object_set_new(o, "mask_ratio", json_real(in->notes.mask_ratio));
    json_object_set_new(o, "norm_pix_loss", json_boolean(c->target == TARGET_NORM_PIX));
}

static void add_labels(json_t *o, const CheckpointFile *in) {
    json_t *names = json_object(), *numbers = json_object();
    for (int64_t i = 0; i < in->config.classes; i++) {
        char number[32], made_up[48];
        snprintf(number, sizeof number, "%" PRId64, i);
        snprintf(made_up, sizeof made_up, "LABEL_%" PRId64, i);
        const char *name = in->notes.classes ? in->notes.classes->name[i] : made_up;
        json_object_set_new(names, number, json_name(name));
        json_object_set_new(numbers, name, json_integer((json_int_t)i));
    }
    json_object_set_new(o, "id2label", names);
    json_object_set_new(o, "label2id", numbers);
}

static json_t *model_config(const CheckpointFile *in, DType dtype) {
    static const char *const dtypes[] = {
        [DTYPE_F32] = "float32", [DTYPE_F16] = "float16", [DTYPE_BF16] = "bfloat16"};
    const ModelConfig *c = &in->config;
    bool mae = c->decoder_depth > 0, classifier = c->head != HEAD_NONE;
    const char *architecture = mae          ? "ViTMAEForPreTraining"
                               : classifier ? "ViTForImageClassification"
                                            : "ViTModel";
    json_t *o = json_pack("{s[s] ss ss sf sf sf sf sb}", "architectures", architecture,
                          "model_type", mae ? "vit_mae" : "vit", "hidden_act", "gelu",
                          "hidden_dropout_prob", 0.0, "attention_probs_dropout_prob", 0.0,
                          "initializer_range", 0.02, "layer_norm_eps", c->norm_eps, "qkv_bias", 1);
    json_object_set_new(o, "torch_dtype", json_string(dtypes[dtype]));
    set_count(o, "hidden_size", c->embed_dim);
    set_count(o, "num_hidden_layers", c->depth);
    set_count(o, "num_attention_heads", c->heads);
    set_count(o, "intermediate_size", mlp_width(c, c->embed_dim));
    set_count(o, "patch_size", c->patch);
    set_count(o, "num_channels", c->channels);
    if (c->image_height == c->image_width)
        set_count(o, "image_size", c->image_height);
    else
        json_object_set_new(
            o, "image_size",
            json_pack("[II]", (json_int_t)c->image_height, (json_int_t)c->image_width));
    if (mae) add_decoder(o, in);
    if (classifier) add_labels(o, in);
    return o;
}

static json_t *floats(const float *v, int64_t n) {
    json_t *list = json_array();
    for (int64_t i = 0; i < n; i++) {
        char text[32]; /* 0.485, not 0.48500001430511475 */
        snprintf(text, sizeof text, "%.7g", (double)v[i]);
        json_array_append_new(list, json_real(strtod(text, NULL)));
    }
    return list;
}

static json_t *processor_config(const ModelConfig *c) {
    enum { PIL_BICUBIC = 3 };
    json_t *o = json_pack("{ss sb sb sb sf si}", "image_processor_type", "ViTImageProcessor",
                          "do_resize", 1, "do_rescale", 1, "do_normalize", 1, "rescale_factor",
                          1.0 / 255, "resample", PIL_BICUBIC);
    json_object_set_new(o, "size",
                        json_pack("{sI sI}", "height", (json_int_t)c->image_height, "width",
                                  (json_int_t)c->image_width));
    json_object_set_new(o, "image_mean", floats(c->mean, c->channels));
    json_object_set_new(o, "image_std", floats(c->std, c->channels));
    return o;
}

static Status write_json(const char *folder, const char *name, json_t *o, Error *err) {
    char *path, *text = o ? json_dumps(o, JSON_INDENT(2)) : NULL;
    Status status = file_path(folder, name, &path, err);
    if (status == MAE_OK)
        status = text ? file_write_all(path, text, strlen(text), err)
                      : error_set(err, MAE_MEMORY, "no memory for %s", name);
    free(text);
    mem_free(path);
    json_decref(o);
    return status;
}

Status convert_hf_check_folder(const char *folder, Error *err) {
    Status status = MAE_OK;
    json_t *config = NULL;
    static const char *const names[] = {"config.json", "model.safetensors",
                                        "preprocessor_config.json"};
    bool taken = false;
    TRY(json_find_object(folder, "config.json", &config, err));
    const char *type = json_string_value(json_object_get(config, "model_type"));
    if (type && strncmp(type, "vit", 3) == 0) goto done;
    for (int i = 0; i < 3 && !taken; i++) TRY(file_is_in(folder, names[i], &taken, err));
    if (taken)
        status = error_set(err, MAE_USAGE,
                           "%s: holds a config.json or weights that are no vision transformer of "
                           "Hugging Face's, and would lose them; name a new or empty folder",
                           folder);
done:
    json_decref(config);
    return status;
}

Status convert_hf_configs(const char *folder, const CheckpointFile *in, DType dtype, Error *err) {
    Status status = write_json(folder, "config.json", model_config(in, dtype), err);
    if (status != MAE_OK) return status;
    return write_json(folder, "preprocessor_config.json", processor_config(&in->config), err);
}
