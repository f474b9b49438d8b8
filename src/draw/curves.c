/* See curves.h. Two parts: reading, a line at a time, into series that bound themselves, and laying
 * out title and panels. How things are drawn is plot.c's. */
#include "draw/curves.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "base/memory.h"
#include "base/metrics.h"
#include "draw/plot.h"

enum { MAX_EVENTS = 100, TITLE_HEIGHT = 62, TITLE_LINE = 18 };

typedef struct Curves {
    Series step_loss, epoch_loss;
    Series lr;
    Series metric[METRIC_COUNT], averaged[METRIC_COUNT]; /* of the averaged weights */
    double epoch, images_per_s;                          /* of the last line; NAN: none yet */
    int64_t step;
    int64_t n_nonfinite; /* lines whose loss is null */
    int64_t n_events;
    Mark events[MAX_EVENTS]; /* the newest, in a ring */
} Curves;

/* Shares take the colours in turn. The validation loss is drawn beside that of training. */
static void name_metrics(Curves *c) {
    static const char *const colours[][2] = {{"red", "red dashed"}, {"green", "green dashed"}};
    for (int k = 0, n_shares = 0; k < METRIC_COUNT; k++) {
        const MetricKind *m = &metric_kinds[k];
        const char *const *class = colours[m->is_share ? n_shares++ % 2 : 0];
        c->metric[k] = (Series){.name = m->title,
                                .class = class[0],
                                .unit = m->is_share ? " %" : NULL,
                                .high_is_best = m->more_is_better};
        c->averaged[k] = c->metric[k];
        c->averaged[k].name = m->ema_title;
        c->averaged[k].class = class[1];
    }
    c->metric[METRIC_VAL_LOSS].name = "validation";
    c->averaged[METRIC_VAL_LOSS].name = "validation, averaged weights";
}

static Curves *curves_new(void) {
    Curves *c = mem_alloc(sizeof *c);
    if (!c) return NULL;
    c->epoch = c->images_per_s = NAN;
    c->step_loss = (Series){.name = "training", .class = "blue", .smooth = true};
    c->epoch_loss = c->step_loss;
    c->lr = (Series){.name = "learning rate", .class = "blue"};
    name_metrics(c);
    return c;
}

/* --- Reading ---------------------------------------------------------------------------------- */

/* NAN when it is missing, null or not a number. */
static double number(const json_t *line, const char *key) {
    const json_t *value = json_object_get(line, key);
    return json_is_number(value) ? json_number_value(value) : (double)NAN;
}

static void read_point(Curves *c, const json_t *line, bool epoch_end) {
    double x = number(line, "epoch"), loss = number(line, "loss");
    if (!(x >= 0 && x < 1e9)) return;
    const json_t *step = json_object_get(line, "step");
    c->epoch = x;
    if (json_is_integer(step)) c->step = json_integer_value(step);
    if (isfinite(number(line, "images_per_s"))) c->images_per_s = number(line, "images_per_s");
    if (json_is_null(json_object_get(line, "loss"))) c->n_nonfinite++;
    series_add(epoch_end ? &c->epoch_loss : &c->step_loss, x, loss);
    series_add(&c->lr, x, number(line, "lr"));
    for (int k = 0; k < METRIC_COUNT; k++) {
        const MetricKind *m = &metric_kinds[k];
        double scale = m->is_share ? 100 : 1;
        series_add(&c->metric[k], x, scale * number(line, m->name));
        series_add(&c->averaged[k], x, scale * number(line, m->ema_name));
    }
}

/* An event knows its step only; the lines around it know how many steps make an epoch. */
static void read_event(Curves *c, const json_t *line) {
    const char *text = json_string_value(json_object_get(line, "message"));
    const json_t *step = json_object_get(line, "step");
    if (!text || !json_is_integer(step)) return;
    Mark *m = &c->events[c->n_events++ % MAX_EVENTS];
    m->step = json_integer_value(step);
    m->x = c->step > 0 ? (double)m->step * c->epoch / (double)c->step : (double)NAN;
    m->is_change = json_is_array(json_object_get(line, "changes"));
    if (number(line, "epoch") >= 0 && number(line, "epoch") < 1e9) m->x = number(line, "epoch");
    size_t n = strlen(text);
    if (n > MARK_BYTES - 1) n = MARK_BYTES - 1;
    while (n > 0 && ((unsigned char)text[n] & 0xc0) == 0x80) n--; /* no half characters */
    memcpy(m->text, text, n);
    m->text[n] = '\0';
}

static void read_line(Curves *c, const char *text, size_t n) {
    json_t *line = json_parse(text, n, NULL);
    const char *kind = json_string_value(json_object_get(line, "kind"));
    if (kind && strcmp(kind, "step") == 0) read_point(c, line, false);
    if (kind && strcmp(kind, "epoch") == 0) read_point(c, line, true);
    if (kind && strcmp(kind, "event") == 0) read_event(c, line);
    json_decref(line);
}

static Status read_log(Curves *c, const char *path, Error *err) {
    uint8_t *data;
    size_t bytes;
    Status status = file_read_regular(path, SIZE_MAX - 1, &data, &bytes, err);
    if (status != MAE_OK) return status;
    const char *text = (const char *)data;
    for (size_t at = 0; at < bytes;) {
        const char *end = memchr(text + at, '\n', bytes - at);
        size_t n = end ? (size_t)(end - text) - at : bytes - at;
        read_line(c, text + at, n);
        at += n + 1;
    }
    mem_free(data);
    /* events before the first line: by the last one */
    for (int i = 0; i < MAX_EVENTS; i++) {
        Mark *m = &c->events[i];
        if (isnan(m->x)) m->x = c->step > 0 ? (double)m->step * c->epoch / (double)c->step : 0;
    }
    return MAE_OK;
}

/* --- Layout ----------------------------------------------------------------------------------- */

/* The line that has more points: lines of a step may be rarer than epochs. */
static const Series *training_loss(const Curves *c) {
    bool by_step = c->step_loss.n_points >= c->epoch_loss.n_points;
    return by_step ? &c->step_loss : &c->epoch_loss;
}

/* Appends "name last, best .. (epoch ..)" to a line. */
static void append_values(char *line, size_t size, const char *name, const Series *s) {
    size_t used = strlen(line);
    if (s->n_points == 0) return;
    const char *unit = s->unit ? s->unit : "", *gap = used > 0 ? "   ·   " : "";
    int digits = s->unit ? 3 : 4;
    NumberText last = value_text(s->last_y, digits), best = value_text(s->best_y, digits);
    bool is_best = s->high_is_best ? s->last_y >= s->best_y : s->last_y <= s->best_y;
    if (is_best)
        snprintf(line + used, size - used, "%s%s %s%s (best so far)", gap, name, last.s, unit);
    else
        snprintf(line + used, size - used, "%s%s %s%s, best %s%s (epoch %s)", gap, name, last.s,
                 unit, best.s, unit, epoch_text(s->best_x).s);
}

/* The last part of the path, shortened. */
static void run_name(const char *run, char *name, size_t size) {
    size_t n = strlen(run);
    while (n > 1 && run[n - 1] == '/') n--;
    size_t start = n;
    while (start > 0 && run[start - 1] != '/') start--;
    size_t length = n - start, most = size - 4;
    if (length > most) length = most;
    while (length < n - start && length > 0 && ((unsigned char)run[start + length] & 0xc0) == 0x80)
        length--;
    snprintf(name, size, "%.*s%s", (int)length, run + start, length < n - start ? "…" : "");
}

/* The first share that was measured, which is the one that counts; -1: none. */
static int first_share(const Curves *c) {
    for (int k = 0; k < METRIC_COUNT; k++)
        if (metric_kinds[k].is_share && c->metric[k].n_points + c->averaged[k].n_points > 0)
            return k;
    return -1;
}

static void draw_place(Svg *svg, const Curves *c) {
    char text[160];
    if (isnan(c->epoch)) return;
    snprintf(text, sizeof text, "epoch %s   ·   step %lld", epoch_text(c->epoch).s,
             (long long)c->step);
    size_t used = strlen(text);
    if (c->images_per_s > 0 && c->images_per_s < 1e12)
        snprintf(text + used, sizeof text - used, "   ·   %s images/s",
                 number_text(c->images_per_s, c->images_per_s < 10 ? 1 : 0).s);
    svg_text(svg, "note strong end", PLOT_RIGHT, 30, text);
}

/* Name and place, a line of losses, a line of the first share if there is one. */
static void draw_title(Svg *svg, const Curves *c, const char *run) {
    char name[52], losses[256] = "", shares[256] = "", alarm[64];
    int share = first_share(c);
    run_name(run, name, sizeof name);
    svg_text(svg, "title", 14, 30, name);
    draw_place(svg, c);
    if (c->epoch_loss.n_points > 0) /* as the summary has it */
        append_values(losses, sizeof losses, "training loss, mean of an epoch", &c->epoch_loss);
    else
        append_values(losses, sizeof losses, "training loss", &c->step_loss);
    append_values(losses, sizeof losses, "validation", &c->metric[METRIC_VAL_LOSS]);
    append_values(losses, sizeof losses, "averaged weights", &c->averaged[METRIC_VAL_LOSS]);
    double y = TITLE_HEIGHT - 10;
    svg_text(svg, "note", 14, y, losses);
    if (share >= 0) {
        y += TITLE_LINE;
        append_values(shares, sizeof shares, c->metric[share].name, &c->metric[share]);
        append_values(shares, sizeof shares, "averaged weights", &c->averaged[share]);
        svg_text(svg, "note", 14, y, shares);
    }
    if (c->n_nonfinite > 0) {
        snprintf(alarm, sizeof alarm, "loss not finite in %lld lines", (long long)c->n_nonfinite);
        svg_text(svg, "alarm end", PLOT_RIGHT, y, alarm);
    }
}

/* The panels that have something to show, from the top. */
static int choose_panels(const Curves *c, Panel panels[3]) {
    int n = 0, n_events = c->n_events < MAX_EVENTS ? (int)c->n_events : MAX_EVENTS;
    panels[n++] = (Panel){
        .label = "Loss",
        .height = 260,
        .log_if_wide = true,
        .n_series = 3,
        .series = {training_loss(c), &c->metric[METRIC_VAL_LOSS], &c->averaged[METRIC_VAL_LOSS]},
        .marks = c->events,
        .n_marks = n_events};
    panels[n++] = (Panel){.label = "Learning rate",
                          .height = 100,
                          .from_zero = true,
                          .n_series = 1,
                          .series = {&c->lr},
                          .marks = c->events,
                          .n_marks = n_events,
                          .changes_only = true};
    if (first_share(c) < 0) return n;
    panels[n] = (Panel){.label = "Accuracy (%)",
                        .height = 220,
                        .ceiling = 100,
                        .marks = c->events,
                        .n_marks = n_events,
                        .changes_only = true};
    for (int k = 0; k < METRIC_COUNT; k++) {
        if (!metric_kinds[k].is_share) continue;
        ASSERT(panels[n].n_series + 2 <= PANEL_SERIES, "more than %d series", PANEL_SERIES);
        panels[n].series[panels[n].n_series++] = &c->metric[k];
        panels[n].series[panels[n].n_series++] = &c->averaged[k];
    }
    return n + 1;
}

static double last_x(const Curves *c) {
    double x = isnan(c->epoch) ? 0 : c->epoch;
    int n = c->n_events < MAX_EVENTS ? (int)c->n_events : MAX_EVENTS;
    for (int i = 0; i < n; i++) x = fmax(x, c->events[i].x);
    return fmax(x, fmax(c->step_loss.last_x, c->epoch_loss.last_x));
}

static void draw(Svg *svg, const Curves *c, const char *run) {
    Panel panels[3];
    int n = choose_panels(c, panels);
    double y = TITLE_HEIGHT + (first_share(c) >= 0 ? TITLE_LINE : 0), height = y + PLOT_FOOTER;
    for (int i = 0; i < n; i++) height += PANEL_HEADER + panels[i].height;
    svg_begin(svg, PLOT_WIDTH, height, plot_css);
    draw_title(svg, c, run);
    for (int i = 0; i < n; i++) {
        panel_draw(svg, &panels[i], last_x(c), y, i == n - 1 ? "Epoch" : NULL);
        y += PANEL_HEADER + panels[i].height;
    }
}

Status curves_write(const char *run, Error *err) {
    Status status = MAE_OK;
    Svg svg = {0};
    Curves *c = curves_new();
    char *log = NULL, *picture = NULL;
    TRY(file_path(run, "log.jsonl", &log, err));
    TRY(file_path(run, "curves.svg", &picture, err));
    if (!c) {
        status = error_set(err, MAE_MEMORY, "no memory for the curves of %s", run);
        goto done;
    }
    TRY(read_log(c, log, err));
    draw(&svg, c, run);
    TRY(svg_finish(&svg, err));
    TRY(file_write_all(picture, svg.text, svg.bytes, err));
done:
    svg_free(&svg);
    mem_free(c);
    mem_free(log);
    mem_free(picture);
    return status;
}
