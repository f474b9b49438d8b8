/* Linear probing: features of a frozen encoder, then LARS steps of the head with its batch norm;
 * every state after every step. The steps are run from the file's features, and from the images
 * through the encoder. linprobe_NAME has the backbone of finetune/head_NAME. */
#include <math.h>
#include <string.h>

#include "golden.h"
#include "train/labelled_batch.h"
#include "train/schedule.h"
#include "train/step.h"

typedef struct Probe {
    const TensorFile *tensors;
    const json_t *entry, *json;
    const float *features, *loss, *first;
    const int64_t *batch_index, *counts;
    int64_t batch, steps;
    Pool pool;
    ModelConfig config;
    Vit *model;
    bool from_features; /* of the file */
    Optimizer *optimizer;
    LabelledBatch *inputs;
    TrainStep *step;
} Probe;

/* What the probe holds, in the model and in the file. */
static const struct {
    const char *param, *tensor;
} STATE[] = {
    {"head.1.weight", "weight"},
    {"head.1.bias", "bias"},
    {"head.0.running_mean", "running_mean"},
    {"head.0.running_var", "running_var"},
};
enum { N_STATE = sizeof STATE / sizeof STATE[0] };

static bool read_probe(Golden *g, Probe *p, const json_t *head) {
    Shape index, weight;
    const json_t *info = json_object_get(head, "info");
    p->features = golden_reals(g, p->tensors, "features", NULL);
    p->loss = golden_reals(g, p->tensors, "loss", NULL);
    p->first = golden_reals(g, p->tensors, "init_weight", &weight);
    p->batch_index = golden_ints(g, p->tensors, "batch_index", &index);
    p->counts = golden_ints(g, p->tensors, "num_batches_tracked", NULL);
    if (!p->features || !p->loss || !p->first || !p->batch_index || !p->counts) return false;
    p->steps = index.dim[0];
    p->batch = index.dim[1];
    p->config = golden_config(json_object_get(info, "config"));
    golden_make_classifier(&p->config, HEAD_PROBE, golden_integer(p->json, "global_pool") == 1,
                           weight.dim[0]);
    return golden_pool(g, p->tensors, &p->config, &p->pool);
}

static void fill(Probe *p, const char *name, float value) {
    Param *q = params_find(p->model->params, name);
    float *values = mem_alloc_array((size_t)q->numel, sizeof *values);
    ASSERT(values, "no memory for %s", name);
    for (int64_t i = 0; i < q->numel; i++) values[i] = value;
    params_set(p->model->params, q, values);
    mem_free(values);
}

/* A probe as it starts: batch norm that has seen nothing, no bias. */
static void reset(Probe *p) {
    Params *params = p->model->params;
    params_set(params, params_find(params, "head.1.weight"), p->first);
    fill(p, "head.1.bias", 0);
    fill(p, "head.0.running_mean", 0);
    fill(p, "head.0.running_var", 1);
    fill(p, "head.0.num_batches_tracked", 0);
}

static bool make_step(Golden *g, Probe *p) {
    Error err = {0};
    OptimizerOptions o = {.kind = OPTIMIZER_LARS,
                          .momentum = golden_number(p->json, "momentum"),
                          .trust = golden_number(p->json, "trust_coefficient"),
                          .groups = {.weight_decay = golden_number(p->json, "weight_decay")}};
    LabelledOptions l = {
        .batch = p->batch, .float_images = true, .from_features = p->from_features};
    StepOptions s = {.batch = p->batch, .accumulate = 1};
    Status status = labelled_batch_new(p->model, l, &p->inputs, &err);
    if (status == MAE_OK)
        status = optimizer_new(g->device, p->model->params, o, &p->optimizer, &err);
    if (status == MAE_OK)
        status = step_new(p->model, p->inputs->graph.graph, p->inputs->graph.loss, p->optimizer, s,
                          &p->step, &err);
    if (status != MAE_OK) golden_problem(g, "%s", err.message);
    return status == MAE_OK;
}

static void free_step(Probe *p) {
    step_free(p->step);
    labelled_batch_free(p->inputs);
    optimizer_free(p->optimizer);
    p->step = NULL;
    p->inputs = NULL;
    p->optimizer = NULL;
}

/* --- comparisons ------------------------------------------------------------------------------ */

/* One row of the file's [steps, ...] for each state. */
static void compare_state(Golden *g, Probe *p, int64_t step) {
    const char *way = p->from_features ? "" : " from images";
    float count;
    for (int i = 0; i < N_STATE; i++) {
        const Param *q = params_find(p->model->params, STATE[i].param);
        Shape shape;
        const float *want = golden_reals(g, p->tensors, STATE[i].tensor, &shape);
        float *got = golden_memory(g, q->numel, sizeof *got);
        if (!want || shape_numel(shape) != p->steps * q->numel) {
            golden_problem(g, "%s is not of this model", STATE[i].tensor);
            continue;
        }
        params_get(p->model->params, q, got);
        compare_reals(
            g, golden_text(g, "%s after step %lld%s", STATE[i].tensor, (long long)step, way), got,
            want + step * q->numel, q->numel, golden_limit(g, p->entry, STATE[i].tensor));
    }
    params_get(p->model->params, params_find(p->model->params, "head.0.num_batches_tracked"),
               &count);
    compare_number(g, "num_batches_tracked", (double)count, (double)p->counts[step], 0);
}

static void compare_momentum(Golden *g, Probe *p, const char *param, const char *tensor) {
    const Param *q = params_find(p->model->params, param);
    float *got = golden_memory(g, q->numel, sizeof *got);
    device_download_floats(g->device, got, optimizer_moment(p->optimizer, 0, q), NUMBER_WIDE,
                           q->numel);
    compare_reals(g, tensor, got, golden_reals(g, p->tensors, tensor, NULL), q->numel,
                  golden_limit(g, p->entry, tensor));
}

/* The whole pool through the graph of evaluation. */
static void compare_pool(Golden *g, Probe *p, bool from_features, bool trained) {
    ClassifierGraph graph = {0};
    ClassifierOptions o = {
        .batch = p->pool.n, .float_images = true, .from_features = from_features};
    if (golden_classifier_graph(g, p->model, o, &graph)) {
        if (from_features)
            graph_set_real(graph.graph, graph.features, p->features);
        else
            graph_set_real(graph.graph, graph.encoder.images, p->pool.images);
        graph_forward(graph.graph);
        if (!from_features)
            compare_output(g, p->entry, p->tensors, "features", graph.graph, graph.features);
        if (trained)
            compare_output(g, p->entry, p->tensors, "eval_logits", graph.graph, graph.logits);
    }
    classifier_graph_free(&graph);
}

/* --- the run ---------------------------------------------------------------------------------- */

static bool take_step(Golden *g, Probe *p, int64_t i, double lr) {
    Error err = {0};
    double loss, want = golden_listed(p->json, "loss_f32", i);
    int64_t D = p->config.embed_dim;
    const int64_t *index = p->batch_index + i * p->batch;
    Batch b = golden_batch(g, &p->pool, index, p->batch);
    float *features = golden_memory(g, p->batch * D, sizeof *features);
    for (int64_t n = 0; n < p->batch; n++)
        memcpy(features + n * D, p->features + index[n] * D, (size_t)D * sizeof *features);
    labelled_batch_set(p->inputs, &b, golden_same_classes(g, p->config.classes), features);
    Status status = step_micro_batch(p->step, &err);
    if (status == MAE_OK) status = step_update(p->step, lr, &loss, &err);
    if (status != MAE_OK) {
        golden_problem(g, "step %lld: %s", (long long)i, err.message);
        return false;
    }
    compare_number(g, golden_text(g, "loss of step %lld", (long long)i), loss, want, 1e-6 * want);
    compare_number(g, golden_text(g, "loss[%lld]", (long long)i), loss, (double)p->loss[i],
                   1e-6 * want);
    compare_state(g, p, i);
    return true;
}

/* The published run has no smallest learning rate. */
static void train(Golden *g, Probe *p) {
    const json_t *s = json_object_get(p->json, "settings");
    int64_t per_epoch = golden_integer(s, "iters");
    for (int64_t i = 0; i < p->steps; i++) {
        double epoch = (double)(i % per_epoch) / (double)per_epoch + (double)(i / per_epoch);
        double lr = schedule_lr(epoch, golden_number(s, "warmup"), golden_number(s, "epochs"),
                                golden_number(s, "lr"), 0);
        double rate = golden_listed(p->json, "lr_per_step", i);
        compare_number(g, golden_text(g, "lr of step %lld", (long long)i), lr, rate, 1e-12 * rate);
        if (!take_step(g, p, i, lr)) return;
    }
    compare_momentum(g, p, "head.1.weight", "mu.weight");
    compare_momentum(g, p, "head.1.bias", "mu.bias");
    compare_pool(g, p, p->from_features, true);
}

static void check_run(Golden *g, Probe *p, bool from_features) {
    p->from_features = from_features;
    reset(p);
    if (make_step(g, p)) train(g, p);
    free_step(p);
}

void check_probe(Golden *g, const char *path, const json_t *entry) {
    Probe p = {.entry = entry};
    const char *name = strrchr(golden_stem(g, path), '_');
    const char *head = golden_text(g, "finetune/head%s.safetensors", name ? name : "");
    const json_t *head_entry = golden_entry(g, head);
    p.tensors = golden_tensors(g, path);
    p.json = golden_json(g, golden_sibling(g, path, ".json"));
    if (!head_entry || !p.tensors || !p.json || !read_probe(g, &p, head_entry)) return;
    const TensorFile *own = golden_tensors(g, head);
    const TensorFile *encoder =
        golden_encoder(g, json_object_get(json_object_get(head_entry, "info"), "config"));
    p.model = own && encoder ? golden_model(g, &p.config, true) : NULL;
    if (p.model && golden_load_classifier(g, p.model, encoder, own, "")) {
        reset(&p);
        compare_pool(g, &p, false, false);
        check_run(g, &p, true);
        check_run(g, &p, false);
    }
    vit_free(p.model);
}
