/* mae convert --verify: runs two checkpoints of one model on an image and compares the results. */
#ifndef JOBS_VERIFY_H
#define JOBS_VERIFY_H

#include "base/result.h"
#include "checkpoint/checkpoint.h"
#include "options/options.h"

/* Runs both on the image o->verify. Of features, logits and prediction, as far as both models have
 * them, out gets the relative L2 difference of b against a ("feature_change", ...). config is that
 * of the model: it says of b what its file cannot. */
Status verify_conversion(const char *a, const char *b, const MaeOptions *o,
                         const ModelConfig *config, Result out, Error *err);

#endif
