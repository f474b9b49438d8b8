/* mae convert: a checkpoint for another tool, or one of another tool for this one. */
#include "cli.h"

static void print_change(FILE *to, const char *what, const MaeResult *r, const char *key) {
    if (mae_result_get(r, key))
        fprintf(to, "%s  %.2e relative difference\n", what, mae_result_number(r, key));
}

/* What went into a stream was not read back, and has no change of weights. */
void print_conversion(FILE *to, const MaeOptions *o, const MaeResult *r) {
    double change = mae_result_number(r, "weight_change");
    fprintf(to, "from        %s\nto          %s: %s\ntensors     %lld", text_of(r, "from"),
            text_of(r, "to"), mae_options_get(o, "out"), count_of(r, "tensors"));
    if (count_of(r, "bytes") > 0)
        fprintf(to, ", %.1f MB%s", millions_of(r, "bytes"),
                change >= 0 ? ", read back and equal" : "");
    fputc('\n', to);
    if (change > 0) print_change(to, "rounding  ", r, "weight_change");
    print_change(to, "features  ", r, "feature_change");
    print_change(to, "logits    ", r, "logit_change");
    print_change(to, "prediction", r, "prediction_change");
    if (*text_of(r, "note")) fprintf(to, "note        %s\n", text_of(r, "note"));
}
