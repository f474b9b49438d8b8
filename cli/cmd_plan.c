/* mae plan: what a command would need, before anything starts. */
#include <limits.h>
#include <stdarg.h>

#include "cli.h"

/* A line, on a narrow screen several. */
__attribute__((format(printf, 3, 4))) static void row(FILE *to, const char *name,
                                                      const char *format, ...) {
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    print_wrapped(to, text, fprintf(to, "%-11s", name), 11, columns_of(to, INT_MAX));
}

void print_plan(FILE *to, const MaeOptions *o, const MaeResult *p) {
    char time[32];
    (void)o;
    row(to, "model", "%s", text_of(p, "model"));
    row(to, "data", "%s", text_of(p, "data"));
    row(to, "values", "%.2f M, %.2f M of them in the encoder; %lld trained",
        millions_of(p, "parameters"), millions_of(p, "encoder_parameters"),
        count_of(p, "trained_parameters"));
    row(to, "patches", "%lld an image, %lld kept", count_of(p, "patches"),
        count_of(p, "kept_patches"));
    row(to, "compute", "%.3f GFLOP an image; measured peak %.0f GFLOP/s",
        mae_result_number(p, "gflop_per_image"), mae_result_number(p, "peak_gflops"));
    row(to, "memory",
        "%.1f MB: parameters %.1f, optimiser %.1f, activations %.1f, copy for checkpoints %.1f",
        millions_of(p, "bytes_total"), millions_of(p, "bytes_parameters"),
        millions_of(p, "bytes_optimizer"), millions_of(p, "bytes_activations"),
        millions_of(p, "bytes_snapshot"));
    row(to, "schedule", "%lld updates of %lld images, %lld an epoch", count_of(p, "total_steps"),
        count_of(p, "effective_batch"), count_of(p, "steps_per_epoch"));
    row(to, "peak lr", "%.4g", mae_result_number(p, "lr"));
    row(to, "estimate", "%s at half the peak%s",
        duration(mae_result_number(p, "seconds"), time, sizeof time),
        count_of(p, "resumes") > 0 ? ", all of it; continues the run that is there" : "");
}
