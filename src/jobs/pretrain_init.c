/* See pretrain_init.h. */
#include "jobs/pretrain_init.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/memory.h"
#include "jobs/setup.h"
#include "options/options.h"
#include "run/run_state.h"

static bool is_given(const MaeOptions *o, const char *name) {
    int i = option_find(MAE_COMMAND_PRETRAIN, name);
    return i >= 0 && o->given[i];
}

/* --- options and the file agree --------------------------------------------------------------- */

static Status contradicts(const char *option, const char *given, const char *path,
                          const char *there, Error *err) {
    return fail(err, MAE_USAGE, "--%s %s: %s has %s; leave the option out, the file says it",
                option, given, path, there);
}

static Status agree(const MaeOptions *o, const char *option, int64_t given, int64_t there,
                    const char *path, Error *err) {
    char a[32], b[32];
    if (!is_given(o, option) || given == there) return MAE_OK;
    snprintf(a, sizeof a, "%" PRId64, given);
    snprintf(b, sizeof b, "%" PRId64, there);
    return contradicts(option, a, path, b, err);
}

/* --model stands for width, depth and heads, but for those that are given beside it. */
static Status agree_model(const MaeOptions *o, const CheckpointFile *file, Error *err) {
    const ModelConfig *c = &file->config;
    ModelConfig p = model_preset((ModelSize)o->model);
    char there[96];
    if (!is_given(o, "model")) return MAE_OK;
    if ((is_given(o, "embed-dim") || p.embed_dim == c->embed_dim) &&
        (is_given(o, "depth") || p.depth == c->depth) &&
        (is_given(o, "heads") || p.heads == c->heads))
        return MAE_OK;
    snprintf(there, sizeof there, "width %" PRId64 ", depth %" PRId64 ", heads %" PRId64,
             c->embed_dim, c->depth, c->heads);
    return contradicts("model", model_size_words[o->model], tensorfile_path(file->file), there,
                       err);
}

static Status agree_sizes(const MaeOptions *o, const CheckpointFile *file, Error *err) {
    Status status = MAE_OK;
    const ModelConfig *c = &file->config;
    const char *path = tensorfile_path(file->file);
    TRY(agree_model(o, file, err));
    TRY(agree(o, "patch", o->patch, c->patch, path, err));
    TRY(agree(o, "channels", o->channels, c->channels, path, err));
    TRY(agree(o, "embed-dim", o->embed_dim, c->embed_dim, path, err));
    TRY(agree(o, "depth", o->depth, c->depth, path, err));
    TRY(agree(o, "heads", o->heads, c->heads, path, err));
    if (is_given(o, "mlp-ratio") && fabs(o->mlp_ratio - c->mlp_ratio) > 1e-6) {
        char given[32], there[32];
        snprintf(given, sizeof given, "%g", o->mlp_ratio);
        snprintf(there, sizeof there, "%g", c->mlp_ratio);
        status = contradicts("mlp-ratio", given, path, there, err);
    }
done:
    return status;
}

static Status agree_decoder(const MaeOptions *o, const CheckpointFile *file, Error *err) {
    Status status = MAE_OK;
    const ModelConfig *c = &file->config;
    const char *path = tensorfile_path(file->file);
    TRY(agree(o, "decoder-embed-dim", o->decoder_embed_dim, c->decoder_embed_dim, path, err));
    TRY(agree(o, "decoder-depth", o->decoder_depth, c->decoder_depth, path, err));
    TRY(agree(o, "decoder-heads", o->decoder_heads, c->decoder_heads, path, err));
done:
    return status;
}

/* --- what is trained -------------------------------------------------------------------------- */

static void override_size(int64_t *field, int64_t value) {
    if (value > 0) *field = value;
}

/* That of the model by its name, as without --init. */
static void add_decoder(const MaeOptions *o, const char *preset, ModelConfig *c) {
    int named = word_find(model_size_words, preset);
    ModelConfig p = model_preset((ModelSize)(named >= 0 ? named : o->model));
    c->decoder_embed_dim = p.decoder_embed_dim;
    c->decoder_depth = p.decoder_depth;
    c->decoder_heads = p.decoder_heads;
    override_size(&c->decoder_embed_dim, o->decoder_embed_dim);
    override_size(&c->decoder_depth, o->decoder_depth);
    override_size(&c->decoder_heads, o->decoder_heads);
}

/* A decoder goes on predicting what it has predicted, unless it is told otherwise. */
static Status set_target(MaeOptions *o, const CheckpointFile *file, ModelConfig *c, Error *err) {
    const ModelConfig *there = &file->config;
    bool given = is_given(o, "target"), decoder = there->decoder_depth > 0;
    if (decoder && !given && !file->target_assumed) o->target = (int)there->target;
    c->target = (TargetKind)o->target;
    c->pca_components =
        decoder && there->target == TARGET_PCA ? there->pca_components : o->pca_components;
    if (decoder && (c->target == TARGET_PCA) != (there->target == TARGET_PCA))
        return contradicts("target", target_words[c->target], tensorfile_path(file->file),
                           target_words[there->target], err);
    return MAE_OK;
}

/* So that config.json says what is there. */
static void write_options(MaeOptions *o, const CheckpointFile *file, const ModelConfig *c) {
    MaeError ignored = {0}; /* "custom" is no preset */
    mae_option_set(o, MAE_COMMAND_PRETRAIN, "model", file->notes.preset, &ignored);
    o->mask_token_in_encoder = c->mask_token_in_encoder;
    o->pca_components = c->pca_components;
}

static Status configure_from(Run *r, const CheckpointFile *file, Error *err) {
    Status status = MAE_OK;
    MaeOptions *o = &r->options;
    ModelConfig *c = &r->config;
    *c = file->config;
    c->head = HEAD_NONE;
    c->classes = 0;
    TRY(agree_sizes(o, file, err));
    if (c->decoder_depth > 0)
        TRY(agree_decoder(o, file, err));
    else
        add_decoder(o, file->notes.preset, c);
    if (is_given(o, "image-size")) {
        c->image_height = o->image_size[0];
        c->image_width = o->image_size[1];
    }
    TRY(set_target(o, file, c, err));
    if (is_given(o, "mask-token-in-encoder")) {
        if (c->mask_token_in_encoder && !o->mask_token_in_encoder)
            TRY(contradicts("mask-token-in-encoder", "false", tensorfile_path(file->file),
                            "such a token", err));
        c->mask_token_in_encoder = o->mask_token_in_encoder != 0;
    }
    TRY(model_check(c, err));
    write_options(o, file, c);
done:
    return status;
}

Status pretrain_init_configure(Run *r, Error *err) {
    CheckpointFile *file = NULL;
    CheckpointHints hints = setup_hints(&r->options);
    hints.said = !comm_is_root(r->comm);
    Status status = checkpoint_open(r->options.init, &hints, &file, err);
    if (status == MAE_OK) status = configure_from(r, file, err);
    checkpoint_close(file);
    return status;
}

Status pretrain_init_resume(Run *r, Error *err) {
    Status status = MAE_OK;
    CheckpointFile *file = NULL;
    char *last = NULL;
    const MaeOptions *o = &r->options;
    TRY(run_file(r, "last.safetensors", &last, err));
    TRY(checkpoint_open(last, NULL, &file, err));
    r->config.norm_eps = file->config.norm_eps;
    if (file->config.channels != r->config.channels) goto done; /* refused later */
    if (!o->pixel_mean) memcpy(r->config.mean, file->config.mean, sizeof r->config.mean);
    if (!o->pixel_std) memcpy(r->config.std, file->config.std, sizeof r->config.std);
done:
    checkpoint_close(file);
    mem_free(last);
    return status;
}

/* --- reading ---------------------------------------------------------------------------------- */

Status pretrain_init_read(Run *r, bool *fresh_decoder, Error *err) {
    Status status = MAE_OK;
    CheckpointFile *file = NULL;
    CheckpointHints hints = setup_hints(&r->options);
    hints.said = true; /* by pretrain_init_configure */
    TRY(checkpoint_open(r->options.init, &hints, &file, err));
    *fresh_decoder = file->config.decoder_depth == 0;
    TRY(checkpoint_read_autoencoder(file, r->model, err));
    if (!r->options.continue_run) goto done;
    TRY(run_state_read_published(file, r->model, r->optimizer, &r->progress, err));
    log_line(LOG_INFO, "continuing %s after %" PRId64 " updates (epoch %" PRId64 ")",
             tensorfile_path(file->file), r->progress.step, r->progress.epoch);
done:
    checkpoint_close(file);
    return status;
}
