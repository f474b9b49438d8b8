/* mae eval: how good a classifier is, clean and under corruption. */
#include <string.h>

#include "cli.h"

#define CLASSES_SHOWN 20

static void print_corruption(FILE *to, const MaeResult *c, bool relative) {
    const MaeResult *errors = mae_result_get(c, "error");
    fprintf(to, "  %-22s", mae_result_text(c, "name"));
    for (int64_t s = 0; s < mae_result_count(errors, NULL); s++)
        fprintf(to, " %6.2f", percent_of(mae_result_at(errors, s), NULL));
    fprintf(to, " %6.2f", percent_of(c, "mean_error"));
    if (relative) fprintf(to, " %12.2f", percent_of(c, "relative_error"));
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
        fprintf(to, "mean corruption error  %.2f %% of %s\n",
                percent_of(r, "mean_corruption_error"), baseline);
    else
        fprintf(to, "mean error             %.2f %%\n", percent_of(r, "mean_corruption_error"));
}

static void print_class(FILE *to, const MaeResult *c) {
    double images = mae_result_number(c, "images");
    if (images > 0)
        fprintf(to, "  %-22s %6.2f %% of %.0f\n", mae_result_text(c, "class"),
                percent_of(c, "right") / images, images);
}

void print_eval(FILE *to, const MaeOptions *o, const MaeResult *r) {
    const MaeResult *classes = mae_result_get(r, "classes");
    int64_t n = mae_result_count(classes, NULL);
    (void)o;
    fprintf(to, "images  %lld\n", count_of(r, "images"));
    if (count_of(r, "unreadable") > 0)
        fprintf(to, "without %lld that could not be read\n", count_of(r, "unreadable"));
    fprintf(to, "top-1   %.2f %%\n", percent_of(r, "top1"));
    if (is_known(r, "top5")) fprintf(to, "top-5   %.2f %%\n", percent_of(r, "top5"));
    fprintf(to, "loss    %.4f\n", mae_result_number(r, "loss"));
    if (n <= CLASSES_SHOWN) fputc('\n', to);
    for (int64_t i = 0; i < n && n <= CLASSES_SHOWN; i++)
        print_class(to, mae_result_at(classes, i));
    print_corruptions(to, r);
}
