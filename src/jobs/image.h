/* Images of a program from files and to PNG. mae.h says what each function does. */
#ifndef JOBS_IMAGE_H
#define JOBS_IMAGE_H

#include "base/status.h"

Status caller_image_load(const char *path, const MaeOptions *o, MaeImage *out, Error *err);
Status caller_image_decode(const void *bytes, size_t n, const MaeOptions *o, MaeImage *out,
                           Error *err);
Status caller_image_encode(const MaeImage *image, void **bytes, size_t *n, Error *err);
Status caller_image_save(const char *path, const MaeImage *image, Error *err);

#endif
