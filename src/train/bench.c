/* Measurements: whole training steps beside the FMA peak of the same minute, and the loader. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/threads.h"
#include "train/drivers.h"
#include "train/masked_batch.h"
#include "train/setup.h"
#include "train/step.h"

#define MAX_REPETITIONS 1000

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* Seconds sorted ascending; median of them. */
static double median(double *seconds, int64_t n) {
    qsort(seconds, (size_t)n, sizeof *seconds, ascending);
    return n % 2 ? seconds[n / 2] : 0.5 * (seconds[n / 2 - 1] + seconds[n / 2]);
}

static int64_t repetitions(const MaeOptions *o) {
    return o->repetitions < 1                 ? 5
           : o->repetitions > MAX_REPETITIONS ? MAX_REPETITIONS
                                              : o->repetitions;
}

static Status one_step(TrainStep *s, MaskedBatch *m, const uint8_t *pixels, const int64_t *samples,
                       int64_t i, Error *err) {
    double loss;
    masked_batch_set(m, pixels, (uint64_t)i, samples);
    Status status = step_micro_batch(s, &loss, err);
    return status == STATUS_OK ? step_update(s, 1e-6, &loss, err) : status;
}

/* The peak is taken before and after the steps; the better one counts, so a slow moment of the
 * machine does not flatter the step. */
static Status time_steps(TrainStep *s, MaskedBatch *m, Device *d, const MaeOptions *o,
                         double *seconds, double *peak, Error *err) {
    Status status = STATUS_OK;
    const ModelConfig *c = &s->model->config;
    size_t bytes = (size_t)(o->batch * c->image_height * c->image_width * c->channels);
    uint8_t *pixels = mem_alloc(bytes);
    int64_t *samples = mem_alloc_array((size_t)o->batch, sizeof *samples);
    if (!pixels || !samples) {
        status = fail(err, STATUS_MEMORY, "no memory for %lld images", (long long)o->batch);
        goto done;
    }
    Rng rng = rng_make((uint64_t)o->seed, RNG_SYNTHETIC, 0, 0);
    for (size_t i = 0; i < bytes; i++) pixels[i] = (uint8_t)rng_u32(&rng);
    for (int64_t i = 0; i < o->batch; i++) samples[i] = i;
    TRY(one_step(s, m, pixels, samples, 0, err)); /* pages, caches */
    *peak = device_peak_gflops(d, 0.2, 3);
    for (int64_t i = 0; i < repetitions(o); i++) {
        double start = clock_seconds();
        TRY(one_step(s, m, pixels, samples, i + 1, err));
        seconds[i] = clock_seconds() - start;
    }
    *peak = fmax(*peak, device_peak_gflops(d, 0.2, 3));
done:
    mem_free(pixels);
    mem_free(samples);
    return status;
}

Status bench_step(const MaeOptions *o, MaeBenchStep *out, Error *err) {
    Status status = STATUS_OK;
    ModelConfig c;
    Device *d = NULL;
    Vit *a = NULL;
    Optimizer *optimizer = NULL;
    TrainStep *s = NULL;
    MaskedBatch *m = NULL;
    StepOptions so = {.batch = o->batch, .accumulate = 1};
    OptimizerOptions adamw = {
        .beta1 = 0.9, .beta2 = 0.95, .eps = 1e-8, .groups = {.weight_decay = 0.05}};
    double seconds[MAX_REPETITIONS], peak = 0;
    int64_t n = repetitions(o);
    CheckpointNotes notes;
    TRY(setup_model_config(o, &c, err));
    setup_notes(o, &c, &notes);
    TRY(setup_device(o, &d, err));
    TRY(vit_new(d, &c, true, TUNE_ALL, &a, err));
    TRY(vit_init(a, (uint64_t)o->seed, err));
    TRY(optimizer_new(d, a->params, adamw, &optimizer, err));
    MaskedOptions mo = {.batch = o->batch,
                        .mask = (MaskKind)o->mask,
                        .mask_ratio = o->mask_ratio,
                        .seed = (uint64_t)o->seed};
    TRY(masked_batch_new(a, mo, &m, err));
    TRY(step_new(a, m->graph.graph, m->graph.loss, optimizer, so, &s, err));
    TRY(time_steps(s, m, d, o, seconds, &peak, err));
    double middle = median(seconds, n), flops = step_flops_per_image(s);
    *out = (MaeBenchStep){.batch = o->batch,
                          .threads = d->n_threads,
                          .steps = n,
                          .device = o->device == 0 ? "cpu" : "ref",
                          .precision = "fp32",
                          .images_per_s_median = (double)o->batch / middle,
                          .images_per_s_best = (double)o->batch / seconds[0],
                          .gflop_per_image = flops * 1e-9,
                          .gflops = flops * (double)o->batch / middle * 1e-9,
                          .peak_gflops = peak,
                          .bytes_planned = (int64_t)(params_bytes(a->params) +
                                                     optimizer_bytes(a->params, OPTIMIZER_ADAMW) +
                                                     graph_bytes(s->graph, GRAPH_TRAIN)),
                          .bytes_rss = process_rss_bytes()};
    out->fraction_of_peak = out->gflops / peak;
    snprintf(out->model, sizeof out->model, "%s patch %lld, %lldx%lld", notes.preset,
             (long long)c.patch, (long long)c.image_height, (long long)c.image_width);
done:
    step_free(s);
    masked_batch_free(m);
    optimizer_free(optimizer);
    vit_free(a);
    device_close(d);
    return status;
}

Status bench_data(const MaeOptions *o, MaeBenchData *out, Error *err) {
    Status status = STATUS_OK;
    ModelConfig c;
    Dataset *d = NULL;
    Loader *loader = NULL;
    Batch b;
    double seconds[MAX_REPETITIONS];
    int64_t n = repetitions(o);
    TRY(setup_model_config(o, &c, err));
    TRY(setup_dataset(o, o->data, c.channels, &d, err));
    LoaderOptions l = setup_loader(o, &c);
    l.n_epochs = 0;
    TRY(loader_open(d, l, &loader, err));
    TRY(loader_next(loader, &b, err));
    for (int64_t i = 0; i < n; i++) {
        double start = clock_seconds();
        for (int k = 0; k < 4; k++) TRY(loader_next(loader, &b, err));
        seconds[i] = clock_seconds() - start;
    }
    double middle = median(seconds, n);
    *out = (MaeBenchData){.images_per_s_median = 4 * (double)o->batch / middle,
                          .images_per_s_best = 4 * (double)o->batch / seconds[0],
                          .images = 4 * n * o->batch,
                          .workers = setup_workers(o)};
done:
    loader_close(loader);
    dataset_close(d);
    return status;
}
