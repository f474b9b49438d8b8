/* See pretrain_init.h. */
#include "jobs/pretrain_init.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/memory.h"
#include "jobs/init.h"
#include "jobs/setup.h"
#include "run/run_state.h"

/* --model stands for width, depth and heads, but for those that are given beside it. */
static Status agree_model(const Run *r, const char *path, Error *err) {
    const ModelConfig *c = &r->config;
    ModelConfig p = model_preset((ModelSize)r->options.model);
    char there[96];
    if (!init_given(r, "model")) return MAE_OK;
    if ((init_given(r, "embed-dim") || p.embed_dim == c->embed_dim) &&
        (init_given(r, "depth") || p.depth == c->depth) &&
        (init_given(r, "heads") || p.heads == c->heads))
        return MAE_OK;
    snprintf(there, sizeof there, "width %" PRId64 ", depth %" PRId64 ", heads %" PRId64,
             c->embed_dim, c->depth, c->heads);
    return init_contradicts(r, "model", model_size_words[r->options.model], path, there, err);
}

static Status agree_decoder(const Run *r, const char *path, Error *err) {
    Status status = MAE_OK;
    const MaeOptions *o = &r->options;
    const ModelConfig *c = &r->config;
    TRY(init_agree(r, "decoder-embed-dim", o->decoder_embed_dim, c->decoder_embed_dim, path, err));
    TRY(init_agree(r, "decoder-depth", o->decoder_depth, c->decoder_depth, path, err));
    TRY(init_agree(r, "decoder-heads", o->decoder_heads, c->decoder_heads, path, err));
done:
    return status;
}

/* A decoder goes on predicting what it has predicted, unless it is told otherwise. */
static Status set_target(Run *r, const CheckpointFile *file, Error *err) {
    MaeOptions *o = &r->options;
    ModelConfig *c = &r->config;
    const ModelConfig *there = &file->config;
    bool given = init_given(r, "target"), decoder = there->decoder_depth > 0;
    if (decoder && !given && !file->target_assumed) o->target = (int)there->target;
    c->target = (TargetKind)o->target;
    c->pca_components =
        decoder && there->target == TARGET_PCA ? there->pca_components : o->pca_components;
    if (decoder && (c->target == TARGET_PCA) != (there->target == TARGET_PCA))
        return init_contradicts(r, "target", target_words[c->target], tensorfile_path(file->file),
                                target_words[there->target], err);
    return MAE_OK;
}

static Status configure_from(Run *r, const CheckpointFile *file, Error *err) {
    Status status = MAE_OK;
    MaeOptions *o = &r->options;
    ModelConfig *c = &r->config;
    const char *path = tensorfile_path(file->file);
    *c = file->config;
    c->head = HEAD_NONE;
    c->classes = 0;
    TRY(agree_model(r, path, err));
    TRY(init_sizes(r, path, file->notes.preset, err));
    if (c->decoder_depth > 0)
        TRY(agree_decoder(r, path, err));
    else
        setup_decoder(o, c);
    TRY(set_target(r, file, err));
    if (init_given(r, "mask-token-in-encoder")) {
        if (c->mask_token_in_encoder && !o->mask_token_in_encoder)
            TRY(init_contradicts(r, "mask-token-in-encoder", "false", path, "such a token", err));
        c->mask_token_in_encoder = o->mask_token_in_encoder != 0;
    }
    o->mask_token_in_encoder = c->mask_token_in_encoder; /* config.json says what is there */
    o->pca_components = c->pca_components;
    TRY(model_check(c, err));
done:
    return status;
}

Status pretrain_init_configure(Run *r, Error *err) {
    CheckpointFile *file = NULL;
    Status status = init_open(r, r->options.init, !comm_is_root(r->comm), &file, err);
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
    TRY(init_open(r, r->options.init, true, &file, err)); /* said by pretrain_init_configure */
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
