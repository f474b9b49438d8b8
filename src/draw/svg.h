/* Text of a Scalable Vector Graphics file, built up piece by piece. Lengths are pixels, y
 * downwards, written to a tenth. Nothing here depends on the locale, because a decimal comma would
 * break the file. A lack of memory is remembered, and svg_finish reports it once. */
#ifndef DRAW_SVG_H
#define DRAW_SVG_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"

typedef struct Svg {
    char *text; /* mem_alloc */
    size_t bytes, capacity;
    bool failed;
} Svg;

/* Opens the file: white background, and `css`, the rules of the classes that are used below. */
void svg_begin(Svg *s, double width, double height, const char *css);
/* Closes it; the text is s->text, s->bytes long, until svg_free. MAE_MEMORY. */
Status svg_finish(Svg *s, Error *err);
void svg_free(Svg *s); /* accepts a zeroed one */

void svg_line(Svg *s, const char *class, double x0, double y0, double x1, double y1);
/* text is escaped. */
void svg_text(Svg *s, const char *class, double x, double y, const char *text);
/* A dot, and a small triangle that stands on its tip at (x, y); tip is shown under the pointer. */
void svg_dot(Svg *s, const char *class, double x, double y, double radius, const char *tip);
void svg_flag(Svg *s, const char *class, double x, double y, const char *tip);
/* A line through points: begin, at least one point, end. */
void svg_path_begin(Svg *s, const char *class);
void svg_path_point(Svg *s, bool first, double x, double y);
void svg_path_end(Svg *s);

/* --- Numbers for people --- */

typedef struct NumberText {
    char s[48];
} NumberText;

/* Fixed decimals: 0.50. |v| * 10^decimals below 9e18. */
NumberText number_text(double v, int decimals);
/* So many significant digits: 0.7143, or 7.143×10⁻⁹ where that would be long. */
NumberText value_text(double v, int digits);
/* An epoch, as precise as one reads it: 3.25, 12.5, 60. */
NumberText epoch_text(double epoch);
/* 10ⁿ. */
NumberText power_text(int n);

#endif
