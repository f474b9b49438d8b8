/* See masked_batch.h. */
#include "train/masked_batch.h"

#include "base/memory.h"

Status masked_batch_new(Vit *v, MaskRule rule, MaeType type, int64_t batch, uint64_t seed,
                        MaskedBatch **out, Error *err) {
    Status status = MAE_OK;
    MaskedBatch *m = mem_alloc(sizeof *m);
    *out = NULL;
    if (!m) return error_set(err, MAE_MEMORY, "no memory for a batch");
    m->seed = seed;
    TRY(autoencoder_graph(v, FORWARD_TRAIN, batch, mask_n_keep(rule, &v->config),
                          pixel_number(type), &m->graph, err));
    TRY(graph_plan(m->graph.graph, GRAPH_TRAIN, err));
    TRY(masks_new(rule, &v->config, batch, &m->masks, err));
    *out = m;
    m = NULL;
done:
    masked_batch_free(m);
    return status;
}

void masked_batch_free(MaskedBatch *m) {
    if (!m) return;
    graph_free(m->graph.graph);
    masks_free(m->masks);
    mem_free(m);
}

void masked_batch_set(MaskedBatch *m, const void *pixels, uint64_t epoch, const int64_t *samples) {
    for (int64_t b = 0; b < m->graph.batch; b++)
        masks_draw(m->masks, b, m->seed, epoch, (uint64_t)samples[b]);
    autoencoder_set_masks(&m->graph, m->masks);
    graph_set(m->graph.graph, m->graph.pixels, pixels);
}
