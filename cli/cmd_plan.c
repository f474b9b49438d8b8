/* mae plan: what a command would need, before anything starts. */
#include <limits.h>
#include <stdarg.h>
#include <string.h>

#include "cli.h"

#define MB 1e-6

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

void print_plan(FILE *to, const MaePlan *p) {
    char time[32];
    row(to, "model", "%s", p->model);
    row(to, "data", "%s", p->data);
    row(to, "values", "%.2f M, %.2f M of them in the encoder; %lld trained",
        1e-6 * (double)p->parameters, 1e-6 * (double)p->encoder_parameters,
        (long long)p->trained_parameters);
    row(to, "patches", "%lld an image, %lld kept", (long long)p->patches,
        (long long)p->kept_patches);
    row(to, "compute", "%.3f GFLOP an image; measured peak %.0f GFLOP/s", p->gflop_per_image,
        p->peak_gflops);
    row(to, "memory",
        "%.1f MB: parameters %.1f, optimiser %.1f, activations %.1f, copy for checkpoints %.1f",
        MB * (double)p->bytes_total, MB * (double)p->bytes_parameters,
        MB * (double)p->bytes_optimizer, MB * (double)p->bytes_activations,
        MB * (double)p->bytes_snapshot);
    row(to, "schedule", "%lld updates of %lld images, %lld an epoch", (long long)p->total_steps,
        (long long)p->effective_batch, (long long)p->steps_per_epoch);
    row(to, "peak lr", "%.4g", p->lr);
    row(to, "estimate", "%s at half the peak%s", duration(p->seconds, time, sizeof time),
        p->resumes ? ", all of it; continues the run that is there" : "");
}

static int print_plan_json(const MaePlan *p) {
    json_t *j = json_object();
    json_text(j, "model", p->model);
    json_text(j, "data", p->data);
    json_count(j, "parameters", p->parameters);
    json_count(j, "encoder_parameters", p->encoder_parameters);
    json_count(j, "trained_parameters", p->trained_parameters);
    json_count(j, "images", p->images);
    json_count(j, "patches", p->patches);
    json_count(j, "kept_patches", p->kept_patches);
    json_count(j, "effective_batch", p->effective_batch);
    json_count(j, "steps_per_epoch", p->steps_per_epoch);
    json_count(j, "total_steps", p->total_steps);
    json_number(j, "lr", p->lr);
    json_number(j, "gflop_per_image", p->gflop_per_image);
    json_count(j, "bytes_parameters", p->bytes_parameters);
    json_count(j, "bytes_optimizer", p->bytes_optimizer);
    json_count(j, "bytes_activations", p->bytes_activations);
    json_count(j, "bytes_snapshot", p->bytes_snapshot);
    json_count(j, "bytes_total", p->bytes_total);
    json_number(j, "peak_gflops", p->peak_gflops);
    json_number(j, "seconds", p->seconds);
    json_object_set_new(j, "resumes", json_boolean(p->resumes));
    return print_json(j);
}

static int plan(const MaeOptions *o) {
    MaePlan p = {0};
    MaeError err = {0};
    if (mae_plan(o, &p, &err) != MAE_OK) return report(&err);
    if (option_flag(o, "json")) return print_plan_json(&p);
    print_plan(stdout, &p);
    return EXIT_DONE;
}

int cmd_plan(int argc, char **argv) {
    Call c;
    int status = call_parse(&c, argc, argv);
    if (status == GO_ON) status = plan(c.options);
    call_free(&c);
    return status;
}
