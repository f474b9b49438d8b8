/* mae bench kernels: a step taken apart. An observer of the graph takes the time of every op and
 * adds it to the line of its kind, pass and shape. What the step does beside its ops has lines of
 * its own, so that the lines add up to the step. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/threads.h"
#include "graph/view.h"
#include "jobs/bench_work.h"
#include "jobs/jobs.h"

#define MAX_LINES 96
#define SHAPE_BYTES 48

typedef struct Line {
    const char *kind, *pass;
    char shape[SHAPE_BYTES]; /* of what has FLOPs; "": all shapes of the kind together */
    int64_t calls;
    double seconds, flops;
} Line;

typedef struct Profile {
    Device *device;
    Line line[MAX_LINES]; /* of the repetition under way */
    int n;
    double begun;            /* the op under way */
    double observed;         /* seconds in ops, of the repetition under way */
    double *total, *seconds; /* [repetitions], [repetitions,MAX_LINES] */
    double *sorted;          /* [repetitions] */
} Profile;

/* --- watching --------------------------------------------------------------------------------- */

/* Classes of ops that are one kind to the reader; others keep their name. */
static const char *kind_of(const char *class) {
    static const struct {
        const char *start, *kind;
    } kinds[] = {{"tokens_", "tokens"},
                 {"patch_", "patches"},
                 {"image_", "patches"},
                 {"masked_mse", "loss"},
                 {"soft_cross", "loss"}};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strncmp(class, kinds[i].start, strlen(kinds[i].start)) == 0) return kinds[i].kind;
    return class;
}

/* Of what has FLOPs: rows x inputs x outputs, or tokens, heads and head width. */
static void print_shape(const GraphOp *op, char *text, size_t bytes) {
    int64_t I = op->in.dim[op->in.n_dims - 1], O = op->out.dim[op->out.n_dims - 1];
    *text = 0;
    if (strcmp(op->kind, "attention") == 0) {
        int64_t H = ((const AttentionAttributes *)op->attributes)->heads;
        snprintf(text, bytes, "T %" PRId64 ", H %" PRId64 ", D %" PRId64, op->in.dim[1], H, O / H);
    } else if (op->flops > 0) {
        snprintf(text, bytes, "%" PRId64 " x %" PRId64 " x %" PRId64, shape_numel(op->in) / I, I,
                 O);
    }
}

static void add(Profile *p, const char *kind, const char *pass, const char *shape, double seconds,
                double flops) {
    int i = 0;
    while (i < p->n && (strcmp(p->line[i].kind, kind) != 0 || strcmp(p->line[i].pass, pass) != 0 ||
                        strcmp(p->line[i].shape, shape) != 0))
        i++;
    ASSERT(i < MAX_LINES, "more than %d shapes of kernels", MAX_LINES);
    Line *l = &p->line[i];
    if (i == p->n) {
        *l = (Line){.kind = kind, .pass = pass};
        snprintf(l->shape, sizeof l->shape, "%s", shape);
        p->n++;
    }
    l->calls++;
    l->seconds += seconds;
    l->flops += flops;
}

static void observe(void *user, const GraphOp *op, bool begins) {
    Profile *p = user;
    char shape[sizeof p->line->shape];
    device_sync(p->device);
    if (begins) {
        p->begun = clock_seconds();
        return;
    }
    double seconds = clock_seconds() - p->begun;
    print_shape(op, shape, sizeof shape);
    add(p, kind_of(op->kind), op->backward ? "backward" : "forward", shape, seconds, op->flops);
    p->observed += seconds;
}

/* The warming repetition finds the lines, whose calls and FLOPs are the same in every other. */
static void end_repetition(void *user, int64_t i, const BenchTimes *t) {
    Profile *p = user;
    if (t->set > 0) add(p, "batch", "step", "", t->set, 0);
    if (t->update > 0) add(p, "optimizer", "step", "", t->update, 0);
    add(p, "other", "step", "", t->compute - p->observed, 0);
    if (i >= 0) {
        p->total[i] = p->sorted[i] = t->total;
        for (int k = 0; k < p->n; k++) p->seconds[i * MAX_LINES + k] = p->line[k].seconds;
    }
    for (int k = 0; k < p->n; k++) p->line[k].seconds = 0;
    p->observed = 0;
}

/* --- telling ---------------------------------------------------------------------------------- */

static int by_seconds(const void *a, const void *b) {
    double x = ((const Line *)a)->seconds, y = ((const Line *)b)->seconds;
    return x < y ? 1 : x > y ? -1 : 0;
}

static bool is_same_kind(const Line *a, const Line *b) {
    return strcmp(a->kind, b->kind) == 0 && strcmp(a->pass, b->pass) == 0;
}

/* One line a kind and pass: the sum of its shapes. */
static int sum_kinds(const Line *line, int n, Line *kind) {
    int n_kinds = 0;
    for (int i = 0; i < n; i++) {
        int k = 0;
        while (k < n_kinds && !is_same_kind(&kind[k], &line[i])) k++;
        if (k == n_kinds) kind[n_kinds++] = (Line){.kind = line[i].kind, .pass = line[i].pass};
        kind[k].calls += line[i].calls;
        kind[k].seconds += line[i].seconds;
        kind[k].flops += line[i].flops;
    }
    qsort(kind, (size_t)n_kinds, sizeof *kind, by_seconds);
    return n_kinds;
}

/* Times and shares are those of a step; a step of all lines takes step_ms. */
static void tell_line(const Line *l, int64_t repetitions, double step_ms, double peak, Result out) {
    double ms = 1e3 * l->seconds, gflop = l->flops / (double)repetitions * 1e-9;
    result_text(out, "kind", l->kind);
    result_text(out, "pass", l->pass);
    if (*l->shape) result_text(out, "shape", l->shape);
    result_count(out, "calls", l->calls / repetitions);
    result_number(out, "ms", ms);
    result_number(out, "share", ms / step_ms);
    if (!(l->seconds > 0) || !(gflop > 0)) return;
    result_number(out, "gflops", gflop / l->seconds);
    result_number(out, "fraction_of_peak", gflop / l->seconds / peak);
}

/* "kernels" add up to the step, most time first; "shapes" are some of them in detail. */
static void tell_lines(Profile *p, int64_t repetitions, double step_ms, double peak, Result out) {
    Line kind[MAX_LINES];
    int64_t ran = repetitions + 1; /* calls and FLOPs were counted when warming up, too */
    int n_kinds = sum_kinds(p->line, p->n, kind);
    Result kernels = result_list(out, "kernels"), shapes = result_list(out, "shapes");
    qsort(p->line, (size_t)p->n, sizeof *p->line, by_seconds);
    for (int k = 0; k < n_kinds; k++) {
        tell_line(&kind[k], ran, step_ms, peak, result_object(kernels, NULL));
        for (int i = 0; i < p->n; i++)
            if (*p->line[i].shape && is_same_kind(&kind[k], &p->line[i]))
                tell_line(&p->line[i], ran, step_ms, peak, result_object(shapes, NULL));
    }
}

/* The lines get the seconds of the repetition that took the median time, the lower of two. Returns
 * that time. */
static double choose_median(Profile *p, int64_t repetitions) {
    double middle = p->sorted[(repetitions - 1) / 2];
    int64_t i = 0;
    while (p->total[i] != middle) i++;
    for (int k = 0; k < p->n; k++) p->line[k].seconds = p->seconds[i * MAX_LINES + k];
    return middle;
}

Status bench_kernels(const MaeOptions *o, Result out, Error *err) {
    Status status = MAE_OK;
    BenchWork *w = NULL;
    double peak;
    size_t n = (size_t)bench_repetitions(o);
    Profile *p = mem_alloc(sizeof *p);
    if (p) {
        p->total = mem_alloc_array(n, sizeof *p->total);
        p->sorted = mem_alloc_array(n, sizeof *p->sorted);
        p->seconds = mem_alloc_array(n * MAX_LINES, sizeof *p->seconds);
    }
    if (!p || !p->total || !p->sorted || !p->seconds) {
        status = error_set(err, MAE_MEMORY, "no memory for the times of %zu steps", n);
        goto done;
    }
    TRY(bench_work_new(o, &w, err));
    p->device = w->device;
    graph_observe(w->graph, observe, p);
    TRY(bench_work_run(w, end_repetition, p, &peak, err));
    bench_tell(w, o, p->sorted, peak, out);
    double step_ms = 1e3 * choose_median(p, w->repetitions);
    result_number(out, "step_ms", step_ms);
    tell_lines(p, w->repetitions, step_ms, peak, out);
done:
    bench_work_free(w);
    if (p) {
        mem_free(p->total);
        mem_free(p->sorted);
        mem_free(p->seconds);
    }
    mem_free(p);
    return status;
}
