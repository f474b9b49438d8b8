/* mae bench: whole steps beside the FMA peak of the same minute; mae bench data: the loader. */
#include <stdio.h>
#include <stdlib.h>

#include "base/threads.h"
#include "jobs/bench_work.h"
#include "jobs/jobs.h"
#include "jobs/setup.h"
#include "run/machine.h"

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* Sorts the seconds ascending; the median of them. */
static double median(double *seconds, int64_t n) {
    qsort(seconds, (size_t)n, sizeof *seconds, ascending);
    return n % 2 ? seconds[n / 2] : 0.5 * (seconds[n / 2 - 1] + seconds[n / 2]);
}

/* --- steps ------------------------------------------------------------------------------------ */

void bench_describe(const BenchWork *w, const MaeOptions *o, double *seconds, double peak,
                    MaeBenchStep *out) {
    const ModelConfig *c = &w->config;
    int64_t resident = process_rss_bytes(), most = process_peak_rss_bytes();
    CheckpointNotes notes;
    double B = (double)w->batch, flops = bench_work_flops(w);
    double middle = median(seconds, w->repetitions);
    setup_notes(o, c, &notes);
    *out = (MaeBenchStep){.task = bench_task_words[w->task],
                          .batch = w->batch,
                          .threads = w->device->n_threads,
                          .steps = w->repetitions,
                          .device = device_words[o->device],
                          .precision = precision_words[o->precision],
                          .images_per_s_median = B / middle,
                          .images_per_s_best = B / seconds[0],
                          .gflop_per_image = flops / B * 1e-9,
                          .gflops = flops / middle * 1e-9,
                          .peak_gflops = peak,
                          .fraction_of_peak = flops / middle * 1e-9 / peak,
                          .bytes_planned = bench_work_bytes(w),
                          .bytes_rss = resident,
                          .bytes_peak_rss = most > resident ? most : resident};
    snprintf(out->model, sizeof out->model, "%s patch %lld, %lldx%lld", notes.preset,
             (long long)c->patch, (long long)c->image_height, (long long)c->image_width);
}

static void note_seconds(void *user, int64_t i, const BenchTimes *t) {
    double *seconds = user;
    if (i >= 0) seconds[i] = t->total;
}

Status bench_step(const MaeOptions *o, MaeBenchStep *out, Error *err) {
    Status status = MAE_OK;
    BenchWork *w = NULL;
    double seconds[BENCH_MAX_REPETITIONS], peak;
    TRY(bench_work_new(o, &w, err));
    TRY(bench_work_run(w, note_seconds, seconds, &peak, err));
    bench_describe(w, o, seconds, peak, out);
done:
    bench_work_free(w);
    return status;
}

/* --- loader ----------------------------------------------------------------------------------- */

Status bench_data(const MaeOptions *o, MaeBenchData *out, Error *err) {
    Status status = MAE_OK;
    ModelConfig c;
    Dataset *d = NULL;
    Loader *loader = NULL;
    Batch b;
    double seconds[BENCH_MAX_REPETITIONS];
    int64_t n = bench_repetitions(o);
    TRY(setup_model_config(o, &c, err));
    TRY(setup_dataset(o, c.channels, NULL, &d, err));
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
                          .workers = machine_workers(o, NULL)};
done:
    loader_close(loader);
    dataset_close(d);
    return status;
}
