/* A sheet of small pictures for a slide: a row for each of some pictures, which stands at the left,
 * and beside it those that belong to it. Under each picture are lines of text. */
#ifndef DRAW_SHEET_H
#define DRAW_SHEET_H

#include "data/image/image.h"

typedef struct Sheet {
    Image picture; /* RGB, white at first; image_free it */
    int64_t rows, columns, cell_width, cell_height;
    int lines; /* of text */
} Sheet;

typedef enum SheetInk { SHEET_PLAIN, SHEET_FAINT, SHEET_GOOD, SHEET_BAD } SheetInk;

typedef struct SheetText {
    const char *text; /* NULL: none */
    SheetInk ink;
} SheetText;

/* s has rows, columns, the size of the pictures, and lines; column 0 is apart from the others.
 * UNSUPPORTED: it would have more than IMAGE_MAX_PIXELS. */
Status sheet_start(Sheet *s, Error *err);
/* picture: cell_width x cell_height pixels, grey or RGB. text[lines]; what is too wide is cut. */
void sheet_put(Sheet *s, int64_t row, int64_t column, const Image *picture, const SheetText *text);

#endif
