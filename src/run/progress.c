/* See progress.h. */
#include "run/progress.h"

#include <math.h>

static const MetricKind *first_metric(const Progress *p) {
    return p->measured.n ? &metric_kinds[p->measured.at[0].id] : NULL;
}

void progress_put(Meta *m, const Progress *p, int64_t updates) {
    const MetricKind *first = first_metric(p);
    meta_put(m, "format", META_FORMAT " state");
    meta_put_int(m, "format_version", META_VERSION);
    meta_put_int(m, "step", p->step);
    meta_put_int(m, "epoch", p->epoch);
    meta_put_int(m, "batch", p->batch);
    meta_put_int(m, "skipped", p->skipped);
    meta_put_int(m, "updates", updates);
    meta_put_int(m, "seed", (int64_t)p->seed);
    meta_put_real(m, "log_loss", p->log_loss);
    meta_put_real(m, "log_norm", p->log_norm);
    meta_put_real(m, "epoch_loss", p->epoch_loss);
    meta_put_int(m, "log_count", p->log_count);
    meta_put_int(m, "epoch_count", p->epoch_count);
    meta_put_real(m, "last_lr", p->last_lr);
    meta_put_real(m, "last_norm", p->last_norm);
    meta_put_int(m, "epoch_open", p->epoch_open);
    if (first) meta_put_real(m, first->best_name, metric_known(p->best));
    meta_put_int(m, "best_epoch", p->best_epoch);
    meta_put_int(m, "batch_images", p->batch_images);
    meta_put_int(m, "update_images", p->update_images);
    meta_put_int(m, "images", p->images);
    meta_put_int(m, "data_images", p->data_images);
    meta_put_int(m, "val_images", p->val_images);
    meta_put_real(m, "mean_loss", p->mean_loss);
    meta_put_int(m, "mean_count", p->mean_count);
    for (int i = 0; i < p->measured.n; i++)
        meta_put_real(m, metric_kinds[p->measured.at[i].id].name,
                      metric_known(p->measured.at[i].value));
    if (first) meta_put_real(m, first->ema_name, metric_known(p->averaged));
}

static Status metrics_from_meta(const TensorFile *f, Progress *p, Error *err) {
    Status status = MAE_OK;
    const MetricKind *first = first_metric(p);
    p->averaged = p->best = NAN;
    if (!first) return MAE_OK;
    TRY(meta_get_metric(f, first->best_name, &p->best, err));
    TRY(meta_get_metric(f, first->ema_name, &p->averaged, err));
    for (int i = 0; i < p->measured.n; i++)
        TRY(meta_get_metric(f, metric_kinds[p->measured.at[i].id].name, &p->measured.at[i].value,
                            err));
done:
    return status;
}

/* States of older versions do not have these. */
static Status totals_from_meta(const TensorFile *f, Progress *p, Error *err) {
    Status status = MAE_OK;
    if (!tensorfile_meta(f, "mean_count")) return MAE_OK;
    TRY(meta_get_int(f, "images", &p->images, err));
    TRY(meta_get_int(f, "data_images", &p->data_images, err));
    TRY(meta_get_int(f, "val_images", &p->val_images, err));
    TRY(meta_get_real(f, "mean_loss", &p->mean_loss, err));
    TRY(meta_get_int(f, "mean_count", &p->mean_count, err));
    if (p->images < 0 || p->data_images < 0 || p->val_images < 0 || p->mean_count < 0)
        status = error_set(err, MAE_FORMAT, "%s: negative counters", tensorfile_path(f));
done:
    return status;
}

Status progress_get(const TensorFile *f, Progress *p, int64_t *updates, Error *err) {
    Status status = MAE_OK;
    int64_t seed = 0, open = 0;
    *p = (Progress){.measured = p->measured};
    TRY(meta_get_int(f, "step", &p->step, err));
    TRY(meta_get_int(f, "epoch", &p->epoch, err));
    TRY(meta_get_int(f, "batch", &p->batch, err));
    TRY(meta_get_int(f, "skipped", &p->skipped, err));
    TRY(meta_get_int(f, "updates", updates, err));
    TRY(meta_get_int(f, "seed", &seed, err));
    TRY(meta_get_real(f, "log_loss", &p->log_loss, err));
    TRY(meta_get_real(f, "log_norm", &p->log_norm, err));
    TRY(meta_get_real(f, "epoch_loss", &p->epoch_loss, err));
    TRY(meta_get_int(f, "log_count", &p->log_count, err));
    TRY(meta_get_int(f, "epoch_count", &p->epoch_count, err));
    if (tensorfile_meta(f, "best_epoch")) {
        TRY(meta_get_int(f, "best_epoch", &p->best_epoch, err));
        TRY(meta_get_real(f, "last_lr", &p->last_lr, err));
        TRY(meta_get_real(f, "last_norm", &p->last_norm, err));
        TRY(meta_get_int(f, "epoch_open", &open, err));
    }
    if (tensorfile_meta(f, "batch_images")) {
        TRY(meta_get_int(f, "batch_images", &p->batch_images, err));
        TRY(meta_get_int(f, "update_images", &p->update_images, err));
    }
    TRY(totals_from_meta(f, p, err));
    TRY(metrics_from_meta(f, p, err));
    p->epoch_open = open != 0;
    p->seed = (uint64_t)seed;
    if (p->step < 0 || p->epoch < 0 || p->batch < 0 || *updates < 0 || p->batch_images < 0 ||
        p->update_images < 0)
        status = error_set(err, MAE_FORMAT, "%s: negative counters", tensorfile_path(f));
done:
    return status;
}
