/* The models of a file: a file may hold a student and its teacher, weights and their average, or an
 * optimiser that repeats names. See dialect.h. */
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "checkpoint/dialect.h"
#include "checkpoint/family.h"

/* --- finding them ----------------------------------------------------------------------------- */

/* What transformers calls the encoder inside of a model with a head. */
static const char *const BASES[] = {
    "vit.",     "beit.", "deit.", "dinov2.", "dinov2_with_registers.", "data2vec_vision.",
    "vit_msn.", "ijepa."};

/* Is the name what stands in `end`, behind a prefix? */
static bool has_prefix_of(DialectFile *d, const char *name, const char *end) {
    size_t n = strlen(name), m = strlen(end);
    if (n < m || strcmp(name + n - m, end) != 0 || n - m >= sizeof d->prefix) return false;
    if (n > m && name[n - m - 1] != '.') return false;
    snprintf(d->prefix, sizeof d->prefix, "%.*s", (int)(n - m), name);
    return true;
}

static void split_base(DialectFile *d) {
    size_t n = strlen(d->prefix);
    for (size_t i = 0; i < sizeof BASES / sizeof *BASES; i++) {
        size_t m = strlen(BASES[i]);
        if (!text_ends_with(d->prefix, BASES[i]) || (n > m && d->prefix[n - m - 1] != '.'))
            continue;
        snprintf(d->base, sizeof d->base, "%s", BASES[i]);
        d->prefix[n - m] = '\0';
        return;
    }
}

/* The first block's first norm is in every model, and its name is different in each dialect. */
static bool fits(DialectFile *d, const char *name) {
    char names[3][DIALECT_NAME_BYTES];
    bool hf = dialect_is_hf(d->dialect);
    dialect_spell(d->dialect, "blocks.0.norm1.weight", names);
    if (has_prefix_of(d, name, hf ? names[0] + strlen("vit.") : names[0])) {
        if (hf) split_base(d);
        return true;
    }
    d->chunked =
        d->dialect == DIALECT_OFFICIAL && has_prefix_of(d, name, "blocks.0.0.norm1.weight");
    return d->chunked;
}

/* Is one of the parts of a prefix, between dots and underscores, this word? */
static bool has_word(const char *prefix, const char *word) {
    size_t n = strlen(word);
    for (const char *at = prefix; (at = strstr(at, word)) != NULL; at++) {
        bool begins = at == prefix || at[-1] == '.' || at[-1] == '_';
        if (begins && (at[n] == '.' || at[n] == '_' || !at[n])) return true;
    }
    return false;
}

/* Moments and the like, by the names of what they belong to. */
static bool is_state(const char *prefix) {
    return has_word(prefix, "optimizer") || has_word(prefix, "optimizers") ||
           has_word(prefix, "optim");
}

/* mmengine puts the average into state_dict and what was averaged into ema_state_dict. */
static bool is_swapped(const TensorFile *f, const char *prefix) {
    return strncmp(prefix, "ema_state_dict.", 15) == 0 &&
           (tensorfile_find(f, "ema_state_dict.steps") ||
            tensorfile_meta(f, "ema_state_dict.steps"));
}

static bool is_average(const DialectFile *d) {
    static const char *const words[] = {"teacher", "ema", "swa", "averaged", "target_encoder"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (has_word(d->prefix, words[i])) return !is_swapped(d->file, d->prefix);
    return false;
}

/* Networks that only training needs: of MoCo, BYOL and the like the other one is published. */
static bool is_helper(const DialectFile *d) {
    static const char *const words[] = {"momentum", "target", "key", "student"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (has_word(d->prefix, words[i])) return true;
    return is_swapped(d->file, d->prefix);
}

static bool same_width(const DialectFile *a, const DialectFile *b) {
    const TensorEntry *x = dialect_find(a, "patch_embed.proj.weight");
    const TensorEntry *y = dialect_find(b, "patch_embed.proj.weight");
    return x && y && shape_equal(x->shape, y->shape);
}

/* --- the order of preference ------------------------------------------------------------------ */

/* A teacher of another width than all the others is no average of one of them. */
static int rank(const DialectModels *m, size_t i) {
    const DialectFile *d = &m->model[i];
    bool twin = m->n == 1;
    for (size_t k = 0; k < m->n; k++)
        twin |= k != i && !is_average(&m->model[k]) && same_width(d, &m->model[k]);
    if (is_average(d)) return twin ? 0 : 2;
    return is_helper(d) ? 2 : 1;
}

static void put_first(DialectModels *m) {
    size_t best = 0;
    for (size_t i = 1; i < m->n; i++) {
        int a = rank(m, i), b = rank(m, best);
        if (a < b || (a == b && strlen(m->model[i].prefix) < strlen(m->model[best].prefix)))
            best = i;
    }
    DialectFile first = m->model[best];
    memmove(&m->model[1], &m->model[0], best * sizeof first);
    m->model[0] = first;
}

static bool is_known(const DialectModels *m, const DialectFile *d) {
    for (size_t i = 0; i < m->n; i++)
        if (strcmp(m->model[i].prefix, d->prefix) == 0) return true;
    return false;
}

/* A stack of blocks without an embedding of patches is part of something else. */
static void collect(const TensorFile *file, bool whole, DialectModels *out) {
    for (size_t i = 0; i < tensorfile_count(file); i++)
        for (int k = 0; k < DIALECT_COUNT; k++) {
            DialectFile d = {.file = file, .dialect = (Dialect)k};
            if (tensorfile_at(file, i)->refusal != NULL) continue;
            if (!fits(&d, tensorfile_at(file, i)->name) || is_state(d.prefix)) continue;
            if (is_known(out, &d) || (whole && !dialect_find(&d, "patch_embed.proj.weight")))
                continue;
            if (out->n < DIALECT_MAX_MODELS)
                out->model[out->n++] = d;
            else
                out->left_out++;
        }
}

Status dialect_models(const TensorFile *file, DialectModels *out, Error *err) {
    const char *tensor, *family;
    *out = (DialectModels){0};
    collect(file, true, out);
    if (out->n) {
        put_first(out);
        return MAE_OK;
    }
    family = family_of_others(file, &tensor);
    if (family)
        return error_set(err, MAE_UNSUPPORTED, "%s: %s (tensor %s)", tensorfile_path(file), family,
                         tensor);
    collect(file, false, out);
    if (out->n) return MAE_OK;
    for (size_t i = 0; i < tensorfile_count(file); i++)
        if (tensorfile_at(file, i)->refusal != NULL)
            return tensorfile_check(file, tensorfile_at(file, i), err);
    return error_set(
        err, MAE_FORMAT,
        "%s: no vision transformer is in it (%zu tensors, the first is %s); looked for the "
        "names of facebookresearch/mae, timm, Hugging Face and mmpretrain",
        tensorfile_path(file), tensorfile_count(file),
        tensorfile_count(file) ? tensorfile_at(file, 0)->name : "missing");
}

/* --- choosing one ----------------------------------------------------------------------------- */

static const char *prefix_text(const DialectFile *d) {
    return *d->prefix ? d->prefix : "(none)";
}

const char *dialect_prefixes(const DialectModels *m, char *text, size_t bytes) {
    size_t n = 0;
    *text = '\0';
    for (size_t i = 0; i < m->n && n < bytes; i++)
        n +=
            (size_t)snprintf(text + n, bytes - n, "%s%s", i ? ", " : "", prefix_text(&m->model[i]));
    if (m->left_out && n < bytes) snprintf(text + n, bytes - n, " and %zu more", m->left_out);
    return text;
}

/* "teacher", "teacher." and "teacher.backbone" of "model.teacher.backbone." */
static bool is_part(const char *prefix, const char *name) {
    size_t n = strlen(name);
    if (n && name[n - 1] == '.') n--;
    for (const char *at = prefix; n && (at = strstr(at, name)) != NULL; at++)
        if ((at == prefix || at[-1] == '.') && (at[n] == '.' || !at[n])) return true;
    return n == 0 && !*prefix;
}

static bool is_whole(const char *prefix, const char *name) {
    size_t n = strlen(name);
    if (strcmp(name, "(none)") == 0) return !*prefix;
    return strncmp(prefix, name, n) == 0 && (!prefix[n] || strcmp(prefix + n, ".") == 0);
}

Status dialect_choose(const DialectModels *m, const char *prefix, DialectFile *out, Error *err) {
    char text[512];
    size_t found = 0;
    *out = m->model[0];
    if (!prefix) return MAE_OK;
    for (size_t i = 0; i < m->n; i++)
        if (is_whole(m->model[i].prefix, prefix)) {
            *out = m->model[i];
            return MAE_OK;
        }
    for (size_t i = 0; i < m->n; i++)
        if (is_part(m->model[i].prefix, prefix)) {
            *out = m->model[i];
            found++;
        }
    if (found == 1) return MAE_OK;
    return error_set(err, MAE_USAGE, "--prefix %s: %s model of %s; there %s %s", prefix,
                     found ? "more than one" : "no", tensorfile_path(m->model[0].file),
                     m->n == 1 ? "is" : "are", dialect_prefixes(m, text, sizeof text));
}

/* --- what is beside it ------------------------------------------------------------------------ */

/* What training programs keep beside the weights, at the top of a file. */
static bool is_container(const char *name) {
    static const char *const words[] = {"optimizer",
                                        "optimizers",
                                        "optimizer_states",
                                        "optimizer_state_dict",
                                        "optim",
                                        "scaler",
                                        "loss_scaler",
                                        "grad_scaler",
                                        "amp",
                                        "lr_scheduler",
                                        "scheduler",
                                        "schedulers",
                                        "lr_schedulers",
                                        "param_schedulers",
                                        "callbacks",
                                        "rng_state",
                                        "rng_states",
                                        "cuda_rng_state",
                                        "message_hub",
                                        "meta",
                                        "args",
                                        "config",
                                        "hyper_parameters",
                                        "loops",
                                        "criterion",
                                        "dino_loss",
                                        "ibot_patch_loss",
                                        "koleo_loss",
                                        "loss",
                                        "iteration",
                                        "epoch",
                                        "step",
                                        "random",
                                        "sampler",
                                        "state"};
    size_t n = strcspn(name, ".");
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strlen(words[i]) == n && strncmp(name, words[i], n) == 0) return true;
    return false;
}

/* Does the name begin with the prefix of a model that does not hold this one? */
static bool is_of_another(const DialectFile *d, const DialectModels *m, const char *name) {
    for (size_t i = 0; i < m->n; i++) {
        const char *other = m->model[i].prefix;
        size_t k = strlen(other);
        bool holds = strncmp(d->prefix, other, k) == 0;
        if (!holds && strncmp(name, other, k) == 0) return true;
    }
    return false;
}

const char *dialect_outside(const DialectFile *d, const DialectModels *m, const char *name) {
    static const char beside[] = "beside the model";
    size_t n = strlen(d->prefix);
    if (is_of_another(d, m, name)) return "of another model";
    if (strncmp(name, d->prefix, n) != 0 || (n == 0 && is_container(name))) return beside;
    if (d->dialect == DIALECT_MMPRETRAIN && strncmp(name + n, "backbone.", 9) != 0 &&
        strncmp(name + n, "neck.", 5) != 0 && strncmp(name + n, "head.", 5) != 0)
        return beside;
    return NULL;
}
