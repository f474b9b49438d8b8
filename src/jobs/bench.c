/* mae bench: whole steps beside the FMA peak of the same minute; mae bench data: the loader. */
#include <inttypes.h>
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

void bench_tell(const BenchWork *w, const MaeOptions *o, double *seconds, double peak, Result out) {
    const ModelConfig *c = &w->config;
    int64_t resident = process_rss_bytes(), most = process_peak_rss_bytes();
    CheckpointNotes notes;
    char model[96];
    double B = (double)w->batch, gflop = bench_work_flops(w) * 1e-9;
    double middle = median(seconds, w->repetitions);
    setup_notes(o, c, &notes);
    snprintf(model, sizeof model, "%s patch %" PRId64 ", %" PRId64 "x%" PRId64, notes.preset,
             c->patch, c->image_height, c->image_width);
    result_text(out, "task", bench_task_words[w->task]);
    result_text(out, "model", model);
    result_count(out, "batch", w->batch);
    result_count(out, "threads", w->device->n_threads);
    result_text(out, "device", device_words[o->device]);
    result_text(out, "precision", precision_words[o->precision]);
    result_count(out, "steps", w->repetitions);
    result_number(out, "images_per_s_median", B / middle);
    result_number(out, "images_per_s_best", B / seconds[0]);
    result_number(out, "gflop_per_image", gflop / B);
    result_number(out, "gflops", gflop / middle);
    result_number(out, "peak_gflops", peak);
    result_number(out, "fraction_of_peak", gflop / middle / peak);
    result_count(out, "bytes_planned", bench_work_bytes(w));
    result_count(out, "bytes_rss", resident);
    result_count(out, "bytes_peak_rss", most > resident ? most : resident);
}

static void note_seconds(void *user, int64_t i, const BenchTimes *t) {
    double *seconds = user;
    if (i >= 0) seconds[i] = t->total;
}

static Status bench_step(const MaeOptions *o, Result out, Error *err) {
    Status status = MAE_OK;
    BenchWork *w = NULL;
    double seconds[BENCH_MAX_REPETITIONS], peak;
    TRY(bench_work_new(o, &w, err));
    TRY(bench_work_run(w, note_seconds, seconds, &peak, err));
    bench_tell(w, o, seconds, peak, out);
done:
    bench_work_free(w);
    return status;
}

/* --- loader ----------------------------------------------------------------------------------- */

static Status bench_data(const MaeOptions *o, Result out, Error *err) {
    Status status = MAE_OK;
    ModelConfig c;
    Dataset *d = NULL;
    Loader *loader = NULL;
    Batch b;
    double seconds[BENCH_MAX_REPETITIONS];
    int64_t n = bench_repetitions(o);
    TRY(setup_model_config(o, &c, err));
    TRY(setup_dataset(o, c.channels, &d, err));
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
    result_number(out, "images_per_s_median", 4 * (double)o->batch / middle);
    result_number(out, "images_per_s_best", 4 * (double)o->batch / seconds[0]);
    result_count(out, "images", 4 * n * o->batch);
    result_count(out, "workers", machine_workers(o, NULL));
done:
    loader_close(loader);
    dataset_close(d);
    return status;
}

Status bench_job(const MaeOptions *o, Result out, Error *err) {
    switch ((BenchWhat)o->what) {
    case BENCH_STEP: return bench_step(o, out, err);
    case BENCH_KERNELS: return bench_kernels(o, out, err);
    case BENCH_DATA: return bench_data(o, out, err);
    }
    return MAE_OK;
}
