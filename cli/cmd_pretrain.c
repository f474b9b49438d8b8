/* mae pretrain: prints the plan, trains or continues, prints the summary. */
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
    json_text(j, "picture", s->picture);
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
    printf("checkpoint  %s\n", s->checkpoint);
    if (*s->picture) printf("picture     %s\n", s->picture);
}

static int train(const MaeOptions *o) {
    MaePlan plan;
    MaeSummary summary = {0};
    MaeError err = {0};
    if (mae_plan(MAE_COMMAND_PRETRAIN, o, &plan, &err) != MAE_OK) return report(&err);
    if (!o->quiet) print_plan(stderr, &plan);
    MaeStatus failed = mae_pretrain(o, progress_start(o), &summary, &err);
    progress_end();
    if (failed == MAE_INTERRUPTED && o->restart)
        fprintf(stderr, "mae: leave --restart out to continue\n");
    if (failed) return report(&err);
    if (o->json) return print_summary_json(&summary);
    print_summary(&summary);
    return EXIT_DONE;
}

int cmd_pretrain(int argc, char **argv) {
    Call c;
    int status = call_parse(&c, "pretrain", MAE_COMMAND_PRETRAIN, argc, argv);
    if (status == GO_ON) status = call_no_positional(&c, "pretrain", "images are named by --data");
    if (status == GO_ON) status = call_need("pretrain", c.options.out, "--out RUN");
    if (status == GO_ON) status = train(&c.options);
    call_free(&c);
    return status;
}
