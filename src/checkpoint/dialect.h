/* The spellings of one model: how checkpoints of the field call the parameters of a Vit, and what
 * such a file says about the model. Source: the names in published checkpoints of each.
 *
 *   OFFICIAL    facebookresearch/mae, timm, detectron2 (under a prefix): the names of a Vit itself
 *   HF4, HF5    Hugging Face transformers before and after its version 5
 *   HF_DINOV2   DINOv2 in transformers
 *   MMPRETRAIN  backbone.layers.N.ln1, neck.decoder_blocks ... */
#ifndef CHECKPOINT_DIALECT_H
#define CHECKPOINT_DIALECT_H

#include "formats/tensorfile.h"
#include "model/vit.h"

#define DIALECT_WORDS(X)                                                                           \
    X(DIALECT_OFFICIAL, "official")                                                                \
    X(DIALECT_HF4, "hf v4")                                                                        \
    X(DIALECT_HF5, "hf v5")                                                                        \
    X(DIALECT_HF_DINOV2, "hf dinov2")                                                              \
    X(DIALECT_MMPRETRAIN, "mmpretrain")
WORDS_DECLARE(Dialect, dialect_words, DIALECT_WORDS)
enum { DIALECT_COUNT = DIALECT_MMPRETRAIN + 1 };

bool dialect_is_hf(Dialect d);

/* A model in a file. */
typedef struct DialectFile {
    const TensorFile *file;
    Dialect dialect;
    char prefix[128]; /* in front of every name: "model.", "teacher.backbone.", "" */
    char base[32];    /* of Hugging Face: the encoder inside of a model with a head, "vit.", "" */
    bool chunked;     /* blocks.CHUNK.N, as DINOv2 trains them */
} DialectFile;

/* --- the models of a file --------------------------------------------------------------------- */

#define DIALECT_MAX_MODELS 16
/* The one that is read by default comes first: a teacher or an average before what it is one of,
 * then the shorter prefix, then the order of the file. */
typedef struct DialectModels {
    DialectFile model[DIALECT_MAX_MODELS];
    size_t n, left_out; /* left_out: more than fit */
} DialectModels;

/* FORMAT when no spelling fits; the message names the family of networks when it can, or what was
 * looked for. */
Status dialect_models(const TensorFile *file, DialectModels *out, Error *err);
/* One of them by the name of its prefix, or by a part of it that only one has; NULL: the first.
 * USAGE lists them. */
Status dialect_choose(const DialectModels *models, const char *prefix, DialectFile *out,
                      Error *err);
/* Their prefixes, "student., teacher."; "" is written as (none). */
const char *dialect_prefixes(const DialectModels *models, char *text, size_t bytes);
/* What a tensor belongs to that is not this model: another one, an optimiser ...; NULL: to it. */
const char *dialect_outside(const DialectFile *d, const DialectModels *models, const char *name);

/* --- one of them ------------------------------------------------------------------------------ */

/* What the tensors alone say: sizes, decoder, head, pooling. Heads are 0 (not said), the image is
 * square unless height and width are given (> 0). A head that this library has no place for is
 * none. FORMAT for shapes that contradict each other. */
Status dialect_config(const DialectFile *d, int64_t height, int64_t width, ModelConfig *out,
                      Error *err);

#define DIALECT_NAME_BYTES 224
/* The tensor a parameter is made of, or three for attn.qkv (query, key, value rows; "": zeros, the
 * bias that BEiT's keys do not have); alternatives of a spelling are tried against the file.
 * Returns how many; 0: this dialect has no such parameter, or the file lacks it. */
int dialect_sources(const DialectFile *d, const char *param, char names[3][DIALECT_NAME_BYTES]);
/* Is a parameter that the file lacks zero, as the bias of qkv where no block has one? */
bool dialect_is_zero(const DialectFile *d, const char *param);
/* The tensor that is looked for first, with prefix, for messages. */
const char *dialect_wanted(const DialectFile *d, const char *param, char *text, size_t bytes);
/* The first of them, NULL: none. */
const TensorEntry *dialect_find(const DialectFile *d, const char *param);
/* What a block multiplies its branches with (layer scale): for attn.proj and mlp.fc2 the tensor
 * that their rows are multiplied with on reading, NULL: none. */
const TensorEntry *dialect_scale(const DialectFile *d, const char *param);
/* The spelling of a parameter for writing: as dialect_sources, without prefix and file. */
int dialect_spell(Dialect d, const char *param, char names[3][DIALECT_NAME_BYTES]);
/* A parameter from the file, float32 [numel]; qkv put together, layer scale multiplied in. SHAPE
 * names tensor and both shapes; a bias of qkv that a file does not have is zero. */
Status dialect_read(const DialectFile *d, const Param *p, float *out, Error *err);

#endif
