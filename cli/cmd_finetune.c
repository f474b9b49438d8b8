/* mae finetune and mae probe: train a classifier, print how good it became. */
#include "cli.h"

static int print_summary_json(const MaeSummary *s) {
    json_t *j = json_object();
    json_count(j, "steps", s->steps);
    json_count(j, "epochs", s->epochs);
    json_count(j, "images", s->images);
    json_count(j, "unreadable", s->unreadable);
    json_count(j, "skipped_steps", s->skipped_steps);
    json_number(j, "loss", s->loss);
    json_number(j, "seconds", s->seconds);
    json_number(j, "images_per_s", s->images_per_s);
    json_text(j, "checkpoint", s->checkpoint);
    json_number(j, "top1", s->top1);
    json_number(j, "top5", s->top5);
    json_number(j, "val_loss", s->val_loss);
    if (s->ema_top1 >= 0) json_number(j, "ema_top1", s->ema_top1);
    json_number(j, "best_top1", s->best_top1);
    json_count(j, "best_epoch", s->best_epoch);
    return print_json(j);
}

static void print_summary(const MaeSummary *s) {
    char time[32];
    printf("updates     %lld\n", (long long)s->steps);
    if (s->skipped_steps) printf("skipped     %lld\n", (long long)s->skipped_steps);
    if (s->unreadable) printf("unreadable  %lld images\n", (long long)s->unreadable);
    if (s->images) {
        printf("loss        %.4f\n", s->loss);
        printf("speed       %.1f images/s, %lld images in %s\n", s->images_per_s,
               (long long)s->images, duration(s->seconds, time, sizeof time));
    }
    if (s->top1 >= 0)
        printf("last        top-1 %.2f %%, top-5 %.2f %%, loss %.4f\n", 100 * s->top1,
               100 * s->top5, s->val_loss);
    if (s->ema_top1 >= 0) printf("averaged    top-1 %.2f %%\n", 100 * s->ema_top1);
    if (s->best_top1 >= 0)
        printf("best        top-1 %.2f %%, epoch %lld (best.safetensors)\n", 100 * s->best_top1,
               (long long)s->best_epoch);
    printf("checkpoint  %s\n", s->checkpoint);
}

typedef MaeStatus Trainer(const MaeOptions *o, const MaeEvents *events, MaeSummary *out,
                          MaeError *err);

static int train(MaeCommand id, const MaeOptions *o, Trainer *trainer) {
    MaePlan plan;
    MaeSummary summary = {0};
    MaeError err = {0};
    if (!o->quiet && mae_plan(id, o, &plan, &err) != MAE_OK) return report(&err);
    if (!o->quiet) print_plan(stderr, &plan);
    MaeStatus failed = trainer(o, progress_start(o), &summary, &err);
    progress_end();
    if (failed == MAE_INTERRUPTED && o->restart)
        fprintf(stderr, "mae: leave --restart out to continue\n");
    if (failed) return report(&err);
    if (o->json) return print_summary_json(&summary);
    print_summary(&summary);
    return EXIT_DONE;
}

static int supervised(const char *name, MaeCommand id, Trainer *trainer, int argc, char **argv) {
    Call c;
    int status = call_parse(&c, name, id, argc, argv);
    if (status == GO_ON)
        status = call_no_positional(&c, name, "images are named by --data and --val");
    if (status == GO_ON) status = call_need(name, c.options.out, "--out RUN");
    if (status == GO_ON) status = train(id, &c.options, trainer);
    call_free(&c);
    return status;
}

int cmd_finetune(int argc, char **argv) {
    return supervised("finetune", MAE_COMMAND_FINETUNE, mae_finetune, argc, argv);
}

int cmd_probe(int argc, char **argv) {
    return supervised("probe", MAE_COMMAND_PROBE, mae_probe, argc, argv);
}
