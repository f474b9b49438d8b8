/* See dialect.h. A parameter's name has a stem (which stack and block) and a layer; each dialect
 * spells both in its own way. dialect_models.c finds the models of a file, dialect_config.c their
 * sizes, dialect_read.c values. */
#include "checkpoint/dialect.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

WORDS_DEFINE(Dialect, dialect_words, DIALECT_WORDS)

/* --- spelling --------------------------------------------------------------------------------- */

typedef struct Word {
    const char *ours, *theirs[DIALECT_COUNT]; /* NULL: not there */
} Word;

/* Inside a block. attn.qkv of Hugging Face is three tensors: the word is filled in for %s. */
static const Word LAYERS[] = {
    {"norm1", {"norm1", "layernorm_before", "layernorm_before", "norm1", "ln1"}},
    {"attn.qkv",
     {"attn.qkv", "attention.attention.%s", "attention.%s_proj", "attention.attention.%s",
      "attn.qkv"}},
    {"attn.proj",
     {"attn.proj", "attention.output.dense", "attention.o_proj", "attention.output.dense",
      "attn.proj"}},
    {"norm2", {"norm2", "layernorm_after", "layernorm_after", "norm2", "ln2"}},
    {"mlp.fc1", {"mlp.fc1", "intermediate.dense", "mlp.fc1", "mlp.fc1", "ffn.layers.0.0"}},
    {"mlp.fc2", {"mlp.fc2", "output.dense", "mlp.fc2", "mlp.fc2", "ffn.layers.1"}},
    {NULL, {NULL}},
};

static const Word STACKS[] = {
    {"blocks",
     {"blocks", "vit.encoder.layer", "vit.layers", "vit.encoder.layer", "backbone.layers"}},
    {"decoder_blocks",
     {"decoder_blocks", "decoder.decoder_layers", "decoder.decoder_layers", NULL,
      "neck.decoder_blocks"}},
    {NULL, {NULL}},
};

/* Outside of the blocks, without .weight and .bias. */
static const Word SINGLES[] = {
    {"cls_token",
     {"cls_token", "vit.embeddings.cls_token", "vit.embeddings.cls_token",
      "vit.embeddings.cls_token", "backbone.cls_token"}},
    {"pos_embed",
     {"pos_embed", "vit.embeddings.position_embeddings", "vit.embeddings.position_embeddings",
      "vit.embeddings.position_embeddings", "backbone.pos_embed"}},
    {"patch_embed.proj",
     {"patch_embed.proj", "vit.embeddings.patch_embeddings.projection",
      "vit.embeddings.patch_embeddings.projection", "vit.embeddings.patch_embeddings.projection",
      "backbone.patch_embed.projection"}},
    {"norm", {"norm", "vit.layernorm", "vit.layernorm", "vit.layernorm", "backbone.ln1"}},
    {"fc_norm", {"fc_norm", NULL, NULL, NULL, "backbone.ln2"}},
    {"head", {"head", "classifier", "classifier", "classifier", "head.fc"}},
    {"mask_token",
     {"mask_token", "decoder.mask_token", "decoder.mask_token", NULL, "neck.mask_token"}},
    {"decoder_pos_embed",
     {"decoder_pos_embed", "decoder.decoder_pos_embed", "decoder.decoder_pos_embed", NULL,
      "neck.decoder_pos_embed"}},
    {"decoder_embed",
     {"decoder_embed", "decoder.decoder_embed", "decoder.decoder_embed", NULL,
      "neck.decoder_embed"}},
    {"decoder_norm",
     {"decoder_norm", "decoder.decoder_norm", "decoder.decoder_norm", NULL, "neck.decoder_norm"}},
    {"decoder_pred",
     {"decoder_pred", "decoder.decoder_pred", "decoder.decoder_pred", NULL, "neck.decoder_pred"}},
    {NULL, {NULL}},
};

static const char *translate(const Word *table, Dialect d, const char *name, size_t n) {
    for (const Word *w = table; w->ours; w++)
        if (strlen(w->ours) == n && strncmp(w->ours, name, n) == 0) return w->theirs[d];
    return NULL;
}

/* The part of a name before ".weight" or ".bias" (all of it when it has neither). */
static size_t layer_length(const char *name) {
    const char *dot = strrchr(name, '.');
    bool leaf = dot && (strcmp(dot, ".weight") == 0 || strcmp(dot, ".bias") == 0);
    return leaf ? (size_t)(dot - name) : strlen(name);
}

bool dialect_is_hf(Dialect d) {
    return d == DIALECT_HF4 || d == DIALECT_HF5 || d == DIALECT_HF_DINOV2;
}

static int spell_qkv(Dialect d, const char *stem, const char *layer, const char *leaf,
                     char names[3][DIALECT_NAME_BYTES]) {
    static const char *const parts[2][3] = {{"query", "key", "value"}, {"q", "k", "v"}};
    for (int i = 0; i < 3; i++) {
        char word[64];
        snprintf(word, sizeof word, layer, parts[d == DIALECT_HF5][i]);
        snprintf(names[i], DIALECT_NAME_BYTES, "%s.%s%s", stem, word, leaf);
    }
    return 3;
}

/* "blocks.7.attn.qkv.weight": the stem "blocks.7" in their words, and what follows in ours. */
static bool block_stem(Dialect d, const char *param, char stem[96], const char **layer) {
    const char *dot = strchr(param, '.');
    const char *stack = dot ? translate(STACKS, d, param, (size_t)(dot - param)) : NULL;
    const char *rest = stack ? strchr(dot + 1, '.') : NULL;
    if (!rest) return false;
    snprintf(stem, 96, "%s.%.*s", stack, (int)(rest - dot - 1), dot + 1);
    *layer = rest + 1;
    return true;
}

static int spell_block(Dialect d, const char *param, char names[3][DIALECT_NAME_BYTES]) {
    char stem[96];
    const char *ours;
    if (!block_stem(d, param, stem, &ours)) return 0;
    size_t n = layer_length(ours);
    const char *layer = translate(LAYERS, d, ours, n), *leaf = ours + n;
    if (!layer) return 0;
    if (strchr(layer, '%')) return spell_qkv(d, stem, layer, leaf, names);
    snprintf(names[0], DIALECT_NAME_BYTES, "%s.%s%s", stem, layer, leaf);
    return 1;
}

int dialect_spell(Dialect d, const char *param, char names[3][DIALECT_NAME_BYTES]) {
    int n = spell_block(d, param, names);
    if (n) return n;
    size_t length = layer_length(param);
    const char *word = translate(SINGLES, d, param, length);
    if (!word && d != DIALECT_OFFICIAL) return 0;
    if (word)
        snprintf(names[0], DIALECT_NAME_BYTES, "%s%s", word, param + length);
    else /* head.0, head.1 of a probe */
        snprintf(names[0], DIALECT_NAME_BYTES, "%s", param);
    return 1;
}

/* --- finding ---------------------------------------------------------------------------------- */

/* Other words that files use for the same thing. The first is what save_pretrained of transformers
 * 5 makes of the decoder's layers. */
static const char *const OTHER_WORDS[][2] = {
    {"decoder.decoder_layers", "decoder.decoder_encoder.layer"},
    {"neck.decoder_norm", "neck.ln1"},
    {"neck.decoder_norm", "neck.norm1"},
    {"backbone.ln1", "backbone.norm1"},
    {"backbone.ln2", "backbone.fc_norm"},
    {"head.fc", "head.layers.head"}};

/* Longer than any name that is looked for: a prefix, a base and a spelling. */
enum { FULL_NAME_BYTES = 512 };

static const TensorEntry *find_exact(const DialectFile *d, const char *before, const char *name) {
    char full[FULL_NAME_BYTES];
    snprintf(full, sizeof full, "%s%s%s", d->prefix, before, name);
    return tensorfile_find(d->file, full);
}

/* "blocks.7.norm1.weight" is blocks.CHUNK.7.norm1.weight, in one of the chunks up to that number.
 */
static const TensorEntry *find_chunked(const DialectFile *d, const char *name) {
    const TensorEntry *t = NULL;
    if (!d->chunked || strncmp(name, "blocks.", 7) != 0) return NULL;
    long block = strtol(name + 7, NULL, 10);
    for (long chunk = 0; !t && chunk <= block && chunk < 64; chunk++) {
        char before[32];
        snprintf(before, sizeof before, "blocks.%ld.", chunk);
        t = find_exact(d, before, name + 7);
    }
    return t;
}

/* "vit." stands for whatever the encoder of a Hugging Face file lies in. */
static const TensorEntry *find(const DialectFile *d, const char *name) {
    bool inside = dialect_is_hf(d->dialect) && strncmp(name, "vit.", 4) == 0;
    const TensorEntry *t = inside ? find_exact(d, d->base, name + 4) : find_exact(d, "", name);
    if (!t) t = find_chunked(d, name);
    for (size_t i = 0; !t && i < sizeof OTHER_WORDS / sizeof *OTHER_WORDS; i++) {
        size_t n = strlen(OTHER_WORDS[i][0]);
        if (strncmp(name, OTHER_WORDS[i][0], n) == 0 && (name[n] == '.' || !name[n]))
            t = find_exact(d, OTHER_WORDS[i][1], name + n);
    }
    return t;
}

/* The parts of a bias of qkv in a file whose keys have none (BEiT: a key's bias changes nothing).
 */
static int keyless_bias(const DialectFile *d, const char *param,
                        char names[3][DIALECT_NAME_BYTES]) {
    static const char *const leaves[] = {"q_bias", "k_bias", "v_bias"};
    char stem[96];
    const char *layer;
    if (!block_stem(d->dialect, param, stem, &layer) || strcmp(layer, "attn.qkv.bias") != 0)
        return 0;
    bool split = dialect_spell(d->dialect, param, names) == 3;
    for (int i = 0; i < 3; i++) {
        char name[DIALECT_NAME_BYTES];
        snprintf(name, sizeof name, "%s.attn.%s", stem, leaves[i]);
        const TensorEntry *t = find(d, split ? names[i] : name);
        if (!t && i != 1) return 0;
        snprintf(names[i], DIALECT_NAME_BYTES, "%s", t ? t->name : "");
    }
    return 3;
}

int dialect_sources(const DialectFile *d, const char *param, char names[3][DIALECT_NAME_BYTES]) {
    int n = dialect_spell(d->dialect, param, names);
    for (int i = 0; i < n; i++) {
        const TensorEntry *t = find(d, names[i]);
        if (!t || strlen(t->name) >= DIALECT_NAME_BYTES) return keyless_bias(d, param, names);
        snprintf(names[i], DIALECT_NAME_BYTES, "%s", t->name);
    }
    return n;
}

const char *dialect_wanted(const DialectFile *d, const char *param, char *text, size_t bytes) {
    char names[3][DIALECT_NAME_BYTES];
    const char *name = dialect_spell(d->dialect, param, names) ? names[0] : param;
    bool inside = dialect_is_hf(d->dialect) && strncmp(name, "vit.", 4) == 0;
    snprintf(text, bytes, "%s%s%s", d->prefix, inside ? d->base : "", inside ? name + 4 : name);
    return text;
}

const TensorEntry *dialect_find(const DialectFile *d, const char *param) {
    char names[3][DIALECT_NAME_BYTES];
    return dialect_sources(d, param, names) ? tensorfile_find(d->file, names[0]) : NULL;
}

/* Of the attention and of the MLP: timm, BEiT, XCiT, transformers, mmpretrain. */
static const char *const SCALES[][2] = {{"ls1.gamma", "ls2.gamma"},
                                        {"gamma_1", "gamma_2"},
                                        {"gamma1", "gamma2"},
                                        {"lambda_1", "lambda_2"},
                                        {"layer_scale1.lambda1", "layer_scale2.lambda1"},
                                        {"layer_scale_1", "layer_scale_2"},
                                        {"attn.gamma1.weight", "ffn.gamma2.weight"},
                                        {"attn.gamma1.scale", "ffn.gamma2.scale"}};

const TensorEntry *dialect_scale(const DialectFile *d, const char *param) {
    char stem[96];
    const char *layer;
    const TensorEntry *t = NULL;
    if (!block_stem(d->dialect, param, stem, &layer)) return NULL;
    bool attention = strncmp(layer, "attn.proj.", 10) == 0;
    if (!attention && strncmp(layer, "mlp.fc2.", 8) != 0) return NULL;
    for (size_t i = 0; !t && i < sizeof SCALES / sizeof *SCALES; i++) {
        char name[DIALECT_NAME_BYTES];
        snprintf(name, sizeof name, "%s.%s", stem, SCALES[i][!attention]);
        t = find(d, name);
    }
    return t;
}
