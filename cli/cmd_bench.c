/* mae bench: a whole training step beside the machine's peak, or the loader alone. */
#include <string.h>

#include "cli.h"

#define MB 1e-6

static int print_step_json(const MaeBenchStep *b) {
    json_t *j = json_object();
    json_text(j, "model", b->model);
    json_count(j, "batch", b->batch);
    json_count(j, "threads", b->threads);
    json_text(j, "device", b->device);
    json_text(j, "precision", b->precision);
    json_count(j, "steps", b->steps);
    json_number(j, "images_per_s_median", b->images_per_s_median);
    json_number(j, "images_per_s_best", b->images_per_s_best);
    json_number(j, "gflop_per_image", b->gflop_per_image);
    json_number(j, "gflops", b->gflops);
    json_number(j, "peak_gflops", b->peak_gflops);
    json_number(j, "fraction_of_peak", b->fraction_of_peak);
    json_count(j, "bytes_planned", b->bytes_planned);
    json_count(j, "bytes_rss", b->bytes_rss);
    return print_json(j);
}

static int bench_step(const MaeOptions *o) {
    MaeBenchStep b = {0};
    MaeError err = {0};
    if (mae_bench_step(o, &b, &err) != MAE_OK) return report(&err);
    if (o->json) return print_step_json(&b);
    printf("model      %s\n", b.model);
    printf("run        %lld steps of %lld images, %lld threads, %s, %s\n", (long long)b.steps,
           (long long)b.batch, (long long)b.threads, b.device, b.precision);
    printf("images/s   %.2f median, %.2f best\n", b.images_per_s_median, b.images_per_s_best);
    printf("compute    %.3f GFLOP an image, %.1f GFLOP/s\n", b.gflop_per_image, b.gflops);
    printf("peak       %.1f GFLOP/s measured; used %.1f %%\n", b.peak_gflops,
           100 * b.fraction_of_peak);
    printf("memory     %.1f MB planned, %.1f MB resident\n", MB * (double)b.bytes_planned,
           MB * (double)b.bytes_rss);
    return EXIT_DONE;
}

static int bench_data(const MaeOptions *o) {
    MaeBenchData b = {0};
    MaeError err = {0};
    if (mae_bench_data(o, &b, &err) != MAE_OK) return report(&err);
    if (o->json) {
        json_t *j = json_object();
        json_number(j, "images_per_s_median", b.images_per_s_median);
        json_number(j, "images_per_s_best", b.images_per_s_best);
        json_count(j, "images", b.images);
        json_count(j, "workers", b.workers);
        return print_json(j);
    }
    printf("images/s   %.1f median, %.1f best\n", b.images_per_s_median, b.images_per_s_best);
    printf("run        %lld images, %lld workers\n", (long long)b.images, (long long)b.workers);
    return EXIT_DONE;
}

static int bench(const Call *c) {
    const char *what = c->positional[0];
    if (strcmp(what, "step") == 0) return bench_step(&c->options);
    if (strcmp(what, "data") != 0)
        return report_usage("bench", "%s cannot be measured; choose step or data", what);
    int status = call_need("bench", c->options.data, "--data SRC");
    return status == GO_ON ? bench_data(&c->options) : status;
}

int cmd_bench(int argc, char **argv) {
    Call c;
    int status = call_parse(&c, "bench", MAE_COMMAND_BENCH, argc, argv);
    if (status == GO_ON && c.n_positional != 1)
        status = report_usage("bench", "say what to measure: step or data");
    if (status == GO_ON) status = bench(&c);
    call_free(&c);
    return status;
}
