/* Between checkpoint dialects: tensor by tensor, read back and compared. */
#ifndef TRAIN_CONVERT_H
#define TRAIN_CONVERT_H

#include "mae.h"
#include "train/checkpoint.h"

Status convert_file(const char *in, const char *out, const MaeOptions *o, MaeConversion *result,
                    Error *err);

#endif
