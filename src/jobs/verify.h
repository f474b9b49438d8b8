/* mae convert --verify: two checkpoints of one model beside each other on an image. */
#ifndef JOBS_VERIFY_H
#define JOBS_VERIFY_H

#include "checkpoint/checkpoint.h"
#include "mae.h"

/* Runs both on o->verify and fills feature_change, and where both have them prediction_change and
 * logit_change: relative L2 difference, b against a. The model of b may lack what the other side
 * has no place for. */
Status verify_conversion(const char *a, const char *b, const MaeOptions *o,
                         const ModelConfig *config, MaeConversion *result, Error *err);

#endif
