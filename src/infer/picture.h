/* Reconstructions as a person sees them: rows of masked | reconstruction | original. */
#ifndef INFER_PICTURE_H
#define INFER_PICTURE_H

#include "infer/session.h"

#define PICTURE_GAP 4 /* white pixels between panels, and between rows */

/* The size of a row in pixels. */
void picture_row_size(const ModelConfig *c, int64_t *width, int64_t *height);
/* Draws image i of the last run of a masked session as a row, RGB, into dst. Grey is repeated, and
 * channels after the third are not shown. */
void picture_draw(Session *s, const ModelConfig *c, int64_t i, uint8_t *dst);

#endif
