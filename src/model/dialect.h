/* The spellings of one model: how the parameters of a Vit are called in the checkpoints of the
 * field, and what such a file says about the model. Source: the names in published checkpoints of
 * each.
 *
 *   OFFICIAL    facebookresearch/mae, timm, detectron2 (under a prefix): the names of a Vit itself
 *   HF4, HF5    Hugging Face transformers before and after its version 5
 *   MMPRETRAIN  backbone.layers.N.ln1, neck.decoder_blocks ...
 */
#ifndef MODEL_DIALECT_H
#define MODEL_DIALECT_H

#include "formats/tensorfile.h"
#include "model/vit.h"

typedef enum Dialect {
    DIALECT_OFFICIAL,
    DIALECT_HF4,
    DIALECT_HF5,
    DIALECT_MMPRETRAIN,
    DIALECT_COUNT
} Dialect;

const char *dialect_name(Dialect d); /* "official", "hf v4", ... */

/* A file in a dialect. prefix is in front of every name ("model.", "vit.", "model.module.", ""). */
typedef struct DialectFile {
    const TensorFile *file;
    Dialect dialect;
    char prefix[64];
} DialectFile;

/* FORMAT when no spelling fits; the message names what was looked for. */
Status dialect_recognize(const TensorFile *file, DialectFile *out, Error *err);

/* What the tensors alone say: sizes, decoder, head, pooling. Heads are 0 (not said), the image is
 * square unless height and width are given (> 0). FORMAT for shapes that contradict each other. */
Status dialect_config(const DialectFile *d, int64_t height, int64_t width, ModelConfig *out,
                      Error *err);

#define DIALECT_NAME_BYTES 160
/* The tensor a parameter is made of, or three for attn.qkv (query, key, value rows); alternatives
 * of a spelling are tried against the file. Returns how many; 0: this dialect has no such
 * parameter, or the file lacks it. */
int dialect_sources(const DialectFile *d, const char *param, char names[3][DIALECT_NAME_BYTES]);
/* The spelling of a parameter for writing: as dialect_sources, without prefix and file. */
int dialect_spell(Dialect d, const char *param, char names[3][DIALECT_NAME_BYTES]);
/* A parameter from the file, float32 [numel]; qkv put together. SHAPE names tensor and both shapes;
 * a bias of qkv that a file does not have is zero. */
Status dialect_read(const DialectFile *d, const Param *p, float *out, Error *err);

#endif
