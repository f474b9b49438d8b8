/* The results of a session by name. A row says what a result is called, of which kind of session it
 * is, its shape behind the number of images, and where its values come from. */
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "jobs/session_internal.h"

typedef struct OutputRow {
    const char *name;
    bool masked; /* of sessions that remove patches */
    MaeType type;
    const char *shape; /* letters as in size_of */
    /* Either values in memory of the session, or what fills `made` with them. */
    const float *(*values)(Session *s);
    void (*fill)(MaeSession *s, void *made);
} OutputRow;

/* --- results that are made here --------------------------------------------------------------- */

static void fill_attention(MaeSession *s, void *made) {
    const ModelConfig *c = &s->model->vit->config;
    for (int64_t i = 0; i < s->n; i++)
        session_attention(s->session, i, (float *)made + i * c->heads * model_patches(c));
}

static void fill_probabilities(MaeSession *s, void *made) {
    int64_t n = session_classes(s->session);
    for (int64_t i = 0; i < s->n; i++) {
        session_probabilities(s->session, i, s->probabilities);
        for (int64_t k = 0; k < n; k++) ((float *)made)[i * n + k] = (float)s->probabilities[k];
    }
}

static void fill_mask(MaeSession *s, void *made) {
    size_t values = (size_t)(s->n * s->masks->n_patches);
    memcpy(made, s->masks->mask, values * sizeof *s->masks->mask);
}

static void fill_loss(MaeSession *s, void *made) {
    for (int64_t i = 0; i < s->n; i++) ((float *)made)[i] = session_loss(s->session, i);
}

static void fill_kept(MaeSession *s, void *made) {
    for (int64_t i = 0; i < s->n * s->masks->n_keep; i++)
        ((int64_t *)made)[i] = s->masks->ids_keep[i];
}

/* --- the table -------------------------------------------------------------------------------- */

static const OutputRow OUTPUTS[] = {
    {"features", false, MAE_F32, "D", session_features, NULL},
    {"tokens", false, MAE_F32, "TD", session_tokens, NULL},
    {"attention", false, MAE_F32, "HP", NULL, fill_attention},
    {"logits", false, MAE_F32, "N", session_logits, NULL},
    {"probabilities", false, MAE_F32, "N", NULL, fill_probabilities},
    {"prediction", true, MAE_F32, "PV", session_prediction, NULL},
    {"mask", true, MAE_F32, "P", NULL, fill_mask},
    {"patch_loss", true, MAE_F32, "P", session_patch_loss, NULL},
    {"loss", true, MAE_F32, "", NULL, fill_loss},
    {"latent", true, MAE_F32, "LD", session_latent, NULL},
    {"kept", true, MAE_I64, "K", NULL, fill_kept},
    {"patch_mean", true, MAE_F32, "P", session_patch_mean, NULL},
    {"patch_std", true, MAE_F32, "P", session_patch_std, NULL},
    {"reconstruction", true, MAE_F32, "Chw", session_reconstruction, NULL},
};
enum { N_OUTPUTS = sizeof OUTPUTS / sizeof *OUTPUTS };
_Static_assert(N_OUTPUTS <= MAX_OUTPUTS, "an output has no memory");

static int64_t size_of(const MaeSession *s, char letter) {
    const ModelConfig *c = &s->model->vit->config;
    switch (letter) {
    case 'D': return c->embed_dim;
    case 'T': return 1 + model_patches(c);
    case 'H': return c->heads;
    case 'N': return c->classes;
    case 'P': return model_patches(c);
    case 'V': return model_prediction_values(c);
    case 'K': return s->masks->n_keep;
    case 'L': return session_latent_tokens(s->session);
    case 'C': return c->channels;
    case 'h': return c->image_height;
    case 'w': return c->image_width;
    default: ASSERT(0, "no size %c", letter); return 0;
    }
}

static int find(const char *name, size_t length) {
    for (int k = 0; k < N_OUTPUTS; k++)
        if (strlen(OUTPUTS[k].name) == length && memcmp(OUTPUTS[k].name, name, length) == 0)
            return k;
    return -1;
}

bool session_has(const MaeSession *s, const char *name) {
    int k = find(name, strlen(name));
    return k >= 0 && s->asked >> k & 1;
}

/* "features, tokens, ...", all of them or those that were asked for. */
static void list_outputs(unsigned which, char *buf, size_t bytes) {
    size_t used = 0;
    *buf = 0;
    for (int k = 0; k < N_OUTPUTS && used < bytes; k++)
        if (which >> k & 1)
            used += (size_t)snprintf(buf + used, bytes - used, "%s%s", used ? ", " : "",
                                     OUTPUTS[k].name);
}

/* --- asking ----------------------------------------------------------------------------------- */

static Status read_names(MaeSession *s, const char *outputs, Error *err) {
    char all[256];
    list_outputs(~0u, all, sizeof all);
    for (const char *at = outputs;; at++) {
        size_t length = strcspn(at, ",");
        int k = find(at, length);
        if (k < 0)
            return error_set(err, MAE_USAGE, "output \"%.*s\": choose some of %s",
                             length > 60 ? 60 : (int)length, at, all);
        s->asked |= 1u << k;
        at += length;
        if (!*at) return MAE_OK;
    }
}

static Status check_kinds(MaeSession *s, const char *outputs, Error *err) {
    const ModelConfig *c = &s->model->vit->config;
    bool masked = false, whole = false;
    for (int k = 0; k < N_OUTPUTS; k++)
        if (s->asked >> k & 1) *(OUTPUTS[k].masked ? &masked : &whole) = true;
    s->options.masked = masked;
    if (masked && whole)
        return error_set(err, MAE_USAGE,
                         "outputs %.200s: some are of whole images and some of images with patches "
                         "removed; make two sessions",
                         outputs);
    if (masked && c->decoder_depth < 1)
        return error_set(err, MAE_UNSUPPORTED,
                         "output %.200s: the model has no decoder (encoder only), so it cannot "
                         "reconstruct",
                         outputs);
    if ((session_has(s, "logits") || session_has(s, "probabilities")) && c->head == HEAD_NONE)
        return error_set(err, MAE_UNSUPPORTED,
                         "output %.200s: the model has no classifier; make one with mae finetune "
                         "or mae probe",
                         outputs);
    return MAE_OK;
}

Status session_ask(MaeSession *s, const char *outputs, Error *err) {
    SessionOptions *o = &s->options;
    Status status = read_names(s, outputs ? outputs : "", err);
    if (status == MAE_OK) status = check_kinds(s, outputs, err);
    o->features = session_has(s, "features");
    o->tokens = session_has(s, "tokens");
    o->attention = session_has(s, "attention");
    o->logits = session_has(s, "logits") || session_has(s, "probabilities");
    return status;
}

/* --- giving ----------------------------------------------------------------------------------- */

/* At most: any number of patches may be kept. */
static int64_t room(const MaeSession *s, const OutputRow *row) {
    int64_t n = s->options.batch;
    for (const char *letter = row->shape; *letter; letter++)
        n *= size_of(s, *letter == 'K' ? 'P' : *letter);
    return n;
}

Status session_take_outputs(MaeSession *s, Error *err) {
    s->probabilities = mem_alloc_array((size_t)size_of(s, 'N'), sizeof *s->probabilities);
    if (!s->probabilities) return error_set(err, MAE_MEMORY, "no memory for probabilities");
    for (int k = 0; k < N_OUTPUTS; k++) {
        if (!(s->asked >> k & 1) || !OUTPUTS[k].fill) continue;
        size_t one = OUTPUTS[k].type == MAE_I64 ? sizeof(int64_t) : sizeof(float);
        s->made[k] = mem_alloc_array((size_t)room(s, &OUTPUTS[k]), one);
        if (!s->made[k])
            return error_set(err, MAE_MEMORY, "no memory for the %s of %lld images",
                             OUTPUTS[k].name, (long long)s->options.batch);
    }
    return MAE_OK;
}

Status named_session_output(MaeSession *s, const char *name, MaeTensor *out, Error *err) {
    char asked[256];
    int k = find(name, strlen(name));
    *out = (MaeTensor){0};
    list_outputs(s->asked, asked, sizeof asked);
    if (k < 0 || !(s->asked >> k & 1))
        return error_set(err, MAE_USAGE, "output %.60s: this session was asked for %s", name,
                         asked);
    if (s->n == 0)
        return error_set(err, MAE_USAGE, "output %s: the session has not run since %s", name,
                         s->masks ? "its masks were set" : "it was made");
    const OutputRow *row = &OUTPUTS[k];
    if (row->fill && !(s->there >> k & 1)) row->fill(s, s->made[k]);
    s->there |= 1u << k;
    *out = (MaeTensor){.name = row->name,
                       .type = row->type,
                       .n_dims = 1,
                       .dim = {s->n},
                       .data = row->fill ? s->made[k] : row->values(s->session)};
    for (const char *letter = row->shape; *letter; letter++)
        out->dim[out->n_dims++] = size_of(s, *letter);
    return MAE_OK;
}
