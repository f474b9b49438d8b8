/* What differs in a resumed run, and whether it may: options are compared with config.json, data
 * and model with the checkpoint. This file also recognises a run that has nothing left to do. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "checkpoint/statistics.h"
#include "options/options.h"
#include "run/run_internal.h"
#include "run/run_state.h"
#include "run/runfolder.h"
#include "train/schedule.h"

/* --- options ---------------------------------------------------------------------------------- */

static double place_of(const Run *r, const Progress *p) {
    int64_t images = dataset_count(r->dataset);
    double done = (double)(p->batch * p->batch_images);
    return (double)p->epoch + done / (double)(images * r->options.repeat);
}

/* The learning rate of the next update by these options. */
static double next_lr(const Run *r, const MaeOptions *o, double peak) {
    return schedule_lr(place_of(r, &r->progress), o->warmup_epochs, (double)o->epochs, peak,
                       o->min_lr);
}

/* Images of an update: --batch and --accumulate may change with the number of processes. */
static void compare_update(Run *r) {
    char before[64], now[96];
    const MaeOptions *o = &r->options;
    int64_t images = run_update_images(o, r->comm), size = comm_size(r->comm);
    int64_t was = r->progress.update_images;
    if (was == 0 || was == images) return;
    snprintf(before, sizeof before, "%" PRId64, was);
    if (size > 1 && was % size == 0)
        snprintf(before, sizeof before, "%" PRId64 " (%" PRId64 " a process)", was, was / size);
    snprintf(now, sizeof now,
             "%" PRId64 " by %" PRId64 " process%s of --batch %" PRId64 " --accumulate %" PRId64,
             images, size, size == 1 ? "" : "es", o->batch, o->accumulate);
    changes_add(&r->changes, CHANGE_MARKED, "images of an update", before, now,
                "a --batch or --accumulate that fits the number of processes keeps them");
}

/* With updates of as many images as before, how they are cut is free. */
static void free_the_cut(Run *r) {
    const Progress *p = &r->progress;
    if (p->update_images != run_update_images(&r->options, r->comm)) return;
    if (r->task->command == COMMAND_PROBE && /* whose batch norm sees it */
        p->batch_images != r->options.batch * comm_size(r->comm))
        return;
    for (int i = 0; i < r->changes.n; i++) {
        Change *c = &r->changes.change[i];
        if (strcmp(c->what, "--batch") == 0 || strcmp(c->what, "--accumulate") == 0)
            c->kind = CHANGE_FREE;
    }
}

static Status load_before(const Run *r, const MaeOptions *given, MaeOptions *before, Error *err) {
    char *path;
    options_default(r->task->command, before);
    Status status = file_path(given->out, "config.json", &path, err);
    if (status != MAE_OK) return status;
    if (file_exists(path))
        status = mae_options_load(before, path, err);
    else if (comm_is_root(r->comm))
        log_line(LOG_WARNING,
                 "%s: missing; the options of this run are those given now and their defaults",
                 path);
    mem_free(path);
    return status;
}

Status run_take_up(Run *r, const MaeOptions *given, Error *err) {
    Status status = MAE_OK;
    MaeOptions *before = &r->before;
    TRY(load_before(r, given, before, err));
    TRY(runfolder_merge_options(given, &r->options, err));
    TRY(run_state_progress(given->out, &r->progress, err));
    if (before->given[option_find(r->task->command, "epochs")])
        changes_find(&r->changes, before, given, &r->options);
    free_the_cut(r);
    compare_update(r);
    if (changes_have(&r->changes, CHANGE_NEVER))
        TRY(changes_check(&r->changes, given->out, given->accept_changes, err));
    r->summary = runfolder_read_summary(given->out);
    const MaeResult *summary = result_view(r->summary);
    bool ended = mae_result_integer(summary, "steps") == r->progress.step;
    r->complete = ended && run_is_over(r) && !r->progress.epoch_open;
    if (ended)
        r->seconds_before =
            mae_result_number(summary, "seconds"); /* what came after the save, too */
    if (r->complete) TRY(changes_check(&r->changes, given->out, given->accept_changes, err));
done:
    return status;
}

/* --- model and data --------------------------------------------------------------------------- */

static void compare_statistics(Changes *c, const ModelConfig *was, const ModelConfig *now) {
    char before[STATISTICS_TEXT_BYTES], after[STATISTICS_TEXT_BYTES];
    static const char why[] = "pixels would enter the model otherwise";
    if (was->channels != now->channels || statistics_equal(was, now)) return;
    statistics_print(was->mean, was->channels, before);
    statistics_print(now->mean, now->channels, after);
    changes_add(c, CHANGE_NEVER, "mean of pixels", before, after, why);
    statistics_print(was->std, was->channels, before);
    statistics_print(now->std, now->channels, after);
    changes_add(c, CHANGE_NEVER, "deviation of pixels", before, after, why);
}

/* The model of a run folder cannot change under way. */
static void compare_models(Changes *c, const ModelConfig *was, const ModelConfig *now) {
    static const char why[] = "the model of a run cannot change";
    changes_compare(c, CHANGE_NEVER, "image height", was->image_height, now->image_height, why);
    changes_compare(c, CHANGE_NEVER, "image width", was->image_width, now->image_width, why);
    changes_compare(c, CHANGE_NEVER, "channels", was->channels, now->channels, why);
    changes_compare(c, CHANGE_NEVER, "patch", was->patch, now->patch, why);
    changes_compare(c, CHANGE_NEVER, "embed dim", was->embed_dim, now->embed_dim, why);
    changes_compare(c, CHANGE_NEVER, "depth", was->depth, now->depth, why);
    changes_compare(c, CHANGE_NEVER, "heads", was->heads, now->heads, why);
    changes_compare(c, CHANGE_NEVER, "decoder embed dim", was->decoder_embed_dim,
                    now->decoder_embed_dim, why);
    changes_compare(c, CHANGE_NEVER, "decoder depth", was->decoder_depth, now->decoder_depth, why);
    changes_compare(c, CHANGE_NEVER, "decoder heads", was->decoder_heads, now->decoder_heads, why);
    changes_compare(c, CHANGE_NEVER, "classes of --data", was->classes, now->classes, why);
    changes_compare(c, CHANGE_NEVER, "target number", was->target, now->target, why);
    compare_statistics(c, was, now);
    changes_compare(c, CHANGE_NEVER, "mask token in encoder", was->mask_token_in_encoder,
                    now->mask_token_in_encoder, why);
}

/* As many classes with other names are other classes, unless somebody has renamed a folder. */
static void compare_classes(Changes *c, const ClassNames *was, const ClassNames *now) {
    if (!was || !now || was->n != now->n) return;
    for (int64_t i = 0; i < now->n; i++) {
        if (strcmp(was->name[i], now->name[i]) == 0) continue;
        changes_add(c, CHANGE_MARKED, "a class of --data", was->name[i], now->name[i], NULL);
        return;
    }
}

static void compare_data(Run *r) {
    const Progress *p = &r->progress;
    if (p->data_images > 0)
        changes_compare(&r->changes, CHANGE_MARKED, "images of --data", p->data_images,
                        dataset_available(r->dataset), "an epoch has other images from here on");
    if (p->val_images > 0 && r->val_images > 0)
        changes_compare(&r->changes, CHANGE_MARKED, "images of --val", p->val_images, r->val_images,
                        "accuracies before and after are of other images");
}

/* --- saying it -------------------------------------------------------------------------------- */

static void say(const Run *r) {
    for (int i = 0; i < r->changes.n; i++) {
        const Change *c = &r->changes.change[i];
        log_line(c->kind == CHANGE_FREE ? LOG_INFO : LOG_WARNING, "from here on %s %s, before %s",
                 c->what, c->now, c->before);
    }
    if (!changes_have(&r->changes, CHANGE_MARKED)) return;
    double peak = run_peak_lr(&r->before, r->comm), now = run_peak_lr(&r->options, r->comm);
    if (r->before.lr <= 0 && r->progress.update_images > 0)
        peak = r->before.base_lr * (double)r->progress.update_images / 256;
    double a = next_lr(r, &r->before, peak), b = next_lr(r, &r->options, now);
    if (fabs(a - b) > 1e-9 * fabs(a))
        log_line(LOG_WARNING,
                 "the learning rate of the next update is %.4g, and would have been %.4g", b, a);
}

Status run_check_folder(Run *r, const MaeOptions *given, Error *err) {
    Status status = MAE_OK;
    CheckpointFile *there = NULL;
    char *path = NULL;
    TRY(run_file(r, "last.safetensors", &path, err));
    TRY(checkpoint_open(path, NULL, &there, err));
    compare_models(&r->changes, &there->config, &r->config);
    compare_classes(&r->changes, there->notes.classes, r->notes.classes);
    compare_data(r);
    TRY(changes_check(&r->changes, given->out, given->accept_changes, err));
    if (comm_is_root(r->comm)) say(r);
done:
    checkpoint_close(there);
    mem_free(path);
    return status;
}

/* --- nothing left to do ----------------------------------------------------------------------- */

void run_say_complete(const Run *r) {
    const MaeOptions *o = &r->options;
    const Progress *p = &r->progress;
    const char *checkpoint = mae_result_text(result_view(r->summary), "checkpoint");
    char more[96];
    if (!comm_is_root(r->comm)) return;
    if (p->epoch < o->epochs)
        snprintf(more, sizeof more, "say --steps 0 to go on to the end of epoch %" PRId64,
                 o->epochs);
    else
        snprintf(more, sizeof more, "say --epochs N --accept-changes with N above %" PRId64,
                 p->epoch);
    log_line(LOG_INFO,
             "%s is complete: %" PRId64 " updates, %" PRId64 " epochs, %s; nothing was changed. To "
             "train it longer %s; to train another, take another --out",
             o->out, p->step, p->epoch, checkpoint ? checkpoint : "", more);
    if (r->changes.n > 0)
        log_line(LOG_WARNING, "the options that differ from those of the run were not used");
}
