/* See dialect.h. A parameter's name is taken apart into a stem (which stack and block) and a layer;
 * each dialect says both in its own way. */
#include "model/dialect.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

const char *dialect_name(Dialect d) {
    static const char *const names[] = {"official", "hf v4", "hf v5", "mmpretrain"};
    return names[d];
}

/* --- spelling --------------------------------------------------------------------------------- */

typedef struct Word {
    const char *ours, *theirs[DIALECT_COUNT]; /* NULL: not there */
} Word;

/* Inside a block. attn.qkv of Hugging Face is three tensors: the word is filled in for %s. */
static const Word LAYERS[] = {
    {"norm1", {"norm1", "layernorm_before", "layernorm_before", "ln1"}},
    {"attn.qkv", {"attn.qkv", "attention.attention.%s", "attention.%s_proj", "attn.qkv"}},
    {"attn.proj", {"attn.proj", "attention.output.dense", "attention.o_proj", "attn.proj"}},
    {"norm2", {"norm2", "layernorm_after", "layernorm_after", "ln2"}},
    {"mlp.fc1", {"mlp.fc1", "intermediate.dense", "mlp.fc1", "ffn.layers.0.0"}},
    {"mlp.fc2", {"mlp.fc2", "output.dense", "mlp.fc2", "ffn.layers.1"}},
    {NULL, {NULL}},
};

static const Word STACKS[] = {
    {"blocks", {"blocks", "vit.encoder.layer", "vit.layers", "backbone.layers"}},
    {"decoder_blocks",
     {"decoder_blocks", "decoder.decoder_layers", "decoder.decoder_layers", "neck.decoder_blocks"}},
    {NULL, {NULL}},
};

/* Outside of the blocks, without .weight and .bias. */
static const Word SINGLES[] = {
    {"cls_token",
     {"cls_token", "vit.embeddings.cls_token", "vit.embeddings.cls_token", "backbone.cls_token"}},
    {"pos_embed",
     {"pos_embed", "vit.embeddings.position_embeddings", "vit.embeddings.position_embeddings",
      "backbone.pos_embed"}},
    {"patch_embed.proj",
     {"patch_embed.proj", "vit.embeddings.patch_embeddings.projection",
      "vit.embeddings.patch_embeddings.projection", "backbone.patch_embed.projection"}},
    {"norm", {"norm", "vit.layernorm", "vit.layernorm", "backbone.ln1"}},
    {"fc_norm", {"fc_norm", NULL, NULL, "backbone.ln2"}},
    {"head", {"head", "classifier", "classifier", "head.fc"}},
    {"mask_token", {"mask_token", "decoder.mask_token", "decoder.mask_token", "neck.mask_token"}},
    {"decoder_pos_embed",
     {"decoder_pos_embed", "decoder.decoder_pos_embed", "decoder.decoder_pos_embed",
      "neck.decoder_pos_embed"}},
    {"decoder_embed",
     {"decoder_embed", "decoder.decoder_embed", "decoder.decoder_embed", "neck.decoder_embed"}},
    {"decoder_norm",
     {"decoder_norm", "decoder.decoder_norm", "decoder.decoder_norm", "neck.decoder_norm"}},
    {"decoder_pred",
     {"decoder_pred", "decoder.decoder_pred", "decoder.decoder_pred", "neck.decoder_pred"}},
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

static bool is_hf(Dialect d) {
    return d == DIALECT_HF4 || d == DIALECT_HF5;
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

/* "blocks.7.attn.qkv.weight" */
static int spell_block(Dialect d, const char *param, char names[3][DIALECT_NAME_BYTES]) {
    const char *dot = strchr(param, '.');
    const char *stack = dot ? translate(STACKS, d, param, (size_t)(dot - param)) : NULL;
    const char *rest = stack ? strchr(dot + 1, '.') : NULL;
    if (!rest) return 0;
    size_t n = layer_length(rest + 1);
    const char *layer = translate(LAYERS, d, rest + 1, n), *leaf = rest + 1 + n;
    char stem[96];
    if (!layer) return 0;
    snprintf(stem, sizeof stem, "%s.%.*s", stack, (int)(rest - dot - 1), dot + 1);
    if (is_hf(d) && strchr(layer, '%')) return spell_qkv(d, stem, layer, leaf, names);
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

static const TensorEntry *find_exact(const DialectFile *d, const char *before, const char *name) {
    char full[DIALECT_NAME_BYTES + 96];
    snprintf(full, sizeof full, "%s%s%s", d->prefix, before, name);
    return tensorfile_find(d->file, full);
}

/* ViTMAEModel and ViTModel save without "vit.". */
static const TensorEntry *find(const DialectFile *d, const char *name) {
    const TensorEntry *t = find_exact(d, "", name);
    if (!t && is_hf(d->dialect) && strncmp(name, "vit.", 4) == 0) t = find_exact(d, "", name + 4);
    for (size_t i = 0; !t && i < sizeof OTHER_WORDS / sizeof *OTHER_WORDS; i++) {
        size_t n = strlen(OTHER_WORDS[i][0]);
        if (strncmp(name, OTHER_WORDS[i][0], n) == 0 && (name[n] == '.' || !name[n]))
            t = find_exact(d, OTHER_WORDS[i][1], name + n);
    }
    return t;
}

int dialect_sources(const DialectFile *d, const char *param, char names[3][DIALECT_NAME_BYTES]) {
    int n = dialect_spell(d->dialect, param, names);
    for (int i = 0; i < n; i++) {
        const TensorEntry *t = find(d, names[i]);
        if (!t) return 0;
        snprintf(names[i], DIALECT_NAME_BYTES, "%s", t->name);
    }
    return n;
}

static const TensorEntry *find_param(const DialectFile *d, const char *param) {
    char names[3][DIALECT_NAME_BYTES];
    return dialect_sources(d, param, names) ? tensorfile_find(d->file, names[0]) : NULL;
}

/* --- recognising ------------------------------------------------------------------------------ */

static bool has_prefix_of(DialectFile *d, const char *name, const char *end) {
    size_t n = strlen(name), m = strlen(end);
    if (n < m || strcmp(name + n - m, end) != 0 || n - m >= sizeof d->prefix) return false;
    if (n > m && name[n - m - 1] != '.') return false;
    snprintf(d->prefix, sizeof d->prefix, "%.*s", (int)(n - m), name);
    return true;
}

/* The first block's first norm is in every model, and its name is different in each dialect. */
static bool fits(DialectFile *d, const char *name) {
    char names[3][DIALECT_NAME_BYTES];
    dialect_spell(d->dialect, "blocks.0.norm1.weight", names);
    if (has_prefix_of(d, name, names[0])) return true;
    return is_hf(d->dialect) && has_prefix_of(d, name, names[0] + 4); /* without "vit." */
}

/* Optimiser states, averages and teachers repeat the names; the shortest prefix wins, and of equal
 * ones the first in the file. */
Status dialect_recognize(const TensorFile *file, DialectFile *out, Error *err) {
    DialectFile best = {0};
    bool found = false;
    for (int k = 0; k < DIALECT_COUNT; k++)
        for (size_t i = 0; i < tensorfile_count(file); i++) {
            DialectFile d = {.file = file, .dialect = (Dialect)k};
            const char *name = tensorfile_at(file, i)->name;
            if (tensorfile_at(file, i)->refusal != NULL) continue;
            if (strncmp(name, "optimizer.", 10) == 0 || !fits(&d, name)) continue;
            if (!found || strlen(d.prefix) < strlen(best.prefix)) best = d;
            found = true;
        }
    *out = best;
    if (found) return STATUS_OK;
    for (size_t i = 0; i < tensorfile_count(file); i++)
        if (tensorfile_at(file, i)->refusal != NULL)
            return tensorfile_check(file, tensorfile_at(file, i), err);
    return fail(err, STATUS_FORMAT,
                "%s: no vision transformer is in it (%zu tensors, the first is %s); looked for the "
                "names of facebookresearch/mae, timm, Hugging Face and mmpretrain",
                tensorfile_path(file), tensorfile_count(file),
                tensorfile_count(file) ? tensorfile_at(file, 0)->name : "missing");
}

/* --- sizes ------------------------------------------------------------------------------------ */

static Status need(const DialectFile *d, const char *param, int n_dims, const TensorEntry **out,
                   Error *err) {
    char names[3][DIALECT_NAME_BYTES], text[96];
    *out = find_param(d, param);
    dialect_spell(d->dialect, param, names);
    if (!*out)
        return fail(err, STATUS_FORMAT, "%s (%s): tensor %s%s is missing", tensorfile_path(d->file),
                    dialect_name(d->dialect), d->prefix, names[0]);
    if ((*out)->refusal != NULL) return tensorfile_check(d->file, *out, err);
    if ((*out)->shape.n_dims == n_dims) return STATUS_OK;
    return fail(err, STATUS_FORMAT, "%s: tensor %s has shape %s, %d dimensions are needed",
                tensorfile_path(d->file), (*out)->name,
                shape_text((*out)->shape, text, sizeof text), n_dims);
}

static int64_t count_blocks(const DialectFile *d, const char *stack) {
    for (int64_t i = 0;; i++) {
        char name[64];
        snprintf(name, sizeof name, "%s.%lld.norm1.weight", stack, (long long)i);
        if (!find_param(d, name)) return i;
    }
}

/* A square grid unless the image is known. */
static Status image_size(const DialectFile *d, int64_t tokens, int64_t height, int64_t width,
                         ModelConfig *c, Error *err) {
    int64_t side = (int64_t)lround(sqrt((double)(tokens - 1)));
    c->image_height = height > 0 ? height : side * c->patch;
    c->image_width = width > 0 ? width : side * c->patch;
    int64_t P = tokens - 1, rows = c->image_height / c->patch;
    /* A product might not fit: the size is what a file says. */
    if (P > 0 && rows > 0 && P % rows == 0 && P / rows == c->image_width / c->patch)
        return STATUS_OK;
    return fail(err, STATUS_FORMAT,
                "%s: %lld positions are no grid of %lldx%lld images in patches of %lld",
                tensorfile_path(d->file), (long long)tokens, (long long)c->image_height,
                (long long)c->image_width, (long long)c->patch);
}

static void heads_and_pooling(const DialectFile *d, ModelConfig *c) {
    const TensorEntry *head = find_param(d, "head.weight");
    if (head && head->shape.n_dims == 2) {
        c->head = HEAD_LINEAR;
        c->classes = head->shape.dim[0];
    }
    const TensorEntry *probe =
        d->dialect == DIALECT_OFFICIAL ? find_param(d, "head.1.weight") : NULL;
    if (probe && probe->shape.n_dims == 2) {
        c->head = HEAD_PROBE;
        c->classes = probe->shape.dim[0];
    }
    c->pool =
        find_param(d, "fc_norm.weight") && !find_param(d, "norm.weight") ? POOL_MEAN : POOL_CLS;
}

static Status decoder_sizes(const DialectFile *d, ModelConfig *c, Error *err) {
    Status status = STATUS_OK;
    const TensorEntry *embed, *pred;
    if (!find_param(d, "decoder_embed.weight")) return STATUS_OK;
    TRY(need(d, "decoder_embed.weight", 2, &embed, err));
    TRY(need(d, "decoder_pred.weight", 2, &pred, err));
    c->decoder_embed_dim = embed->shape.dim[0];
    c->decoder_depth = count_blocks(d, "decoder_blocks");
    if (pred->shape.dim[0] != c->patch * c->patch * c->channels)
        status = fail(err, STATUS_UNSUPPORTED,
                      "%s: the decoder predicts %lld values a patch, %lld pixels are supported",
                      tensorfile_path(d->file), (long long)pred->shape.dim[0],
                      (long long)(c->patch * c->patch * c->channels));
done:
    return status;
}

Status dialect_config(const DialectFile *d, int64_t height, int64_t width, ModelConfig *out,
                      Error *err) {
    Status status = STATUS_OK;
    const TensorEntry *patch, *pos, *fc1;
    ModelConfig c = {.norm_eps = 1e-6,
                     .pca_components = 96,
                     .mean = {0.485f, 0.456f, 0.406f},
                     .std = {0.229f, 0.224f, 0.225f}};
    TRY(need(d, "patch_embed.proj.weight", 4, &patch, err));
    TRY(need(d, "pos_embed", 3, &pos, err));
    TRY(need(d, "blocks.0.mlp.fc1.weight", 2, &fc1, err));
    c.embed_dim = patch->shape.dim[0];
    c.channels = patch->shape.dim[1];
    c.patch = patch->shape.dim[2];
    c.depth = count_blocks(d, "blocks");
    c.mlp_ratio = (double)fc1->shape.dim[0] / (double)c.embed_dim;
    for (int64_t i = 0; c.channels != 3 && i < MAX_CHANNELS; i++) {
        c.mean[i] = 0.5f;
        c.std[i] = 0.25f;
    }
    /* A tensor without values may have any other sizes, whose products need not fit. */
    if (patch->shape.dim[3] != c.patch || c.patch < 1 || c.embed_dim < 1 || c.channels < 1) {
        status = fail(err, STATUS_UNSUPPORTED,
                      "%s: patches of %lldx%lld pixels in %lld channels; they must be square and "
                      "not empty",
                      tensorfile_path(d->file), (long long)c.patch, (long long)patch->shape.dim[3],
                      (long long)c.channels);
        goto done;
    }
    TRY(image_size(d, pos->shape.dim[1], height, width, &c, err));
    TRY(decoder_sizes(d, &c, err));
    if (c.decoder_depth == 0) heads_and_pooling(d, &c);
    *out = c;
done:
    return status;
}

/* --- reading ---------------------------------------------------------------------------------- */

/* The bias of qkv, in a file that has none for that stack at all (models without qkv_bias). */
static bool is_absent_qkv_bias(const DialectFile *d, const char *param) {
    size_t n = strlen(param);
    bool decoder = strncmp(param, "decoder_blocks.", 15) == 0;
    if (!decoder && strncmp(param, "blocks.", 7) != 0) return false;
    if (n < 14 || strcmp(param + n - 14, ".attn.qkv.bias") != 0) return false;
    return !find_param(d, decoder ? "decoder_blocks.0.attn.qkv.bias" : "blocks.0.attn.qkv.bias");
}

static bool is_float(DType t) {
    return t == DTYPE_F32 || t == DTYPE_F64 || t == DTYPE_F16 || t == DTYPE_BF16;
}

/* One of n equal parts along the first dimension of the parameter. */
static Status read_part(const DialectFile *d, const Param *p, const char *name, int n, float *out,
                        Error *err) {
    char want[96], have[96];
    const TensorEntry *t = tensorfile_find(d->file, name);
    Shape shape = p->shape;
    if (n > 1) shape.dim[0] /= n;
    if (t->refusal != NULL) return tensorfile_check(d->file, t, err);
    bool scalar = t->shape.n_dims == 0 && shape_numel(shape) == 1; /* num_batches_tracked */
    if (!scalar && !shape_equal(t->shape, shape))
        return fail(err, STATUS_SHAPE, "%s: tensor %s has shape %s, the model needs %s",
                    tensorfile_path(d->file), t->name, shape_text(t->shape, have, sizeof have),
                    shape_text(shape, want, sizeof want));
    if (!is_float(t->dtype) && !scalar)
        return fail(err, STATUS_UNSUPPORTED,
                    "%s: tensor %s has elements of type %s, which are no weights as they are "
                    "(quantised?); save it as float32",
                    tensorfile_path(d->file), t->name, tensorfile_type(t));
    return tensorfile_read(d->file, t, out, err);
}

Status dialect_read(const DialectFile *d, const Param *p, float *out, Error *err) {
    char names[3][DIALECT_NAME_BYTES], want[96];
    int n = dialect_sources(d, p->name, names);
    if (n == 0 && is_absent_qkv_bias(d, p->name)) {
        memset(out, 0, (size_t)p->numel * sizeof *out);
        return STATUS_OK;
    }
    if (n == 0) {
        bool known = dialect_spell(d->dialect, p->name, names) > 0;
        return fail(err, STATUS_SHAPE, "%s: tensor %s%s of shape %s is missing",
                    tensorfile_path(d->file), d->prefix, known ? names[0] : p->name,
                    shape_text(p->shape, want, sizeof want));
    }
    for (int i = 0; i < n; i++) {
        Status status = read_part(d, p, names[i], n, out + i * (p->numel / n), err);
        if (status != STATUS_OK) return status;
    }
    return STATUS_OK;
}
