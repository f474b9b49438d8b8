/* mae pretrain, finetune and probe: print the plan, train or continue, print what came out. */
#include <stdlib.h>

#include "cli.h"

typedef MaeStatus Trainer(const MaeOptions *o, const MaeEvents *events, MaeSummary *out,
                          MaeError *err);

/* A command that trains; classifiers are measured, autoencoders leave a picture. */
typedef struct Training {
    Trainer *run;
    bool measured;
} Training;

static int print_summary_json(const Training *t, const MaeSummary *s) {
    json_t *j = json_object();
    json_count(j, "steps", s->steps);
    json_count(j, "epochs", s->epochs);
    json_count(j, "images", s->images);
    json_count(j, "unreadable", s->unreadable);
    json_count(j, "skipped_steps", s->skipped_steps);
    json_number(j, "loss", s->loss);
    json_text(j, "loss_over", s->loss_over);
    json_number(j, "seconds", s->seconds);
    json_share(j, "images_per_s", s->images_per_s);
    json_text(j, "checkpoint", s->checkpoint);
    if (!t->measured) {
        json_text(j, "picture", s->picture);
        return print_json(j);
    }
    json_share(j, "top1", s->top1);
    json_share(j, "top5", s->top5);
    json_share(j, "val_loss", s->val_loss);
    json_count(j, "val_unreadable", s->val_unreadable);
    json_share(j, "ema_top1", s->ema_top1);
    json_share(j, "best_top1", s->best_top1);
    json_count(j, "best_epoch", s->best_epoch);
    return print_json(j);
}

static void print_measured(const MaeSummary *s) {
    char top5[32] = "";
    if (s->top5 >= 0) snprintf(top5, sizeof top5, ", top-5 %.2f %%", 100 * s->top5);
    if (s->val_unreadable)
        printf("unreadable  %lld of the validation images\n", (long long)s->val_unreadable);
    if (s->top1 >= 0)
        printf("last        top-1 %.2f %%%s, validation loss %.4f\n", 100 * s->top1, top5,
               s->val_loss);
    if (s->ema_top1 >= 0) printf("averaged    top-1 %.2f %%\n", 100 * s->ema_top1);
    if (s->best_top1 >= 0)
        printf("best        top-1 %.2f %%, epoch %lld (best.safetensors)\n", 100 * s->best_top1,
               (long long)s->best_epoch);
}

static void print_summary(const MaeSummary *s) {
    char time[32];
    printf("updates     %lld\n", (long long)s->steps);
    if (s->skipped_steps) printf("skipped     %lld\n", (long long)s->skipped_steps);
    if (s->unreadable) printf("unreadable  %lld images\n", (long long)s->unreadable);
    if (*s->loss_over) printf("loss        %.4f, mean over %s\n", s->loss, s->loss_over);
    duration(s->seconds, time, sizeof time);
    if (s->images_per_s >= 0)
        printf("speed       %.1f images/s, %lld images in %s\n", s->images_per_s,
               (long long)s->images, time);
    else
        printf("time        %s for %lld images, whose features were cached\n", time,
               (long long)s->images);
    print_measured(s);
    printf("checkpoint  %s\n", s->checkpoint);
    if (*s->picture) printf("picture     %s\n", s->picture);
}

static const char *stopping(int processes) {
    return processes > 1 ? "stopping after this update, which all processes end together"
                         : "stopping: the update under way is given up, the run is saved";
}

static int train(const Training *t, const MaeOptions *o, int processes) {
    MaeSummary summary = {.top1 = -1, .top5 = -1, .ema_top1 = -1, .best_top1 = -1};
    MaeError err = {0};
    MaeStatus failed = t->run(o, progress_start(o, stopping(processes)), &summary, &err);
    progress_end();
    if (failed == MAE_INTERRUPTED && option_flag(o, "restart") && !output_is_silent())
        fprintf(stderr, "mae: leave --restart out to continue\n");
    if (failed) {
        int status = report(&err);
        return failed == MAE_INTERRUPTED ? EXIT_AGAIN : status;
    }
    if (option_flag(o, "json")) return print_summary_json(t, &summary);
    print_summary(&summary);
    return EXIT_DONE;
}

/* Open MPI adds in the background along a binomial tree, whose root moves every message 2 log2(n)
 * times. With recursive halving (its number 3) nobody moves more than two. A user's setting
 * stays. */
static void prefer_halving(void) {
    (void)setenv("OMPI_MCA_coll_libnbc_iallreduce_algorithm", "3", 0);
    (void)setenv("OMPI_MCA_coll_libnbc_ireduce_algorithm", "3", 0);
}

static int run(const Training *t, int argc, char **argv) {
    Call c;
    MaeError err = {0};
    int rank, size;
    prefer_halving();
    if (mae_join(&rank, &size, &err)) return report(&err);
    if (rank > 0) output_silence();
    int status = call_parse(&c, argc, argv);
    if (status == GO_ON) status = call_need(&c, "out", "--out RUN");
    if (status == GO_ON) status = train(t, c.options, size);
    call_free(&c);
    return status;
}

int cmd_pretrain(int argc, char **argv) {
    static const Training t = {mae_pretrain, false};
    return run(&t, argc, argv);
}

int cmd_finetune(int argc, char **argv) {
    static const Training t = {mae_finetune, true};
    return run(&t, argc, argv);
}

int cmd_probe(int argc, char **argv) {
    static const Training t = {mae_probe, true};
    return run(&t, argc, argv);
}
