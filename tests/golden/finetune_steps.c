/* Fine-tuning runs: learning rate of every group, loss and gradient norm of every step, weights at
 * the end and what they score, through the program's own batches, step, optimiser and schedule. */
#include <math.h>
#include <string.h>

#include "golden.h"
#include "infer/evaluate.h"
#include "train/labelled_batch.h"
#include "train/schedule.h"
#include "train/step.h"

typedef struct Run {
    const TensorFile *tensors, *start; /* start: the file with the data and the first head */
    const json_t *entry, *json, *settings;
    const float *loss;
    const int64_t *batch_index;
    int64_t batch, steps;
    Pool pool;
    ModelConfig config;
    Vit *model;
    Optimizer *optimizer;
    LabelledBatch *inputs;
    TrainStep *step;
} Run;

/* This file, or else the one that it says holds what it leaves out. */
static const TensorFile *start_of(Golden *g, Run *r) {
    const char *path, *found = NULL;
    json_t *entry;
    const char *description = json_string_value(json_object_get(r->entry, "desc"));
    if (tensorfile_find(r->tensors, "init.head.weight")) return r->tensors;
    json_object_foreach(g->files, path, entry) {
        const char *stem = golden_stem(g, path);
        if (strncmp(path, "finetune/", 9) != 0 ||
            !json_object_get(json_object_get(entry, "tensors"), "init.head.weight"))
            continue;
        bool named = description && strstr(description, golden_text(g, "init.* are in %s ", stem));
        if (named || !found) found = path;
        if (named) break;
    }
    if (found) return golden_tensors(g, found);
    golden_problem(g, "no file has its first weights");
    return NULL;
}

static bool read_run(Golden *g, Run *r) {
    Shape index;
    r->start = start_of(g, r);
    if (!r->start) return false;
    r->settings = json_object_get(r->json, "settings");
    r->config = golden_config(json_object_get(r->json, "config"));
    golden_make_classifier(&r->config, HEAD_LINEAR,
                           tensorfile_find(r->start, "init.fc_norm.weight") != NULL,
                           golden_integer(r->settings, "classes"));
    r->loss = golden_reals(g, r->tensors, "loss", NULL);
    r->batch_index = golden_ints(g, r->start, "batch_index", &index);
    if (!r->loss || !r->batch_index || !golden_pool(g, r->start, &r->config, &r->pool))
        return false;
    r->steps = index.dim[0];
    r->batch = index.dim[1];
    return true;
}

/* The published defaults of AdamW, which the files name in words only. */
static bool make_step(Golden *g, Run *r) {
    Error err = {0};
    OptimizerOptions o = {.kind = OPTIMIZER_ADAMW,
                          .beta1 = 0.9,
                          .beta2 = 0.999,
                          .eps = 1e-8,
                          .groups = {.weight_decay = golden_number(r->settings, "wd"),
                                     .fine_tuning = true,
                                     .layer_decay = golden_number(r->settings, "layer_decay"),
                                     .depth = r->config.depth}};
    LabelledOptions l = {.batch = r->batch,
                         .smoothing = golden_stated(r->entry, "label smoothing "),
                         .float_images = true};
    StepOptions s = {.batch = r->batch, .accumulate = 1};
    if (json_is_number(json_object_get(r->json, "clip_grad")))
        s.clip_grad = golden_number(r->json, "clip_grad");
    Status status = labelled_batch_new(r->model, l, &r->inputs, &err);
    if (status == MAE_OK)
        status = optimizer_new(g->device, r->model->params, o, &r->optimizer, &err);
    if (status == MAE_OK)
        status = step_new(r->model, r->inputs->graph.graph, r->inputs->graph.loss, r->optimizer, s,
                          &r->step, &err);
    if (status != MAE_OK) golden_problem(g, "%s", err.message);
    return status == MAE_OK;
}

/* --- comparisons ------------------------------------------------------------------------------ */

static void compare_groups(Golden *g, Run *r) {
    size_t i, k;
    json_t *group, *name;
    int64_t listed = 0, trained = 0;
    json_array_foreach(json_object_get(r->json, "groups"), i, group) {
        json_array_foreach(json_object_get(group, "params"), k, name) {
            const Param *p = params_find(r->model->params, json_string_value(name));
            listed++;
            if (!p || !p->trainable) {
                golden_problem(g, "%s is not trained", json_string_value(name));
                continue;
            }
            ParamGroup got = optimizer_group(r->optimizer, p);
            double scale = golden_number(group, "lr_scale");
            compare_number(g, golden_text(g, "rate of %s", p->name), got.lr_scale, scale,
                           1e-15 * scale);
            compare_number(g, golden_text(g, "weight decay of %s", p->name), got.weight_decay,
                           golden_number(group, "weight_decay"), 0);
        }
    }
    for (int64_t n = 0; n < params_count(r->model->params); n++)
        trained += params_at(r->model->params, n)->trainable;
    compare_number(g, "trained parameters", (double)trained, (double)listed, 0);
}

/* The learning rate of every parameter, against that of its group. */
static void compare_rates(Golden *g, Run *r, int64_t step, double lr) {
    size_t i, k;
    json_t *group, *name;
    const json_t *rows = json_object_get(r->json, "lr_per_step_per_group");
    const json_t *row = json_array_get(rows, (size_t)step);
    json_array_foreach(json_object_get(r->json, "groups"), i, group) {
        double want = json_is_number(json_array_get(row, i))
                          ? json_number_value(json_array_get(row, i))
                          : (double)NAN;
        json_array_foreach(json_object_get(group, "params"), k, name) {
            const Param *p = params_find(r->model->params, json_string_value(name));
            if (!p) continue;
            compare_number(g, golden_text(g, "lr of %s in step %lld", p->name, (long long)step),
                           lr * optimizer_group(r->optimizer, p).lr_scale, want, 1e-12 * want);
        }
    }
}

static void compare_weights(Golden *g, Run *r) {
    for (size_t i = 0; i < tensorfile_count(r->tensors); i++) {
        const char *name = tensorfile_at(r->tensors, i)->name;
        if (strncmp(name, "final.", 6) != 0) continue;
        const Param *p = params_find(r->model->params, name + 6);
        if (!p) {
            golden_problem(g, "the model has no parameter %s", name + 6);
            continue;
        }
        float *got = golden_memory(g, p->numel, sizeof *got);
        params_get(r->model->params, p, got);
        compare_without_key(g, name, got, golden_reals(g, r->tensors, name, NULL), p->numel,
                            golden_limit(g, r->entry, name));
    }
}

/* Accuracies in percent and float32, the loss without smoothing. */
static void compare_scores(Golden *g, const Pool *pool, const float *logits, const json_t *want) {
    Evaluation e = {0};
    double loss = golden_number(want, "cross_entropy"), C = (double)pool->n;
    const json_t *rows = json_object_get(want, "logits");
    float *wanted = golden_memory(g, pool->n * pool->classes, sizeof *wanted);
    for (int64_t i = 0; i < pool->n; i++) {
        const float *row = logits + i * pool->classes;
        if (evaluation_add(&e, row, pool->classes, NULL, pool->labels[i]) < 0)
            golden_problem(g, "logits of image %lld are not finite", (long long)i);
        for (int64_t k = 0; k < pool->classes; k++)
            wanted[i * pool->classes + k] = (float)json_number_value(
                json_array_get(json_array_get(rows, (size_t)i), (size_t)k));
    }
    compare_reals(g, "logits of the pool", logits, wanted, pool->n * pool->classes,
                  (Limit){3e-6, INFINITY});
    compare_number(g, "images evaluated", (double)e.images, C, 0);
    compare_number(g, "top-1", 100 * (double)e.top1 / C, golden_number(want, "acc1"), 1e-5);
    compare_number(g, "top-5", 100 * (double)e.top5 / C, golden_number(want, "acc5"), 1e-5);
    compare_number(g, "cross-entropy", e.loss / C, loss, 1e-6 * loss);
}

static void evaluate(Golden *g, Run *r) {
    ClassifierGraph graph = {0};
    ClassifierOptions o = {.batch = r->pool.n, .float_images = true};
    const json_t *want = json_object_get(r->json, "eval_of_final_on_pool");
    if (!json_is_object(want)) return;
    if (golden_classifier_graph(g, r->model, o, &graph)) {
        graph_set_real(graph.graph, graph.encoder.images, r->pool.images);
        graph_forward(graph.graph);
        compare_scores(g, &r->pool, golden_output(g, graph.graph, graph.logits), want);
    }
    classifier_graph_free(&graph);
}

/* --- the run ---------------------------------------------------------------------------------- */

static bool take_step(Golden *g, Run *r, int64_t i, double lr) {
    Error err = {0};
    double loss, want = golden_listed(r->json, "loss_f32", i);
    double norm = golden_listed(r->json, "grad_norm_f64", i);
    Batch b = golden_batch(g, &r->pool, r->batch_index + i * r->batch, r->batch);
    labelled_batch_set(r->inputs, &b, golden_same_classes(g, r->config.classes), NULL);
    Status status = step_micro_batch(r->step, &err);
    if (status == MAE_OK) status = step_update(r->step, lr, &loss, &err);
    if (status != MAE_OK) {
        golden_problem(g, "step %lld: %s", (long long)i, err.message);
        return false;
    }
    compare_number(g, golden_text(g, "loss of step %lld", (long long)i), loss, want, 1e-6 * want);
    compare_number(g, golden_text(g, "loss[%lld]", (long long)i), loss, (double)r->loss[i],
                   1e-6 * want);
    compare_number(g, golden_text(g, "gradient norm of step %lld", (long long)i),
                   r->step->last_norm, norm, 1e-5 * norm);
    return true;
}

static void train(Golden *g, Run *r) {
    const json_t *s = r->settings;
    int64_t per_epoch = golden_integer(s, "iters");
    for (int64_t i = 0; i < r->steps; i++) {
        double epoch = (double)(i % per_epoch) / (double)per_epoch + (double)(i / per_epoch);
        double lr = schedule_lr(epoch, golden_number(s, "warmup"), golden_number(s, "epochs"),
                                golden_number(s, "lr"), golden_number(s, "min_lr"));
        compare_rates(g, r, i, lr);
        if (!take_step(g, r, i, lr)) return;
    }
    compare_weights(g, r);
    evaluate(g, r);
}

void check_fine_tuning(Golden *g, const char *path, const json_t *entry) {
    Run r = {.entry = entry};
    r.tensors = golden_tensors(g, path);
    r.json = golden_json(g, golden_sibling(g, path, ".json"));
    if (!r.tensors || !r.json || !read_run(g, &r)) return;
    const TensorFile *encoder = golden_encoder(g, json_object_get(r.json, "config"));
    r.model = encoder ? golden_model(g, &r.config, true) : NULL;
    if (r.model && golden_load_classifier(g, r.model, encoder, r.start, "init.") &&
        make_step(g, &r)) {
        compare_groups(g, &r);
        train(g, &r);
    }
    step_free(r.step);
    labelled_batch_free(r.inputs);
    optimizer_free(r.optimizer);
    vit_free(r.model);
}
