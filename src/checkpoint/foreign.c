/* See foreign.h. A function for each fact asks all that may say it. A fact that nobody says is
 * assumed, and `unknown` gets the assumption, which info and conversions show. */
#include "checkpoint/foreign.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "checkpoint/checkpoint_meta.h"
#include "checkpoint/foreign_config.h"
#include "checkpoint/foreign_internal.h"

void foreign_assume(CheckpointFile *c, const char *format, ...) {
    size_t n = strlen(c->unknown);
    va_list args;
    if (n && n + 3 < sizeof c->unknown) n += (size_t)snprintf(c->unknown + n, 3, "; ");
    va_start(args, format);
    if (n < sizeof c->unknown) vsnprintf(c->unknown + n, sizeof c->unknown - n, format, args);
    va_end(args);
}

/* The same of what results may depend on, so that it is no note but a warning. */
void foreign_doubt(CheckpointFile *c, const char *format, ...) {
    char text[sizeof c->unknown];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    foreign_assume(c, "%s", text);
    c->doubtful = true;
}

/* --- one fact after the other ----------------------------------------------------------------- */

static const char *arg(const CheckpointFile *c, const char *name) {
    char key[64];
    snprintf(key, sizeof key, "args.%s", name);
    return tensorfile_meta(c->file, key);
}

int64_t foreign_fact_count(const CheckpointFile *c, const char *key) {
    const char *text = meta_fact(c->file, key);
    return text ? strtoll(text, NULL, 10) : 0;
}

/* The published model that fits; heads cannot be seen in tensors. NULL: none. */
static const char *find_published(bool (*fits)(const ModelConfig *preset, const char *name,
                                               const CheckpointFile *c),
                                  const CheckpointFile *c, ModelConfig *preset) {
    for (int i = 0; model_size_words[i]; i++) {
        *preset = model_preset((ModelSize)i);
        if (fits(preset, model_size_words[i], c)) return model_size_words[i];
    }
    return NULL;
}

/* "vit_base" in mae_vit_base_patch16. */
static bool fits_name(const ModelConfig *preset, const char *name, const CheckpointFile *c) {
    const char *model = arg(c, "model");
    (void)preset;
    return model && strstr(model, name);
}

static bool fits_width(const ModelConfig *preset, const char *name, const CheckpointFile *c) {
    (void)name;
    return preset->embed_dim == c->config.embed_dim;
}

static bool fits_sizes(const ModelConfig *preset, const char *name, const CheckpointFile *c) {
    (void)name;
    return preset->embed_dim == c->config.embed_dim && preset->depth == c->config.depth &&
           preset->heads == c->config.heads;
}

/* "vit_small_patch16_224", by whoever wrote it down. */
static int64_t heads_of_names(const CheckpointFile *c, const Facts *f) {
    const char *names[] = {json_string_value(json_object_get(f->timm, "architecture")),
                           arg(c, "model"), arg(c, "arch"), tensorfile_meta(c->file, "arch")};
    int64_t heads = 0;
    for (int i = 0; i < 4 && heads == 0; i++)
        heads = origin_heads_of_name(names[i], c->config.embed_dim);
    return heads;
}

/* MoCo v3 cuts its small model into 12 heads, everybody else into 6. */
static int64_t heads_that_are_said(const CheckpointFile *c, const Facts *f) {
    enum { MOCO_SMALL = 384, MOCO_HEADS = 12 };
    int64_t heads = foreign_count(f->config, "num_attention_heads");
    if (heads == 0) heads = foreign_count(json_object_get(f->timm, "model_args"), "num_heads");
    if (heads == 0) heads = foreign_fact_count(c, "heads");
    if (heads == 0 && f->origin == ORIGIN_MOCO && c->config.embed_dim == MOCO_SMALL)
        heads = MOCO_HEADS;
    return heads ? heads : heads_of_names(c, f);
}

/* Of published models of width 384 only the depth is alike. */
static void assume_heads(CheckpointFile *c, const ModelConfig *published) {
    const ModelConfig *m = &c->config;
    if (m->embed_dim == 384)
        foreign_doubt(c, "heads not said: 6, as published for width 384 (MoCo v3 has 12: --heads)");
    else if (m->depth != published->depth)
        foreign_doubt(c, "heads not said: %" PRId64 ", as published for width %" PRId64 "; --heads",
                      m->heads, m->embed_dim);
    else
        foreign_assume(c, "heads not said: %" PRId64 ", as published for width %" PRId64, m->heads,
                       m->embed_dim);
}

static Status set_heads(CheckpointFile *c, const Facts *f, Error *err) {
    ModelConfig *m = &c->config, preset;
    if (f->hints && f->hints->heads > 0) m->heads = f->hints->heads;
    if (m->heads == 0) m->heads = heads_that_are_said(c, f);
    if (m->heads == 12 && f->origin == ORIGIN_MOCO && m->embed_dim == 384)
        foreign_assume(c, "12 heads, as MoCo v3 has them");
    if (m->heads > 0) return MAE_OK;
    if (find_published(fits_width, c, &preset)) m->heads = preset.heads;
    if (m->heads == 0 && f->hints && f->hints->describe_only) {
        foreign_assume(c, "heads not said: --heads N");
        return MAE_OK;
    }
    if (m->heads == 0)
        return error_set(err, MAE_FORMAT,
                         "%s: nothing says how many attention heads its %" PRId64
                         " channels are cut into; add --heads N",
                         tensorfile_path(c->file), m->embed_dim);
    assume_heads(c, &preset);
    return MAE_OK;
}

static Status set_decoder_heads(CheckpointFile *c, const Facts *f, Error *err) {
    ModelConfig *m = &c->config, preset;
    if (m->decoder_depth == 0) return MAE_OK;
    if (f->hints && f->hints->decoder_heads > 0) m->decoder_heads = f->hints->decoder_heads;
    if (m->decoder_heads == 0)
        m->decoder_heads = foreign_count(f->config, "decoder_num_attention_heads");
    if (m->decoder_heads == 0) m->decoder_heads = foreign_fact_count(c, "decoder_heads");
    if (m->decoder_heads == 0 && find_published(fits_name, c, &preset))
        m->decoder_heads = 16; /* of all published decoders */
    if (m->decoder_heads > 0) return MAE_OK;
    if (m->decoder_embed_dim != 512 && f->hints && f->hints->describe_only) {
        foreign_assume(c, "decoder heads not said: --decoder-heads N");
        return MAE_OK;
    }
    if (m->decoder_embed_dim != 512)
        return error_set(err, MAE_FORMAT,
                         "%s: nothing says how many attention heads the decoder's %" PRId64
                         " channels are cut into; add --decoder-heads N",
                         tensorfile_path(c->file), m->decoder_embed_dim);
    m->decoder_heads = 16;
    foreign_assume(c, "decoder heads not said: 16, as published for width 512");
    return MAE_OK;
}

static bool is_hf(const CheckpointFile *c) {
    return dialect_is_hf(c->dialect.dialect);
}

static void set_eps(CheckpointFile *c, const Facts *f) {
    const json_t *eps = json_object_get(f->config, "layer_norm_eps");
    const char *fact = meta_fact(c->file, "norm_eps");
    if (json_is_number(eps)) {
        c->config.norm_eps = json_number_value(eps);
    } else if (fact) {
        c->config.norm_eps = strtod(fact, NULL);
    } else if (is_hf(c) && c->dialect.dialect != DIALECT_HF_DINOV2) {
        c->config.norm_eps = 1e-12;
        foreign_assume(c, "no config.json: layer norm eps 1e-12, as transformers has it");
    }
}

static void set_target(CheckpointFile *c, const Facts *f) {
    const json_t *hf = json_object_get(f->config, "norm_pix_loss");
    const char *published = arg(c, "norm_pix_loss"), *fact = meta_fact(c->file, "target");
    c->config.target = TARGET_PIXEL;
    if (c->config.decoder_depth == 0) return;
    if (f->hints && f->hints->target != READ_AS_SAID)
        c->config.target = f->hints->target == READ_PIXEL ? TARGET_PIXEL : TARGET_NORM_PIX;
    else if (json_is_boolean(hf))
        c->config.target = json_is_true(hf) ? TARGET_NORM_PIX : TARGET_PIXEL;
    else if (fact)
        c->config.target = strcmp(fact, "norm-pix") == 0 ? TARGET_NORM_PIX : TARGET_PIXEL;
    else if (published)
        c->config.target = strcmp(published, "true") == 0 ? TARGET_NORM_PIX : TARGET_PIXEL;
    else if ((c->target_assumed = true))
        foreign_assume(
            c, "target not said: pixel (published *_full files predict norm-pix, *_visualize "
               "files pixel; --target says which)");
}

static void set_mask_ratio(CheckpointFile *c, const Facts *f) {
    const json_t *hf = json_object_get(f->config, "mask_ratio");
    const char *published = arg(c, "mask_ratio");
    if (!published) published = meta_fact(c->file, "mask_ratio");
    c->notes.mask_ratio = 0.75;
    if (json_is_number(hf))
        c->notes.mask_ratio = json_number_value(hf);
    else if (published)
        c->notes.mask_ratio = strtod(published, NULL);
    if (!(c->notes.mask_ratio >= 0 && c->notes.mask_ratio < 1)) c->notes.mask_ratio = 0.75;
}

/* "vit_base" when the sizes are the published ones. */
static void set_name(CheckpointFile *c) {
    ModelConfig preset;
    const char *name = find_published(fits_sizes, c, &preset);
    snprintf(c->notes.preset, sizeof c->notes.preset, "%s", name ? name : "custom");
    const char *epoch = tensorfile_meta(c->file, "epoch");
    if (epoch) c->notes.epochs = strtoll(epoch, NULL, 10) + 1;
}

/* --- what is understood ----------------------------------------------------------------------- */

static void done_line(CheckpointFile *c, const char *format, ...) PRINTF_LIKE(2, 3);
static void done_line(CheckpointFile *c, const char *format, ...) {
    size_t n = strlen(c->done);
    va_list args;
    if (n && n + 3 < sizeof c->done) n += (size_t)snprintf(c->done + n, 3, "; ");
    va_start(args, format);
    if (n < sizeof c->done) vsnprintf(c->done + n, sizeof c->done - n, format, args);
    va_end(args);
}

static Status choose_model(CheckpointFile *c, const CheckpointHints *hints, Error *err) {
    char list[384];
    Status status = dialect_models(c->file, &c->models, err);
    if (status == MAE_OK)
        status = dialect_choose(&c->models, hints ? hints->prefix : NULL, &c->dialect, err);
    if (status != MAE_OK || c->models.n + c->models.left_out < 2) return status;
    done_line(c, "it holds %zu models, of which %s is read (--prefix chooses: %s)",
              c->models.n + c->models.left_out, *c->dialect.prefix ? c->dialect.prefix : "(none)",
              dialect_prefixes(&c->models, list, sizeof list));
    return MAE_OK;
}

/* What a description says, and everything else stops at. */
static Status refuse(CheckpointFile *c, const CheckpointHints *hints, const char *why, Error *err) {
    if (!*c->refused) snprintf(c->refused, sizeof c->refused, "%s", why);
    if (hints && hints->describe_only) return MAE_OK;
    return error_set(err, MAE_UNSUPPORTED, "%s: %s", tensorfile_path(c->file), why);
}

/* Nothing in the model is left out without a reason. */
static Status check_tensors(CheckpointFile *c, const CheckpointHints *hints, Error *err) {
    char why[896], missing[INVENTORY_NAME_BYTES];
    inventory_make(&c->dialect, &c->models, &c->config, c->verdicts, missing);
    if (inventory_refusal(&c->dialect, &c->config, c->verdicts, why, sizeof why))
        return refuse(c, hints, why, err);
    if (!*missing) return MAE_OK;
    snprintf(why, sizeof why, "tensor %s is missing", missing);
    return refuse(c, hints, why, err);
}

/* When sizes cannot be found, a name that gives away another network says more. timm names the
 * image size of its registry; many weights have another, which tensors say. *known: they were
 * found. */
static Status find_sizes(CheckpointFile *c, const Facts *f, bool *known, Error *err) {
    const CheckpointHints *hints = f->hints;
    char names[896], missing[INVENTORY_NAME_BYTES];
    int64_t height = 0, width = 0;
    Error why = {0};
    foreign_image_size(c, f, &height, &width);
    Status status = dialect_config(&c->dialect, height, width, &c->config, &why);
    if (status == MAE_FORMAT && f->timm)
        status = dialect_config(&c->dialect, 0, 0, &c->config, &why);
    *known = status == MAE_OK;
    if (*known) return status;
    inventory_make(&c->dialect, &c->models, NULL, c->verdicts, missing);
    if (inventory_refusal(&c->dialect, NULL, c->verdicts, names, sizeof names))
        return refuse(c, hints, names, err);
    snprintf(c->refused, sizeof c->refused, "%s", why.message);
    return hints && hints->describe_only ? MAE_OK : error_set(err, status, "%s", why.message);
}

static void note_scales(CheckpointFile *c) {
    if (dialect_scale(&c->dialect, "blocks.0.attn.proj.weight") ||
        dialect_scale(&c->dialect, "blocks.0.mlp.fc2.weight"))
        done_line(c, "layer scale is multiplied into attn.proj and mlp.fc2, which is exact");
}

static Status check_model(CheckpointFile *c, const Facts *f, Error *err) {
    char why[512];
    Status status = check_tensors(c, f->hints, err);
    if (status != MAE_OK) return status;
    note_scales(c);
    return foreign_config_refusal(c, f->timm ? f->timm : f->config, why, sizeof why)
               ? refuse(c, f->hints, why, err)
               : MAE_OK;
}

static void say(const CheckpointFile *c) {
    const char *path = tensorfile_path(c->file), *dialect = dialect_words[c->dialect.dialect];
    if (*c->done) log_line(LOG_INFO, "%s (%s): %s", path, dialect, c->done);
    if (*c->unknown)
        log_line(c->doubtful ? LOG_WARNING : LOG_INFO, "%s (%s): %s", path, dialect, c->unknown);
}

Status foreign_describe(CheckpointFile *c, const CheckpointHints *hints, Error *err) {
    Status status = MAE_OK;
    Facts f = {.hints = hints};
    bool known;
    TRY(choose_model(c, hints, err));
    foreign_open_beside(c, &f);
    TRY(find_sizes(c, &f, &known, err));
    if (!known) goto done;
    if (foreign_fact_count(c, "mask_token_in_encoder") && c->config.decoder_depth > 0)
        c->config.mask_token_in_encoder = true; /* a conversion of this project */
    foreign_check_beside(c, &f);
    TRY(check_model(c, &f, err));
    f.origin = origin_of(c);
    TRY(set_heads(c, &f, err));
    TRY(set_decoder_heads(c, &f, err));
    set_eps(c, &f);
    set_target(c, &f);
    set_mask_ratio(c, &f);
    foreign_set_statistics(c, &f);
    set_name(c);
    foreign_set_labels(c, &f);
    if (hints && hints->describe_only) goto done;
    TRY(model_check(&c->config, err));
    if (!hints || !hints->said) say(c);
done:
    foreign_close_beside(&f);
    return status;
}
