/* See setup.h. */
#include "train/setup.h"

#include <stdio.h>

#include "base/threads.h"

static const char *const PRESETS[] = {"vit_tiny", "vit_small", "vit_base", "vit_large", "vit_huge"};
static const char *const DEVICES[] = {"cpu", "ref"};

static void override_size(int64_t *field, int64_t value) {
    if (value > 0) *field = value;
}

/* ImageNet statistics for RGB; one half and one quarter for anything else. */
static void set_statistics(ModelConfig *c) {
    if (c->channels == 3) return;
    for (int i = 0; i < MAX_CHANNELS; i++) {
        c->mean[i] = 0.5f;
        c->std[i] = 0.25f;
    }
}

Status setup_model_config(const MaeOptions *o, ModelConfig *c, Error *err) {
    Status status = model_preset(PRESETS[o->model], c, err);
    if (status != STATUS_OK) return status;
    override_size(&c->image_height, o->image_size[0]);
    override_size(&c->image_width, o->image_size[1]);
    override_size(&c->channels, o->channels);
    override_size(&c->patch, o->patch);
    override_size(&c->embed_dim, o->embed_dim);
    override_size(&c->depth, o->depth);
    override_size(&c->heads, o->heads);
    override_size(&c->decoder_embed_dim, o->decoder_embed_dim);
    override_size(&c->decoder_depth, o->decoder_depth);
    override_size(&c->decoder_heads, o->decoder_heads);
    if (o->mlp_ratio > 0) c->mlp_ratio = o->mlp_ratio;
    if (o->target > TARGET_PCA)
        return fail(
            err, STATUS_UNSUPPORTED,
            "--target token needs a tokenizer, which this version does not have; use pixel, "
            "norm-pix or pca");
    c->target = (TargetKind)o->target;
    if (o->pca_components > 0) c->pca_components = o->pca_components;
    c->mask_token_in_encoder = o->mask_token_in_encoder != 0;
    set_statistics(c);
    return model_check(c, err);
}

void setup_notes(const MaeOptions *o, CheckpointNotes *notes) {
    *notes = (CheckpointNotes){.mask = (MaskKind)o->mask, .mask_ratio = o->mask_ratio};
    snprintf(notes->preset, sizeof notes->preset, "%s", PRESETS[o->model]);
}

Status setup_device(const MaeOptions *o, Device **out, Error *err) {
    return device_open(DEVICES[o->device], (int)o->threads, NULL, out, err);
}

Status setup_dataset(const MaeOptions *o, const char *source, int64_t channels, Dataset **out,
                     Error *err) {
    *out = NULL;
    if (!source) return fail(err, STATUS_USAGE, "no images given; name them with --data SRC");
    if (channels != 1 && channels != 3)
        return fail(
            err, STATUS_UNSUPPORTED,
            "image files give 1 or 3 channels, the model has %lld; use the library for others",
            (long long)channels);
    DatasetOptions d = {
        .channels = (int)channels, .cache_bytes = o->cache_mb << 20, .max_side = o->max_side};
    return dataset_open(source, d, out, err);
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

Augment setup_augment(const MaeOptions *o, const ModelConfig *c) {
    static const AugmentKind kinds[] = {AUGMENT_NONE, AUGMENT_CROP_FIXED, AUGMENT_CROP,
                                        AUGMENT_CROP_JITTER};
    Augment a = augment_of(kinds[o->augment], c);
    a.min_scale = o->min_scale;
    return a;
}

Status setup_eval_augment(Dataset *d, const ModelConfig *c, Augment *out, Error *err) {
    Sample first;
    Status status = dataset_fetch(d, 0, &first, err);
    if (status != STATUS_OK) return status;
    bool exact = first.image.width == c->image_width && first.image.height == c->image_height;
    dataset_release(&first);
    *out = augment_of(exact ? AUGMENT_NONE : AUGMENT_EVAL, c);
    return STATUS_OK;
}

int setup_workers(const MaeOptions *o) {
    if (o->workers >= 0) return (int)o->workers;
    int n = threads_available();
    return n < 2 ? 1 : n > 8 ? 8 : n;
}

LoaderOptions setup_loader(const MaeOptions *o, const ModelConfig *c) {
    return (LoaderOptions){.augment = setup_augment(o, c),
                           .batch = o->batch,
                           .n_workers = setup_workers(o),
                           .seed = (uint64_t)o->seed,
                           .shuffle = true,
                           .drop_last = true,
                           .repeat = o->repeat,
                           .strict = o->strict != 0,
                           .n_epochs = o->epochs};
}

double setup_lr(const MaeOptions *o) {
    if (o->lr > 0) return o->lr;
    return o->base_lr * (double)(o->batch * o->accumulate) / 256;
}
