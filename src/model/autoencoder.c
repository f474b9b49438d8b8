/* The masked autoencoder: parameters, their initialisation, and the graph, from top to bottom as in
 * the paper (section 3). */
#include "model/autoencoder.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"

/* --- parameters ------------------------------------------------------------------------------- */

/* Registers parameters; remembers the first failure so that the list below reads as a list. */
typedef struct Registry {
    Params *params;
    bool ok;
} Registry;

#define NAME_BYTES 96 /* longest: "decoder_blocks.999.norm1.weight" */

static void add(Registry *r, const char *prefix, const char *layer, const char *name, Shape shape,
                bool trainable) {
    char full[NAME_BYTES];
    snprintf(full, sizeof full, "%.40s%.30s%.20s", prefix, layer, name);
    if (!params_add(r->params, full, shape, trainable)) r->ok = false;
}

static void add_norm(Registry *r, const char *prefix, const char *layer, int64_t C) {
    add(r, prefix, layer, ".weight", SHAPE(C), true);
    add(r, prefix, layer, ".bias", SHAPE(C), true);
}

static void add_linear(Registry *r, const char *prefix, const char *layer, int64_t O, int64_t I) {
    add(r, prefix, layer, ".weight", SHAPE(O, I), true);
    add(r, prefix, layer, ".bias", SHAPE(O), true);
}

static int64_t mlp_width(const ModelConfig *c, int64_t C) {
    return (int64_t)((double)C * c->mlp_ratio);
}

static void add_blocks(Registry *r, const ModelConfig *c, const char *stack, int64_t depth,
                       int64_t C) {
    for (int64_t i = 0; i < depth; i++) {
        char prefix[64];
        snprintf(prefix, sizeof prefix, "%s.%lld.", stack, (long long)i);
        add_norm(r, prefix, "norm1", C);
        add_linear(r, prefix, "attn.qkv", 3 * C, C);
        add_linear(r, prefix, "attn.proj", C, C);
        add_norm(r, prefix, "norm2", C);
        add_linear(r, prefix, "mlp.fc1", mlp_width(c, C), C);
        add_linear(r, prefix, "mlp.fc2", C, mlp_width(c, C));
    }
}

static void add_encoder(Registry *r, const ModelConfig *c) {
    int64_t D = c->embed_dim, P = model_patches(c);
    add(r, "", "cls_token", "", SHAPE(1, 1, D), true);
    add(r, "", "pos_embed", "", SHAPE(1, 1 + P, D), false);
    if (c->mask_token_in_encoder) add(r, "", "encoder_mask_token", "", SHAPE(1, 1, D), true);
    add(r, "", "patch_embed.proj", ".weight", SHAPE(D, c->channels, c->patch, c->patch), true);
    add(r, "", "patch_embed.proj", ".bias", SHAPE(D), true);
    add_blocks(r, c, "blocks", c->depth, D);
    add_norm(r, "", "norm", D);
}

static void add_decoder(Registry *r, const ModelConfig *c) {
    int64_t D = c->decoder_embed_dim, P = model_patches(c), V = model_prediction_values(c);
    if (!c->mask_token_in_encoder) add(r, "", "mask_token", "", SHAPE(1, 1, D), true);
    add_linear(r, "", "decoder_embed", D, c->embed_dim);
    add(r, "", "decoder_pos_embed", "", SHAPE(1, 1 + P, D), false);
    add_blocks(r, c, "decoder_blocks", c->decoder_depth, D);
    add_norm(r, "", "decoder_norm", D);
    add_linear(r, "", "decoder_pred", V, D);
    if (c->target != TARGET_PCA) return;
    add(r, "", "pca.weight", "", SHAPE(V, model_patch_values(c)), false);
    add(r, "", "pca.bias", "", SHAPE(V), false); /* -weight mean */
    add(r, "", "pca.mean", "", SHAPE(model_patch_values(c)), false);
}

static Status set_positions(Autoencoder *a, const char *name, int64_t width, Error *err) {
    Param *p = params_find(a->params, name);
    float *table = mem_alloc_array((size_t)p->numel, sizeof *table);
    if (!table) return fail(err, STATUS_MEMORY, "no memory for %s", name);
    pos_embed_sincos(table, width, model_grid_height(&a->config), model_grid_width(&a->config));
    params_set(a->params, p, table);
    mem_free(table);
    return STATUS_OK;
}

Status autoencoder_describe(Device *d, const ModelConfig *c, bool with_gradients, Autoencoder **out,
                            Error *err) {
    Status status = STATUS_OK;
    Autoencoder *a = NULL;
    *out = NULL;
    TRY(model_check(c, err));
    a = mem_alloc(sizeof *a);
    if (a) a->params = params_new(d);
    if (!a || !a->params) {
        status = fail(err, STATUS_MEMORY, "no memory for a model");
        goto done;
    }
    a->config = *c;
    a->device = d;
    Registry r = {a->params, true};
    add_encoder(&r, c);
    if (c->decoder_depth > 0) add_decoder(&r, c);
    if (!r.ok) {
        status = fail(err, STATUS_MEMORY, "no memory for the names of the parameters");
        goto done;
    }
    params_place(a->params, with_gradients);
    *out = a;
    a = NULL;
done:
    autoencoder_free(a);
    return status;
}

Status autoencoder_new(Device *d, const ModelConfig *c, bool with_gradients, Autoencoder **out,
                       Error *err) {
    Status status = STATUS_OK;
    Autoencoder *a = NULL;
    *out = NULL;
    TRY(autoencoder_describe(d, c, with_gradients, &a, err));
    TRY(params_alloc(a->params, with_gradients, err));
    TRY(set_positions(a, "pos_embed", c->embed_dim, err));
    if (c->decoder_depth > 0) TRY(set_positions(a, "decoder_pos_embed", c->decoder_embed_dim, err));
    *out = a;
    a = NULL;
done:
    autoencoder_free(a);
    return status;
}

void autoencoder_free(Autoencoder *a) {
    if (!a) return;
    params_free(a->params);
    mem_free(a);
}

static bool ends_with(const char *s, const char *end) {
    size_t n = strlen(s), m = strlen(end);
    return n >= m && strcmp(s + n - m, end) == 0;
}

/* The published rule for one parameter: Xavier-uniform linear and patch weights (the latter over
 * its flattened fan), tokens N(0, .02), norms 1 and 0, biases 0 but for the patch embedding, which
 * keeps the default of its framework. */
static void initial_values(const ModelConfig *c, const Param *p, Rng *rng, float *out) {
    double bound = 0;
    if (ends_with(p->name, "_token")) {
        for (int64_t i = 0; i < p->numel; i++) out[i] = (float)(0.02 * rng_normal(rng));
        return;
    }
    if (strcmp(p->name, "patch_embed.proj.bias") == 0)
        bound = 1 / sqrt((double)model_patch_values(c));
    else if (p->shape.n_dims >= 2)
        bound = sqrt(6.0 / (double)(p->shape.dim[0] + p->numel / p->shape.dim[0]));
    float constant = p->shape.n_dims == 1 && ends_with(p->name, ".weight") ? 1 : 0;
    for (int64_t i = 0; i < p->numel; i++)
        out[i] = bound > 0 ? (float)rng_range(rng, -bound, bound) : constant;
}

Status autoencoder_init(Autoencoder *a, uint64_t seed, Error *err) {
    for (int64_t i = 0; i < params_count(a->params); i++) {
        Param *p = params_at(a->params, i);
        if (!p->trainable) continue;
        float *values = mem_alloc_array((size_t)p->numel, sizeof *values);
        if (!values) return fail(err, STATUS_MEMORY, "no memory to initialise %s", p->name);
        Rng rng = rng_make(seed, RNG_INIT, 0, (uint64_t)i);
        initial_values(&a->config, p, &rng, values);
        params_set(a->params, p, values);
        mem_free(values);
    }
    return STATUS_OK;
}

static bool is_decoder(const char *name) {
    return strncmp(name, "decoder_", 8) == 0 || strcmp(name, "mask_token") == 0 ||
           strncmp(name, "pca.", 4) == 0;
}

int64_t autoencoder_parameters(const Autoencoder *a, bool encoder_only) {
    int64_t sum = 0;
    for (int64_t i = 0; i < params_count(a->params); i++) {
        const Param *p = params_at(a->params, i);
        if (!(encoder_only && is_decoder(p->name))) sum += p->numel;
    }
    return sum;
}

/* --- the graph -------------------------------------------------------------------------------- */

typedef struct Builder {
    Autoencoder *model;
    Graph *graph;
} Builder;

static Value *parameter(Builder *b, const char *prefix, const char *name) {
    char full[128];
    snprintf(full, sizeof full, "%s%s", prefix, name);
    Param *p = params_find(b->model->params, full);
    ASSERT(p, "no parameter %s", full);
    return graph_param(b->graph, p);
}

static Value *norm(Builder *b, const char *prefix, const char *name, Value *x) {
    char full[64];
    snprintf(full, sizeof full, "%s%s", prefix, name);
    return op_layernorm(b->graph, full, x, parameter(b, full, ".weight"),
                        parameter(b, full, ".bias"), b->model->config.norm_eps);
}

/* name: what the result is called when it is not the layer's own name. */
static Value *linear(Builder *b, const char *prefix, const char *layer, const char *name, Value *x,
                     LinearOptions o) {
    char full[64];
    snprintf(full, sizeof full, "%s%s", prefix, layer);
    return op_linear(b->graph, name ? name : full, x, parameter(b, full, ".weight"),
                     parameter(b, full, ".bias"), o);
}

/* Pre-norm transformer block. */
static Value *block(Builder *b, const char *stack, int64_t i, Value *x, int64_t heads) {
    char name[48], prefix[64], attn[64];
    snprintf(name, sizeof name, "%s.%lld", stack, (long long)i);
    snprintf(prefix, sizeof prefix, "%s.", name);
    snprintf(attn, sizeof attn, "%s.attn", name);
    LinearOptions plain = {0}, gelu = {.gelu = true}, residual = {.residual = x};
    Value *h = norm(b, prefix, "norm1", x);
    h = linear(b, prefix, "attn.qkv", NULL, h, plain);
    h = op_attention(b->graph, attn, h, heads);
    x = linear(b, prefix, "attn.proj", NULL, h, residual);
    h = norm(b, prefix, "norm2", x);
    h = linear(b, prefix, "mlp.fc1", NULL, h, gelu);
    residual.residual = x;
    return linear(b, prefix, "mlp.fc2", name, h, residual);
}

static Value *blocks(Builder *b, const char *stack, int64_t depth, Value *x, int64_t heads) {
    for (int64_t i = 0; i < depth; i++) x = block(b, stack, i, x, heads);
    return x;
}

static void encoder(Builder *b, ForwardKind kind, AutoencoderGraph *out) {
    const ModelConfig *c = &b->model->config;
    Value *pos = parameter(b, "", "pos_embed"), *cls = parameter(b, "", "cls_token");
    bool with_mask_tokens = c->mask_token_in_encoder && kind != FORWARD_ENCODE;
    Value *x = op_patch_gather(b->graph, "patches", out->images, out->ids_keep, c->patch);
    x = linear(b, "", "patch_embed.proj", "patch_embed", x, (LinearOptions){0});
    x = op_tokens_embed(b->graph, "tokens", x, cls, with_mask_tokens ? NULL : pos, out->ids_keep);
    if (with_mask_tokens)
        x = op_tokens_restore(b->graph, "tokens_masked", x, parameter(b, "", "encoder_mask_token"),
                              pos, out->ids_restore);
    x = blocks(b, "blocks", c->depth, x, c->heads);
    out->latent = norm(b, "", "norm", x);
}

/* With mask tokens in the encoder, its output is complete and in raster order already. */
static void decoder(Builder *b, AutoencoderGraph *out) {
    const ModelConfig *c = &b->model->config;
    Value *pos = parameter(b, "", "decoder_pos_embed");
    Value *x = linear(b, "", "decoder_embed", NULL, out->latent, (LinearOptions){0});
    if (c->mask_token_in_encoder)
        x = op_tokens_restore(b->graph, "decoder_tokens", x, NULL, pos, NULL);
    else
        x = op_tokens_restore(b->graph, "decoder_tokens", x, parameter(b, "", "mask_token"), pos,
                              out->ids_restore);
    x = blocks(b, "decoder_blocks", c->decoder_depth, x, c->decoder_heads);
    x = norm(b, "", "decoder_norm", x);
    x = op_tokens_gather(b->graph, "decoder_predicted", x, out->ids_pred);
    out->pred = linear(b, "", "decoder_pred", NULL, x, (LinearOptions){0});
}

static void loss(Builder *b, AutoencoderGraph *out) {
    const ModelConfig *c = &b->model->config;
    out->target = op_patch_target(b->graph, "target", out->images, out->ids_pred, c->patch,
                                  c->target == TARGET_NORM_PIX);
    if (c->target == TARGET_PCA)
        out->target = linear(b, "", "pca", "target_pca", out->target, (LinearOptions){0});
    out->loss = op_masked_mse(b->graph, "loss", out->pred, out->target, out->mask, out->ids_pred,
                              &out->loss_per_patch);
    graph_keep(b->graph, out->loss);
}

static void inputs(Builder *b, ForwardKind kind, bool float_images, AutoencoderGraph *out) {
    const ModelConfig *c = &b->model->config;
    Graph *g = b->graph;
    int64_t B = out->batch, P = model_patches(c), h = c->image_height, w = c->image_width;
    if (float_images) {
        out->images = graph_input(g, "images", DTYPE_F32, SHAPE(B, c->channels, h, w));
    } else {
        out->pixels = graph_input(g, "pixels", DTYPE_U8, SHAPE(B, h, w, c->channels));
        out->images = op_image_normalize(g, "images", out->pixels, c->mean, c->std);
    }
    out->ids_keep = graph_input(g, "ids_keep", DTYPE_I32, SHAPE(B, out->n_keep));
    if (kind == FORWARD_ENCODE) return;
    out->ids_restore = graph_input(g, "ids_restore", DTYPE_I32, SHAPE(B, P));
    out->ids_pred = graph_input(g, "ids_pred", DTYPE_I32, SHAPE(B, out->n_pred));
    out->mask = graph_input(g, "mask", DTYPE_F32, SHAPE(B, P));
}

Status autoencoder_graph(Autoencoder *a, ForwardKind kind, int64_t batch, int64_t n_keep,
                         bool float_images, AutoencoderGraph *out, Error *err) {
    const ModelConfig *c = &a->config;
    int64_t P = model_patches(c);
    *out = (AutoencoderGraph){
        .batch = batch, .n_keep = n_keep, .n_pred = kind == FORWARD_TRAIN ? P - n_keep : P};
    ASSERT(batch > 0, "a graph for %lld images", (long long)batch);
    if (kind != FORWARD_ENCODE && c->decoder_depth < 1)
        return fail(err, STATUS_UNSUPPORTED, "the model has no decoder");
    if (n_keep < 1 || n_keep > P || (kind == FORWARD_TRAIN && n_keep == P))
        return fail(err, STATUS_USAGE,
                    "%lld of %lld patches would be kept; change the mask ratio, the image size or "
                    "the patch",
                    (long long)n_keep, (long long)P);
    out->graph = graph_new(a->device);
    if (!out->graph) return fail(err, STATUS_MEMORY, "no memory for a graph");
    Builder b = {a, out->graph};
    inputs(&b, kind, float_images, out);
    encoder(&b, kind, out);
    if (kind == FORWARD_ENCODE) {
        out->pooled = op_tokens_mean(out->graph, "pooled", out->latent);
        return STATUS_OK;
    }
    decoder(&b, out);
    loss(&b, out);
    return STATUS_OK;
}

Value *autoencoder_stage(const AutoencoderGraph *g, const char *name) {
    return graph_find(g->graph, name);
}
