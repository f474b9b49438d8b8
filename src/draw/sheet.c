/* See sheet.h. */
#include "draw/sheet.h"

#include <string.h>

#include "draw/text.h"

enum {
    MARGIN = 20,
    GAP = 12,       /* between pictures of a row */
    FIRST_GAP = 36, /* between column 0 and the others; a line stands in it */
    TEXT_SIZE = 2,
    TEXT_TOP = 8, /* from the picture to the text */
    LINE = 24,    /* from a line of text to the next */
    ROW_GAP = 16,
    TEXT_BYTES = 256
};

static const uint8_t inks[][3] = {
    {0x22, 0x22, 0x22}, {0x77, 0x77, 0x77}, {0x06, 0x82, 0x5f}, {0xb3, 0x40, 0x10}};
static const uint8_t line_color[3] = {0xcc, 0xcc, 0xcc};

static int64_t row_height(const Sheet *s) {
    return s->cell_height + TEXT_TOP + s->lines * LINE;
}

static int64_t row_top(const Sheet *s, int64_t row) {
    return MARGIN + row * (row_height(s) + ROW_GAP);
}

static int64_t column_left(const Sheet *s, int64_t column) {
    return MARGIN + column * (s->cell_width + GAP) + (column > 0 ? FIRST_GAP - GAP : 0);
}

static int64_t height_of(const Sheet *s, int64_t rows) {
    return row_top(s, rows) - ROW_GAP + MARGIN;
}

Status sheet_start(Sheet *s, Error *err) {
    ASSERT(s->rows >= 1 && s->columns >= 1, "a sheet of %lld x %lld", (long long)s->rows,
           (long long)s->columns);
    Status status = image_new(&s->picture, MAE_U8, column_left(s, s->columns) - GAP + MARGIN,
                              height_of(s, s->rows), 3, err);
    if (status != MAE_OK) return status;
    memset(s->picture.pixels, 255, (size_t)(s->picture.width * s->picture.height * 3));
    return MAE_OK;
}

static void put_picture(Sheet *s, int64_t left, int64_t top, const Image *picture) {
    for (int64_t y = 0; y < s->cell_height; y++) {
        const uint8_t *from = picture->pixels + y * picture->width * picture->channels;
        uint8_t *to = s->picture.pixels + ((top + y) * s->picture.width + left) * 3;
        for (int64_t x = 0; x < s->cell_width; x++)
            for (int k = 0; k < 3; k++)
                to[x * 3 + k] = from[x * picture->channels + (picture->channels == 3 ? k : 0)];
    }
}

static void put_text(Sheet *s, int64_t left, int64_t top, const SheetText *t) {
    char fitting[TEXT_BYTES];
    if (!t->text) return;
    text_fit(t->text, TEXT_SIZE, s->cell_width, fitting, sizeof fitting);
    text_draw(&s->picture, left, top, TEXT_SIZE, inks[t->ink], fitting);
}

/* Between column 0 and the others. */
static void put_line(Sheet *s, int64_t row) {
    int64_t x = column_left(s, 1) - FIRST_GAP / 2, top = row_top(s, row);
    for (int64_t y = top; y < top + row_height(s) && s->columns > 1; y++)
        for (int64_t u = x; u < x + 2; u++)
            memcpy(s->picture.pixels + (y * s->picture.width + u) * 3, line_color, 3);
}

void sheet_put(Sheet *s, int64_t row, int64_t column, const Image *picture, const SheetText *text) {
    int64_t left = column_left(s, column), top = row_top(s, row);
    ASSERT(row < s->rows && column < s->columns && picture->width == s->cell_width &&
               picture->height == s->cell_height,
           "picture of %lld x %lld at %lld, %lld", (long long)picture->width,
           (long long)picture->height, (long long)row, (long long)column);
    put_picture(s, left, top, picture);
    for (int i = 0; i < s->lines; i++)
        put_text(s, left, top + s->cell_height + TEXT_TOP + i * LINE, &text[i]);
    if (column == 0) put_line(s, row);
}
