/* The sizes of a model from the shapes of its tensors: see dialect.h. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "checkpoint/dialect.h"

static const char *what_lacks_it(const char *param) {
    if (strcmp(param, "cls_token") == 0)
        return "; models without a cls token (I-JEPA, SigLIP, ViTDet ...) are not supported";
    if (strcmp(param, "pos_embed") == 0)
        return "; models without a table of positions are not supported";
    return "";
}

static Status need(const DialectFile *d, const char *param, int n_dims, const TensorEntry **out,
                   Error *err) {
    char text[256];
    *out = dialect_find(d, param);
    if (!*out)
        return error_set(err, MAE_FORMAT, "%s (%s): tensor %s is missing%s",
                         tensorfile_path(d->file), dialect_words[d->dialect],
                         dialect_wanted(d, param, text, sizeof text), what_lacks_it(param));
    if ((*out)->refusal != NULL) return tensorfile_check(d->file, *out, err);
    if ((*out)->shape.n_dims == n_dims) return MAE_OK;
    return error_set(err, MAE_FORMAT, "%s: tensor %s has shape %s, %d dimensions are needed",
                     tensorfile_path(d->file), (*out)->name,
                     shape_text((*out)->shape, text, sizeof text), n_dims);
}

static int64_t count_blocks(const DialectFile *d, const char *stack) {
    for (int64_t i = 0;; i++) {
        char name[64];
        snprintf(name, sizeof name, "%s.%lld.norm1.weight", stack, (long long)i);
        if (!dialect_find(d, name)) return i;
    }
}

static int64_t square_root(int64_t n) {
    return n > 0 ? (int64_t)lround(sqrt((double)n)) : 0;
}

/* Are n patches a grid of rows x columns? Both come from a file, so their product may overflow. */
static bool is_grid(int64_t n, int64_t rows, int64_t columns) {
    return n > 0 && rows > 0 && n % rows == 0 && n / rows == columns;
}

static bool is_square(int64_t n) {
    return is_grid(n, square_root(n), square_root(n));
}

/* The grid is square unless the image is known. A file may have positions for patches alone (DeiT
 * III); that of the cls token is zero then. */
static Status image_size(const DialectFile *d, int64_t tokens, int64_t height, int64_t width,
                         ModelConfig *c, Error *err) {
    bool bare = height > 0 && width > 0 ? is_grid(tokens, height / c->patch, width / c->patch)
                                        : is_square(tokens) && !is_square(tokens - 1);
    int64_t P = bare ? tokens : tokens - 1, side = square_root(P);
    c->image_height = height > 0 ? height : side * c->patch;
    c->image_width = width > 0 ? width : side * c->patch;
    if (is_grid(P, c->image_height / c->patch, c->image_width / c->patch)) return MAE_OK;
    return error_set(err, MAE_FORMAT,
                     "%s: %lld positions are no grid of %lldx%lld images in patches of %lld",
                     tensorfile_path(d->file), (long long)tokens, (long long)c->image_height,
                     (long long)c->image_width, (long long)c->patch);
}

static bool is_matrix(const TensorEntry *t, int64_t columns) {
    return t && t->refusal == NULL && t->shape.n_dims == 2 && t->shape.dim[1] == columns;
}

/* Takes no head that reads something else than one token or the mean of the patches, or that stands
 * on a layer in between. The inventory then says what is not read. */
static void heads_and_pooling(const DialectFile *d, ModelConfig *c) {
    bool norm = dialect_find(d, "norm.weight"), fc_norm = dialect_find(d, "fc_norm.weight");
    const TensorEntry *head = dialect_find(d, "head.weight");
    c->pool = fc_norm && !norm ? POOL_MEAN : POOL_CLS;
    if (fc_norm && norm) return;
    if (is_matrix(head, c->embed_dim) && !dialect_find(d, "pre_logits.fc.weight")) {
        c->head = HEAD_LINEAR;
        c->classes = head->shape.dim[0];
    }
    const TensorEntry *probe =
        d->dialect == DIALECT_OFFICIAL ? dialect_find(d, "head.1.weight") : NULL;
    if (is_matrix(probe, c->embed_dim) && dialect_find(d, "head.0.running_mean")) {
        c->head = HEAD_PROBE;
        c->classes = probe->shape.dim[0];
    }
}

static Status decoder_sizes(const DialectFile *d, ModelConfig *c, Error *err) {
    Status status = MAE_OK;
    const TensorEntry *embed, *pred;
    if (!dialect_find(d, "decoder_embed.weight")) return MAE_OK;
    TRY(need(d, "decoder_embed.weight", 2, &embed, err));
    TRY(need(d, "decoder_pred.weight", 2, &pred, err));
    c->decoder_embed_dim = embed->shape.dim[0];
    c->decoder_depth = count_blocks(d, "decoder_blocks");
    if (pred->shape.dim[0] != c->patch * c->patch * c->channels)
        status =
            error_set(err, MAE_UNSUPPORTED,
                      "%s: the decoder predicts %lld values a patch, %lld pixels are supported",
                      tensorfile_path(d->file), (long long)pred->shape.dim[0],
                      (long long)(c->patch * c->patch * c->channels));
done:
    return status;
}

/* A block without layer scale among others that have it is a hole in the file. */
static Status check_scales(const DialectFile *d, const char *layer, int64_t depth, Error *err) {
    char first[64], name[64];
    snprintf(first, sizeof first, "blocks.0.%s.weight", layer);
    const TensorEntry *t = dialect_scale(d, first);
    for (int64_t i = 1; i < depth; i++) {
        snprintf(name, sizeof name, "blocks.%lld.%s.weight", (long long)i, layer);
        if (!dialect_scale(d, name) == !t) continue;
        return error_set(err, MAE_FORMAT, "%s: block 0 has %s layer scale on %s, block %lld has %s",
                         tensorfile_path(d->file), t ? "a" : "no", layer, (long long)i,
                         t ? "none" : "one");
    }
    return MAE_OK;
}

Status dialect_config(const DialectFile *d, int64_t height, int64_t width, ModelConfig *out,
                      Error *err) {
    Status status = MAE_OK;
    const TensorEntry *patch, *cls, *pos, *fc1;
    ModelConfig c = {.norm_eps = 1e-6,
                     .pca_components = 96,
                     .mean = {0.485f, 0.456f, 0.406f},
                     .std = {0.229f, 0.224f, 0.225f}};
    TRY(need(d, "patch_embed.proj.weight", 4, &patch, err));
    TRY(need(d, "cls_token", 3, &cls, err));
    TRY(need(d, "pos_embed", 3, &pos, err));
    TRY(need(d, "blocks.0.mlp.fc1.weight", 2, &fc1, err));
    c.embed_dim = patch->shape.dim[0];
    c.channels = patch->shape.dim[1];
    c.patch = patch->shape.dim[2];
    c.depth = count_blocks(d, "blocks");
    c.mlp_ratio = (double)fc1->shape.dim[0] / (double)c.embed_dim;
    for (int64_t i = 0; c.channels != 3 && i < MAX_CHANNELS; i++) {
        c.mean[i] = 0.5f;
        c.std[i] = 0.25f;
    }
    /* A tensor without values may have any other sizes, whose products need not fit. */
    if (patch->shape.dim[3] != c.patch || c.patch < 1 || c.embed_dim < 1 || c.channels < 1) {
        status =
            error_set(err, MAE_UNSUPPORTED,
                      "%s: patches of %lldx%lld pixels in %lld channels; they must be square and "
                      "not empty",
                      tensorfile_path(d->file), (long long)c.patch, (long long)patch->shape.dim[3],
                      (long long)c.channels);
        goto done;
    }
    TRY(image_size(d, pos->shape.dim[1], height, width, &c, err));
    TRY(decoder_sizes(d, &c, err));
    TRY(check_scales(d, "attn.proj", c.depth, err));
    TRY(check_scales(d, "mlp.fc2", c.depth, err));
    if (c.decoder_depth == 0) heads_and_pooling(d, &c);
    *out = c;
done:
    return status;
}
