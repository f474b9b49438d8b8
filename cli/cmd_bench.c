/* mae bench: a whole step beside the machine's peak, its kernels, or the loader alone. */
#include <string.h>

#include "cli.h"

int check_bench(const Call *c) {
    if (strcmp(mae_options_get(c->options, "what"), "data") != 0) return GO_ON;
    return call_need(c, "data", "--data SRC");
}

static void print_step(FILE *to, const MaeResult *r) {
    fprintf(to, "model      %s\n", text_of(r, "model"));
    fprintf(to, "run        %s, %lld steps of %lld images, %lld threads, %s, %s\n",
            text_of(r, "task"), count_of(r, "steps"), count_of(r, "batch"), count_of(r, "threads"),
            text_of(r, "device"), text_of(r, "precision"));
    fprintf(to, "images/s   %.2f median, %.2f best\n", mae_result_number(r, "images_per_s_median"),
            mae_result_number(r, "images_per_s_best"));
    fprintf(to, "compute    %.3f GFLOP an image, %.1f GFLOP/s\n",
            mae_result_number(r, "gflop_per_image"), mae_result_number(r, "gflops"));
    fprintf(to, "peak       %.1f GFLOP/s measured; used %.1f %%\n",
            mae_result_number(r, "peak_gflops"), percent_of(r, "fraction_of_peak"));
    fprintf(to, "memory     %.1f MB planned, %.1f MB resident, at most %.1f MB\n",
            millions_of(r, "bytes_planned"), millions_of(r, "bytes_rss"),
            millions_of(r, "bytes_peak_rss"));
}

static void print_kernel(FILE *to, const MaeResult *k) {
    char name[64];
    const char *shape = mae_result_text(k, "shape"), *pass = text_of(k, "pass");
    if (shape)
        snprintf(name, sizeof name, "  %s", shape);
    else
        snprintf(name, sizeof name, "%s %s", text_of(k, "kind"), strcmp(pass, "step") ? pass : "");
    fprintf(to, "%-26s %6lld %10.3f %6.2f %%", name, count_of(k, "calls"),
            mae_result_number(k, "ms"), percent_of(k, "share"));
    if (is_known(k, "gflops"))
        fprintf(to, " %9.1f %7.1f %%", mae_result_number(k, "gflops"),
                percent_of(k, "fraction_of_peak"));
    fputc('\n', to);
}

static bool is_same(const MaeResult *a, const MaeResult *b, const char *key) {
    return strcmp(text_of(a, key), text_of(b, key)) == 0;
}

/* A kind of kernel, and under it its shapes. */
static void print_kernels(FILE *to, const MaeResult *r) {
    const MaeResult *kernels = mae_result_get(r, "kernels"), *shapes = mae_result_get(r, "shapes");
    fprintf(to, "\n%-26s %6s %10s %8s %9s %9s\n", "kernel", "calls", "ms", "of step", "GFLOP/s",
            "of peak");
    for (int64_t i = 0; i < mae_result_count(kernels, NULL); i++) {
        const MaeResult *kernel = mae_result_at(kernels, i);
        print_kernel(to, kernel);
        for (int64_t k = 0; k < mae_result_count(shapes, NULL); k++) {
            const MaeResult *shape = mae_result_at(shapes, k);
            if (is_same(kernel, shape, "kind") && is_same(kernel, shape, "pass"))
                print_kernel(to, shape);
        }
    }
    fprintf(to, "%-26s %6s %10.3f\n", "step", "", mae_result_number(r, "step_ms"));
}

static void print_data(FILE *to, const MaeResult *r) {
    fprintf(to, "images/s   %.1f median, %.1f best\n", mae_result_number(r, "images_per_s_median"),
            mae_result_number(r, "images_per_s_best"));
    fprintf(to, "run        %lld images, %lld workers\n", count_of(r, "images"),
            count_of(r, "workers"));
}

void print_bench(FILE *to, const MaeOptions *o, const MaeResult *r) {
    const char *what = mae_options_get(o, "what");
    if (strcmp(what, "data") == 0)
        print_data(to, r);
    else
        print_step(to, r);
    if (strcmp(what, "kernels") == 0) print_kernels(to, r);
}
