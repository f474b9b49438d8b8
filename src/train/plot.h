/* Line plots as SVG text: panels under each other that share the horizontal axis. */
#ifndef TRAIN_PLOT_H
#define TRAIN_PLOT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

#define SERIES_BUCKETS 800

/* Any number of points in bounded memory: neighbours are merged as they become too many; their
 * smallest, largest and mean value stay. Zero-initialise. */
typedef struct Bucket {
    double x, y, low, high; /* means of x and y, extremes of y */
    int64_t n;
} Bucket;

typedef struct Series {
    const char *name;   /* in the legend; NULL: not there */
    const char *colour; /* "#1f5fa8" */
    bool dots;          /* every point is marked (few points, as one an epoch) */
    Bucket bucket[SERIES_BUCKETS];
    int n;
    int64_t stride, filled; /* points in a bucket; in the last one */
    double last_x, last_y;
} Series;

/* Points that are not finite are left out. */
void series_add(Series *s, double x, double y);

typedef struct Panel {
    const char *title, *format;  /* "loss"; printf format of a value, as "%.4g" */
    const Series *const *series; /* NULL-terminated */
    bool log_scale;
} Panel;

/* title: escaped here. Returns SVG text (mem_free), NULL: no memory. marks: x of events. */
char *plot_svg(const char *title, const char *x_title, const Panel *panels, int n_panels,
               const double *marks, int n_marks);

#endif
