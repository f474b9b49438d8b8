/* See verify.h. */
#include "jobs/verify.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "infer/session.h"
#include "jobs/model.h"
#include "jobs/setup.h"
#include "model/autoencoder.h"

typedef struct Output {
    float *features, *prediction, *logits; /* NULL: the model has none */
    int64_t n_features, n_prediction, n_logits;
} Output;

static void output_free(Output *o) {
    mem_free(o->features);
    mem_free(o->prediction);
    mem_free(o->logits);
}

static float *copy(const float *x, int64_t n) {
    float *out = mem_alloc_array((size_t)n, sizeof *out);
    if (out) memcpy(out, x, (size_t)n * sizeof *out);
    return out;
}

/* All tokens before pooling would differ in what norm comes; what a user takes is compared. */
static Status run_encoder(MaeModel *m, const uint8_t *pixels, Output *out, Error *err) {
    Status status = MAE_OK;
    Session *s = NULL;
    bool classifies = m->vit->config.head != HEAD_NONE;
    SessionOptions o = {.batch = 1, .pool = POOL_MEAN, .logits = classifies};
    TRY(session_new(m->vit, o, &s, err));
    session_run(s, pixels, 1);
    out->n_features = session_values(s);
    out->features = copy(session_features(s), out->n_features);
    if (classifies) out->n_logits = session_classes(s);
    if (classifies) out->logits = copy(session_logits(s), out->n_logits);
    if (!out->features || (classifies && !out->logits))
        status = error_set(err, MAE_MEMORY, "no memory to verify");
done:
    session_free(s);
    return status;
}

/* The prediction of every patch under the mask of the seed. */
static Status run_prediction(MaeModel *m, const uint8_t *pixels, uint64_t seed, Output *out,
                             Error *err) {
    Status status = MAE_OK;
    const ModelConfig *c = &m->vit->config;
    AutoencoderGraph g = {0};
    Masks *masks = NULL;
    if (c->decoder_depth == 0) return MAE_OK;
    TRY(masks_new((MaskRule){MASK_RANDOM, m->notes.mask_ratio}, c, 1, &masks, err));
    out->n_prediction = masks->n_patches * model_prediction_values(c);
    out->prediction = mem_alloc_array((size_t)out->n_prediction, sizeof *out->prediction);
    if (!out->prediction) {
        status = error_set(err, MAE_MEMORY, "no memory to verify");
        goto done;
    }
    TRY(autoencoder_graph(m->vit, FORWARD_FULL, 1, masks->n_keep, NUMBER_U8, &g, err));
    graph_keep(g.graph, g.pred);
    TRY(graph_plan(g.graph, GRAPH_INFER, err));
    masks_draw(masks, 0, seed, 0, 0);
    autoencoder_set_masks(&g, masks);
    graph_set(g.graph, g.pixels, pixels);
    graph_forward(g.graph);
    graph_get(g.graph, g.pred, out->prediction);
done:
    graph_free(g.graph);
    masks_free(masks);
    return status;
}

static Status run_model(const char *path, const MaeOptions *o, const CheckpointHints *hints,
                        Output *out, Error *err) {
    Status status = MAE_OK;
    MaeModel *m = NULL;
    uint8_t *pixels = NULL;
    TRY(model_load(path, device_words[DEVICE_CPU], (int)o->threads, hints, &m, err));
    const ModelConfig *c = &m->vit->config;
    pixels = mem_alloc((size_t)(c->image_height * c->image_width * c->channels));
    if (!pixels) {
        status = error_set(err, MAE_MEMORY, "no memory to verify");
        goto done;
    }
    TRY(setup_eval_image(o->verify, c, o->max_pixels, pixels, NULL, err));
    TRY(run_encoder(m, pixels, out, err));
    TRY(run_prediction(m, pixels, (uint64_t)o->seed, out, err));
done:
    mem_free(pixels);
    model_free(m);
    return status;
}

/* Nothing where one of them lacks it. */
static void tell_change(const char *key, const float *a, const float *b, int64_t n, int64_t m,
                        Result out) {
    double difference = 0, size = 0;
    if (!a || !b || n != m) return;
    for (int64_t i = 0; i < n; i++) {
        double d = (double)b[i] - (double)a[i];
        difference += d * d;
        size += (double)a[i] * (double)a[i];
    }
    result_number(out, key,
                  size > 0         ? sqrt(difference / size)
                  : difference > 0 ? (double)INFINITY
                                   : 0);
}

Status verify_conversion(const char *a, const char *b, const MaeOptions *o,
                         const ModelConfig *config, Result out, Error *err) {
    Status status = MAE_OK;
    Output before = {0}, after = {0};
    CheckpointHints first = setup_hints(o), second = {.heads = config->heads,
                                                      .decoder_heads = config->decoder_heads,
                                                      .target = (int)config->target};
    first.said = second.said = true; /* by the conversion */
    if (config->target == TARGET_PCA) second.target = READ_AS_SAID;
    TRY(run_model(a, o, &first, &before, err));
    TRY(run_model(b, o, &second, &after, err));
    tell_change("feature_change", before.features, after.features, before.n_features,
                after.n_features, out);
    tell_change("logit_change", before.logits, after.logits, before.n_logits, after.n_logits, out);
    tell_change("prediction_change", before.prediction, after.prediction, before.n_prediction,
                after.n_prediction, out);
done:
    output_free(&before);
    output_free(&after);
    return status;
}
