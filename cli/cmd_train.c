/* mae pretrain, finetune and probe: what came out. */
#include "cli.h"

/* Of classifiers. */
static void print_measured(FILE *to, const MaeResult *r) {
    char top5[32] = "";
    if (is_known(r, "top5")) snprintf(top5, sizeof top5, ", top-5 %.2f %%", percent_of(r, "top5"));
    if (count_of(r, "val_unreadable") > 0)
        fprintf(to, "unreadable  %lld of the validation images\n", count_of(r, "val_unreadable"));
    if (is_known(r, "top1"))
        fprintf(to, "last        top-1 %.2f %%%s, validation loss %.4f\n", percent_of(r, "top1"),
                top5, mae_result_number(r, "val_loss"));
    if (is_known(r, "ema_top1"))
        fprintf(to, "averaged    top-1 %.2f %%\n", percent_of(r, "ema_top1"));
    if (is_known(r, "best_top1"))
        fprintf(to, "best        top-1 %.2f %%, epoch %lld (best.safetensors)\n",
                percent_of(r, "best_top1"), count_of(r, "best_epoch"));
}

void print_summary(FILE *to, const MaeOptions *o, const MaeResult *r) {
    char buffer[32];
    const char *time = duration(mae_result_number(r, "seconds"), buffer, sizeof buffer);
    (void)o;
    fprintf(to, "updates     %lld\n", count_of(r, "steps"));
    if (count_of(r, "skipped_steps") > 0)
        fprintf(to, "skipped     %lld\n", count_of(r, "skipped_steps"));
    if (count_of(r, "unreadable") > 0)
        fprintf(to, "unreadable  %lld images\n", count_of(r, "unreadable"));
    if (*text_of(r, "loss_over"))
        fprintf(to, "loss        %.4f, mean over %s\n", mae_result_number(r, "loss"),
                text_of(r, "loss_over"));
    if (is_known(r, "images_per_s"))
        fprintf(to, "speed       %.1f images/s, %lld images in %s\n",
                mae_result_number(r, "images_per_s"), count_of(r, "images"), time);
    else
        fprintf(to, "time        %s for %lld images, whose features were cached\n", time,
                count_of(r, "images"));
    print_measured(to, r);
    fprintf(to, "checkpoint  %s\n", text_of(r, "checkpoint"));
    if (*text_of(r, "picture")) fprintf(to, "picture     %s\n", text_of(r, "picture"));
}
