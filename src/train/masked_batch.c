/* See masked_batch.h. */
#include "train/masked_batch.h"

#include "base/memory.h"

Status masked_batch_new(Vit *v, MaskedOptions options, MaskedBatch **out, Error *err) {
    Status status = MAE_OK;
    MaskedBatch *m = mem_alloc(sizeof *m);
    *out = NULL;
    if (!m) return fail(err, MAE_MEMORY, "no memory for a batch");
    m->model = v;
    m->options = options;
    int64_t n_keep = mask_n_keep(options.mask, &v->config, options.mask_ratio);
    TRY(autoencoder_graph(v, FORWARD_TRAIN, options.batch, n_keep, options.float_images, &m->graph,
                          err));
    TRY(graph_plan(m->graph.graph, GRAPH_TRAIN, err));
    size_t B = (size_t)options.batch, P = (size_t)model_patches(&v->config);
    m->ids_keep = mem_alloc_array(B * P, sizeof *m->ids_keep);
    m->ids_restore = mem_alloc_array(B * P, sizeof *m->ids_restore);
    m->ids_pred = mem_alloc_array(B * P, sizeof *m->ids_pred);
    m->mask = mem_alloc_array(B * P, sizeof *m->mask);
    m->scratch = mem_alloc_array(P, sizeof *m->scratch);
    if (!m->ids_keep || !m->ids_restore || !m->ids_pred || !m->mask || !m->scratch) {
        status = fail(err, MAE_MEMORY, "no memory for the masks of %zu images", B);
        goto done;
    }
    *out = m;
    m = NULL;
done:
    masked_batch_free(m);
    return status;
}

void masked_batch_free(MaskedBatch *m) {
    if (!m) return;
    graph_free(m->graph.graph);
    mem_free(m->ids_keep);
    mem_free(m->ids_restore);
    mem_free(m->ids_pred);
    mem_free(m->mask);
    mem_free(m->scratch);
    mem_free(m);
}

/* Removed patches in the order of ids_restore: what is predicted. */
static void upload_masks(MaskedBatch *m) {
    AutoencoderGraph *g = &m->graph;
    int64_t P = model_patches(&m->model->config);
    for (int64_t b = 0; b < g->batch; b++)
        for (int64_t i = 0; i < P; i++) {
            int64_t place = m->ids_restore[b * P + i] - g->n_keep;
            if (place >= 0) m->ids_pred[b * g->n_pred + place] = (int32_t)i;
        }
    graph_set(g->graph, g->ids_keep, m->ids_keep);
    graph_set(g->graph, g->ids_restore, m->ids_restore);
    graph_set(g->graph, g->ids_pred, m->ids_pred);
    graph_set_real(g->graph, g->mask, m->mask);
}

void masked_batch_set(MaskedBatch *m, const uint8_t *pixels, uint64_t epoch,
                      const int64_t *samples) {
    AutoencoderGraph *g = &m->graph;
    int64_t P = model_patches(&m->model->config);
    for (int64_t b = 0; b < g->batch; b++)
        mask_draw(m->options.mask, &m->model->config, m->options.mask_ratio, m->options.seed, epoch,
                  (uint64_t)samples[b], m->ids_keep + b * g->n_keep, m->ids_restore + b * P,
                  m->mask + b * P, m->scratch);
    upload_masks(m);
    graph_set(g->graph, g->pixels, pixels);
}

void masked_batch_set_float(MaskedBatch *m, const float *images, const float *noise) {
    AutoencoderGraph *g = &m->graph;
    int64_t P = model_patches(&m->model->config);
    for (int64_t b = 0; b < g->batch; b++)
        mask_from_noise(noise + b * P, P, g->n_keep, m->ids_keep + b * g->n_keep,
                        m->ids_restore + b * P, m->mask + b * P, m->scratch);
    upload_masks(m);
    graph_set_real(g->graph, g->images, images);
}
