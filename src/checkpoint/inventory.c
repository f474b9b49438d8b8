/* See inventory.h. */
#include "checkpoint/inventory.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "checkpoint/family.h"

WORDS_DEFINE(TensorUse, tensor_use_words, TENSOR_USE_WORDS)

/* --- what a model is made of ------------------------------------------------------------------ */

typedef struct Marking {
    const DialectFile *d;
    TensorVerdict *out;
    char *missing; /* the first tensor that is not there */
} Marking;

static void mark_tensor(const Marking *m, const TensorEntry *t, const char *why) {
    if (!t) return;
    m->out[t - tensorfile_at(m->d->file, 0)] = t->refusal
                                                   ? (TensorVerdict){TENSOR_REFUSED, t->refusal}
                                                   : (TensorVerdict){TENSOR_READ, why};
}

static void mark(const Marking *m, const char *stem, const char *layer, const char *leaf) {
    char param[128], names[3][DIALECT_NAME_BYTES];
    snprintf(param, sizeof param, "%s%s%s", stem, layer, leaf);
    int n = dialect_sources(m->d, param, names);
    if (n == 0 && !*m->missing && !dialect_is_zero(m->d, param))
        dialect_wanted(m->d, param, m->missing, INVENTORY_NAME_BYTES);
    for (int i = 0; i < n; i++) mark_tensor(m, tensorfile_find(m->d->file, names[i]), NULL);
    mark_tensor(m, dialect_scale(m->d, param), "layer scale, multiplied into the layer before it");
}

static void mark_layer(const Marking *m, const char *stem, const char *layer) {
    mark(m, stem, layer, ".weight");
    mark(m, stem, layer, ".bias");
}

static void mark_blocks(const Marking *m, const char *stack, int64_t depth) {
    static const char *const layers[] = {"norm1", "attn.qkv", "attn.proj",
                                         "norm2", "mlp.fc1",  "mlp.fc2"};
    for (int64_t i = 0; i < depth; i++) {
        char stem[64];
        snprintf(stem, sizeof stem, "%s.%lld.", stack, (long long)i);
        for (size_t k = 0; k < sizeof layers / sizeof *layers; k++) mark_layer(m, stem, layers[k]);
    }
}

static void mark_decoder(const Marking *m, const ModelConfig *c) {
    static const char *const layers[] = {"decoder_embed", "decoder_norm", "decoder_pred"};
    mark(m, "", c->mask_token_in_encoder ? "encoder_mask_token" : "mask_token", "");
    mark(m, "", "decoder_pos_embed", "");
    for (size_t i = 0; i < sizeof layers / sizeof *layers; i++) mark_layer(m, "", layers[i]);
    mark_blocks(m, "decoder_blocks", c->decoder_depth);
    if (c->target != TARGET_PCA) return;
    mark_layer(m, "", "pca");
    mark(m, "", "pca.mean", "");
}

static void mark_head(const Marking *m, const ModelConfig *c) {
    if (c->head == HEAD_LINEAR) mark_layer(m, "", "head");
    if (c->head != HEAD_PROBE) return;
    mark(m, "", "head.0.running_mean", "");
    mark(m, "", "head.0.running_var", "");
    mark(m, "", "head.0.num_batches_tracked", "");
    mark_layer(m, "", "head.1");
}

/* The same list as that of vit.c. */
static void mark_model(const Marking *m, const ModelConfig *c) {
    mark(m, "", "cls_token", "");
    mark(m, "", "pos_embed", "");
    if (c->mask_token_in_encoder) mark(m, "", "encoder_mask_token", "");
    mark_layer(m, "", "patch_embed.proj");
    mark_blocks(m, "blocks", c->depth);
    mark_layer(m, "", c->head != HEAD_NONE && c->pool == POOL_MEAN ? "fc_norm" : "norm");
    if (c->decoder_depth > 0) mark_decoder(m, c);
    mark_head(m, c);
}

/* --- what cannot matter ----------------------------------------------------------------------- */

/* Parts that read what the encoder puts out. */
static bool is_head(const char *rest) {
    static const char *const ends[] = {"head", "heads", "classifier", "projector", "predictor"};
    static const char *const words[] = {"pooler",     "fc",         "fc_norm",     "pre_logits",
                                        "last_layer", "prototypes", "logit_scale", "logit_bias",
                                        "projection", "queue",      "queue_ptr",   "center"};
    char first[64];
    snprintf(first, sizeof first, "%.*s", (int)strcspn(rest, "."), rest);
    if (strncmp(first, "head", 4) == 0 && strcmp(first, "head_dist") != 0) return true;
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        if (text_ends_with(first, ends[i])) return true;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcmp(first, words[i]) == 0) return true;
    return false;
}

static bool is_last_part(const char *name, const char *const *words, size_t n) {
    const char *dot = strrchr(name, '.');
    for (size_t i = 0; i < n; i++)
        if (strcmp(dot ? dot + 1 : name, words[i]) == 0) return true;
    return false;
}

static const char *why_ignored(const DialectFile *d, const ModelConfig *c, const char *rest) {
    static const char *const counters[] = {"num_batches_tracked", "n_averaged", "steps"};
    static const char *const tables[] = {"relative_position_index", "rel_pos_index",
                                         "relative_coords_table", "position_ids"};
    bool decoder = c && c->decoder_depth > 0, hf = dialect_is_hf(d->dialect);
    if (is_last_part(rest, counters, 3)) return "a counter";
    if (is_last_part(rest, tables, 4)) return "an index table";
    if (hf && *d->base && strncmp(rest, d->base, strlen(d->base)) == 0) rest += strlen(d->base);
    if (d->dialect == DIALECT_MMPRETRAIN && strncmp(rest, "backbone.", 9) == 0) {
        rest += 9;
        if (strncmp(rest, "ln2.", 4) == 0) return "a head that is not read";
    }
    if (!decoder &&
        (strcmp(rest, "mask_token") == 0 || strcmp(rest, "encoder_mask_token") == 0 ||
         strcmp(rest, "embeddings.mask_token") == 0 || strcmp(rest, "neck.mask_token") == 0))
        return "only masked patches need it";
    if (hf && strcmp(rest, "embeddings.mask_token") == 0)
        return "MAE does not show it to the encoder";
    if (!decoder && strcmp(rest, "decoder_pos_embed") == 0) return "positions of a decoder alone";
    if (!decoder && hf && strncmp(rest, "decoder.", 8) == 0) return "a head that is not read";
    if (!decoder && strncmp(rest, "neck.", 5) == 0) return "a head that is not read";
    if (strncmp(rest, "ema_", 4) == 0) return "an average beside the weights";
    return is_head(rest) ? "a head that is not read" : NULL;
}

/* Whole numbers, truth values and what another program made: no weights of a layer. */
static const char *why_no_weight(const TensorEntry *t) {
    const char *type = t->type;
    if (t->refusal && !type) return "of an object of another program";
    bool whole = t->refusal ? strstr(type, "int") || strstr(type, "bool")
                            : t->dtype != DTYPE_F32 && t->dtype != DTYPE_F64 &&
                                  t->dtype != DTYPE_F16 && t->dtype != DTYPE_BF16;
    return whole ? "whole numbers, no weights" : NULL;
}

/* --- what stands against reading -------------------------------------------------------------- */

static const char UNKNOWN[] = "not understood";
static const char BEHIND_HOLE[] = "of a block behind one that is missing";

/* The block of the encoder that a name belongs to, -1: none. */
static int64_t block_of(const DialectFile *d, const char *rest) {
    char names[3][DIALECT_NAME_BYTES], *end;
    dialect_spell(d->dialect, "blocks.0.norm1.weight", names);
    const char *stack = names[0];
    if (dialect_is_hf(d->dialect)) {
        size_t n = strlen(d->base);
        if (strncmp(rest, d->base, n) != 0) return -1;
        rest += n;
        stack += strlen("vit.");
    }
    const char *number = strstr(stack, ".0.");
    size_t n = number ? (size_t)(number - stack) + 1 : 0;
    if (n == 0 || strncmp(rest, stack, n) != 0 || d->chunked) return -1;
    long block = strtol(rest + n, &end, 10);
    return end > rest + n && *end == '.' ? block : -1;
}

static TensorVerdict judge(const DialectFile *d, const DialectModels *models, const ModelConfig *c,
                           const TensorEntry *t) {
    const char *name = t->name, *why = dialect_outside(d, models, name);
    if (why || tensorfile_find(d->file, name) != t)
        return (TensorVerdict){TENSOR_OUTSIDE, why ? why : "another of this name is read"};
    const char *rest = name + strlen(d->prefix);
    why = why_ignored(d, c, rest);
    if (why) return (TensorVerdict){TENSOR_IGNORED, why};
    /* Beside the encoder of a Hugging Face model with a head lie other parts of that model. */
    if (*d->base && strncmp(rest, d->base, strlen(d->base)) != 0 &&
        strncmp(rest, "decoder.", 8) != 0)
        return (TensorVerdict){TENSOR_OUTSIDE, "beside the model"};
    const FamilySign *sign = family_sign(rest);
    if (sign) return (TensorVerdict){TENSOR_REFUSED, sign->what};
    why = why_no_weight(t);
    if (why) return (TensorVerdict){TENSOR_IGNORED, why};
    if (!c) return (TensorVerdict){TENSOR_READ, NULL};
    return (TensorVerdict){TENSOR_REFUSED, block_of(d, rest) >= c->depth ? BEHIND_HOLE : UNKNOWN};
}

void inventory_make(const DialectFile *d, const DialectModels *models, const ModelConfig *config,
                    TensorVerdict *out, char missing[INVENTORY_NAME_BYTES]) {
    Marking m = {d, out, missing};
    *missing = '\0';
    for (size_t i = 0; i < tensorfile_count(d->file); i++)
        out[i] = judge(d, models, config, tensorfile_at(d->file, i));
    if (config) mark_model(&m, config);
}

/* --- saying it -------------------------------------------------------------------------------- */

typedef struct Text {
    char *at;
    size_t n, bytes;
} Text;

static void put(Text *t, const char *format, ...) PRINTF_LIKE(2, 3);
static void put(Text *t, const char *format, ...) {
    va_list args;
    if (t->n >= t->bytes) return;
    va_start(args, format);
    int n = vsnprintf(t->at + t->n, t->bytes - t->n, format, args);
    va_end(args);
    t->n += n > 0 ? (size_t)n : 0;
}

/* The most telling sign among the refused tensors, or only among those with a family. */
static const FamilySign *first_sign(const DialectFile *d, const TensorVerdict *verdicts,
                                    bool family, const FamilySign *after) {
    const FamilySign *best = NULL;
    for (size_t i = 0; i < tensorfile_count(d->file); i++) {
        if (verdicts[i].use != TENSOR_REFUSED) continue;
        const FamilySign *s = family_sign(tensorfile_at(d->file, i)->name + strlen(d->prefix));
        if (!s || (family && !s->family) || (after && s <= after)) continue;
        if (!best || s < best) best = s;
    }
    return best;
}

/* How many tensors have this reason; *first is one of them. */
static size_t count_reason(const DialectFile *d, const TensorVerdict *verdicts, const char *why,
                           const TensorEntry **first) {
    size_t n = 0;
    for (size_t i = 0; i < tensorfile_count(d->file); i++)
        if (verdicts[i].use == TENSOR_REFUSED && verdicts[i].why == why && n++ == 0)
            *first = tensorfile_at(d->file, i);
    return n;
}

static void put_reason(Text *t, const DialectFile *d, const TensorVerdict *verdicts,
                       const char *why, const char *format) {
    const TensorEntry *first = NULL;
    char shape[96];
    size_t n = count_reason(d, verdicts, why, &first);
    if (n == 0) return;
    put(t, format, t->n ? "; " : "", why);
    put(t, " (tensor %.120s of shape %s", first->name,
        shape_text(first->shape, shape, sizeof shape));
    if (n > 1) put(t, " and %zu more", n - 1);
    put(t, ")");
}

bool inventory_refusal(const DialectFile *d, const ModelConfig *config,
                       const TensorVerdict *verdicts, char *text, size_t bytes) {
    Text t = {.at = text, .bytes = bytes};
    const FamilySign *family = first_sign(d, verdicts, true, NULL);
    const FamilySign *sign = first_sign(d, verdicts, false, NULL);
    const char *said[4] = {NULL};
    size_t n_said = 0;
    *text = '\0';
    for (; sign && n_said < 4; sign = first_sign(d, verdicts, false, sign)) {
        bool again = false;
        for (size_t i = 0; i < n_said; i++) again |= said[i] == sign->what;
        if (again) continue;
        said[n_said++] = sign->what;
        put_reason(&t, d, verdicts, sign->what, "%s%s");
    }
    if (config && count_reason(d, verdicts, BEHIND_HOLE, &(const TensorEntry *){NULL}))
        put(&t, "%sblock %lld is missing", t.n ? "; " : "", (long long)config->depth);
    put_reason(&t, d, verdicts, BEHIND_HOLE, "%sthere are tensors %s");
    put_reason(&t, d, verdicts, UNKNOWN, "%sthere are tensors that are %s");
    if (t.n && family) {
        char whole[1024];
        snprintf(whole, sizeof whole, "%s: %s", family->family, text);
        snprintf(text, bytes, "%s", whole);
    }
    return t.n > 0;
}
