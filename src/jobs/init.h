/* Training that starts from the weights of a file (--init). The file gives the sizes. An option
 * that was given must agree with them. */
#ifndef JOBS_INIT_H
#define JOBS_INIT_H

#include "run/run.h"

bool init_given(const Run *r, const char *option);
/* Opens --init, or last.safetensors of the run. said: the log has its assumptions already. */
Status init_open(const Run *r, const char *path, bool said, CheckpointFile **out, Error *err);
/* Returns USAGE: an option was given another value than the file has. The message has both. */
Status init_contradicts(const Run *r, const char *option, const char *given, const char *path,
                        const char *there, Error *err);
/* The same error when the option was given and differs from what is there, otherwise MAE_OK. */
Status init_agree(const Run *r, const char *option, int64_t given, int64_t there, const char *path,
                  Error *err);
/* Checks the encoder options against r->config, which is that of the file. --image-size replaces
 * the size of the file. --model becomes the preset, so that config.json says what is there. */
Status init_sizes(Run *r, const char *path, const char *preset, Error *err);

#endif
