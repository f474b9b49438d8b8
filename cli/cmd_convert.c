/* mae convert: a checkpoint for another tool, or one of another tool for this one. */
#include "cli.h"

static int print_conversion_json(const MaeConversion *r) {
    json_t *j = json_object();
    json_text(j, "from", r->from);
    json_text(j, "to", r->to);
    json_count(j, "tensors", r->tensors);
    json_count(j, "bytes", r->bytes);
    if (r->weight_change >= 0) json_number(j, "weight_change", r->weight_change);
    if (r->feature_change >= 0) json_number(j, "feature_change", r->feature_change);
    if (r->logit_change >= 0) json_number(j, "logit_change", r->logit_change);
    if (r->prediction_change >= 0) json_number(j, "prediction_change", r->prediction_change);
    json_text(j, "note", r->note);
    return print_json(j);
}

static void print_change(FILE *to, const char *what, double change) {
    if (change >= 0) fprintf(to, "%s  %.2e relative difference\n", what, change);
}

/* What went into a stream was not read back, and has no change of weights. */
static void print_conversion(FILE *to, const MaeConversion *r, const char *out) {
    fprintf(to, "from        %s\nto          %s: %s\ntensors     %lld", r->from, r->to, out,
            (long long)r->tensors);
    if (r->bytes)
        fprintf(to, ", %.1f MB%s", 1e-6 * (double)r->bytes,
                r->weight_change >= 0 ? ", read back and equal" : "");
    fputc('\n', to);
    if (r->weight_change > 0) print_change(to, "rounding  ", r->weight_change);
    print_change(to, "features  ", r->feature_change);
    print_change(to, "logits    ", r->logit_change);
    print_change(to, "prediction", r->prediction_change);
    if (*r->note) fprintf(to, "note        %s\n", r->note);
}

static int convert(const Call *c) {
    MaeError err = {0};
    MaeConversion r;
    const char *in = mae_options_get(c->options, "in"), *out = mae_options_get(c->options, "out");
    FILE *to = talk(c->options);
    MaeStatus failed = mae_convert(in, out, c->options, &r, &err);
    if (failed) return report(&err);
    if (option_flag(c->options, "json")) return print_conversion_json(&r);
    if (to) print_conversion(to, &r, out);
    return EXIT_DONE;
}

int cmd_convert(int argc, char **argv) {
    Call c;
    int status = call_parse(&c, argc, argv);
    if (status == GO_ON) status = convert(&c);
    call_free(&c);
    return status;
}
