/* See setup.h. */
#include "jobs/setup.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "checkpoint/statistics.h"
#include "run/machine.h"

static void override_size(int64_t *field, int64_t value) {
    if (value > 0) *field = value;
}

void setup_decoder(const MaeOptions *o, ModelConfig *c) {
    ModelConfig preset = model_preset((ModelSize)o->model);
    c->decoder_embed_dim = preset.decoder_embed_dim;
    c->decoder_depth = preset.decoder_depth;
    c->decoder_heads = preset.decoder_heads;
    override_size(&c->decoder_embed_dim, o->decoder_embed_dim);
    override_size(&c->decoder_depth, o->decoder_depth);
    override_size(&c->decoder_heads, o->decoder_heads);
}

Status setup_model_config(const MaeOptions *o, ModelConfig *c, Error *err) {
    *c = model_preset((ModelSize)o->model);
    override_size(&c->image_height, o->image_size[0]);
    override_size(&c->image_width, o->image_size[1]);
    override_size(&c->channels, o->channels);
    override_size(&c->patch, o->patch);
    override_size(&c->embed_dim, o->embed_dim);
    override_size(&c->depth, o->depth);
    override_size(&c->heads, o->heads);
    setup_decoder(o, c);
    if (o->mlp_ratio > 0) c->mlp_ratio = o->mlp_ratio;
    c->target = (TargetKind)o->target;
    if (c->target == TARGET_PCA) c->pca_components = o->pca_components;
    c->mask_token_in_encoder = o->mask_token_in_encoder != 0;
    statistics_default(c);
    Status status = statistics_set(o->pixel_mean, o->pixel_std, c, err);
    return status == MAE_OK ? model_check(c, err) : status;
}

void setup_notes(const MaeOptions *o, const ModelConfig *c, CheckpointNotes *notes) {
    ModelConfig preset = model_preset((ModelSize)o->model);
    *notes = (CheckpointNotes){.mask = (MaskKind)o->mask, .mask_ratio = o->mask_ratio};
    bool same =
        preset.embed_dim == c->embed_dim && preset.depth == c->depth && preset.heads == c->heads;
    snprintf(notes->preset, sizeof notes->preset, "%s",
             same ? model_size_words[o->model] : "custom");
}

MaskRule setup_mask(const MaeOptions *o) {
    return (MaskRule){(MaskKind)o->mask, o->mask_ratio};
}

/* m->mask is used to see repetitions. */
Status setup_keep(const char *text, Masks *m, Error *err) {
    m->n_keep = 0;
    for (const char *s = text;; s++) {
        char *end;
        errno = 0;
        long long id = strtoll(s, &end, 10);
        if (end == s || errno || (*end && *end != ','))
            return error_set(err, MAE_USAGE, "--keep %.60s: numbers of patches separated by commas",
                             text);
        if (id < 0 || id >= m->n_patches)
            return error_set(err, MAE_USAGE, "--keep: patch %lld; the image has patches 0 to %lld",
                             id, (long long)m->n_patches - 1);
        if (m->mask[id] > 0)
            return error_set(err, MAE_USAGE, "--keep: patch %lld is there twice", id);
        m->mask[id] = 1;
        m->ids_keep[m->n_keep++] = (int32_t)id;
        if (!*end) break;
        s = end;
    }
    masks_from_keep(m, 0);
    return MAE_OK;
}

CheckpointHints setup_hints(const MaeOptions *o) {
    return (CheckpointHints){.heads = o->heads,
                             .decoder_heads = o->decoder_heads,
                             .target = (ReadTarget)o->read_target,
                             .prefix = o->prefix,
                             .mean = o->pixel_mean,
                             .std = o->pixel_std};
}

static Status check_channels(int64_t channels, Error *err) {
    if (channels == 1 || channels == 3) return MAE_OK;
    return error_set(err, MAE_UNSUPPORTED, "images are read as 1 or 3 channels, the model has %lld",
                     (long long)channels);
}

static Status open_dataset(const MaeOptions *o, const char *source, DatasetOptions d,
                           int64_t channels, Dataset **out, Error *err) {
    *out = NULL;
    if (!source) return error_set(err, MAE_USAGE, "no images given; name them with --data SRC");
    Status status = check_channels(channels, err);
    if (status != MAE_OK) return status;
    d.channels = (int)channels;
    d.cache_bytes = o->cache_mb << 20;
    d.max_side = o->max_side;
    d.limits = (SourceLimits){o->max_pixels, o->max_entries, call_stop()};
    d.memory = source == o->val ? o->val_source : o->data_source;
    d.seed = (uint64_t)o->seed;
    d.fast_decode = o->fast_decode && source == o->data && !d.held_out;
    return dataset_open(source, d, out, err);
}

Status setup_dataset(const MaeOptions *o, int64_t channels, Dataset **out, Error *err) {
    return open_dataset(o, o->data, (DatasetOptions){.limit = o->limit}, channels, out, err);
}

Status setup_train_set(const MaeOptions *o, int64_t channels, Dataset **out, Error *err) {
    if (!o->val == !(o->val_share > 0))
        return error_set(
            err, MAE_USAGE,
            "%s; name them with --val SRC, or hold out a share of --data with --val-share 0.1",
            o->val ? "--val and --val-share together" : "no validation images");
    DatasetOptions d = {.split_share = o->val_share, .limit = o->limit};
    return open_dataset(o, o->data, d, channels, out, err);
}

Status setup_val_set(const MaeOptions *o, int64_t channels, Dataset **out, Error *err) {
    DatasetOptions d = {.limit = o->val_limit, .test = o->val != NULL};
    if (!o->val) {
        d.split_share = o->val_share;
        d.held_out = true;
    }
    return open_dataset(o, o->val ? o->val : o->data, d, channels, out, err);
}

static Augment augment_of(AugmentKind kind, const ModelConfig *c) {
    return (Augment){.kind = kind,
                     .height = c->image_height,
                     .width = c->image_width,
                     .min_scale = 0.2,
                     .max_scale = 1,
                     .min_ratio = 3.0 / 4,
                     .max_ratio = 4.0 / 3,
                     .flip = 0.5,
                     .brightness = 0.4,
                     .contrast = 0.4,
                     .saturation = 0.4,
                     .hue = 0.1};
}

static Augment training_augment(const MaeOptions *o, const ModelConfig *c) {
    Augment a = augment_of((AugmentKind)o->augment, c);
    a.min_scale = o->min_scale;
    return a;
}

Status setup_labelled_augment(const MaeOptions *o, Augment *a, Error *err) {
    a->erase = (Erase){.probability = o->erase_prob,
                       .min_area = 0.02,
                       .max_area = 1.0 / 3,
                       .min_aspect = 0.3,
                       .count = 1,
                       .mode = (EraseMode)o->erase_mode};
    Status status =
        o->randaugment ? randaugment_parse(o->randaugment, &a->randaugment, err) : MAE_OK;
    if (status != MAE_OK || !(o->color_jitter > 0)) return status;
    if (a->randaugment.n_ops > 0)
        return error_set(err, MAE_USAGE,
                         "--color-jitter works without RandAugment only; add --randaugment none");
    a->jitter = true;
    a->brightness = a->contrast = a->saturation = o->color_jitter;
    a->hue = 0;
    return MAE_OK;
}

static Status fetch_first(Dataset *d, Sample *out, Error *err) {
    Error first = {0};
    for (int64_t i = 0; i < dataset_count(d); i++) {
        Error why = {0};
        Status status = dataset_fetch(d, i, out, &why);
        if (status == MAE_OK) return MAE_OK;
        if (!dataset_is_image_fault(status)) return error_set(err, status, "%s", why.message);
        if (i == 0) first = why;
    }
    return error_set(err, MAE_EMPTY, "none of the %lld images could be read: %.800s",
                     (long long)dataset_count(d), first.message);
}

Status setup_eval_augment(Dataset *d, const ModelConfig *c, Augment *out, Error *err) {
    Sample first;
    Status status = fetch_first(d, &first, err);
    if (status != MAE_OK) return status;
    bool exact = first.image.width == c->image_width && first.image.height == c->image_height;
    dataset_release(&first);
    *out = augment_of(exact ? AUGMENT_NONE : AUGMENT_EVAL, c);
    return MAE_OK;
}

Status setup_eval_job(const MaeOptions *o, const ModelConfig *c, Dataset *d, const char *phase,
                      Comm *comm, SessionJob *out, Error *err) {
    *out = (SessionJob){.data = d,
                        .workers = machine_workers(o, comm),
                        .strict = o->strict != 0,
                        .comm = comm,
                        .phase = phase};
    return setup_eval_augment(d, c, &out->augment, err);
}

Status setup_given(const MaeOptions *o, int64_t channels, Dataset **out, Error *err) {
    *out = NULL;
    if (o->images.n < 1) return error_set(err, MAE_USAGE, "no images; name them after the options");
    Status status = check_channels(channels, err);
    if (status != MAE_OK) return status;
    DatasetOptions d = {.channels = (int)channels,
                        .limits = {o->max_pixels, o->max_entries, call_stop()}};
    return dataset_open_words((const char *const *)o->images.item, o->images.n, d, out, err);
}

SessionJob setup_given_job(const MaeOptions *o, const ModelConfig *c, Dataset *d,
                           const char *phase) {
    int workers = machine_workers(o, NULL);
    SessionJob job = {.data = d,
                      .augment = augment_of(AUGMENT_EVAL, c),
                      .workers = dataset_count(d) < workers ? (int)dataset_count(d) : workers,
                      .named = true,
                      .phase = phase};
    job.augment.keeps_exact = true;
    return job;
}

Status setup_eval_image(const char *path, const ModelConfig *c, int64_t max_pixels, uint8_t *pixels,
                        unsigned *notes, Error *err) {
    Status status = MAE_OK;
    Error why = {0};
    Image image = {0};
    ResampleScratch scratch = {0};
    Augment a = augment_of(AUGMENT_EVAL, c);
    if (c->channels != 1 && c->channels != 3)
        return error_set(err, MAE_UNSUPPORTED,
                         "%s: image files give 1 or 3 channels, the model has %lld", path,
                         (long long)c->channels);
    TRY(image_load_crop(path, (int)c->channels, max_pixels, NULL, &image, err));
    if (notes) *notes = image.notes;
    if (image.width == c->image_width && image.height == c->image_height) a.kind = AUGMENT_NONE;
    status = augment_apply(&a, &image, 0, 0, 0, pixels, &scratch, &why);
    if (status != MAE_OK) error_set(err, status, "%s: %s", path, why.message);
done:
    resample_scratch_free(&scratch);
    image_free(&image);
    return status;
}

LoaderOptions setup_loader(const MaeOptions *o, const ModelConfig *c) {
    return (LoaderOptions){.augment = training_augment(o, c),
                           .batch = o->batch,
                           .n_workers = machine_workers(o, NULL),
                           .seed = (uint64_t)o->seed,
                           .shuffle = true,
                           .drop_last = true,
                           .repeat = o->repeat,
                           .strict = o->strict != 0,
                           .n_epochs = o->epochs};
}
