/* What a source met and does not take, counted by the endings of the names, so that one line can
 * say it. */
#ifndef DATA_SOURCE_LEFT_OUT_H
#define DATA_SOURCE_LEFT_OUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LEFT_OUT_ENDINGS 24
#define LEFT_OUT_ENDING_BYTES 12
#define LEFT_OUT_NAME_BYTES 64

typedef struct LeftOutEnding {
    char text[LEFT_OUT_ENDING_BYTES]; /* ".tif"; "": none */
    char name[LEFT_OUT_NAME_BYTES];   /* the first in the order of bytes */
    int64_t n;
    bool picture; /* of a kind that shows pictures */
} LeftOutEnding;

typedef struct LeftOut { /* zeroed: nothing */
    LeftOutEnding endings[LEFT_OUT_ENDINGS];
    int n_endings;
    int64_t n_others; /* of further endings */
    bool pictures;    /* there are some that show pictures */
} LeftOut;

/* A path or a name; only what follows the last slash counts. */
void left_out_add(LeftOut *l, const char *path);
/* "6 .tif (scan0.tif, ...), 1 .gif (a.gif)": pictures first, then the most frequent; "" for none.
 */
const char *left_out_text(LeftOut *l, char *text, size_t bytes);

#endif
