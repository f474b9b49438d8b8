/* What becomes of every tensor of a file. Nothing in the chosen model is left out without a reason.
 * A tensor is read, or stands on a short list of what cannot change the model's output (heads that
 * are not read, counters, index tables ...), or lies outside of the model, or keeps the whole file
 * from being read. */
#ifndef CHECKPOINT_INVENTORY_H
#define CHECKPOINT_INVENTORY_H

#include "checkpoint/dialect.h"

#define TENSOR_USE_WORDS(X)                                                                        \
    X(TENSOR_READ, "read")                                                                         \
    X(TENSOR_IGNORED, "ignored")                                                                   \
    X(TENSOR_REFUSED, "refused")                                                                   \
    X(TENSOR_OUTSIDE, "outside")
WORDS_DECLARE(TensorUse, tensor_use_words, TENSOR_USE_WORDS)
enum { TENSOR_USES = TENSOR_OUTSIDE + 1 };

typedef struct TensorVerdict {
    TensorUse use;
    const char *why; /* NULL: it is simply read */
} TensorVerdict;

#define INVENTORY_NAME_BYTES 256
/* Fills out[tensorfile_count]. missing: a tensor of the model that the file lacks, or "". config is
 * NULL while sizes are not known: it then finds what is refused by its name, and the rest counts as
 * read. */
void inventory_make(const DialectFile *d, const DialectModels *models, const ModelConfig *config,
                    TensorVerdict *out, char missing[INVENTORY_NAME_BYTES]);
/* Writes why the model cannot be read: the family if a name gives it away, and a tensor for each
 * reason. False: nothing is refused. config as above. */
bool inventory_refusal(const DialectFile *d, const ModelConfig *config,
                       const TensorVerdict *verdicts, char *text, size_t bytes);

#endif
