/* What a masked session gives. Predictions go back through the target. Pixels are un-normalised. A
 * norm-pix patch gets the mean and deviation of the true patch, or ones interpolated from the
 * patches that stayed. PCA coefficients are multiplied out. */
#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "infer/session_internal.h"

#define VARIANCE_EPS 1e-6 /* of the target norm-pix */

Status session_take_reconstruction(Session *s, Error *err) {
    const ModelConfig *c = &s->model->config;
    size_t n = (size_t)model_patch_values(c), V = (size_t)model_prediction_values(c);
    int64_t patches = s->options.batch * model_patches(c);
    s->outputs[OUT_PATCH_MEAN].n = s->outputs[OUT_PATCH_STD].n = patches;
    s->outputs[OUT_RECONSTRUCTION].n = patches * (int64_t)n;
    s->statistics = mem_alloc_array((size_t)patches, sizeof *s->statistics);
    s->patch = mem_alloc_array(n, sizeof *s->patch);
    bool ok = s->statistics && s->patch;
    if (ok && c->target == TARGET_PCA) {
        s->basis = mem_alloc_array(V * n, sizeof *s->basis);
        s->centre = mem_alloc_array(n, sizeof *s->centre);
        ok = s->basis && s->centre;
    }
    return ok ? MAE_OK : error_set(err, MAE_MEMORY, "no memory for a picture");
}

void session_free_reconstruction(Session *s) {
    mem_free(s->statistics);
    mem_free(s->patch);
    mem_free(s->basis);
    mem_free(s->centre);
}

/* --- masks and what the graph gives ----------------------------------------------------------- */

void session_set_masks(Session *s, Masks *m) {
    ASSERT(s->options.masked, "masks for a session without");
    autoencoder_set_masks(&s->masked, m);
    s->masks = m;
}

const Masks *session_masks(const Session *s) {
    return s->masks;
}

const float *session_images(Session *s) {
    return session_download(s, OUT_IMAGES);
}

const float *session_prediction(Session *s) {
    return session_download(s, OUT_PREDICTION);
}

const float *session_patch_loss(Session *s) {
    return session_download(s, OUT_PATCH_LOSS);
}

const float *session_latent(Session *s) {
    return session_download(s, OUT_LATENT);
}

int64_t session_latent_tokens(const Session *s) {
    return s->masked.latent->shape.dim[1];
}

/* Of a batch of one, the loss of the graph: ref adds up errors that it has not rounded yet. */
float session_loss(Session *s, int64_t i) {
    float loss;
    if (s->options.batch == 1) {
        graph_get(s->graph, s->masked.loss, &loss);
        return loss;
    }
    int64_t P = model_patches(&s->model->config);
    const float *losses = session_patch_loss(s) + i * P, *mask = s->masks->mask + i * P;
    double sum = 0, removed = 0;
    for (int64_t p = 0; p < P; p++) {
        sum += (double)mask[p] * (double)losses[p];
        removed += (double)mask[p];
    }
    return (float)(sum / removed);
}

/* --- statistics of patches -------------------------------------------------------------------- */

/* The first pixel of patch p in a plane [h,w]. */
static int64_t corner_of(const ModelConfig *c, int64_t p) {
    int64_t columns = model_grid_width(c);
    return (p / columns * c->image_width + p % columns) * c->patch;
}

/* A patch of an image [C,h,w] in the order (row, column, channel) of predictions. */
static void read_patch(const ModelConfig *c, const float *image, int64_t p, float *out) {
    int64_t plane = c->image_height * c->image_width;
    image += corner_of(c, p);
    for (int64_t y = 0; y < c->patch; y++)
        for (int64_t x = 0; x < c->patch; x++)
            for (int64_t k = 0; k < c->channels; k++)
                *out++ = image[k * plane + y * c->image_width + x];
}

static PatchStatistics statistics_of(const float *values, int64_t n) {
    PatchStatistics s = {0};
    for (int64_t i = 0; i < n; i++) s.mean += (double)values[i];
    s.mean /= (double)n;
    for (int64_t i = 0; i < n; i++)
        s.variance += ((double)values[i] - s.mean) * ((double)values[i] - s.mean);
    s.variance = n > 1 ? s.variance / (double)(n - 1) : 0;
    return s;
}

/* Statistics of removed patches as the inverse-square-distance mean of those that stayed. */
static void interpolate(const ModelConfig *c, const float *mask, PatchStatistics *s) {
    int64_t P = model_patches(c), columns = model_grid_width(c);
    for (int64_t i = 0; i < P; i++) {
        if (mask[i] <= 0) continue;
        double weights = 0, mean = 0, variance = 0;
        for (int64_t j = 0; j < P; j++) {
            if (mask[j] > 0) continue;
            double dy = (double)(i / columns - j / columns);
            double dx = (double)(i % columns - j % columns);
            double w = 1 / (dy * dy + dx * dx);
            weights += w;
            mean += w * s[j].mean;
            variance += w * s[j].variance;
        }
        s[i] = (PatchStatistics){mean / weights, variance / weights};
    }
}

static double deviation_of(const PatchStatistics *s) {
    return sqrt(s->variance + VARIANCE_EPS);
}

static void make_statistics(Session *s) {
    const ModelConfig *c = &s->model->config;
    Output *mean = &s->outputs[OUT_PATCH_MEAN], *std = &s->outputs[OUT_PATCH_STD];
    int64_t P = model_patches(c), n = model_patch_values(c), B = s->n;
    const float *images = session_images(s);
    if (mean->is_there) return;
    for (int64_t i = 0; i < B; i++) {
        PatchStatistics *own = s->statistics + i * P;
        for (int64_t p = 0; p < P; p++) {
            read_patch(c, images + i * P * n, p, s->patch);
            own[p] = statistics_of(s->patch, n);
        }
        if (s->options.interpolated) interpolate(c, s->masks->mask + i * P, own);
    }
    for (int64_t p = 0; p < B * P; p++) {
        mean->host[p] = (float)s->statistics[p].mean;
        std->host[p] = (float)deviation_of(&s->statistics[p]);
    }
    mean->is_there = std->is_there = true;
}

const float *session_patch_mean(Session *s) {
    make_statistics(s);
    return s->outputs[OUT_PATCH_MEAN].host;
}

const float *session_patch_std(Session *s) {
    make_statistics(s);
    return s->outputs[OUT_PATCH_STD].host;
}

/* --- reconstructions -------------------------------------------------------------------------- */

/* A prediction -> normalised pixels, by target. */
static void invert_target(Session *s, const float *in, const PatchStatistics *statistics) {
    const ModelConfig *c = &s->model->config;
    int64_t n = model_patch_values(c), V = model_prediction_values(c);
    float *out = s->patch;
    double deviation = deviation_of(statistics);
    for (int64_t k = 0; k < n; k++) {
        if (c->target == TARGET_PIXEL) out[k] = in[k];
        if (c->target == TARGET_NORM_PIX)
            out[k] = (float)((double)in[k] * deviation + statistics->mean);
        if (c->target == TARGET_PCA) out[k] = s->centre[k];
    }
    for (int64_t v = 0; v < V && c->target == TARGET_PCA; v++)
        for (int64_t k = 0; k < n; k++) out[k] += in[v] * s->basis[v * n + k];
}

/* s->patch into an image [C,h,w], in the original units. */
static void write_patch(const Session *s, int64_t p, float *image) {
    const ModelConfig *c = &s->model->config;
    int64_t plane = c->image_height * c->image_width;
    const float *in = s->patch;
    image += corner_of(c, p);
    for (int64_t y = 0; y < c->patch; y++)
        for (int64_t x = 0; x < c->patch; x++)
            for (int64_t k = 0; k < c->channels; k++) {
                float v = *in++ * c->std[k] + c->mean[k];
                image[k * plane + y * c->image_width + x] = v < 0 ? 0 : v > 1 ? 1 : v;
            }
}

const float *session_reconstruction(Session *s) {
    const ModelConfig *c = &s->model->config;
    Output *o = &s->outputs[OUT_RECONSTRUCTION];
    int64_t P = model_patches(c), n = model_patch_values(c), V = model_prediction_values(c);
    const float *prediction = session_prediction(s), *images = session_images(s);
    if (o->is_there) return o->host;
    make_statistics(s);
    if (c->target == TARGET_PCA) {
        params_get(s->model->params, params_find(s->model->params, "pca.weight"), s->basis);
        params_get(s->model->params, params_find(s->model->params, "pca.mean"), s->centre);
    }
    for (int64_t i = 0; i < s->n; i++)
        for (int64_t p = 0; p < P; p++) {
            if (s->options.paste && s->masks->mask[i * P + p] <= 0)
                read_patch(c, images + i * P * n, p, s->patch);
            else
                invert_target(s, prediction + (i * P + p) * V, &s->statistics[i * P + p]);
            write_patch(s, p, o->host + i * P * n);
        }
    o->is_there = true;
    return o->host;
}
