/* Training that starts from the weights of a file, --init: the sizes are the file's, and what is
 * said of them beside it must agree. */
#ifndef JOBS_INIT_H
#define JOBS_INIT_H

#include "run/run.h"

bool init_given(const Run *r, const char *option);
/* Opens --init, or last.safetensors of the run. said: what had to be assumed of it is known. */
Status init_open(const Run *r, const char *path, bool said, CheckpointFile **out, Error *err);
/* USAGE: an option is not what the file has; names both. */
Status init_contradicts(const Run *r, const char *option, const char *given, const char *path,
                        const char *there, Error *err);
/* The same, when the option was given and is not what is there. */
Status init_agree(const Run *r, const char *option, int64_t given, int64_t there, const char *path,
                  Error *err);
/* Encoder options agree with r->config, which is the file's. --image-size replaces its own, and
 * --model becomes the preset, so that config.json says what is there. */
Status init_sizes(Run *r, const char *path, const char *preset, Error *err);

#endif
