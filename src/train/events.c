/* See events.h. */
#include "train/events.h"

#include <inttypes.h>

#include "base/threads.h"

#define TOLD_EVERY 0.02

/* --- a graph's passes ------------------------------------------------------------------------- */

static void observe(void *user, const GraphOp *op, bool begins) {
    PassWatch *w = user;
    if (!begins) w->flops += op->flops;
    double share = w->all > 0 ? w->flops / w->all : 0;
    if (!begins || share < w->next || share >= 1) return;
    w->next = share + TOLD_EVERY;
    w->tell(w->user, share);
}

void watch_passes(PassWatch *w, Graph *g, double all, void (*tell)(void *user, double share),
                  void *user) {
    *w = (PassWatch){.graph = g, .all = all, .tell = tell, .user = user};
    graph_observe(g, observe, w);
}

void watch_restart(PassWatch *w) {
    w->flops = w->next = 0;
}

void watch_end(PassWatch *w) {
    if (w->graph) graph_observe(w->graph, NULL, NULL);
    w->graph = NULL;
}

/* --- images that go through a graph ----------------------------------------------------------- */

static void tell_images(const ImageWatch *w, int64_t done) {
    double seconds = clock_seconds() - w->start, rate = seconds > 0 ? (double)done / seconds : 0;
    MaeProgress p = {.step = done,
                     .total_steps = w->total,
                     .images_per_s = rate,
                     .phase = w->phase,
                     .eta_s = rate > 0 ? (double)(w->total - done) / rate : 0};
    call_progress(&p);
}

/* Whole images: none that is not through is counted. */
static void tell_pass(void *user, double share) {
    const ImageWatch *w = user;
    int64_t left = w->total - w->done, n = left < w->batch ? left : w->batch;
    tell_images(w, w->done + (int64_t)(share * (double)n));
}

void watch_images(ImageWatch *w, Graph *g, const char *phase, int64_t batch, int64_t total) {
    *w = (ImageWatch){.phase = phase, .batch = batch, .total = total, .start = clock_seconds()};
    if (g && call_hears_progress()) watch_passes(&w->pass, g, graph_flops_forward(g), tell_pass, w);
    w->graph = g;
    if (g) graph_stop_at(g, call_stop());
}

static Status stopped(const ImageWatch *w, Error *err) {
    return error_set(err, MAE_INTERRUPTED, "stopped after %" PRId64 " of %" PRId64 " images",
                     w->done, w->total);
}

Status watch_images_next(const ImageWatch *w, Loader *l, Batch *b, Error *err) {
    Error why = {0};
    Status status = loader_next(l, b, &why);
    if (status == MAE_INTERRUPTED) return stopped(w, err);
    return status == MAE_OK ? MAE_OK : error_set(err, status, "%s", why.message);
}

Status watch_images_add(ImageWatch *w, bool whole, int64_t n, Error *err) {
    if (!whole) return stopped(w, err);
    w->done = w->done + n < w->total ? w->done + n : w->total;
    watch_restart(&w->pass);
    if (call_hears_progress()) tell_images(w, w->done);
    return MAE_OK;
}

void watch_images_end(ImageWatch *w) {
    watch_end(&w->pass);
    if (w->graph) graph_stop_at(w->graph, NULL);
    w->graph = NULL;
}
