/* What checkpoints of other projects say about their model besides its tensors, and what has to be
 * assumed. It is found in argparse options of published training checkpoints, in config.json and
 * preprocessor_config.json beside Hugging Face weights, and in hints of the user. */
#ifndef CHECKPOINT_FOREIGN_H
#define CHECKPOINT_FOREIGN_H

#include "checkpoint/checkpoint.h"

/* Recognises c->file and fills dialect, config, notes, unknown. hints may be NULL. */
Status foreign_describe(CheckpointFile *c, const CheckpointHints *hints, Error *err);

#endif
