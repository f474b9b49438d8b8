/* The published recipes, for what depends on the size of the model. */
#ifndef JOBS_RECIPE_H
#define JOBS_RECIPE_H

#include "mae.h"
#include "model/vit.h"

/* Sets the options of fine-tuning that were not given. Sources: FINETUNE.md of the published code
 * (--init a checkpoint), Table 11 of the paper (from scratch). */
Status recipe_finetune(MaeOptions *o, const ModelConfig *c, bool scratch, Error *err);

#endif
