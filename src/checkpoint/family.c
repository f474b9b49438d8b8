/* See family.h. Source: the names in checkpoints of each family. */
#include "checkpoint/family.h"

#include <string.h>

static const char ROTARY[] = "rotary positions are not supported";
static const char REGISTERS[] = "register tokens are not supported";
static const char TABLES[] = "relative position tables are not supported";
static const char QK_NORM[] = "norms of queries and keys are not supported";
static const char ATTENTION_NORM[] = "a norm inside the attention is not supported";
static const char MLP_NORM[] = "a norm inside the MLP is not supported";
static const char GATED[] = "a gated MLP (SwiGLU) is not supported";
static const char PRE_NORM[] = "a norm before the first block is not supported";
static const char POOLING[] = "attention pooling is not supported";
static const char DISTILLED[] = "a distillation token is not supported";
static const char VIDEO[] = "positions in time are not supported";
static const char TUNED[] = "adapters beside the weights (merge them first) are not supported";
static const char QUANTIZED[] = "quantised weights are not supported";
static const char PARAMETRIZED[] = "weights kept in factors are not supported";
static const char EXPERTS[] = "a mixture of experts is not supported";
static const char TALKING[] = "talking heads are not supported";
static const char CLASS_BLOCKS[] = "blocks for the cls token alone are not supported";
static const char PARALLEL[] = "parallel branches in a block are not supported";
static const char PROMPTS[] = "prompt tokens are not supported";
static const char BRANCHES[] = "layers between blocks are not supported";

static const FamilySign SIGNS[] = {
    {"rope_embed*", "DINOv3", ROTARY},
    {"storage_tokens", "DINOv3", "register tokens and rotary positions are not supported"},
    {"bias_mask", "DINOv3", "masked biases are not supported"},
    {"rope*", NULL, ROTARY},
    {"freqs*", NULL, ROTARY},
    {"inv_freq", NULL, ROTARY},
    {"rotary*", NULL, ROTARY},
    {"register_tokens", "DINOv2 with registers", REGISTERS},
    {"reg_token", NULL, REGISTERS},
    {"registers", NULL, REGISTERS},
    {"dist_token", "DeiT", DISTILLED},
    {"distillation_token", "DeiT", DISTILLED},
    {"head_dist", "DeiT", DISTILLED},
    {"detection_tokens", "YOLOS", "detection tokens are not supported"},
    {"mid_position_embeddings", "YOLOS", "positions of inner layers are not supported"},
    {"text_embeddings", "ViLT", "words beside the patches are not supported"},
    {"rel_pos_h", "SAM or ViTDet", TABLES},
    {"rel_pos_w", "SAM or ViTDet", TABLES},
    {"relative_position_bias_table", "BEiT or alike", TABLES},
    {"rel_pos_bias*", NULL, TABLES},
    {"relative_position_bias*", NULL, TABLES},
    {"rel_pos*", NULL, TABLES},
    {"attention_biases", NULL, TABLES},
    {"temporal*", NULL, VIDEO},
    {"time_embed*", NULL, VIDEO},
    {"pos_embed_temporal", NULL, VIDEO},
    {"pos_embed_spatial", NULL, VIDEO},
    {"inner_attn_ln", "EVA-02", ATTENTION_NORM},
    {"ffn_ln", "EVA-02", MLP_NORM},
    {"mlp.fc1_g", "EVA-02", GATED},
    {"mlp.fc1_x", "EVA-02", GATED},
    {"mlp.weights_in", "DINOv2 giant", GATED},
    {"mlp.weights_out", "DINOv2 giant", GATED},
    {"mlp.gate_proj", NULL, GATED},
    {"mlp.up_proj", NULL, GATED},
    {"mlp.down_proj", NULL, GATED},
    {"mlp.w1*", NULL, GATED},
    {"mlp.w2", NULL, GATED},
    {"mlp.w3", NULL, GATED},
    {"ffn.w12", NULL, GATED},
    {"ffn.w3", NULL, GATED},
    {"q_norm", NULL, QK_NORM},
    {"k_norm", NULL, QK_NORM},
    {"q_ln", NULL, QK_NORM},
    {"k_ln", NULL, QK_NORM},
    {"query_norm", NULL, QK_NORM},
    {"key_norm", NULL, QK_NORM},
    {"ln_q", NULL, QK_NORM},
    {"ln_k", NULL, QK_NORM},
    {"attn.norm*", NULL, ATTENTION_NORM},
    {"attn.ln*", NULL, ATTENTION_NORM},
    {"attention.norm*", NULL, ATTENTION_NORM},
    {"attention.layernorm", NULL, ATTENTION_NORM},
    {"mlp.norm*", NULL, MLP_NORM},
    {"mlp.ln*", NULL, MLP_NORM},
    {"ffn.norm*", NULL, MLP_NORM},
    {"ffn.ln*", NULL, MLP_NORM},
    {"norm_pre", "CLIP", PRE_NORM},
    {"pre_norm", "CLIP", PRE_NORM},
    {"ln_pre", "CLIP", PRE_NORM},
    {"pre_layrnorm", "CLIP", PRE_NORM},
    {"attn_pool", "SigLIP", POOLING},
    {"proj_l", "CaiT", TALKING},
    {"proj_w", "CaiT", TALKING},
    {"blocks_token_only", "CaiT", CLASS_BLOCKS},
    {"cls_attn_blocks", "XCiT", CLASS_BLOCKS},
    {"attns", NULL, PARALLEL},
    {"ffns", NULL, PARALLEL},
    {"downsample*", NULL, "stages of several resolutions are not supported"},
    {"patch_embed.backbone", "a hybrid of ResNet and ViT", "a convolutional stem is not supported"},
    {"patch_embed.norm", NULL, "a norm after the patches is not supported"},
    {"lora_*", NULL, TUNED},
    {"adapter*", NULL, TUNED},
    {"adaptmlp", NULL, TUNED},
    {"prompt*", NULL, PROMPTS},
    {"experts", NULL, EXPERTS},
    {"moe", NULL, EXPERTS},
    {"parametrizations", NULL, PARAMETRIZED},
    {"weight_g", NULL, PARAMETRIZED},
    {"weight_v", NULL, PARAMETRIZED},
    {"weight_orig", NULL, PARAMETRIZED},
    {"weight_scale", NULL, QUANTIZED},
    {"zero_point", NULL, QUANTIZED},
    {"quant_state*", NULL, QUANTIZED},
    {"absmax", NULL, QUANTIZED},
    {"SCB", NULL, QUANTIZED},
    {"qweight", NULL, QUANTIZED},
    {"scales", NULL, QUANTIZED},
    {"interactions", "ViT-Adapter", BRANCHES},
    {"spm", "ViT-Adapter", BRANCHES},
};

/* Files without a Vit. */
static const FamilySign OTHERS[] = {
    {"rope_embeddings*", NULL, "DINOv3: rotary positions are not supported"},
    {"layer.0.attention.q_proj", NULL, "DINOv3: rotary positions are not supported"},
    {"transformer.resblocks.0", NULL,
     "CLIP: a norm before the first block and other activations are not supported"},
    {"vision_model.pre_layrnorm", NULL,
     "CLIP: a norm before the first block and other activations are not supported"},
    {"vision_model.head", NULL, "SigLIP: attention pooling without a cls token is not supported"},
    {"vision_model.encoder.layers.0", NULL,
     "CLIP or SigLIP: their vision models are not supported"},
    {"encoder_layer_0", NULL,
     "a ViT of torchvision: its names are not read; load it into timm and save that"},
    {"w_msa", NULL, "Swin: windows and relative position tables are not supported"},
    {"layers.0.blocks.0*", NULL, "Swin: windows and relative position tables are not supported"},
    {"dwconv", NULL, "ConvNeXt: convolutional networks are not supported"},
    {"conv_dw", NULL, "ConvNeXt: convolutional networks are not supported"},
    {"depthwise_conv", NULL, "ConvNeXt: convolutional networks are not supported"},
    {"layer1.0.conv1", NULL, "ResNet: convolutional networks are not supported"},
    {"layer.0.convolution", NULL, "ResNet: convolutional networks are not supported"},
    {"token_mixing*", NULL, "MLP-Mixer: networks without attention are not supported"},
    {"mlp_tokens*", NULL, "MLP-Mixer: networks without attention are not supported"},
    {"self_attn.q_proj", NULL, "a transformer of language, not of images"},
    {"attention.self.query", NULL, "a transformer of language, not of images"},
    {"wte", NULL, "a transformer of language, not of images"},
    {"down_blocks.0", NULL, "a diffusion model: its networks are not supported"},
};

/* Does the pattern stand in the name, from one dot (or end) to another? */
static bool has_part(const char *name, const char *part) {
    size_t n = strlen(part);
    bool open = part[n - 1] == '*';
    n -= open;
    for (const char *at = name; *at;) {
        if (strncmp(at, part, n) == 0 && (open || at[n] == '.' || !at[n])) return true;
        const char *dot = strchr(at, '.');
        if (!dot) return false;
        at = dot + 1;
    }
    return false;
}

const FamilySign *family_sign(const char *name) {
    for (size_t i = 0; i < sizeof SIGNS / sizeof *SIGNS; i++)
        if (has_part(name, SIGNS[i].part)) return &SIGNS[i];
    return NULL;
}

const char *family_of_others(const TensorFile *file, const char **tensor) {
    for (size_t k = 0; k < sizeof OTHERS / sizeof *OTHERS; k++)
        for (size_t i = 0; i < tensorfile_count(file); i++) {
            *tensor = tensorfile_at(file, i)->name;
            if (has_part(*tensor, OTHERS[k].part)) return OTHERS[k].what;
        }
    return NULL;
}
