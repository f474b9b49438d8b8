/* mae reconstruct: a picture with a row an image. */
#include "cli.h"

/* Where a norm-pix model gets the mean and deviation of a patch from; "" for other targets. */
static const char *statistics(const MaeOptions *o, const MaeResult *info) {
    if (mae_result_text(info, "target")[0] != 'n') return "";
    return mae_options_get(o, "stats");
}

static int print_result_json(const Call *c, const MaeResult *info, double loss) {
    json_t *j = json_object();
    json_text(j, "picture", mae_options_get(c->options, "out"));
    json_count(j, "images", c->n_positional);
    json_number(j, "loss", loss);
    json_text(j, "target", mae_result_text(info, "target"));
    json_text(j, "patch_statistics", statistics(c->options, info));
    return print_json(j);
}

static void print_result(FILE *to, const Call *c, const MaeResult *info, double loss) {
    const char *stats = statistics(c->options, info);
    fprintf(to, "picture  %s: %d row%s of masked, reconstruction, original\n",
            mae_options_get(c->options, "out"), c->n_positional, c->n_positional == 1 ? "" : "s");
    fprintf(to, "loss     %.4f on the removed patches (%s)\n", loss,
            mae_result_text(info, "target"));
    if (*stats)
        fprintf(to, "shown    with %s mean and deviation of each patch\n",
                *stats == 't' ? "the true" : "an interpolated");
}

static int reconstruct(const Call *c, MaeModel *model) {
    const MaeResult *info = mae_model_info(model);
    MaeError err = {0};
    double loss = 0;
    if (mae_reconstruct(model, c->positional, c->n_positional, c->options, &loss, &err) != MAE_OK)
        return report(&err);
    if (option_flag(c->options, "json")) return print_result_json(c, info, loss);
    FILE *to = talk(c->options);
    if (to) print_result(to, c, info, loss);
    return EXIT_DONE;
}

int cmd_reconstruct(int argc, char **argv) {
    Call c;
    MaeModel *model = NULL;
    int status = call_parse(&c, argc, argv);
    if (status == GO_ON) status = call_need(&c, "model", "--model CKPT");
    if (status == GO_ON) status = call_need(&c, "out", "--out PNG");
    if (status == GO_ON) status = load_model(c.options, &model);
    if (status == GO_ON) status = reconstruct(&c, model);
    mae_model_free(model);
    call_free(&c);
    return status;
}
