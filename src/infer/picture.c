/* See picture.h. Predictions go back through the target. Pixels are un-normalised. A norm-pix patch
 * gets the mean and deviation of the true patch, or ones interpolated from visible patches. PCA
 * coefficients are multiplied out. */
#include "infer/picture.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"

#define GAP 4

struct Painter {
    Vit *model;
    AutoencoderGraph graph;
    float *pred, *patches;   /* [P,V], [P,p*p*C]: prediction, and the same as normalised pixels */
    float *truth;            /* [P,p*p*C] normalised pixels of the image */
    double *mean, *variance; /* [P] of the truth, or interpolated */
    float *basis, *centre;   /* PCA */
};

static Status alloc_host(Painter *p, Error *err) {
    const ModelConfig *c = &p->model->config;
    size_t P = (size_t)model_patches(c), n = (size_t)model_patch_values(c);
    size_t V = (size_t)model_prediction_values(c);
    p->pred = mem_alloc_array(P * V, sizeof *p->pred);
    p->patches = mem_alloc_array(P * n, sizeof *p->patches);
    p->truth = mem_alloc_array(P * n, sizeof *p->truth);
    p->mean = mem_alloc_array(P, sizeof *p->mean);
    p->variance = mem_alloc_array(P, sizeof *p->variance);
    bool ok = p->pred && p->patches && p->truth && p->mean && p->variance;
    if (ok && c->target == TARGET_PCA) {
        p->basis = mem_alloc_array(V * n, sizeof *p->basis);
        p->centre = mem_alloc_array(n, sizeof *p->centre);
        ok = p->basis && p->centre;
    }
    if (!ok) return error_set(err, MAE_MEMORY, "no memory for a picture");
    return MAE_OK;
}

Status painter_new(Vit *a, int64_t n_keep, Painter **out, Error *err) {
    Status status = MAE_OK;
    Painter *p = mem_alloc(sizeof *p);
    *out = NULL;
    if (!p) return error_set(err, MAE_MEMORY, "no memory for a picture");
    p->model = a;
    TRY(autoencoder_graph(a, FORWARD_FULL, 1, n_keep, false, &p->graph, err));
    graph_keep(p->graph.graph, p->graph.pred);
    TRY(graph_plan(p->graph.graph, GRAPH_INFER, err));
    TRY(alloc_host(p, err));
    *out = p;
    p = NULL;
done:
    painter_free(p);
    return status;
}

void painter_free(Painter *p) {
    if (!p) return;
    graph_free(p->graph.graph);
    mem_free(p->pred);
    mem_free(p->patches);
    mem_free(p->truth);
    mem_free(p->mean);
    mem_free(p->variance);
    mem_free(p->basis);
    mem_free(p->centre);
    mem_free(p);
}

int64_t painter_panel_gap(void) {
    return GAP;
}

void painter_row_size(const Painter *p, int64_t *width, int64_t *height) {
    *width = 3 * p->model->config.image_width + 2 * GAP;
    *height = p->model->config.image_height;
}

/* Pixel (y, x) of patch i, order (row, column, channel). */
static int64_t pixel_of(const ModelConfig *c, int64_t i, int64_t y, int64_t x) {
    int64_t columns = model_grid_width(c);
    return ((i / columns * c->patch + y) * c->image_width + i % columns * c->patch + x);
}

static void read_truth(Painter *p, const uint8_t *pixels) {
    const ModelConfig *c = &p->model->config;
    int64_t P = model_patches(c), n = model_patch_values(c);
    for (int64_t i = 0; i < P; i++) {
        float *t = p->truth + i * n;
        double sum = 0, squares = 0;
        for (int64_t y = 0; y < c->patch; y++)
            for (int64_t x = 0; x < c->patch; x++)
                for (int64_t k = 0; k < c->channels; k++, t++) {
                    float v = (float)pixels[pixel_of(c, i, y, x) * c->channels + k] / 255;
                    *t = (v - c->mean[k]) / c->std[k];
                    sum += (double)*t;
                }
        p->mean[i] = sum / (double)n;
        for (t = p->truth + i * n; t < p->truth + (i + 1) * n; t++)
            squares += ((double)*t - p->mean[i]) * ((double)*t - p->mean[i]);
        p->variance[i] = n > 1 ? squares / (double)(n - 1) : 0;
    }
}

/* Statistics of removed patches as the inverse-square-distance mean of the visible ones. */
static void interpolate_statistics(Painter *p, const float *mask) {
    const ModelConfig *c = &p->model->config;
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
            mean += w * p->mean[j];
            variance += w * p->variance[j];
        }
        p->mean[i] = mean / weights;
        p->variance[i] = variance / weights;
    }
}

/* Prediction -> normalised pixels, by target. */
static void invert_target(Painter *p) {
    const ModelConfig *c = &p->model->config;
    int64_t P = model_patches(c), n = model_patch_values(c), V = model_prediction_values(c);
    if (c->target == TARGET_PCA) {
        params_get(p->model->params, params_find(p->model->params, "pca.weight"), p->basis);
        params_get(p->model->params, params_find(p->model->params, "pca.mean"), p->centre);
    }
    for (int64_t i = 0; i < P; i++) {
        const float *in = p->pred + i * V;
        float *out = p->patches + i * n;
        double deviation = sqrt(p->variance[i] + 1e-6);
        for (int64_t k = 0; k < n; k++) {
            if (c->target == TARGET_PIXEL) out[k] = in[k];
            if (c->target == TARGET_NORM_PIX)
                out[k] = (float)((double)in[k] * deviation + p->mean[i]);
            if (c->target == TARGET_PCA) out[k] = p->centre[k];
        }
        if (c->target == TARGET_PCA)
            for (int64_t v = 0; v < V; v++)
                for (int64_t k = 0; k < n; k++) out[k] += in[v] * p->basis[v * n + k];
    }
}

/* Values of one pixel to RGB: grey is repeated, channels after the third are not shown. */
static void put_pixel(const ModelConfig *c, uint8_t *rgb, const float *values) {
    for (int k = 0; k < 3; k++) {
        int64_t channel = k < c->channels ? k : 0;
        float v = (values[channel] * c->std[channel] + c->mean[channel]) * 255;
        rgb[k] = (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v + 1e-3f);
    }
}

static void draw_panel(Painter *p, int panel, const float *patches, const float *hidden,
                       uint8_t *dst) {
    const ModelConfig *c = &p->model->config;
    int64_t P = model_patches(c), n = model_patch_values(c), width, height;
    painter_row_size(p, &width, &height);
    for (int64_t i = 0; i < P; i++)
        for (int64_t y = 0; y < c->patch; y++)
            for (int64_t x = 0; x < c->patch; x++) {
                int64_t at = pixel_of(c, i, y, x);
                int64_t column = panel * (c->image_width + GAP) + at % c->image_width;
                uint8_t *rgb = dst + (at / c->image_width * width + column) * 3;
                if (hidden && hidden[i] > 0)
                    memset(rgb, 128, 3);
                else
                    put_pixel(c, rgb, patches + i * n + (y * c->patch + x) * c->channels);
            }
}

void painter_draw(Painter *p, const uint8_t *pixels, Masks *masks, PictureOptions o, uint8_t *dst,
                  double *loss) {
    const ModelConfig *c = &p->model->config;
    AutoencoderGraph *g = &p->graph;
    int64_t P = model_patches(c), n = model_patch_values(c), width, height;
    const float *mask = masks->mask;
    float value;
    graph_set(g->graph, g->pixels, pixels);
    autoencoder_set_masks(g, masks);
    graph_forward(g->graph);
    graph_get(g->graph, g->pred, p->pred);
    graph_get(g->graph, g->loss, &value);
    if (loss) *loss = (double)value;
    read_truth(p, pixels);
    if (o.interpolated) interpolate_statistics(p, mask);
    invert_target(p);
    if (o.paste)
        for (int64_t i = 0; i < P; i++)
            if (mask[i] <= 0)
                memcpy(p->patches + i * n, p->truth + i * n, (size_t)n * sizeof *p->truth);
    painter_row_size(p, &width, &height);
    memset(dst, 255, (size_t)(width * height * 3));
    draw_panel(p, 0, p->truth, mask, dst);
    draw_panel(p, 1, p->patches, NULL, dst);
    draw_panel(p, 2, p->truth, NULL, dst);
}
