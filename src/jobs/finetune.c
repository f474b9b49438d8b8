/* mae finetune: the encoder of a checkpoint learns a task together with a linear head, whole or its
 * last blocks only; or a classifier is trained from scratch. */
#include <inttypes.h>
#include <math.h>

#include "jobs/jobs.h"
#include "jobs/supervised.h"
#include "options/options.h"

/* --- the published recipes, for what depends on the size of the model ------------------------- */

typedef enum Size { BASE, LARGE, HUGE, N_SIZES } Size;

static Size size_of(const ModelConfig *c) {
    return c->embed_dim >= 1280 ? HUGE : c->embed_dim >= 1024 ? LARGE : BASE;
}

typedef struct Row {
    const char *option, *value[N_SIZES];
} Row;

static const Row FINETUNE[] = {
    {"epochs", {"100", "50", "50"}},
    {"warmup-epochs", {"5", "5", "5"}},
    {"base-lr", {"5e-4", "1e-3", "1e-3"}},
    {"min-lr", {"1e-6", "1e-6", "1e-6"}},
    {"layer-decay", {"0.65", "0.75", "0.75"}},
    {"drop-path", {"0.1", "0.2", "0.3"}},
    {"weight-decay", {"0.05", "0.05", "0.05"}},
    {"beta2", {"0.999", "0.999", "0.999"}},
    {"erase-prob", {"0.25", "0.25", "0.25"}},
    {"ema", {"0", "0", "0"}},
    {"randaugment", {"m9-n2-mstd0.5-inc1", "m9-n2-mstd0.5-inc1", "m9-n2-mstd0.5-inc1"}},
    {NULL, {NULL}},
};

static const Row SCRATCH[] = {
    {"epochs", {"300", "200", "200"}},
    {"warmup-epochs", {"20", "20", "20"}},
    {"base-lr", {"1e-4", "1e-4", "1e-4"}},
    {"min-lr", {"0", "0", "0"}},
    {"layer-decay", {"1", "1", "1"}},
    {"drop-path", {"0.1", "0.2", "0.2"}},
    {"weight-decay", {"0.3", "0.3", "0.3"}},
    {"beta2", {"0.95", "0.95", "0.95"}},
    {"erase-prob", {"0", "0", "0"}},
    {"ema", {"0.9999", "0.9999", "0.9999"}},
    {"randaugment", {"m9-n2-mstd0.5-inc1", "m9-n2-mstd0.5-inc1", "m9-n2-mstd0.5-inc1"}},
    {NULL, {NULL}},
};

Status finetune_recipe(MaeOptions *o, const ModelConfig *c, bool scratch, Error *err) {
    for (const Row *r = scratch ? SCRATCH : FINETUNE; r->option; r++) {
        int i = option_find(COMMAND_FINETUNE, r->option);
        ASSERT(i >= 0, "no option %s", r->option);
        if (o->given[i]) continue;
        Status status = option_set_row(o, (size_t)i, r->value[size_of(c)], err);
        if (status != MAE_OK) return status;
    }
    return MAE_OK;
}

/* --- the task --------------------------------------------------------------------------------- */

static Status check(const Run *r, Error *err) {
    const MaeOptions *o = &r->options;
    if (o->tune_blocks > (double)r->config.depth)
        return error_set(err, MAE_USAGE, "--tune-blocks %g: the model has %" PRId64 " blocks",
                         o->tune_blocks, r->config.depth);
    if (o->tune_blocks >= 0 && fmod(o->tune_blocks, 0.5) != 0)
        return error_set(err, MAE_USAGE,
                         "--tune-blocks %g: whole and half blocks only, as 0.5 or 4",
                         o->tune_blocks);
    bool mixing = o->mix_prob > 0 && (o->mixup > 0 || o->cutmix > 0);
    if (mixing && o->batch % 2)
        return error_set(err, MAE_USAGE,
                         "--batch %" PRId64
                         ": mixup and cutmix pair images, which needs an even batch; "
                         "change it, or use --mixup 0 --cutmix 0",
                         o->batch);
    return MAE_OK;
}

static Status configure(Run *r, Error *err) {
    Status status = MAE_OK;
    MaeOptions *o = &r->options;
    TRY(supervised_configure(r, HEAD_LINEAR, err));
    TRY(finetune_recipe(o, &r->config, supervised_from_scratch(o), err));
    TRY(check(r, err));
done:
    return status;
}

const Task finetune_task = {.command = COMMAND_FINETUNE,
                            .configure = configure,
                            .make = supervised_make,
                            .start = supervised_start,
                            .open = supervised_open,
                            .set_batch = supervised_set_batch,
                            .end_epoch = supervised_end_epoch,
                            .describe = supervised_describe,
                            .close = supervised_close};
