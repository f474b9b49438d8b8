/* mae convert --verify: runs two checkpoints of one model on an image and compares the results. */
#ifndef JOBS_VERIFY_H
#define JOBS_VERIFY_H

#include "checkpoint/checkpoint.h"
#include "options/options.h"

/* Runs both on the image o->verify. Fills feature_change, prediction_change and logit_change with
 * the relative L2 difference of b against a, or with -1 where one of them lacks such a result.
 * config is that of the model: it says of b what its file cannot. */
Status verify_conversion(const char *a, const char *b, const MaeOptions *o,
                         const ModelConfig *config, MaeConversion *result, Error *err);

#endif
