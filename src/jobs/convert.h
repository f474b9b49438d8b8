/* Between checkpoint dialects: tensor by tensor, read back and compared. */
#ifndef JOBS_CONVERT_H
#define JOBS_CONVERT_H

#include "checkpoint/checkpoint.h"
#include "mae.h"

Status convert_file(const char *in, const char *out, const MaeOptions *o, MaeConversion *result,
                    Error *err);

#endif
