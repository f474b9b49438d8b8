/* Text in a picture of pixels: a small proportional font of its own, for ASCII. Every other letter
 * is drawn as a box. */
#ifndef DRAW_TEXT_H
#define DRAW_TEXT_H

#include "data/image/image.h"

/* At size 1, in pixels: letters reach from 0 down to the baseline at TEXT_BASE, and below it to
 * TEXT_HEIGHT. A larger size is that many times as large. */
enum { TEXT_BASE = 7, TEXT_HEIGHT = 9 };

int64_t text_width(const char *text, int size);
/* x, y: left and top of the first letter in an RGB image; what lies outside is left out. */
void text_draw(Image *im, int64_t x, int64_t y, int size, const uint8_t rgb[3], const char *text);
/* The text, or where it is wider than that its beginning and "..", into out. */
void text_fit(const char *text, int size, int64_t width, char *out, size_t bytes);

#endif
