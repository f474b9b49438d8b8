/* The spellings of one model: the names that checkpoints of the field give the parameters of a Vit,
 * and what such a file says about the model. Source: published checkpoints of each.
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
/* The first is read by default. A teacher or an average comes before its original, then the shorter
 * prefix first, then the order of the file. */
typedef struct DialectModels {
    DialectFile model[DIALECT_MAX_MODELS];
    size_t n, left_out; /* left_out: more than fit */
} DialectModels;

/* FORMAT: no spelling fits. The message names the family of networks if it can, otherwise what was
 * looked for. */
Status dialect_models(const TensorFile *file, DialectModels *out, Error *err);
/* Chooses one by its prefix, or by a part of the prefix that only one has; NULL: the first. USAGE
 * lists the prefixes. */
Status dialect_choose(const DialectModels *models, const char *prefix, DialectFile *out,
                      Error *err);
/* Their prefixes, "student., teacher."; "" is written as (none). */
const char *dialect_prefixes(const DialectModels *models, char *text, size_t bytes);
/* What a tensor belongs to outside of this model: another one, an optimiser ...; NULL: none. */
const char *dialect_outside(const DialectFile *d, const DialectModels *models, const char *name);

/* --- one of them ------------------------------------------------------------------------------ */

/* Reads what the tensors alone say: sizes, decoder, head, pooling. Heads are 0 (not said). The
 * image is square unless height and width are given (> 0). A head that this library has no place
 * for counts as none. FORMAT: shapes contradict each other. */
Status dialect_config(const DialectFile *d, int64_t height, int64_t width, ModelConfig *out,
                      Error *err);

#define DIALECT_NAME_BYTES 224
/* The tensor that a parameter is made of, or three for attn.qkv: the rows of query, key and value
 * ("": zeros, as BEiT's keys have no bias). It tries alternative spellings against the file.
 * Returns how many; 0: the dialect has no such parameter, or the file lacks it. */
int dialect_sources(const DialectFile *d, const char *param, char names[3][DIALECT_NAME_BYTES]);
/* Does the file lack a parameter that is then zero: the bias of qkv where no block has one? */
bool dialect_is_zero(const DialectFile *d, const char *param);
/* The tensor that is looked for first, with its prefix, for messages. */
const char *dialect_wanted(const DialectFile *d, const char *param, char *text, size_t bytes);
/* The first tensor of dialect_sources, NULL: none. */
const TensorEntry *dialect_find(const DialectFile *d, const char *param);
/* The tensor of layer scale for attn.proj and mlp.fc2, NULL: none. Their rows are multiplied with
 * it when they are read. */
const TensorEntry *dialect_scale(const DialectFile *d, const char *param);
/* The spelling in which a parameter is written: as dialect_sources, without prefix and file. */
int dialect_spell(Dialect d, const char *param, char names[3][DIALECT_NAME_BYTES]);
/* Reads a parameter, float32 [numel]. It puts qkv together and multiplies layer scale in. A bias of
 * qkv that the file lacks is zero. SHAPE names the tensor and both shapes. */
Status dialect_read(const DialectFile *d, const Param *p, float *out, Error *err);

#endif
