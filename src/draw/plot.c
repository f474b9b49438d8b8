/* See plot.h. */
#include "draw/plot.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Colours that colour-blind readers tell apart (Okabe and Ito), darkened for thin lines. */
const char plot_css[] =
    "text{font-family:Helvetica,Arial,'Liberation Sans','DejaVu Sans',sans-serif;"
    "font-size:12px;fill:#444}\n"
    ".title{font-size:18px;font-weight:bold;fill:#111}\n"
    ".label{font-size:13px;font-weight:bold;fill:#222}\n"
    ".note{fill:#333}.strong{font-size:13px}\n"
    ".alarm{fill:#b3261e}\n"
    ".end{text-anchor:end}.middle{text-anchor:middle}.faded{fill:#999}\n"
    "path{fill:none;stroke-linejoin:round;stroke-linecap:round}\n"
    ".grid{stroke:#e9e9e9;stroke-width:1}.axis{stroke:#8a8a8a;stroke-width:1}\n"
    ".line{stroke-width:1.8}.raw{stroke-width:.8;stroke-opacity:.38}\n"
    ".dashed{stroke-dasharray:5 3.5}\n"
    ".blue{stroke:#0b66a8}.red{stroke:#cf5410}.green{stroke:#06825f}\n"
    ".dot{stroke:#fff;stroke-width:1}.dot.blue{fill:#0b66a8}.dot.red{fill:#cf5410}"
    ".dot.green{fill:#06825f}.ring{fill:#fff;fill-opacity:.6;stroke-width:1.5}\n"
    ".change{stroke:#8e4b8a;stroke-width:1.2;stroke-dasharray:2 3}.because{fill:#8e4b8a;"
    "font-size:11px;paint-order:stroke;stroke:#fff;stroke-width:3px}\n"
    ".flag{fill:#8e4b8a;stroke:#fff;stroke-width:.7}\n";

/* --- Series ----------------------------------------------------------------------------------- */

static void bucket_merge(Bucket *into, const Bucket *b) {
    if (into->n == 0 || b->low_y < into->low_y) into->low_x = b->low_x, into->low_y = b->low_y;
    if (into->n == 0 || b->high_y > into->high_y)
        into->high_x = b->high_x, into->high_y = b->high_y;
    into->n += b->n;
    into->sum_x += b->sum_x;
    into->sum_y += b->sum_y;
}

static void halve(Series *s) {
    for (int i = 0; i < SERIES_BUCKETS / 2; i++) {
        Bucket pair = s->buckets[2 * i];
        bucket_merge(&pair, &s->buckets[2 * i + 1]);
        s->buckets[i] = pair;
    }
    s->n_buckets = SERIES_BUCKETS / 2;
    s->stride *= 2;
}

void series_add(Series *s, double x, double y) {
    if (!(fabs(x) < 1e30 && fabs(y) < 1e30)) return;
    const Bucket point = {1, x, y, x, y, x, y};
    bool better = s->high_is_best ? y > s->best_y : y < s->best_y;
    if (s->n_points == 0 || better) s->best_x = x, s->best_y = y;
    if (s->n_points == 0) s->stride = 1;
    s->n_points++;
    s->last_x = x;
    s->last_y = y;
    if (s->n_buckets == 0 || s->buckets[s->n_buckets - 1].n == s->stride) {
        if (s->n_buckets == SERIES_BUCKETS) halve(s);
        s->buckets[s->n_buckets++] = (Bucket){0};
    }
    bucket_merge(&s->buckets[s->n_buckets - 1], &point);
}

/* --- Axes ------------------------------------------------------------------------------------- */

enum { MAX_TICKS = 32 };

typedef struct Tick {
    double place; /* pixels */
    NumberText text;
} Tick;

/* lo and hi are logarithms when log; they lie at pixels `from` and `to`. Labels of a linear axis
 * are multiples of 10^exponent. */
typedef struct Axis {
    bool log;
    double lo, hi, from, to;
    double step; /* between ticks, linear */
    int exponent;
} Axis;

static double axis_value(const Axis *a, double v) {
    return a->log ? log10(v) : v;
}

/* v as axis_value gives it. */
static double axis_place(const Axis *a, double v) {
    double share = (v - a->lo) / (a->hi - a->lo);
    share = share < 0 ? 0 : share > 1 ? 1 : share;
    return a->from + share * (a->to - a->from);
}

/* The smallest of 1, 2, 2.5, 5 times a power of ten that is at least v > 0. */
static double nice_step(double v) {
    static const double nice[] = {1, 2, 2.5, 5, 10};
    double power = pow(10, floor(log10(v)));
    int i = 0;
    while (i < 4 && nice[i] * power < v * (1 - 1e-9)) i++;
    return nice[i] * power;
}

/* Ticks at most n apart; very large and very small numbers get a common power of ten. */
static void axis_set_ticks(Axis *a, int n) {
    double size = fmax(fabs(a->lo), fabs(a->hi));
    int exponent = (int)floor(log10(size) + 1e-9);
    a->step = nice_step((a->hi - a->lo) / n);
    a->exponent = exponent < -2 || exponent > 4 ? exponent : 0;
}

static int linear_ticks(const Axis *a, Tick *ticks) {
    int n = 0, decimals = 0;
    double unit = pow(10, a->exponent), step = a->step / unit;
    while (decimals < 12 && fabs(step - rint(step)) > 1e-6 * step) step *= 10, decimals++;
    double k = ceil(a->lo / a->step - 1e-6);
    for (; n < MAX_TICKS && k * a->step <= a->hi + 1e-6 * a->step; k++)
        ticks[n++] = (Tick){axis_place(a, k * a->step), number_text(k * a->step / unit, decimals)};
    return n;
}

/* 1, 2 and 5 in each decade; over many decades powers of ten only, and not all of them. */
static int log_ticks(const Axis *a, Tick *ticks) {
    static const double parts[] = {1, 2, 5};
    int n = 0, every = (int)ceil((a->hi - a->lo) / 6), n_parts = a->hi - a->lo < 2.5 ? 3 : 1;
    for (int e = (int)floor(a->lo / every) * every; e <= a->hi; e += every)
        for (int i = 0; i < n_parts; i++) {
            double v = e + log10(parts[i]);
            if (v < a->lo - 1e-9 || v > a->hi + 1e-9 || n == MAX_TICKS) continue;
            bool plain = n_parts == 3 || (a->lo > -4.5 && a->hi < 5.5);
            plain = plain && e > -5 && e < 6;
            NumberText t =
                plain ? number_text(parts[i] * pow(10, e), e < 0 ? -e : 0) : power_text(e);
            if (!plain && n_parts == 3) t = value_text(parts[i] * pow(10, e), 1);
            ticks[n++] = (Tick){axis_place(a, v), t};
        }
    return n;
}

static bool panel_range(const Panel *p, double *lo, double *hi) {
    bool any = false;
    for (int i = 0; i < p->n_series; i++)
        for (int b = 0; b < p->series[i]->n_buckets; b++) {
            const Bucket *q = &p->series[i]->buckets[b];
            *lo = any ? fmin(*lo, q->low_y) : q->low_y;
            *hi = any ? fmax(*hi, q->high_y) : q->high_y;
            any = true;
        }
    return any;
}

/* The range of the values and a little air; a constant gets a range around it. */
static Axis y_axis(const Panel *p, double from, double to) {
    Axis a = {.from = from, .to = to};
    double lo = 0, hi = 1;
    if (panel_range(p, &lo, &hi)) {
        a.log = p->log_if_wide && lo > 0 && hi / lo > 20;
        lo = axis_value(&a, lo);
        hi = axis_value(&a, hi);
        bool zero = p->from_zero && lo >= 0;
        if (zero) lo = 0;
        bool constant = hi - lo <= 1e-9 * fmax(fabs(lo), fabs(hi));
        double air = !constant ? 0.05 * (hi - lo) : fabs(hi) > 0 ? 0.1 * fabs(hi) : 1;
        bool positive = lo >= 0 && !a.log;
        hi += air;
        if (!zero) lo -= air;
        if (positive) lo = fmax(lo, 0);
        if (p->ceiling > 0 && hi > p->ceiling) hi = fmax(p->ceiling, hi - air);
    }
    a.lo = lo;
    a.hi = hi;
    axis_set_ticks(&a, (int)fmax(3, p->height / 38));
    return a;
}

static Axis x_axis(double x_max) {
    Axis a = {.hi = x_max > 0 ? x_max : 1, .from = PLOT_LEFT, .to = PLOT_RIGHT};
    axis_set_ticks(&a, 10);
    return a;
}

/* --- Lines ------------------------------------------------------------------------------------ */

typedef struct Frame {
    Svg *svg;
    Axis x, y;
} Frame;

static void draw_point(const Frame *f, bool first, double x, double y) {
    svg_path_point(f->svg, first, axis_place(&f->x, x), axis_place(&f->y, axis_value(&f->y, y)));
}

/* Through the lowest and the highest point of each bucket, in their order. */
static void draw_raw(const Frame *f, const Series *s, const char *weight) {
    char class[64];
    snprintf(class, sizeof class, "%s %s", s->class, weight);
    svg_path_begin(f->svg, class);
    for (int i = 0; i < s->n_buckets; i++) {
        const Bucket *b = &s->buckets[i];
        bool low_first = b->low_x <= b->high_x;
        draw_point(f, i == 0, low_first ? b->low_x : b->high_x, low_first ? b->low_y : b->high_y);
        if (b->low_x < b->high_x || b->high_x < b->low_x)
            draw_point(f, false, low_first ? b->high_x : b->low_x,
                       low_first ? b->high_y : b->low_y);
    }
    draw_point(f, false, s->last_x, s->last_y);
    svg_path_end(f->svg);
}

/* The median of the means of up to five neighbours: one spike does not bend the smooth line. */
static double steady(const Frame *f, const Series *s, int i) {
    double v[5];
    int n = 0, reach = i < s->n_buckets - 1 - i ? i : s->n_buckets - 1 - i;
    if (reach > 2) reach = 2;
    for (int j = i - reach; j <= i + reach; j++) {
        double y = axis_value(&f->y, s->buckets[j].sum_y / (double)s->buckets[j].n);
        int at = n++;
        for (; at > 0 && v[at - 1] > y; at--) v[at] = v[at - 1];
        v[at] = y;
    }
    return v[reach];
}

/* A straight line fitted to the values around bucket i, weighted by a bell; its value at i. A
 * fitted line, unlike a mean, has no bias at the two ends. */
static double smoothed(const Frame *f, const Series *s, int i, double width) {
    double w0 = 0, w1 = 0, w2 = 0, y0 = 0, y1 = 0;
    int reach = (int)ceil(3 * width);
    for (int j = i - reach; j <= i + reach; j++) {
        if (j < 0 || j >= s->n_buckets) continue;
        double d = j - i, y = steady(f, s, j);
        double weight = (double)s->buckets[j].n * exp(-0.5 * d * d / (width * width));
        w0 += weight, w1 += weight * d, w2 += weight * d * d;
        y0 += weight * y, y1 += weight * d * y;
    }
    double det = w0 * w2 - w1 * w1;
    return det > 1e-9 * w0 * w0 ? (w2 * y0 - w1 * y1) / det : y0 / w0;
}

/* The bell is narrow at the start, where losses fall steeply. */
static void draw_smooth(const Frame *f, const Series *s) {
    char class[64];
    double widest = fmax(2, s->n_buckets / 50.0);
    snprintf(class, sizeof class, "%s line", s->class);
    svg_path_begin(f->svg, class);
    for (int i = 0; i < s->n_buckets; i++) {
        double width = fmin(widest, 0.5 + 0.2 * i), x = s->buckets[i].sum_x;
        svg_path_point(f->svg, i == 0, axis_place(&f->x, x / (double)s->buckets[i].n),
                       axis_place(&f->y, smoothed(f, s, i, width)));
    }
    svg_path_end(f->svg);
}

static bool is_smoothed(const Series *s) {
    return s->smooth && s->n_points >= 100;
}

static void draw_dot(const Frame *f, const Series *s, bool best) {
    char class[64], tip[256];
    double x = best ? s->best_x : s->last_x, y = best ? s->best_y : s->last_y;
    snprintf(class, sizeof class, "%.20s %s", s->class, best ? "ring" : "dot");
    snprintf(tip, sizeof tip, "%.60s, %s: %s%s at epoch %s", s->name, best ? "best" : "last",
             value_text(y, 4).s, s->unit ? s->unit : "", epoch_text(x).s);
    svg_dot(f->svg, class, axis_place(&f->x, x), axis_place(&f->y, axis_value(&f->y, y)),
            best ? 4.5 : 3.5, tip);
}

static void draw_series(const Frame *f, const Series *s) {
    if (s->n_points == 0) return;
    draw_raw(f, s, is_smoothed(s) ? "raw" : "line");
    if (is_smoothed(s)) draw_smooth(f, s);
}

/* --- Panel ------------------------------------------------------------------------------------ */

static void draw_axes(const Frame *f, const char *x_label) {
    Tick ticks[MAX_TICKS];
    double bottom = f->y.from, top = f->y.to;
    int n = f->y.log ? log_ticks(&f->y, ticks) : linear_ticks(&f->y, ticks);
    for (int i = 0; i < n; i++) {
        svg_line(f->svg, "grid", PLOT_LEFT, ticks[i].place, PLOT_RIGHT, ticks[i].place);
        svg_text(f->svg, "end", PLOT_LEFT - 8, ticks[i].place + 4, ticks[i].text.s);
    }
    n = linear_ticks(&f->x, ticks);
    for (int i = 0; i < n; i++) {
        svg_line(f->svg, "grid", ticks[i].place, top, ticks[i].place, bottom);
        svg_line(f->svg, "axis", ticks[i].place, bottom, ticks[i].place, bottom + 4);
        if (x_label) svg_text(f->svg, "middle", ticks[i].place, bottom + 19, ticks[i].text.s);
    }
    svg_line(f->svg, "axis", PLOT_LEFT, bottom, PLOT_RIGHT, bottom);
    svg_line(f->svg, "axis", PLOT_LEFT, top, PLOT_LEFT, bottom);
}

/* "name (×10ⁿ)" with an axis' common power of ten. */
static void draw_label(Svg *svg, const char *class, double x, double y, const char *name,
                       int exponent) {
    char text[128];
    snprintf(text, sizeof text, exponent != 0 ? "%.60s (×%s)" : "%.60s", name,
             power_text(exponent).s);
    svg_text(svg, class, x, y, text);
}

/* From the right end to the left: *x moves by the width of the text, which is a guess because the
 * font is the reader's. */
static void legend_text(Svg *svg, double *x, double y, const char *text) {
    *x -= 6.3 * (double)strlen(text);
    svg_text(svg, "", *x, y, text);
}

static void draw_legend(const Frame *f, const Panel *p, double y) {
    char class[64];
    double x = PLOT_RIGHT;
    if (p->n_series < 2) return;
    if (p->n_marks > 0) {
        legend_text(f->svg, &x, y, "event");
        svg_flag(f->svg, "flag", x - 10, y, "event");
        x -= 34;
    }
    for (int i = p->n_series - 1; i >= 0; i--) {
        const Series *s = p->series[i];
        if (s->n_points == 0) continue;
        legend_text(f->svg, &x, y, s->name);
        snprintf(class, sizeof class, "%.20s line", s->class);
        svg_line(f->svg, class, x - 30, y - 4, x - 7, y - 4);
        x -= 50;
    }
}

#define CHANGED "changed: " /* how such a message begins */

/* The text stands where there is more room; those of changes soon after each other in lines. */
static void draw_change(const Frame *f, const Panel *p, const Mark *m, int i) {
    enum { MOST = 58, LINES = 5, LINE = 13 };
    char text[MARK_BYTES];
    double x = axis_place(&f->x, m->x), top = f->y.to;
    svg_line(f->svg, "change", x, top, x, f->y.from);
    if (p->changes_only) return;
    const char *what =
        strncmp(m->text, CHANGED, strlen(CHANGED)) ? m->text : m->text + strlen(CHANGED);
    size_t n = strlen(what);
    if (n > MOST)
        for (n = MOST; n > 0 && ((unsigned char)what[n] & 0xc0) == 0x80;) n--;
    snprintf(text, sizeof text, "%.*s%s", (int)n, what, n < strlen(what) ? "…" : "");
    bool left = x > (PLOT_LEFT + PLOT_RIGHT) / 2.0;
    svg_text(f->svg, left ? "because end" : "because", left ? x - 5 : x + 5,
             top + LINE * (1 + i % LINES), text);
}

static void draw_marks(const Frame *f, const Panel *p) {
    char tip[MARK_BYTES + 64];
    int n_changes = 0;
    for (int i = 0; i < p->n_marks; i++) {
        const Mark *m = &p->marks[i];
        if (m->is_change) draw_change(f, p, m, n_changes++);
        if (p->changes_only) continue;
        snprintf(tip, sizeof tip, "step %lld: %s", (long long)m->step, m->text);
        svg_flag(f->svg, "flag", axis_place(&f->x, m->x), f->y.from, tip);
    }
}

void panel_draw(Svg *svg, const Panel *p, double x_max, double top, const char *x_label) {
    double frame_top = top + PANEL_HEADER, bottom = frame_top + p->height;
    bool any = false;
    Frame f = {svg, x_axis(x_max), y_axis(p, bottom, frame_top)};
    draw_axes(&f, x_label);
    draw_label(svg, "label", 14, frame_top - 12, p->label, f.y.log ? 0 : f.y.exponent);
    draw_legend(&f, p, frame_top - 12);
    if (x_label)
        draw_label(svg, "label middle", (PLOT_LEFT + PLOT_RIGHT) / 2.0, bottom + 39, x_label,
                   f.x.exponent);
    for (int i = 0; i < p->n_series; i++) draw_series(&f, p->series[i]);
    for (int i = 0; i < p->n_series; i++) {
        const Series *s = p->series[i];
        if (s->n_points == 0) continue;
        any = true;
        if (s->high_is_best && s->best_y > s->last_y) draw_dot(&f, s, true);
        if (!is_smoothed(s)) draw_dot(&f, s, false);
    }
    if (!any)
        svg_text(svg, "middle faded", (PLOT_LEFT + PLOT_RIGHT) / 2.0, (frame_top + bottom) / 2,
                 "no values yet");
    draw_marks(&f, p);
}
