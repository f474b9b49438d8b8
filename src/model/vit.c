/* Parameters of a vision transformer, from the first layer to the last, and their initialisation.
 */
#include "model/vit.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"

/* --- which are trained ------------------------------------------------------------------------ */

/* Registers parameters; remembers the first failure so that the list below reads as a list. */
typedef struct Registry {
    Params *params;
    const ModelConfig *config;
    double tune;
    bool ok;
} Registry;

/* A masked autoencoder trains all but what is fixed; a probe its linear layer only. */
static bool tunes_stem(const Registry *r) {
    return r->config->head == HEAD_NONE || (r->config->head == HEAD_LINEAR && r->tune < 0);
}

/* The MLP half of block i, or (attention) its other half, with the norm in front of each. */
static bool tunes_block(const Registry *r, int64_t i, bool attention) {
    if (tunes_stem(r)) return true;
    if (r->config->head == HEAD_PROBE) return false;
    double from_end = (double)(r->config->depth - i);
    return r->tune >= from_end - (attention ? 0 : 0.5);
}

static bool tunes_final_norm(const Registry *r) {
    return r->config->head != HEAD_PROBE;
}

/* --- the list --------------------------------------------------------------------------------- */

#define NAME_BYTES 96 /* longest: "decoder_blocks.999.norm1.weight" */

static void add(Registry *r, const char *prefix, const char *layer, const char *name, Shape shape,
                bool trainable) {
    char full[NAME_BYTES];
    snprintf(full, sizeof full, "%.40s%.30s%.20s", prefix, layer, name);
    if (!params_add(r->params, full, shape, trainable)) r->ok = false;
}

static void add_norm(Registry *r, const char *prefix, const char *layer, int64_t C, bool tuned) {
    add(r, prefix, layer, ".weight", SHAPE(C), tuned);
    add(r, prefix, layer, ".bias", SHAPE(C), tuned);
}

static void add_linear(Registry *r, const char *prefix, const char *layer, int64_t O, int64_t I,
                       bool tuned) {
    add(r, prefix, layer, ".weight", SHAPE(O, I), tuned);
    add(r, prefix, layer, ".bias", SHAPE(O), tuned);
}

static void add_block(Registry *r, const char *prefix, int64_t C, bool attention, bool mlp) {
    int64_t width = (int64_t)((double)C * r->config->mlp_ratio);
    add_norm(r, prefix, "norm1", C, attention);
    add_linear(r, prefix, "attn.qkv", 3 * C, C, attention);
    add_linear(r, prefix, "attn.proj", C, C, attention);
    add_norm(r, prefix, "norm2", C, mlp);
    add_linear(r, prefix, "mlp.fc1", width, C, mlp);
    add_linear(r, prefix, "mlp.fc2", C, width, mlp);
}

static void add_encoder(Registry *r) {
    const ModelConfig *c = r->config;
    int64_t D = c->embed_dim, P = model_patches(c);
    bool stem = tunes_stem(r);
    add(r, "", "cls_token", "", SHAPE(1, 1, D), stem);
    add(r, "", "pos_embed", "", SHAPE(1, 1 + P, D), stem && c->head != HEAD_NONE);
    if (c->mask_token_in_encoder) add(r, "", "encoder_mask_token", "", SHAPE(1, 1, D), stem);
    add(r, "", "patch_embed.proj", ".weight", SHAPE(D, c->channels, c->patch, c->patch), stem);
    add(r, "", "patch_embed.proj", ".bias", SHAPE(D), stem);
    for (int64_t i = 0; i < c->depth; i++) {
        char prefix[64];
        snprintf(prefix, sizeof prefix, "blocks.%lld.", (long long)i);
        add_block(r, prefix, D, tunes_block(r, i, true), tunes_block(r, i, false));
    }
    bool pooled_first = c->head != HEAD_NONE && c->pool == POOL_MEAN;
    add_norm(r, "", pooled_first ? "fc_norm" : "norm", D, tunes_final_norm(r));
}

static void add_decoder(Registry *r) {
    const ModelConfig *c = r->config;
    int64_t D = c->decoder_embed_dim, P = model_patches(c), V = model_prediction_values(c);
    if (!c->mask_token_in_encoder) add(r, "", "mask_token", "", SHAPE(1, 1, D), true);
    add_linear(r, "", "decoder_embed", D, c->embed_dim, true);
    add(r, "", "decoder_pos_embed", "", SHAPE(1, 1 + P, D), false);
    for (int64_t i = 0; i < c->decoder_depth; i++) {
        char prefix[64];
        snprintf(prefix, sizeof prefix, "decoder_blocks.%lld.", (long long)i);
        add_block(r, prefix, D, true, true);
    }
    add_norm(r, "", "decoder_norm", D, true);
    add_linear(r, "", "decoder_pred", V, D, true);
    if (c->target != TARGET_PCA) return;
    add(r, "", "pca.weight", "", SHAPE(V, model_patch_values(c)), false);
    add(r, "", "pca.bias", "", SHAPE(V), false); /* -weight mean */
    add(r, "", "pca.mean", "", SHAPE(model_patch_values(c)), false);
}

static void add_head(Registry *r) {
    const ModelConfig *c = r->config;
    if (c->head == HEAD_LINEAR) add_linear(r, "", "head", c->classes, c->embed_dim, true);
    if (c->head != HEAD_PROBE) return;
    add(r, "", "head.0", ".running_mean", SHAPE(c->embed_dim), false);
    add(r, "", "head.0", ".running_var", SHAPE(c->embed_dim), false);
    add(r, "", "head.0", ".num_batches_tracked", SHAPE(1), false);
    add_linear(r, "", "head.1", c->classes, c->embed_dim, true);
}

/* --- making ----------------------------------------------------------------------------------- */

Status vit_describe(Device *d, const ModelConfig *c, ParamGradients gradients, double tune,
                    Vit **out, Error *err) {
    Status status = MAE_OK;
    Vit *v = NULL;
    *out = NULL;
    TRY(model_check(c, err));
    v = mem_alloc(sizeof *v);
    if (v) v->params = params_new(d);
    if (!v || !v->params) {
        status = fail(err, MAE_MEMORY, "no memory for a model");
        goto done;
    }
    v->config = *c;
    v->device = d;
    Registry r = {v->params, c, tune, true};
    add_encoder(&r);
    if (c->decoder_depth > 0) add_decoder(&r);
    add_head(&r);
    if (!r.ok) {
        status = fail(err, MAE_MEMORY, "no memory for the names of the parameters");
        goto done;
    }
    params_place(v->params, gradients);
    *out = v;
    v = NULL;
done:
    vit_free(v);
    return status;
}

static Status set_positions(Vit *v, const char *name, int64_t width, Error *err) {
    Param *p = params_find(v->params, name);
    float *table = mem_alloc_array((size_t)p->numel, sizeof *table);
    if (!table) return fail(err, MAE_MEMORY, "no memory for %s", name);
    pos_embed_sincos(table, width, model_grid_height(&v->config), model_grid_width(&v->config));
    params_set(v->params, p, table);
    mem_free(table);
    return MAE_OK;
}

Status vit_new(Device *d, const ModelConfig *c, ParamGradients gradients, double tune, Vit **out,
               Error *err) {
    Status status = MAE_OK;
    Vit *v = NULL;
    *out = NULL;
    TRY(vit_describe(d, c, gradients, tune, &v, err));
    TRY(params_alloc(v->params, gradients, err));
    TRY(set_positions(v, "pos_embed", c->embed_dim, err));
    if (c->decoder_depth > 0) TRY(set_positions(v, "decoder_pos_embed", c->decoder_embed_dim, err));
    *out = v;
    v = NULL;
done:
    vit_free(v);
    return status;
}

void vit_free(Vit *v) {
    if (!v) return;
    params_free(v->params);
    mem_free(v);
}

/* --- initialisation --------------------------------------------------------------------------- */

static bool starts_with(const char *s, const char *start) {
    return strncmp(s, start, strlen(start)) == 0;
}

/* Normal of standard deviation std; torch's trunc_normal_ cuts at -2 and 2, which for the published
 * 2e-5 and 0.01 is never reached. */
static void fill_normal(float *out, int64_t n, double std, Rng *rng) {
    for (int64_t i = 0; i < n; i++) out[i] = (float)(std * rng_normal(rng));
}

static void fill_uniform(float *out, int64_t n, double bound, Rng *rng) {
    rng_fill_range(rng, -bound, bound, out, n);
}

/* The published rule for one parameter: tokens N(0, .02); head N(0, 2e-5), of a probe N(0, .01);
 * Xavier-uniform linear and patch weights (the latter over its flattened fan); norms 1 and 0;
 * biases 0 but for the patch embedding, which keeps the default of its framework. */
static void initial_values(const ModelConfig *c, const Param *p, Rng *rng, float *out) {
    bool one = text_ends_with(p->name, ".running_var") ||
               (p->shape.n_dims == 1 && text_ends_with(p->name, ".weight"));
    if (text_ends_with(p->name, "_token"))
        fill_normal(out, p->numel, 0.02, rng);
    else if (strcmp(p->name, "head.weight") == 0)
        fill_normal(out, p->numel, 2e-5, rng);
    else if (strcmp(p->name, "head.1.weight") == 0)
        fill_normal(out, p->numel, 0.01, rng);
    else if (strcmp(p->name, "patch_embed.proj.bias") == 0)
        fill_uniform(out, p->numel, 1 / sqrt((double)model_patch_values(c)), rng);
    else if (p->shape.n_dims >= 2)
        fill_uniform(out, p->numel,
                     sqrt(6.0 / (double)(p->shape.dim[0] + p->numel / p->shape.dim[0])), rng);
    else
        for (int64_t i = 0; i < p->numel; i++) out[i] = one ? 1 : 0;
}

static bool is_fixed(const char *name) {
    return text_ends_with(name, "pos_embed") || starts_with(name, "pca.");
}

Status vit_init(Vit *v, uint64_t seed, Error *err) {
    for (int64_t i = 0; i < params_count(v->params); i++) {
        Param *p = params_at(v->params, i);
        if (is_fixed(p->name)) continue;
        float *values = mem_alloc_array((size_t)p->numel, sizeof *values);
        if (!values) return fail(err, MAE_MEMORY, "no memory to initialise %s", p->name);
        Rng rng = rng_make(seed, RNG_INIT, 0, (uint64_t)i);
        initial_values(&v->config, p, &rng, values);
        params_set(v->params, p, values);
        mem_free(values);
    }
    return MAE_OK;
}

/* --- counting --------------------------------------------------------------------------------- */

bool vit_is_decoder(const char *name) {
    return starts_with(name, "decoder_") || starts_with(name, "pca.") ||
           strcmp(name, "mask_token") == 0 || strcmp(name, "encoder_mask_token") == 0;
}

bool vit_is_head(const char *name) {
    return starts_with(name, "head.") || starts_with(name, "fc_norm.");
}

int64_t vit_parameters(const Vit *v) {
    int64_t sum = 0;
    for (int64_t i = 0; i < params_count(v->params); i++) sum += params_at(v->params, i)->numel;
    return sum;
}

int64_t vit_encoder_parameters(const Vit *v) {
    int64_t sum = 0;
    for (int64_t i = 0; i < params_count(v->params); i++) {
        const Param *p = params_at(v->params, i);
        if (!vit_is_decoder(p->name) && !vit_is_head(p->name)) sum += p->numel;
    }
    return sum;
}

int64_t vit_trained_parameters(const Vit *v) {
    int64_t sum = 0;
    for (int64_t i = 0; i < params_count(v->params); i++) {
        const Param *p = params_at(v->params, i);
        if (p->trainable) sum += p->numel;
    }
    return sum;
}
