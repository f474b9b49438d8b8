/* mae bench: a whole step beside the machine's peak, its kernels, or the loader alone. */
#include <string.h>

#include "cli.h"

#define MB 1e-6

static json_t *step_json(const MaeBenchStep *b) {
    json_t *j = json_object();
    json_text(j, "task", b->task);
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
    json_count(j, "bytes_peak_rss", b->bytes_peak_rss);
    return j;
}

static void print_step(const MaeBenchStep *b) {
    printf("model      %s\n", b->model);
    printf("run        %s, %lld steps of %lld images, %lld threads, %s, %s\n", b->task,
           (long long)b->steps, (long long)b->batch, (long long)b->threads, b->device,
           b->precision);
    printf("images/s   %.2f median, %.2f best\n", b->images_per_s_median, b->images_per_s_best);
    printf("compute    %.3f GFLOP an image, %.1f GFLOP/s\n", b->gflop_per_image, b->gflops);
    printf("peak       %.1f GFLOP/s measured; used %.1f %%\n", b->peak_gflops,
           100 * b->fraction_of_peak);
    printf("memory     %.1f MB planned, %.1f MB resident, at most %.1f MB\n",
           MB * (double)b->bytes_planned, MB * (double)b->bytes_rss,
           MB * (double)b->bytes_peak_rss);
}

static int bench_step(const MaeOptions *o) {
    MaeBenchStep b = {0};
    MaeError err = {0};
    if (mae_bench_step(o, &b, &err) != MAE_OK) return report(&err);
    if (option_flag(o, "json")) return print_json(step_json(&b));
    print_step(&b);
    return EXIT_DONE;
}

static json_t *kernel_json(const MaeBenchKernel *k) {
    json_t *j = json_object();
    json_text(j, "kind", k->kind);
    json_text(j, "pass", k->pass);
    if (*k->shape) json_text(j, "shape", k->shape);
    json_count(j, "calls", k->calls);
    json_number(j, "ms", k->ms);
    json_number(j, "share", k->share);
    if (k->gflops > 0) json_number(j, "gflops", k->gflops);
    if (k->gflops > 0) json_number(j, "fraction_of_peak", k->fraction_of_peak);
    return j;
}

/* "kernels" add up to the step; "shapes" are some of them in detail. */
static int print_kernels_json(const MaeBenchKernels *b) {
    json_t *j = step_json(&b->step), *kernels = json_array(), *shapes = json_array();
    for (int i = 0; i < b->n; i++)
        json_array_append_new(*b->lines[i].shape ? shapes : kernels, kernel_json(&b->lines[i]));
    json_number(j, "step_ms", b->step_ms);
    json_object_set_new(j, "kernels", kernels);
    json_object_set_new(j, "shapes", shapes);
    return print_json(j);
}

static void print_kernel(const MaeBenchKernel *k) {
    char name[64];
    if (*k->shape)
        snprintf(name, sizeof name, "  %s", k->shape);
    else
        snprintf(name, sizeof name, "%s %s", k->kind, strcmp(k->pass, "step") ? k->pass : "");
    printf("%-26s %6lld %10.3f %6.2f %%", name, (long long)k->calls, k->ms, 100 * k->share);
    if (k->gflops > 0) printf(" %9.1f %7.1f %%", k->gflops, 100 * k->fraction_of_peak);
    putchar('\n');
}

static int bench_kernels(const MaeOptions *o) {
    static MaeBenchKernels b; /* large for a stack */
    MaeError err = {0};
    if (mae_bench_kernels(o, &b, &err) != MAE_OK) return report(&err);
    if (option_flag(o, "json")) return print_kernels_json(&b);
    print_step(&b.step);
    printf("\n%-26s %6s %10s %8s %9s %9s\n", "kernel", "calls", "ms", "of step", "GFLOP/s",
           "of peak");
    for (int i = 0; i < b.n; i++) print_kernel(&b.lines[i]);
    printf("%-26s %6s %10.3f\n", "step", "", b.step_ms);
    return EXIT_DONE;
}

static int bench_data(const MaeOptions *o) {
    MaeBenchData b = {0};
    MaeError err = {0};
    if (mae_bench_data(o, &b, &err) != MAE_OK) return report(&err);
    if (option_flag(o, "json")) {
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
    const char *what = mae_options_get(c->options, "what");
    if (strcmp(what, "step") == 0) return bench_step(c->options);
    if (strcmp(what, "kernels") == 0) return bench_kernels(c->options);
    int status = call_need(c, "data", "--data SRC");
    return status == GO_ON ? bench_data(c->options) : status;
}

int cmd_bench(int argc, char **argv) {
    Call c;
    int status = call_parse(&c, argc, argv);
    if (status == GO_ON) status = bench(&c);
    call_free(&c);
    return status;
}
