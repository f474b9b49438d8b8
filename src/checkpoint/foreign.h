/* What checkpoints of other projects say about their model besides its tensors, and what has to be
 * assumed. The facts come from argparse options in published training checkpoints, from config.json
 * and preprocessor_config.json beside Hugging Face weights, and from hints of the user. */
#ifndef CHECKPOINT_FOREIGN_H
#define CHECKPOINT_FOREIGN_H

#include "checkpoint/checkpoint.h"

/* Recognises c->file and fills dialect, config, notes, unknown. hints may be NULL. */
Status foreign_describe(CheckpointFile *c, const CheckpointHints *hints, Error *err);

#endif
