/* See foreign.h. Every fact has one place where it may be said; what nobody says is assumed, and
 * the assumption goes into `unknown`, which info and conversions show. */
#include "train/foreign.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/memory.h"
#include "train/checkpoint_meta.h"
#include "train/foreign_config.h"

#define MAX_SIDE_FILE ((size_t)16 << 20)

static void assume(CheckpointFile *c, const char *format, ...) PRINTF_LIKE(2, 3);
static void assume(CheckpointFile *c, const char *format, ...) {
    size_t n = strlen(c->unknown);
    va_list args;
    if (n && n + 3 < sizeof c->unknown) n += (size_t)snprintf(c->unknown + n, 3, "; ");
    va_start(args, format);
    if (n < sizeof c->unknown) vsnprintf(c->unknown + n, sizeof c->unknown - n, format, args);
    va_end(args);
}

/* --- files beside the weights ----------------------------------------------------------------- */

/* NULL when there is none or it is no JSON object; damage is noted. */
static json_t *side_file(CheckpointFile *c, const char *path, const char *name) {
    const char *slash = strrchr(path, '/');
    uint8_t *bytes = NULL;
    size_t n = 0;
    Error ignored = {0};
    bool folder = file_is_directory(path);
    char *full = folder  ? mem_printf("%s/%s", path, name)
                 : slash ? mem_printf("%.*s/%s", (int)(slash - path), path, name)
                         : mem_printf("%s", name);
    json_t *root = NULL;
    json_error_t why;
    if (full && file_exists(full) &&
        file_read(full, MAX_SIDE_FILE, &bytes, &n, &ignored) == STATUS_OK &&
        !(root = json_parse(bytes, n, &why)))
        assume(c, "%s is damaged and left out (line %d: %s)", name, why.line, why.text);
    mem_free(bytes);
    mem_free(full);
    if (json_is_object(root)) return root;
    json_decref(root);
    return NULL;
}

static int64_t json_count(const json_t *object, const char *key) {
    const json_t *v = json_object_get(object, key);
    return json_is_integer(v) ? json_integer_value(v) : 0;
}

/* 224 or [224, 320] */
static void json_size(const json_t *object, const char *key, int64_t *height, int64_t *width) {
    const json_t *v = json_object_get(object, key);
    *height = *width = json_is_integer(v) ? json_integer_value(v) : 0;
    if (json_array_size(v) != 2) return;
    *height = json_integer_value(json_array_get(v, 0));
    *width = json_integer_value(json_array_get(v, 1));
}

static bool json_floats(const json_t *object, const char *key, float *out, int64_t n) {
    const json_t *list = json_object_get(object, key);
    if (json_array_size(list) != (size_t)n) return false;
    for (int64_t i = 0; i < n; i++) {
        const json_t *v = json_array_get(list, (size_t)i);
        if (!json_is_number(v)) return false;
        out[i] = (float)json_number_value(v);
    }
    return true;
}

/* {"0": "tench", "1": ...} */
static void read_labels(CheckpointFile *c, const json_t *config) {
    const json_t *labels = json_object_get(config, "id2label");
    json_t *list = json_array();
    Error ignored = {0};
    for (int64_t i = 0; i < c->config.classes; i++) {
        char key[32];
        snprintf(key, sizeof key, "%" PRId64, i);
        const json_t *name = json_object_get(labels, key);
        json_array_append_new(list,
                              json_string(json_is_string(name) ? json_string_value(name) : key));
    }
    const char *names = meta_fact(c->file, "class_names");
    if (!labels && names && c->config.head != HEAD_NONE &&
        classes_from_json(names, tensorfile_path(c->file), &c->notes.classes, &ignored) !=
            STATUS_OK)
        c->notes.classes = NULL;
    if (c->notes.classes && c->notes.classes->n != c->config.classes)
        checkpoint_notes_free(&c->notes);
    char *text = labels && c->config.head != HEAD_NONE ? json_dumps(list, JSON_COMPACT) : NULL;
    if (text &&
        classes_from_json(text, tensorfile_path(c->file), &c->notes.classes, &ignored) != STATUS_OK)
        c->notes.classes = NULL;
    free(text);
    json_decref(list);
}

/* --- one fact after the other ----------------------------------------------------------------- */

typedef struct Facts {
    const CheckpointHints *hints;
    json_t *config, *preprocessor; /* of Hugging Face, or NULL */
} Facts;

static const char *arg(const CheckpointFile *c, const char *name) {
    char key[64];
    snprintf(key, sizeof key, "args.%s", name);
    return tensorfile_meta(c->file, key);
}

/* What a conversion of this project wrote down; 0: nothing. */
static int64_t fact_count(const CheckpointFile *c, const char *key) {
    const char *text = meta_fact(c->file, key);
    return text ? strtoll(text, NULL, 10) : 0;
}

/* The published model that fits; heads cannot be seen in tensors. NULL: none. */
static const char *find_published(bool (*fits)(const ModelConfig *preset, const char *name,
                                               const CheckpointFile *c),
                                  const CheckpointFile *c, ModelConfig *preset) {
    Error ignored = {0};
    for (int i = 0; model_preset_name(i); i++)
        if (model_preset(model_preset_name(i), preset, &ignored) == STATUS_OK &&
            fits(preset, model_preset_name(i), c))
            return model_preset_name(i);
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

static Status set_heads(CheckpointFile *c, const Facts *f, Error *err) {
    ModelConfig *m = &c->config, preset;
    if (f->hints && f->hints->heads > 0) m->heads = f->hints->heads;
    if (m->heads == 0) m->heads = json_count(f->config, "num_attention_heads");
    if (m->heads == 0) m->heads = fact_count(c, "heads");
    if (m->heads == 0 && find_published(fits_name, c, &preset)) m->heads = preset.heads;
    if (m->heads > 0) return STATUS_OK;
    if (find_published(fits_width, c, &preset)) m->heads = preset.heads;
    if (m->heads == 0 && f->hints && f->hints->describe_only) {
        assume(c, "heads not said: --heads N");
        return STATUS_OK;
    }
    if (m->heads == 0)
        return fail(err, STATUS_FORMAT,
                    "%s: nothing says how many attention heads its %" PRId64
                    " channels are cut into; add --heads N",
                    tensorfile_path(c->file), m->embed_dim);
    assume(c, "heads not said: %" PRId64 ", as published for width %" PRId64, m->heads,
           m->embed_dim);
    return STATUS_OK;
}

static Status set_decoder_heads(CheckpointFile *c, const Facts *f, Error *err) {
    ModelConfig *m = &c->config, preset;
    if (m->decoder_depth == 0) return STATUS_OK;
    if (f->hints && f->hints->decoder_heads > 0) m->decoder_heads = f->hints->decoder_heads;
    if (m->decoder_heads == 0)
        m->decoder_heads = json_count(f->config, "decoder_num_attention_heads");
    if (m->decoder_heads == 0) m->decoder_heads = fact_count(c, "decoder_heads");
    if (m->decoder_heads == 0 && find_published(fits_name, c, &preset))
        m->decoder_heads = 16; /* of all published decoders */
    if (m->decoder_heads > 0) return STATUS_OK;
    if (m->decoder_embed_dim != 512 && f->hints && f->hints->describe_only) {
        assume(c, "decoder heads not said: --decoder-heads N");
        return STATUS_OK;
    }
    if (m->decoder_embed_dim != 512)
        return fail(err, STATUS_FORMAT,
                    "%s: nothing says how many attention heads the decoder's %" PRId64
                    " channels are cut into; add --decoder-heads N",
                    tensorfile_path(c->file), m->decoder_embed_dim);
    m->decoder_heads = 16;
    assume(c, "decoder heads not said: 16, as published for width 512");
    return STATUS_OK;
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
        assume(c, "no config.json: layer norm eps 1e-12, as transformers has it");
    }
}

static void set_target(CheckpointFile *c, const Facts *f) {
    const json_t *hf = json_object_get(f->config, "norm_pix_loss");
    const char *published = arg(c, "norm_pix_loss"), *fact = meta_fact(c->file, "target");
    c->config.target = TARGET_PIXEL;
    if (c->config.decoder_depth == 0) return;
    if (f->hints && f->hints->target >= 0)
        c->config.target = (TargetKind)f->hints->target;
    else if (json_is_boolean(hf))
        c->config.target = json_is_true(hf) ? TARGET_NORM_PIX : TARGET_PIXEL;
    else if (fact)
        c->config.target = strcmp(fact, "norm-pix") == 0 ? TARGET_NORM_PIX : TARGET_PIXEL;
    else if (published)
        c->config.target = strcmp(published, "true") == 0 ? TARGET_NORM_PIX : TARGET_PIXEL;
    else
        assume(c, "target not said: pixel (published *_full files predict norm-pix, *_visualize "
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

/* "0.5,0.5,0.5" */
static bool fact_floats(const CheckpointFile *c, const char *key, float *out, int64_t n) {
    const char *text = meta_fact(c->file, key);
    for (int64_t i = 0; text && i < n; i++) {
        char *end;
        out[i] = strtof(text, &end);
        if (end == text || *end != (i + 1 < n ? ',' : '\0')) return false;
        text = end + 1;
    }
    return text != NULL;
}

static void set_statistics(CheckpointFile *c, const Facts *f) {
    ModelConfig *m = &c->config;
    float mean[MAX_CHANNELS], std[MAX_CHANNELS];
    if (m->channels <= MAX_CHANNELS && fact_floats(c, "pixel_mean", mean, m->channels) &&
        fact_floats(c, "pixel_std", std, m->channels)) {
        memcpy(m->mean, mean, sizeof *mean * (size_t)m->channels);
        memcpy(m->std, std, sizeof *std * (size_t)m->channels);
    }
    if (m->channels > MAX_CHANNELS ||
        !json_floats(f->preprocessor, "image_mean", mean, m->channels) ||
        !json_floats(f->preprocessor, "image_std", std, m->channels))
        return;
    memcpy(m->mean, mean, sizeof *mean * (size_t)m->channels);
    memcpy(m->std, std, sizeof *std * (size_t)m->channels);
}

/* "vit_base" when the sizes are the published ones. */
static void set_name(CheckpointFile *c) {
    ModelConfig preset;
    const char *name = find_published(fits_sizes, c, &preset);
    snprintf(c->notes.preset, sizeof c->notes.preset, "%s", name ? name : "custom");
    const char *epoch = tensorfile_meta(c->file, "epoch");
    if (epoch) c->notes.epochs = strtoll(epoch, NULL, 10) + 1;
    c->notes.top1 = -1;
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
    if (status == STATUS_OK)
        status = dialect_choose(&c->models, hints ? hints->prefix : NULL, &c->dialect, err);
    if (status != STATUS_OK || c->models.n + c->models.left_out < 2) return status;
    done_line(c, "it holds %zu models, of which %s is read (--prefix chooses: %s)",
              c->models.n + c->models.left_out, *c->dialect.prefix ? c->dialect.prefix : "(none)",
              dialect_prefixes(&c->models, list, sizeof list));
    return STATUS_OK;
}

/* What a description says, and everything else stops at. */
static Status refuse(CheckpointFile *c, const CheckpointHints *hints, const char *why, Error *err) {
    if (!*c->refused) snprintf(c->refused, sizeof c->refused, "%s", why);
    if (hints && hints->describe_only) return STATUS_OK;
    return fail(err, STATUS_UNSUPPORTED, "%s: %s", tensorfile_path(c->file), why);
}

/* Nothing in the model is left out without a reason. */
static Status check_tensors(CheckpointFile *c, const CheckpointHints *hints, Error *err) {
    char why[896];
    inventory_make(&c->dialect, &c->models, &c->config, c->verdicts);
    if (!inventory_refusal(&c->dialect, &c->config, c->verdicts, why, sizeof why)) return STATUS_OK;
    return refuse(c, hints, why, err);
}

/* When they cannot be found, a name that gives away another network says more. */
static Status find_sizes(CheckpointFile *c, int64_t height, int64_t width, Error *err) {
    char names[896];
    Error why = {0};
    Status status = dialect_config(&c->dialect, height, width, &c->config, &why);
    if (status == STATUS_OK) return status;
    inventory_make(&c->dialect, &c->models, NULL, c->verdicts);
    return inventory_refusal(&c->dialect, NULL, c->verdicts, names, sizeof names)
               ? fail(err, STATUS_UNSUPPORTED, "%s: %s", tensorfile_path(c->file), names)
               : fail(err, status, "%s", why.message);
}

static void note_scales(CheckpointFile *c) {
    if (dialect_scale(&c->dialect, "blocks.0.attn.proj.weight") ||
        dialect_scale(&c->dialect, "blocks.0.mlp.fc2.weight"))
        done_line(c, "layer scale is multiplied into attn.proj and mlp.fc2, which is exact");
}

static Status check_model(CheckpointFile *c, const CheckpointHints *hints, const json_t *config,
                          Error *err) {
    char why[512];
    Status status = check_tensors(c, hints, err);
    if (status != STATUS_OK) return status;
    note_scales(c);
    return foreign_config_refusal(c, config, why, sizeof why) ? refuse(c, hints, why, err)
                                                              : STATUS_OK;
}

static void say(const CheckpointFile *c) {
    const char *path = tensorfile_path(c->file), *dialect = dialect_name(c->dialect.dialect);
    if (*c->done) log_line(LOG_INFO, "%s (%s): %s", path, dialect, c->done);
    if (*c->unknown) log_line(LOG_INFO, "%s (%s): %s", path, dialect, c->unknown);
}

Status foreign_describe(CheckpointFile *c, const CheckpointHints *hints, Error *err) {
    Status status = STATUS_OK;
    const char *path = tensorfile_path(c->file);
    Facts f = {.hints = hints};
    json_t *config = NULL;
    int64_t height = 0, width = 0;
    TRY(choose_model(c, hints, err));
    config = side_file(c, path, "config.json");
    if (is_hf(c)) { /* a config.json beside other files is timm's, or somebody else's */
        f.config = config;
        f.preprocessor = side_file(c, path, "preprocessor_config.json");
    }
    json_size(f.config, "image_size", &height, &width);
    if (height == 0) height = fact_count(c, "image_height");
    if (width == 0) width = fact_count(c, "image_width");
    TRY(find_sizes(c, height, width, err));
    TRY(check_model(c, hints, is_hf(c) || foreign_is_timm(config) ? config : NULL, err));
    TRY(set_heads(c, &f, err));
    TRY(set_decoder_heads(c, &f, err));
    set_eps(c, &f);
    set_target(c, &f);
    set_mask_ratio(c, &f);
    set_statistics(c, &f);
    set_name(c);
    read_labels(c, f.config);
    if (hints && hints->describe_only) goto done;
    TRY(model_check(&c->config, err));
    if (!hints || !hints->said) say(c);
done:
    json_decref(config);
    json_decref(f.preprocessor);
    return status;
}
