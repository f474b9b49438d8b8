/* Line plots in panels under each other that share an x axis. A Series takes any number of points
 * and keeps a bounded summary of them; a Panel is a frame with axes, a legend and series. */
#ifndef DRAW_PLOT_H
#define DRAW_PLOT_H

#include <stdbool.h>
#include <stdint.h>

#include "draw/svg.h"

enum { SERIES_BUCKETS = 500, PANEL_SERIES = 4, MARK_BYTES = 200 };
enum { PLOT_WIDTH = 860, PLOT_LEFT = 62, PLOT_RIGHT = 836, PANEL_HEADER = 40, PLOT_FOOTER = 48 };

/* Consecutive points: the lowest, the highest, and the sums for their mean. */
typedef struct Bucket {
    int64_t n;
    double low_x, low_y, high_x, high_y, sum_x, sum_y;
} Bucket;

/* Zero-initialise, then name it. When all buckets are full, neighbours are merged, so each bucket
 * holds `stride` points (a power of two) and single spikes stay visible. */
typedef struct Series {
    const char *name;  /* legend */
    const char *class; /* CSS class: colour and dashes, see plot_css */
    const char *unit;  /* after a value: " %" */
    bool smooth;       /* many points: draw them faintly, and a smooth line over them */
    bool high_is_best;
    int64_t n_points, stride;
    int n_buckets;
    double last_x, last_y, best_x, best_y;
    Bucket buckets[SERIES_BUCKETS];
} Series;

/* Something that happened at x; a change of options is a line through the panels. */
typedef struct Mark {
    double x;
    int64_t step;
    bool is_change;
    char text[MARK_BYTES];
} Mark;

typedef struct Panel {
    const char *label; /* quantity and unit */
    double height;     /* of the frame, pixels */
    bool log_if_wide;  /* logarithmic when the values span more than a factor 20 */
    bool from_zero;    /* the axis starts at 0 */
    double ceiling;    /* the axis never passes it (0: none) */
    int n_series;
    const Series *series[PANEL_SERIES];
    const Mark *marks;
    int n_marks;
    bool changes_only; /* of the marks: lines without text */
} Panel;

/* Class names: "blue", "red", "green", "blue dashed" ... for series; "title", "note", "small". */
extern const char plot_css[];

/* Points come in the order of x. Those that are not finite, or beyond 1e30, are left out. */
void series_add(Series *s, double x, double y);
/* Header and frame take PANEL_HEADER + height from `top`; x_label is written below, if not NULL. */
void panel_draw(Svg *svg, const Panel *p, double x_max, double top, const char *x_label);

#endif
