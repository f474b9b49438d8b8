/* mae probe: a linear layer, behind a batch norm, is trained on the frozen encoder. */
#include "jobs/jobs.h"
#include "jobs/supervised.h"

static Status configure(Run *r, Error *err) {
    const MaeOptions *o = &r->options;
    Status status = supervised_configure(r, HEAD_PROBE, err);
    if (status == MAE_OK && o->cache_features && (o->augment != AUGMENT_NONE || o->repeat != 1))
        return error_set(
            err, MAE_USAGE,
            "--cache-features: features are the same in every epoch only with --augment "
            "none and --repeat 1");
    return status;
}

/* The encoder is frozen, so its features can be taken once, also by a resumed run. */
static Status open_task(Run *r, Error *err) {
    Status status = MAE_OK;
    Supervised *t = r->task_data;
    SessionJob train, val = t->val_images;
    int64_t batch = r->options.batch;
    TRY(supervised_open(r, err));
    if (!r->options.cache_features) return MAE_OK;
    val.phase = "features";
    train = val;
    train.data = r->dataset;
    train.augment = r->loader_options.augment;
    TRY(cached_features_new(t->session, &train, batch, &t->train_features, err));
    TRY(cached_features_new(t->session, &val, batch, &t->val_features, err));
done:
    return status;
}

const Task probe_task = {.command = COMMAND_PROBE,
                         .configure = configure,
                         .make = supervised_make,
                         .start = supervised_start,
                         .open = open_task,
                         .set_batch = supervised_set_batch,
                         .end_epoch = supervised_end_epoch,
                         .describe = supervised_describe,
                         .close = supervised_close};
