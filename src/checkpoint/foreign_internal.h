/* Private to foreign*.c: what they know while they describe a file, and how they report what is
 * assumed. */
#ifndef CHECKPOINT_FOREIGN_INTERNAL_H
#define CHECKPOINT_FOREIGN_INTERNAL_H

#include "base/json.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/origin.h"

/* What may say something about a model besides its tensors. */
typedef struct Facts {
    const CheckpointHints *hints;
    json_t *config, *preprocessor; /* of Hugging Face, or NULL */
    json_t *timm;                  /* its config.json, or NULL */
    Origin origin;
} Facts;

/* --- foreign.c -------------------------------------------------------------------------------- */

/* Each adds a line to what info, conversions and the log show of a file. foreign_doubt is for what
 * results may depend on: the line becomes a warning. */
void foreign_assume(CheckpointFile *c, const char *format, ...) PRINTF_LIKE(2, 3);
void foreign_doubt(CheckpointFile *c, const char *format, ...) PRINTF_LIKE(2, 3);
/* What a conversion of this project wrote down; 0: nothing. */
int64_t foreign_fact_count(const CheckpointFile *c, const char *key);

/* --- foreign_beside.c ------------------------------------------------------------------------- */

/* Opens config.json, of transformers or timm, and preprocessor_config.json. Another kind of
 * config.json is ignored; damage is noted. */
void foreign_open_beside(CheckpointFile *c, Facts *f);
/* Drops those of another model, once the width is known: a folder may hold files of several. */
void foreign_check_beside(CheckpointFile *c, Facts *f);
void foreign_close_beside(Facts *f);
int64_t foreign_count(const json_t *object, const char *key); /* 0: no whole number there */
/* Height and width of the image; 0: not said. */
void foreign_image_size(const CheckpointFile *c, const Facts *f, int64_t *height, int64_t *width);
/* Sets the class names that these files have, or that a conversion of this project wrote. */
void foreign_set_labels(CheckpointFile *c, const Facts *f);

/* --- foreign_statistics.c --------------------------------------------------------------------- */

void foreign_set_statistics(CheckpointFile *c, const Facts *f);

#endif
