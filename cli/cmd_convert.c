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

static void print_change(const char *what, double change) {
    if (change >= 0) printf("%s  %.2e relative difference\n", what, change);
}

static void print_conversion(const MaeConversion *r, const char *out) {
    printf("from        %s\nto          %s: %s\ntensors     %lld", r->from, r->to, out,
           (long long)r->tensors);
    if (r->bytes) printf(", %.1f MB, read back and equal", 1e-6 * (double)r->bytes);
    putchar('\n');
    if (r->weight_change > 0) print_change("rounding  ", r->weight_change);
    print_change("features  ", r->feature_change);
    print_change("logits    ", r->logit_change);
    print_change("prediction", r->prediction_change);
    if (*r->note) printf("note        %s\n", r->note);
}

static int convert(const Call *c) {
    MaeError err = {0};
    MaeConversion r;
    MaeStatus failed = mae_convert(c->positional[0], c->positional[1], &c->options, &r, &err);
    if (failed) return report(&err);
    if (c->options.json) return print_conversion_json(&r);
    print_conversion(&r, c->positional[1]);
    return EXIT_DONE;
}

int cmd_convert(int argc, char **argv) {
    Call c;
    int status = call_parse(&c, "convert", MAE_COMMAND_CONVERT, argc, argv);
    if (status == GO_ON && c.n_positional != 2)
        status = report_usage("convert", "write: mae convert IN OUT --to official|timm|hf|onnx");
    if (status == GO_ON) status = convert(&c);
    call_free(&c);
    return status;
}
