/* What a file is that is no image we can decode, by its first bytes: for messages that help. */
#ifndef DATA_IMAGE_IMAGE_KIND_H
#define DATA_IMAGE_IMAGE_KIND_H

#include <stddef.h>

/* "a GIF; convert it to PNG"; NULL: nothing that is known. bytes[n] is a whole file, n > 0. */
const char *image_kind(const void *bytes, size_t n);

#endif
