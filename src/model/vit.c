/* Parameters of a vision transformer, from the first layer to the last, and their initialisation.
 */
#include "model/vit.h"

#include <math.h>
#include <stdio.h>

#include "base/memory.h"

/* --- which are trained ------------------------------------------------------------------------ */

/* Registers parameters; remembers the first failure so that the list below reads as a list. */
typedef struct Registry {
    Params *params;
    const ModelConfig *config;
    double tune;
    bool ok;
    ParamRole role; /* of what is added next, but for its start and its decay */
    bool trained;   /* the same */
} Registry;

/* A masked autoencoder trains all but what is fixed; a probe its linear layer only. */
static bool tunes_stem(const Registry *r) {
    return r->config->head == HEAD_NONE || (r->config->head == HEAD_LINEAR && r->tune < 0);
}

static bool tunes_half(const Registry *r, int64_t half) {
    if (tunes_stem(r)) return true;
    if (r->config->head == HEAD_PROBE) return false;
    return r->tune >= (double)(2 * r->config->depth - half) / 2;
}

/* --- the list --------------------------------------------------------------------------------- */

#define NAME_BYTES 96 /* longest: "decoder_blocks.999.norm1.weight" */

/* What follows is of this part. */
static void begin(Registry *r, ParamPart part, bool trained) {
    r->role = (ParamRole){.part = part};
    r->trained = trained;
}

/* Vectors (norms, biases) are not decayed. */
static void add(Registry *r, const char *prefix, const char *layer, const char *name, Shape shape,
                ParamStart start, double spread) {
    char full[NAME_BYTES];
    snprintf(full, sizeof full, "%.40s%.30s%.20s", prefix, layer, name);
    Param *p = params_add(r->params, full, shape, r->trained);
    r->ok = r->ok && p;
    if (!p) return;
    p->role = r->role;
    p->role.start = start;
    p->role.spread = spread;
    p->role.decayed = shape.n_dims > 1;
}

static void add_token(Registry *r, const char *name, int64_t C) {
    add(r, "", name, "", SHAPE(1, 1, C), START_NORMAL, 0.02);
}

static void add_norm(Registry *r, const char *prefix, const char *layer, int64_t C) {
    add(r, prefix, layer, ".weight", SHAPE(C), START_ONES, 0);
    add(r, prefix, layer, ".bias", SHAPE(C), START_ZEROS, 0);
}

static void add_linear(Registry *r, const char *prefix, const char *layer, int64_t O, int64_t I) {
    add(r, prefix, layer, ".weight", SHAPE(O, I), START_XAVIER, 0);
    add(r, prefix, layer, ".bias", SHAPE(O), START_ZEROS, 0);
}

static void add_attention(Registry *r, const char *prefix, int64_t C) {
    add_norm(r, prefix, "norm1", C);
    add_linear(r, prefix, "attn.qkv", 3 * C, C);
    add_linear(r, prefix, "attn.proj", C, C);
}

static void add_mlp(Registry *r, const char *prefix, int64_t C) {
    int64_t width = (int64_t)((double)C * r->config->mlp_ratio);
    add_norm(r, prefix, "norm2", C);
    add_linear(r, prefix, "mlp.fc1", width, C);
    add_linear(r, prefix, "mlp.fc2", C, width);
}

/* The patch embedding starts like its framework's convolution: Xavier over the flattened patch, and
 * a bias that is not zero. */
static void add_stem(Registry *r) {
    const ModelConfig *c = r->config;
    int64_t D = c->embed_dim, P = model_patches(c);
    begin(r, PART_STEM, tunes_stem(r));
    r->role.embedding = true;
    add_token(r, "cls_token", D);
    r->trained = tunes_stem(r) && c->head != HEAD_NONE;
    add(r, "", "pos_embed", "", SHAPE(1, 1 + P, D), START_SINCOS, 0);
    begin(r, PART_DECODER, tunes_stem(r));
    if (c->mask_token_in_encoder) add_token(r, "encoder_mask_token", D);
    begin(r, PART_STEM, tunes_stem(r));
    add(r, "", "patch_embed.proj", ".weight", SHAPE(D, c->channels, c->patch, c->patch),
        START_XAVIER, 0);
    add(r, "", "patch_embed.proj", ".bias", SHAPE(D), START_UNIFORM,
        1 / sqrt((double)model_patch_values(c)));
}

static void add_encoder(Registry *r) {
    const ModelConfig *c = r->config;
    bool pooled_first = c->head != HEAD_NONE && c->pool == POOL_MEAN;
    add_stem(r);
    for (int64_t half = 0; half < 2 * c->depth; half++) {
        char prefix[64];
        snprintf(prefix, sizeof prefix, "blocks.%lld.", (long long)(half / 2));
        begin(r, PART_BLOCK, tunes_half(r, half));
        r->role.half = half;
        (half % 2 ? add_mlp : add_attention)(r, prefix, c->embed_dim);
    }
    begin(r, pooled_first ? PART_HEAD : PART_NORM, c->head != HEAD_PROBE);
    add_norm(r, "", pooled_first ? "fc_norm" : "norm", c->embed_dim);
}

static void add_decoder(Registry *r) {
    const ModelConfig *c = r->config;
    int64_t D = c->decoder_embed_dim, P = model_patches(c), V = model_prediction_values(c);
    begin(r, PART_DECODER, true);
    if (!c->mask_token_in_encoder) add_token(r, "mask_token", D);
    add_linear(r, "", "decoder_embed", D, c->embed_dim);
    r->trained = false;
    add(r, "", "decoder_pos_embed", "", SHAPE(1, 1 + P, D), START_SINCOS, 0);
    r->trained = true;
    for (int64_t i = 0; i < c->decoder_depth; i++) {
        char prefix[64];
        snprintf(prefix, sizeof prefix, "decoder_blocks.%lld.", (long long)i);
        add_attention(r, prefix, D);
        add_mlp(r, prefix, D);
    }
    add_norm(r, "", "decoder_norm", D);
    add_linear(r, "", "decoder_pred", V, D);
    if (c->target != TARGET_PCA) return;
    r->trained = false;
    add(r, "", "pca.weight", "", SHAPE(V, model_patch_values(c)), START_GIVEN, 0);
    add(r, "", "pca.bias", "", SHAPE(V), START_GIVEN, 0); /* -weight mean */
    add(r, "", "pca.mean", "", SHAPE(model_patch_values(c)), START_GIVEN, 0);
}

static void add_classes(Registry *r, const char *layer, double spread) {
    begin(r, PART_HEAD, true);
    r->role.per_class = true;
    add(r, "", layer, ".weight", SHAPE(r->config->classes, r->config->embed_dim), START_NORMAL,
        spread);
    add(r, "", layer, ".bias", SHAPE(r->config->classes), START_ZEROS, 0);
}

static void add_head(Registry *r) {
    const ModelConfig *c = r->config;
    if (c->head == HEAD_LINEAR) add_classes(r, "head", 2e-5);
    if (c->head != HEAD_PROBE) return;
    begin(r, PART_HEAD, false);
    add(r, "", "head.0", ".running_mean", SHAPE(c->embed_dim), START_ZEROS, 0);
    add(r, "", "head.0", ".running_var", SHAPE(c->embed_dim), START_ONES, 0);
    add(r, "", "head.0", ".num_batches_tracked", SHAPE(1), START_ZEROS, 0);
    add_classes(r, "head.1", 0.01);
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
        status = error_set(err, MAE_MEMORY, "no memory for a model");
        goto done;
    }
    v->config = *c;
    v->device = d;
    Registry r = {.params = v->params, .config = c, .tune = tune, .ok = true};
    add_encoder(&r);
    if (c->decoder_depth > 0) add_decoder(&r);
    add_head(&r);
    if (!r.ok) {
        status = error_set(err, MAE_MEMORY, "no memory for the names of the parameters");
        goto done;
    }
    params_place(v->params, gradients);
    *out = v;
    v = NULL;
done:
    vit_free(v);
    return status;
}

static Status set_positions(Vit *v, Param *p, Error *err) {
    float *table = mem_alloc_array((size_t)p->numel, sizeof *table);
    if (!table) return error_set(err, MAE_MEMORY, "no memory for %s", p->name);
    pos_embed_sincos(table, p->shape.dim[2], model_grid_height(&v->config),
                     model_grid_width(&v->config));
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
    for (int64_t i = 0; i < params_count(v->params); i++) {
        Param *p = params_at(v->params, i);
        if (p->role.start == START_SINCOS) TRY(set_positions(v, p, err));
    }
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

/* Normal numbers of standard deviation std. trunc_normal_ of torch cuts at -2 and 2, which the
 * published 2e-5 and 0.01 never reach. */
static void fill_normal(float *out, int64_t n, double std, Rng *rng) {
    for (int64_t i = 0; i < n; i++) out[i] = (float)(std * rng_normal(rng));
}

static void fill_uniform(float *out, int64_t n, double bound, Rng *rng) {
    rng_fill_range(rng, -bound, bound, out, n);
}

static void initial_values(const Param *p, Rng *rng, float *out) {
    const ParamRole *role = &p->role;
    int64_t n = p->numel, O = p->shape.dim[0];
    if (role->start == START_NORMAL)
        fill_normal(out, n, role->spread, rng);
    else if (role->start == START_UNIFORM)
        fill_uniform(out, n, role->spread, rng);
    else if (role->start == START_XAVIER)
        fill_uniform(out, n, sqrt(6.0 / (double)(O + n / O)), rng);
    else
        for (int64_t i = 0; i < n; i++) out[i] = role->start == START_ONES ? 1 : 0;
}

Status vit_init(Vit *v, uint64_t seed, Error *err) {
    for (int64_t i = 0; i < params_count(v->params); i++) {
        Param *p = params_at(v->params, i);
        if (p->role.start == START_SINCOS || p->role.start == START_GIVEN) continue;
        float *values = mem_alloc_array((size_t)p->numel, sizeof *values);
        if (!values) return error_set(err, MAE_MEMORY, "no memory to initialise %s", p->name);
        Rng rng = rng_make(seed, RNG_INIT, 0, (uint64_t)i);
        initial_values(p, &rng, values);
        params_set(v->params, p, values);
        mem_free(values);
    }
    return MAE_OK;
}

/* --- counting --------------------------------------------------------------------------------- */

int64_t vit_parameters(const Vit *v) {
    int64_t sum = 0;
    for (int64_t i = 0; i < params_count(v->params); i++) sum += params_at(v->params, i)->numel;
    return sum;
}

int64_t vit_encoder_parameters(const Vit *v) {
    int64_t sum = 0;
    for (int64_t i = 0; i < params_count(v->params); i++) {
        const Param *p = params_at(v->params, i);
        if (p->role.part != PART_DECODER && p->role.part != PART_HEAD) sum += p->numel;
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

Number pixel_number(MaeType type) {
    ASSERT(type == MAE_U8 || type == MAE_U16 || type == MAE_F32, "type %d", (int)type);
    return type == MAE_U8 ? NUMBER_U8 : type == MAE_U16 ? NUMBER_U16 : NUMBER_F32;
}
