/* See curves.h. */
#include "train/curves.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "train/plot.h"

#define MAX_MARKS 50
#define LOG_SCALE_FROM 20 /* largest over smallest loss */

typedef struct Curves {
    Series loss, val_loss, ema_val_loss, lr, top1, top5, ema_top1;
    double marks[MAX_MARKS]; /* events, at the epoch of the last line before */
    int n_marks;
    double epoch, best;
} Curves;

static double value(const json_t *line, const char *key) {
    const json_t *v = json_object_get(line, key);
    return json_is_number(v) ? json_number_value(v) : (double)NAN;
}

static void add_epoch(Curves *c, const json_t *line) {
    double epoch = value(line, "epoch"), top1 = 100 * value(line, "top1");
    series_add(&c->val_loss, epoch, value(line, "val_loss"));
    series_add(&c->ema_val_loss, epoch, value(line, "ema_val_loss"));
    series_add(&c->top1, epoch, top1);
    series_add(&c->top5, epoch, 100 * value(line, "top5"));
    series_add(&c->ema_top1, epoch, 100 * value(line, "ema_top1"));
    c->best = fmax(c->best, fmax(top1, 100 * value(line, "ema_top1")));
}

static void add_line(Curves *c, const json_t *line) {
    const char *kind = json_string_value(json_object_get(line, "kind"));
    double epoch = value(line, "epoch");
    if (!kind) return;
    if (strcmp(kind, "event") == 0 && c->n_marks < MAX_MARKS) c->marks[c->n_marks++] = c->epoch;
    if (!isfinite(epoch)) return;
    c->epoch = epoch;
    if (strcmp(kind, "epoch") == 0) add_epoch(c, line);
    if (strcmp(kind, "step") != 0) return;
    series_add(&c->loss, epoch, value(line, "loss"));
    series_add(&c->lr, epoch, value(line, "lr"));
}

/* Short runs may have no line of a step; their epochs stand in. */
static void read_lines(Curves *c, FILE *f, bool epochs_as_steps) {
    char *text = NULL;
    size_t capacity = 0;
    ssize_t n;
    while ((n = getline(&text, &capacity, f)) > 0) {
        json_t *line = json_loadb(text, (size_t)n, 0, NULL);
        if (epochs_as_steps) {
            series_add(&c->loss, value(line, "epoch"), value(line, "loss"));
            series_add(&c->lr, value(line, "epoch"), value(line, "lr"));
        } else {
            add_line(c, line);
        }
        json_decref(line);
    }
    free(text);
}

static double range_of(const Series *s) {
    double low = INFINITY, high = -INFINITY;
    for (int i = 0; i < s->n; i++) {
        low = fmin(low, s->bucket[i].low);
        high = fmax(high, s->bucket[i].high);
    }
    return s->n && low > 0 ? high / low : 0;
}

static Curves *curves_new(void) {
    Curves *c = mem_alloc(sizeof *c);
    if (!c) return NULL;
    c->loss = (Series){.name = "training", .colour = "#1f5fa8"};
    c->val_loss = (Series){.name = "validation", .colour = "#d1661b", .dots = true};
    c->ema_val_loss = (Series){.name = "averaged", .colour = "#2b8a57", .dots = true};
    c->lr = (Series){.name = "", .colour = "#555555"};
    c->top1 = (Series){.name = "top-1", .colour = "#d1661b", .dots = true};
    c->top5 = (Series){.name = "top-5", .colour = "#b9a28c", .dots = true};
    c->ema_top1 = (Series){.name = "averaged top-1", .colour = "#2b8a57", .dots = true};
    c->best = -1;
    return c;
}

static char *draw(const Curves *c, const char *run) {
    const Series *const losses[] = {&c->loss, &c->val_loss, &c->ema_val_loss, NULL};
    const Series *const rates[] = {&c->lr, NULL};
    const Series *const accuracies[] = {&c->top5, &c->top1, &c->ema_top1, NULL};
    const Panel panels[] = {{"loss", "%.4g", losses, range_of(&c->loss) > LOG_SCALE_FROM},
                            {"learning rate", "%.3g", rates, false},
                            {"accuracy, %", "%.2f", accuracies, false}};
    char best[64] = "";
    if (c->best >= 0) snprintf(best, sizeof best, ", best top-1 %.2f %%", c->best);
    char *title = mem_printf("%s: epoch %.4g%s", run, c->epoch, best);
    char *svg =
        title ? plot_svg(title, "epoch", panels, c->top1.n ? 3 : 2, c->marks, c->n_marks) : NULL;
    mem_free(title);
    return svg;
}

/* The last part of a path, without a slash at its end. */
static char *base_name(const char *path) {
    size_t n = strlen(path), start;
    while (n > 1 && path[n - 1] == '/') n--;
    for (start = n; start > 0 && path[start - 1] != '/'; start--) continue;
    return mem_printf("%.*s", (int)(n - start), path + start);
}

Status curves_write(const char *run, Error *err) {
    Status status = STATUS_OK;
    Curves *c = curves_new();
    FILE *f = NULL;
    char *log = mem_printf("%s/log.jsonl", run), *out = mem_printf("%s/curves.svg", run);
    char *name = base_name(run), *svg = NULL;
    if (!c || !log || !out || !name) goto no_memory;
    f = fopen(log, "r");
    if (!f) {
        status = fail(err, STATUS_IO, "%s: cannot be read: %s", log, strerror(errno));
        goto done;
    }
    read_lines(c, f, false);
    if (c->loss.n == 0) {
        rewind(f);
        read_lines(c, f, true);
    }
    svg = draw(c, name);
    if (!svg) goto no_memory;
    TRY(file_write_all(out, svg, strlen(svg), err));
    goto done;
no_memory:
    status = fail(err, STATUS_MEMORY, "no memory to draw the curves of %s", run);
done:
    if (f) fclose(f);
    mem_free(c);
    mem_free(log);
    mem_free(out);
    mem_free(name);
    mem_free(svg);
    return status;
}
