/* See small_run.h. */
#include "small_run.h"

#include <stdlib.h>

#include "run/run_state.h"
#include "small_model.h"

#define AVERAGES 1000 /* which of the tensors of a parameter: 0 and 1 are moments */
#define WEIGHTS 2000

static void need(Status status, const Error *err) {
    ASSERT(status == MAE_OK, "%s", err->message);
}

void small_run_make(SmallRun *r) {
    Error err = {0};
    ModelConfig c = small_config(3, TARGET_PIXEL, false);
    OptimizerOptions o = {.kind = OPTIMIZER_ADAMW};
    *r = (SmallRun){.notes = {.preset = "custom", .mask_ratio = 0.5}};
    need(device_open("cpu", 1, NULL, &r->device, &err), &err);
    r->state.model = small_model(r->device, &c);
    r->state.progress = &r->progress;
    need(optimizer_new(r->device, r->state.model->params, o, &r->state.optimizer, &err), &err);
    need(ema_new(r->device, r->state.model->params, 0.9, &r->state.ema, &err), &err);
}

void small_run_free(SmallRun *r) {
    ema_free(r->state.ema);
    optimizer_free(r->state.optimizer);
    vit_free(r->state.model);
    device_close(r->device);
}

static float value_of(int64_t step, int64_t which, int64_t param, int64_t i) {
    return (float)((step * 31 + which * 17 + param * 7 + i) % 1009) * 0.25f;
}

static bool visit(const SmallRun *r, int64_t step, int64_t which, int64_t param, void *address,
                  bool set) {
    bool same = true;
    int64_t n = params_at(r->state.model->params, param)->numel;
    float *x = malloc((size_t)n * sizeof *x);
    ASSERT(x, "no memory");
    if (!set) device_download_floats(r->device, x, address, NUMBER_WIDE, n);
    for (int64_t i = 0; i < n; i++) {
        float value = value_of(step, which, param, i);
        if (set) x[i] = value;
        same = same && x[i] == value;
    }
    if (set) device_upload_floats(r->device, address, NUMBER_WIDE, x, n);
    free(x);
    return same;
}

static bool visit_all(const SmallRun *r, int64_t step, bool set) {
    bool same = true;
    Optimizer *o = r->state.optimizer;
    for (int64_t k = 0; k < params_count(r->state.model->params); k++) {
        const Param *p = params_at(r->state.model->params, k);
        same = visit(r, step, WEIGHTS, k, p->data, set) && same;
        if (!p->trainable) continue;
        for (int m = 0; m < optimizer_n_moments(o); m++)
            same = visit(r, step, m, k, optimizer_moment(o, m, p), set) && same;
        same = visit(r, step, AVERAGES, k, ema_average(r->state.ema, p), set) && same;
    }
    return same;
}

void small_run_set(SmallRun *r, int64_t step) {
    r->progress.step = r->notes.step = step;
    r->progress.epoch = r->notes.epochs = step;
    optimizer_set_updates(r->state.optimizer, step);
    visit_all(r, step, true);
}

bool small_run_is(const SmallRun *r, int64_t step) {
    return r->progress.step == step && optimizer_updates(r->state.optimizer) == step &&
           visit_all(r, step, false);
}

int64_t small_run_on_disk(const char *folder) {
    Error err = {0};
    bool there;
    int64_t step = 0;
    SmallRun r;
    need(run_state_open(folder, &there, &err), &err);
    if (!there) return 0;
    small_run_make(&r);
    need(run_state_load(folder, &r.state, &err), &err);
    step = r.progress.step;
    ASSERT(small_run_is(&r, step), "%s: not the tensors of step %lld", folder, (long long)step);
    small_run_free(&r);
    return step;
}

CheckpointWriter *small_run_writer(const SmallRun *r, const char *folder, bool asynchronous) {
    Error err = {0};
    CheckpointWriter *w;
    WriterOptions o = {.asynchronous = asynchronous, .keep = 100};
    need(writer_new(folder, &r->state, o, &w, &err), &err);
    return w;
}

Status small_run_save(SmallRun *r, CheckpointWriter *w, int64_t step, Error *err) {
    small_run_set(r, step);
    Status status = writer_submit(w, &r->notes, step, err);
    return status == MAE_OK ? writer_wait(w, err) : status;
}
