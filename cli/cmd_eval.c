/* mae eval: how good a classifier is, clean and under corruption. */
#include <string.h>

#include "cli.h"

#define CLASSES_SHOWN 20

static double percent(const MaeResult *r, const char *key) {
    return 100 * mae_result_number(r, key);
}

static void print_corruption(FILE *to, const MaeResult *c, bool relative) {
    const MaeResult *errors = mae_result_get(c, "error");
    fprintf(to, "  %-22s", mae_result_text(c, "name"));
    for (int64_t s = 0; s < mae_result_count(errors, NULL); s++)
        fprintf(to, " %6.2f", percent(mae_result_at(errors, s), NULL));
    fprintf(to, " %6.2f", percent(c, "mean_error"));
    if (relative) fprintf(to, " %12.2f", percent(c, "relative_error"));
    fputc('\n', to);
}

static void print_corruptions(FILE *to, const MaeResult *r) {
    const MaeResult *list = mae_result_get(r, "corruptions");
    const char *baseline = mae_result_text(r, "baseline");
    if (!list) return;
    bool relative = strcmp(baseline, "none") != 0;
    fprintf(to, "\nerror in %% at severity        1      2      3      4      5   mean%s\n",
            relative ? "  of baseline" : "");
    for (int64_t i = 0; i < mae_result_count(list, NULL); i++)
        print_corruption(to, mae_result_at(list, i), relative);
    if (relative)
        fprintf(to, "mean corruption error  %.2f %% of %s\n", percent(r, "mean_corruption_error"),
                baseline);
    else
        fprintf(to, "mean error             %.2f %%\n", percent(r, "mean_corruption_error"));
}

static void print_class(FILE *to, const MaeResult *c) {
    double images = mae_result_number(c, "images");
    if (images > 0)
        fprintf(to, "  %-22s %6.2f %% of %.0f\n", mae_result_text(c, "class"),
                percent(c, "right") / images, images);
}

static void print_eval(FILE *to, const MaeResult *r) {
    const MaeResult *classes = mae_result_get(r, "classes");
    int64_t n = mae_result_count(classes, NULL), unreadable = mae_result_integer(r, "unreadable");
    fprintf(to, "images  %lld\n", (long long)mae_result_integer(r, "images"));
    if (unreadable) fprintf(to, "without %lld that could not be read\n", (long long)unreadable);
    fprintf(to, "top-1   %.2f %%\n", percent(r, "top1"));
    if (mae_result_number(r, "top5") >= 0) fprintf(to, "top-5   %.2f %%\n", percent(r, "top5"));
    fprintf(to, "loss    %.4f\n", mae_result_number(r, "loss"));
    if (n <= CLASSES_SHOWN) fputc('\n', to);
    for (int64_t i = 0; i < n && n <= CLASSES_SHOWN; i++)
        print_class(to, mae_result_at(classes, i));
    print_corruptions(to, r);
}

static int eval(const MaeOptions *o) {
    MaeError err = {0};
    MaeResult *r = NULL;
    FILE *to = talk(o);
    MaeStatus failed = mae_run(o, progress_start(o, "stopping"), &r, &err);
    progress_end();
    if (failed) return report(&err);
    int status = EXIT_DONE;
    if (option_flag(o, "json"))
        status = print_as_json(r);
    else if (to)
        print_eval(to, r);
    mae_result_free(r);
    return status;
}

int cmd_eval(int argc, char **argv) {
    Call c;
    int status = call_parse(&c, argc, argv);
    if (status == GO_ON) status = call_need(&c, "model", "--model CKPT");
    if (status == GO_ON) status = call_need(&c, "val", "--val SRC");
    if (status == GO_ON) status = eval(c.options);
    call_free(&c);
    return status;
}
