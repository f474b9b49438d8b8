/* See plot.h. Coordinates are pixels of a page 860 wide. */
#include "train/plot.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"

enum { WIDTH = 860, LEFT = 78, RIGHT = 24, TOP = 56, HEIGHT = 210, GAP = 46, BOTTOM = 50 };

/* --- series ----------------------------------------------------------------------------------- */

static Bucket merged(Bucket a, Bucket b) {
    double n = (double)(a.n + b.n), wa = (double)a.n / n, wb = (double)b.n / n;
    return (Bucket){.x = wa * a.x + wb * b.x,
                    .y = wa * a.y + wb * b.y,
                    .low = fmin(a.low, b.low),
                    .high = fmax(a.high, b.high),
                    .n = a.n + b.n};
}

static void halve(Series *s) {
    for (int i = 0; i < s->n / 2; i++)
        s->bucket[i] = merged(s->bucket[2 * i], s->bucket[2 * i + 1]);
    s->n /= 2;
    s->stride *= 2;
    s->filled = s->stride;
}

void series_add(Series *s, double x, double y) {
    if (!isfinite(x) || !isfinite(y)) return;
    Bucket point = {x, y, y, y, 1};
    if (s->stride == 0) s->stride = s->filled = 1;
    if (s->n == SERIES_BUCKETS && s->filled == s->stride) halve(s);
    if (s->n == 0 || s->filled == s->stride) {
        s->bucket[s->n++] = point;
        s->filled = 1;
    } else {
        s->bucket[s->n - 1] = merged(s->bucket[s->n - 1], point);
        s->filled++;
    }
    s->last_x = x;
    s->last_y = y;
}

/* --- text ------------------------------------------------------------------------------------- */

typedef struct Text {
    char *data;
    size_t n, capacity;
    bool ok;
} Text;

static void put(Text *t, const char *format, ...) PRINTF_LIKE(2, 3);
static void put(Text *t, const char *format, ...) {
    va_list args;
    va_start(args, format);
    int need = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (need < 0 || !t->ok) return;
    if (t->n + (size_t)need + 1 > t->capacity) {
        size_t capacity = 2 * t->capacity + (size_t)need + 4096;
        char *grown = mem_realloc(t->data, t->capacity, capacity);
        t->ok = grown != NULL;
        if (!t->ok) return;
        t->data = grown;
        t->capacity = capacity;
    }
    va_start(args, format);
    vsnprintf(t->data + t->n, t->capacity - t->n, format, args);
    va_end(args);
    t->n += (size_t)need;
}

/* What XML reserves is written out; control characters and bytes that may not be UTF-8 become '?'.
 */
static void put_escaped(Text *t, const char *s) {
    for (; *s; s++) {
        unsigned char c = (unsigned char)*s;
        if (c == '&')
            put(t, "&amp;");
        else if (c == '<')
            put(t, "&lt;");
        else if (c == '>')
            put(t, "&gt;");
        else
            put(t, "%c", c < 0x20 || c > 0x7e ? '?' : c);
    }
}

/* --- axes ------------------------------------------------------------------------------------- */

typedef struct Axis {
    double low, high; /* logarithms when log */
    bool log;
} Axis;

static double scaled(const Axis *a, double v) {
    return a->log ? log10(v) : v;
}

/* A little room around; a constant gets a range of its own. */
static Axis value_axis(const Panel *p) {
    Axis a = {INFINITY, -INFINITY, p->log_scale};
    for (const Series *const *s = p->series; *s; s++)
        for (int i = 0; i < (*s)->n; i++) {
            a.low = fmin(a.low, scaled(&a, (*s)->bucket[i].low));
            a.high = fmax(a.high, scaled(&a, (*s)->bucket[i].high));
        }
    if (!(a.low <= a.high)) return (Axis){0, 1, false};
    double room = a.high > a.low ? 0.06 * (a.high - a.low) : fmax(fabs(a.high) * 0.1, 1e-9);
    a.low -= room;
    a.high += room;
    return a;
}

static Axis shared_axis(const Panel *panels, int n) {
    Axis a = {INFINITY, -INFINITY, false};
    for (int k = 0; k < n; k++)
        for (const Series *const *s = panels[k].series; *s; s++) {
            if ((*s)->n == 0) continue;
            a.low = fmin(a.low, (*s)->bucket[0].x);
            a.high = fmax(a.high, (*s)->last_x);
        }
    if (!(a.low <= a.high)) return (Axis){0, 1, false};
    a.low = fmin(a.low, 0);
    if (a.high <= a.low) a.high = a.low + 1;
    return a;
}

/* 1, 2 or 5 times a power of ten, so that about `wanted` of them fit. */
static double tick_step(double range, int wanted) {
    double rough = range / wanted, power = pow(10, floor(log10(rough))), r = rough / power;
    return power * (r <= 1 ? 1 : r <= 2 ? 2 : r <= 5 ? 5 : 10);
}

static double x_of(const Axis *a, double v) {
    return LEFT + (WIDTH - LEFT - RIGHT) * (v - a->low) / (a->high - a->low);
}

static double y_of(const Axis *a, double top, double v) {
    return top + HEIGHT * (1 - (scaled(a, v) - a->low) / (a->high - a->low));
}

static void put_tick(Text *t, const Axis *a, const char *label, double top, double v) {
    double y = y_of(a, top, v);
    put(t, "<path class=\"g\" d=\"M%d %.1fH%d\"/><text class=\"e\" x=\"%d\" y=\"%.1f\">%s</text>\n",
        LEFT, y, WIDTH - RIGHT, LEFT - 7, y + 4, label);
}

static void put_log_ticks(Text *t, const Axis *a, double top) {
    static const double steps[] = {1, 2, 5};
    double range = a->high - a->low;
    for (int power = (int)floor(a->low); power <= (int)ceil(a->high); power++)
        for (int k = 0; k < (range < 3 ? 3 : 1); k++) {
            char label[32];
            double v = steps[k] * pow(10, power);
            if (log10(v) < a->low || log10(v) > a->high) continue;
            snprintf(label, sizeof label, "%.4g", v);
            put_tick(t, a, label, top, v);
        }
}

static void put_value_ticks(Text *t, const Axis *a, double top) {
    if (a->log) {
        put_log_ticks(t, a, top);
        return;
    }
    double step = tick_step(a->high - a->low, 5);
    for (double i = ceil(a->low / step); i * step <= a->high; i++) {
        char label[32];
        snprintf(label, sizeof label, "%.6g", i == 0 ? 0 : i * step);
        put_tick(t, a, label, top, i * step);
    }
}

static void put_shared_ticks(Text *t, const Axis *x, double top, bool labels) {
    double step = tick_step(x->high - x->low, 10);
    for (double i = ceil(x->low / step); i * step <= x->high * (1 + 1e-9); i++) {
        double at = x_of(x, i * step);
        put(t, "<path class=\"g\" d=\"M%.1f %.1fV%.1f\"/>", at, top, top + HEIGHT);
        if (labels)
            put(t, "<text class=\"m\" x=\"%.1f\" y=\"%.1f\">%.6g</text>", at, top + HEIGHT + 18,
                i == 0 ? 0 : i * step);
        put(t, "\n");
    }
}

/* --- panels ----------------------------------------------------------------------------------- */

/* Where neighbours were merged, a pale band from the smallest to the largest lies below the line.
 */
static void put_band(Text *t, const Series *s, const Axis *x, const Axis *y, double top) {
    if (s->stride < 2) return;
    put(t, "<path fill=\"%s\" opacity=\".18\" d=\"M", s->colour);
    for (int i = 0; i < s->n; i++)
        put(t, "%.1f %.1fL", x_of(x, s->bucket[i].x), y_of(y, top, s->bucket[i].high));
    for (int i = s->n - 1; i >= 0; i--)
        put(t, "%.1f %.1f%s", x_of(x, s->bucket[i].x), y_of(y, top, s->bucket[i].low),
            i ? "L" : "Z\"/>\n");
}

static void put_series(Text *t, const Series *s, const Axis *x, const Axis *y, double top) {
    if (s->n == 0) return;
    put_band(t, s, x, y, top);
    put(t, "<path class=\"l\" stroke=\"%s\" d=\"M", s->colour);
    for (int i = 0; i < s->n; i++)
        put(t, "%s%.1f %.1f", i ? "L" : "", x_of(x, s->bucket[i].x), y_of(y, top, s->bucket[i].y));
    put(t, "\"/>\n");
    for (int i = 0; i < s->n && (s->n == 1 || (s->dots && s->n <= 100)); i++)
        put(t, "<circle r=\"2.4\" fill=\"%s\" cx=\"%.1f\" cy=\"%.1f\"/>\n", s->colour,
            x_of(x, s->bucket[i].x), y_of(y, top, s->bucket[i].y));
}

/* Names with their last values, from the right edge to the left. */
static void put_legend(Text *t, const Panel *p, double top) {
    double at = WIDTH - RIGHT;
    int n = 0;
    while (p->series[n]) n++;
    for (int i = n - 1; i >= 0; i--) {
        const Series *s = p->series[i];
        char text[128], value[32];
        if (s->n == 0) continue;
        snprintf(value, sizeof value, p->format, s->last_y);
        snprintf(text, sizeof text, "%s %s", s->name, value);
        put(t, "<text class=\"e\" fill=\"%s\" x=\"%.1f\" y=\"%.1f\">", s->colour, at, top - 8);
        put_escaped(t, text);
        put(t, "</text>\n");
        at -= 7.2 * (double)strlen(text) + 18;
    }
}

static void put_panel(Text *t, const Panel *p, const Axis *x, double top, bool last) {
    Axis y = value_axis(p);
    put_shared_ticks(t, x, top, last);
    put_value_ticks(t, &y, top);
    put(t, "<rect class=\"f\" x=\"%d\" y=\"%.1f\" width=\"%d\" height=\"%d\"/>\n", LEFT, top,
        WIDTH - LEFT - RIGHT, HEIGHT);
    put(t, "<text class=\"t\" x=\"%d\" y=\"%.1f\">", LEFT, top - 8);
    put_escaped(t, p->title);
    put(t, "</text>\n");
    put_legend(t, p, top);
    for (const Series *const *s = p->series; *s; s++) put_series(t, *s, x, &y, top);
}

static const char STYLE[] =
    "<style>text{font:12px system-ui,sans-serif;fill:#333}.h{font-size:15px;font-weight:600}"
    ".t{font-weight:600}.e{text-anchor:end}.m{text-anchor:middle}.g{stroke:#e6e6e6;fill:none}"
    ".f{stroke:#999;fill:none}.l{fill:none;stroke-width:1.6;stroke-linejoin:round}"
    ".k{stroke:#c33;stroke-dasharray:3 3;fill:none}</style>\n";

char *plot_svg(const char *title, const char *x_title, const Panel *panels, int n_panels,
               const double *marks, int n_marks) {
    Text t = {.ok = true};
    int height = TOP + n_panels * HEIGHT + (n_panels - 1) * GAP + BOTTOM;
    Axis x = shared_axis(panels, n_panels);
    put(&t,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %d "
        "%d\">\n",
        WIDTH, height, WIDTH, height);
    put(&t,
        "%s<rect width=\"100%%\" height=\"100%%\" fill=\"#fff\"/>\n<text class=\"h\" x=\"%d\" "
        "y=\"24\">",
        STYLE, LEFT);
    put_escaped(&t, title);
    put(&t, "</text>\n");
    for (int k = 0; k < n_panels; k++)
        put_panel(&t, &panels[k], &x, TOP + k * (HEIGHT + GAP), k == n_panels - 1);
    for (int i = 0; i < n_marks; i++)
        put(&t, "<path class=\"k\" d=\"M%.1f %dV%d\"/>\n", x_of(&x, marks[i]), TOP,
            height - BOTTOM);
    put(&t, "<text class=\"m\" x=\"%d\" y=\"%d\">", (LEFT + WIDTH - RIGHT) / 2, height - 12);
    put_escaped(&t, x_title);
    put(&t, "</text>\n</svg>\n");
    if (t.ok) return t.data;
    mem_free(t.data);
    return NULL;
}
